#!/usr/bin/env python3
"""An SMS provider that speaks Twilio's interface, as far as reachd uses it, and its receipts.

  provider.py serve PORTS_FILE RECEIPT_URL PUBLIC_URL SECRET   answers POST .../Messages.json; GET /sent lists what was taken
  provider.py send RECEIPT_URL PUBLIC_URL SECRET MESSAGE_SID STATUS [CODE]      one signed receipt; prints the HTTP status
  provider.py vonage RECEIPT_URL SECRET AGE_S BODY                              one with a token as Vonage signs it, AGE_S seconds ago
  provider.py raw METHOD URL [BODY [HEADER: VALUE]...]                          any request; prints the HTTP status and Retry-After

How a message is answered depends on the last digit of the number it goes to:
  0   Twilio does not know the number (21211)
  1   the receipt comes before the answer, which waits until the receipt was taken
  2   taken, and no answer: the connection is closed
  4   taken; the answer waits until PORTS_FILE.go is there
  any other: taken
"""
import base64
import hashlib
import hmac
import http.server
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def request(method, url, body=None, headers=None):
    """HTTP status and the Retry-After header."""
    call = urllib.request.Request(url, None if body is None else body.encode(), headers or {}, method=method)
    try:
        with OPENER.open(call, timeout=30) as answer:
            return answer.status, answer.headers.get("Retry-After")
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Retry-After")


def send(receipt_url, public_url, secret, sid, status, code=None):
    fields = {"MessageSid": sid, "MessageStatus": status}
    if code:
        fields["ErrorCode"] = code
    text = public_url + "".join(name + fields[name] for name in sorted(fields))
    signature = base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()
    return request("POST", receipt_url, urllib.parse.urlencode(fields), {"X-Twilio-Signature": signature})


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def vonage(receipt_url, secret, age_s, body):
    claims = {"iss": "Vonage", "iat": int(time.time()) - int(age_s), "payload_hash": hashlib.sha256(body.encode()).hexdigest()}
    text = ".".join(base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    signature = base64url(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())
    return request("POST", receipt_url, body, {"Authorization": "Bearer " + text + "." + signature})


class Provider(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    sent = []
    settings = ()
    ports_file = None

    def log_message(self, *_):
        pass

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with self.lock:
            self.answer(200, self.sent)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        fields = dict(urllib.parse.parse_qsl(body))
        manner = fields["To"][-1]
        if manner == "0":
            self.answer(400, {"code": 21211, "message": "Invalid 'To' Phone Number", "status": 400})
            return
        with self.lock:
            sid = "SM%032d" % (len(self.sent) + 1)
            self.sent.append({"sid": sid, **fields})
        if manner == "1":
            print("early receipt:", *send(*self.settings, sid, "delivered"), flush=True)
        while manner == "4" and not os.path.exists(self.ports_file + ".go"):
            time.sleep(0.02)
        if manner == "2":
            self.close_connection = True
            return
        self.answer(201, {"sid": sid, "status": "queued"})


def serve(ports_file, *settings):
    Provider.settings = settings
    Provider.ports_file = ports_file
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    with open(ports_file, "w", encoding="ascii") as file:
        file.write(str(server.server_address[1]))
    server.serve_forever()


def main(verb, *rest):
    if verb == "serve":
        serve(*rest)
    elif verb == "send":
        print(*send(*rest))
    elif verb == "vonage":
        print(*vonage(*rest))
    else:
        headers = dict(header.split(": ", 1) for header in rest[3:])
        print(*request(rest[0], rest[1], rest[2] if len(rest) > 2 else None, headers))


main(*sys.argv[1:])
