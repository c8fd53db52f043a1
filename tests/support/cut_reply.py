"""A proxy in front of Redis that loses one reply: the first one in which a word stands is swallowed and its connection closed.

    cut_reply.py LISTEN-SOCKET REDIS-SOCKET WORD DONE-FILE

DONE-FILE appears when it has happened; from then on everything passes."""
import os
import socket
import sys
import threading

listen, redis, word, done = sys.argv[1:5]
word = word.encode()


def pump(source, sink, looks):
    seen = b""
    while True:
        try:
            data = source.recv(65536)
        except OSError:
            data = b""
        if not data:
            break
        seen = (seen + data)[-65536:]
        if looks and not os.path.exists(done) and word in seen:
            open(done, "w").close()
            break
        try:
            sink.sendall(data)
        except OSError:
            break
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


server = socket.socket(socket.AF_UNIX)
server.bind(listen)
server.listen(16)
while True:
    client, _ = server.accept()
    upstream = socket.socket(socket.AF_UNIX)
    try:
        upstream.connect(redis)
    except OSError:
        client.close()
        continue
    threading.Thread(target=pump, args=(client, upstream, False), daemon=True).start()
    threading.Thread(target=pump, args=(upstream, client, True), daemon=True).start()
