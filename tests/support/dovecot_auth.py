"""An authentication server for Postfix (Dovecot's protocol, version 1.1) that knows one login.

    dovecot_auth.py SOCKET USER PASSWORD

Knows AUTH PLAIN and LOGIN. Writes nothing; ends with SIGTERM.
"""
import base64
import os
import socketserver
import sys

USER, PASSWORD = sys.argv[2], sys.argv[3]


class Client(socketserver.StreamRequestHandler):
    def say(self, *fields):
        self.wfile.write(("\t".join(fields) + "\n").encode())

    def handle(self):
        self.say("VERSION", "1", "1")
        self.say("MECH", "PLAIN", "plaintext")
        self.say("MECH", "LOGIN", "plaintext")
        self.say("SPID", str(os.getpid()))
        self.say("CUID", "1")
        self.say("COOKIE", "0" * 32)
        self.say("DONE")
        self.names = {}
        for line in self.rfile:
            fields = line.decode().rstrip("\n").split("\t")
            if fields[0] == "AUTH":
                response = [field[5:] for field in fields if field.startswith("resp=")]
                self.step(fields[1], fields[2], base64.b64decode(response[0]).decode() if response else None)
            elif fields[0] == "CONT":
                self.step(fields[1], None, base64.b64decode(fields[2]).decode())

    def step(self, number, mechanism, answer):
        if mechanism == "PLAIN" and answer is not None:
            self.judge(number, *answer.split("\0")[1:3])
        elif mechanism == "PLAIN":
            self.say("CONT", number, "")
        elif mechanism == "LOGIN":
            self.names[number] = answer
            self.say("CONT", number, base64.b64encode(b"Password:" if answer else b"Username:").decode())
        elif "\0" in answer:
            self.judge(number, *answer.split("\0")[1:3])
        elif self.names.get(number) is None:
            self.names[number] = answer
            self.say("CONT", number, base64.b64encode(b"Password:").decode())
        else:
            self.judge(number, self.names[number], answer)

    def judge(self, number, user, password):
        if (user, password) == (USER, PASSWORD):
            self.say("OK", number, "user=" + user)
        else:
            self.say("FAIL", number, "user=" + user)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


with Server(sys.argv[1], Client) as server:
    os.chmod(sys.argv[1], 0o666)
    server.serve_forever()
