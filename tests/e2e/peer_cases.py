"""The sandbox peer: does it keep exactly what it took, and misbehave exactly as told? Run by test_peer.sh."""
import base64
import http.client
import json
import os
import smtplib
import socket
import ssl
import subprocess
import sys
import time
import unittest

from peer import Peer

MAIL = (b"Subject: hello\r\n there\r\nMessage-ID: <one@example.org>\r\nX: y\r\n\r\nMessage-ID: <not-this@example.org>\r\nfirst line\r\n..two dots in the text\r\n.one dot\r\nlast\r\n")


class Raw:
    """An SMTP client that sends what it is told and nothing else."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def reply(self):
        """One whole reply: its bytes."""
        whole = b""
        while True:
            line = self.file.readline()
            whole += line
            if line == b"" or line[3:4] != b"-":
                return whole

    def say(self, line):
        self.send(line + b"\r\n")
        return self.reply()

    def envelope(self, recipient=b"ada@example.org"):
        self.reply()
        self.say(b"EHLO test")
        self.say(b"MAIL FROM:<from@walton.example>")
        return self.say(b"RCPT TO:<" + recipient + b">")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()


def stuffed(message):
    return b"".join((b"." + line if line.startswith(b".") else line) for line in message.splitlines(True)) + b".\r\n"


def post(peer, path, body, headers=None, method="POST"):
    connection = http.client.HTTPConnection("127.0.0.1", peer.http, timeout=10)
    try:
        connection.request(method, path, body, headers or {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


class Mail(unittest.TestCase):
    def test_keeps_a_mail_from_a_client_that_is_not_ours(self):
        with Peer() as peer:
            with smtplib.SMTP("127.0.0.1", peer.smtp) as client:
                refused = client.sendmail("from@walton.example", ["ada@example.org"], MAIL)
            line, = peer.index()
            self.assertEqual(refused, {})
            self.assertEqual((line["seq"], line["channel"], line["recipient"], line["key"], line["from"], line["tls"]),
                             (1, "email", "ada@example.org", "one@example.org", "from@walton.example", None))
            kept = peer.read(line)
            self.assertTrue(kept.startswith(b"X-Envelope-From: <from@walton.example>"))
            self.assertTrue(kept.endswith(b"\r\nX-Envelope-To: <ada@example.org>\r\n" + MAIL), kept)
            self.assertEqual(line["file"], "mail/000001-ada@example.org.eml")

    def test_undoes_dot_stuffing_wherever_the_bytes_are_cut(self):
        wire = stuffed(MAIL)
        with Peer() as peer, Raw(peer.smtp) as client:
            client.envelope()
            for cut in range(1, len(wire), 7):
                self.assertEqual(client.say(b"DATA")[:3], b"354")
                client.send(wire[:cut])
                time.sleep(0.002)
                client.send(wire[cut:])
                self.assertEqual(client.reply()[:3], b"250")
                client.say(b"MAIL FROM:<from@walton.example>")
                client.say(b"RCPT TO:<ada@example.org>")
            kept = [peer.read(line) for line in peer.index()]
            self.assertGreater(len(kept), 10)
            for message in kept:
                self.assertTrue(message.endswith(b"ada@example.org>\r\n" + MAIL), message)

    def test_only_cr_lf_dot_cr_lf_ends_a_message(self):
        body = b"a\n.\nb\r.\rc\n.\r\nd\r\n.\ne\r\n.\rf\r\n"
        with Peer() as peer, Raw(peer.smtp) as client:
            client.envelope()
            client.say(b"DATA")
            self.assertEqual(client.say(body + b".")[:3], b"250")
            line, = peer.index()
            self.assertTrue(peer.read(line).endswith(b"a\n.\nb\r.\rc\n.\r\nd\r\n\ne\r\n\rf\r\n"), peer.read(line))

    def test_answers_pipelined_commands_in_order(self):
        with Peer() as peer, Raw(peer.smtp) as client:
            client.reply()
            client.send(b"EHLO t\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@f.example>\r\nDATA\r\n")
            self.assertEqual([client.reply()[:3] for _ in range(5)], [b"250", b"250", b"250", b"250", b"354"])
            client.send(stuffed(MAIL) + b"MAIL FROM:<>\r\nRSET\r\nNOOP\r\nQUIT\r\n")
            self.assertEqual([client.reply()[:3] for _ in range(5)], [b"250", b"250", b"250", b"250", b"221"])
            self.assertEqual(client.reply(), b"")
            self.assertEqual([(line["seq"], line["recipient"]) for line in peer.index()], [(1, "c@d.example"), (1, "e@f.example")])

    def test_is_strict_about_order_and_syntax(self):
        with Peer() as peer, Raw(peer.smtp) as client:
            client.reply()
            for line, code in [(b"MAIL FROM:<a@b.example>", b"503"), (b"EHLO", b"501"), (b"EHLO t", b"250"), (b"RCPT TO:<a@b.example>", b"503"),
                               (b"DATA", b"503"), (b"MAIL FROM: <a@b.example>", b"501"), (b"MAIL FROM:a@b.example", b"501"),
                               (b"MAIL FROM:<a@b.example> SMTPUTF8", b"555"), (b"MAIL FROM:<a@b.example> BODY=8BITMIME SIZE=9", b"250"),
                               (b"MAIL FROM:<a@b.example>", b"503"), (b"DATA", b"554"), (b"RCPT TO:<>", b"501"),
                               (b"RCPT TO:<a@b.example> NOTIFY=NEVER", b"555"), (b"BDAT 3 LAST", b"501")]:
                self.assertEqual(client.say(line)[:3], code, line)
        with Peer() as peer, Raw(peer.smtp) as client:
            client.reply()
            client.send(b"x" * 5000)
            self.assertEqual(client.reply()[:3], b"500")

    def test_takes_chunks(self):
        with Peer("--chunking") as peer, Raw(peer.smtp) as client:
            client.envelope()
            client.send(b"BDAT 20\r\n" + MAIL[:20])
            self.assertEqual(client.reply()[:3], b"250")
            client.send(b"BDAT %d LAST\r\n" % len(MAIL[20:]) + MAIL[20:])
            self.assertEqual(client.reply()[:3], b"250")
            line, = peer.index()
            self.assertTrue(peer.read(line).endswith(MAIL))

    def test_refuses_a_message_over_its_limit_without_keeping_it(self):
        with Peer("--max-bytes", "1000") as peer, Raw(peer.smtp) as client:
            client.envelope()
            client.say(b"DATA")
            client.send(b"x" * 78 + b"\r\n")
            client.send((b"y" * 78 + b"\r\n") * 20 + b".\r\n")
            self.assertEqual(client.reply()[:3], b"552")
            self.assertEqual(peer.index(), [])
            self.assertEqual(client.say(b"NOOP")[:3], b"250")

    def test_speaks_tls_and_notes_it(self):
        context = ssl.create_default_context(cafile=os.environ["CERT"])
        with Peer("--tls-cert", os.environ["CERT"], "--tls-key", os.environ["KEY"], "--auth", "u:p", "--require-tls", "--require-auth") as peer:
            with smtplib.SMTP("localhost", peer.smtp) as client:
                client.ehlo()
                self.assertFalse(client.has_extn("auth"))
                self.assertEqual(client.docmd("AUTH PLAIN " + base64.b64encode(b"\0u\0p").decode())[0], 538)
                self.assertEqual(client.mail("a@b.example")[0], 530)
                client.starttls(context=context)
                client.ehlo()
                self.assertFalse(client.has_extn("starttls"))
                self.assertEqual(client.mail("a@b.example")[0], 530)
                with self.assertRaises(smtplib.SMTPAuthenticationError):
                    client.login("u", "wrong")
                client.login("u", "p")
                client.sendmail("a@b.example", ["c@d.example"], MAIL)
            line, = peer.index()
            self.assertEqual((line["tls"], line["user"]), ("TLSv1.3", "u"))
            self.assertEqual(peer.count("auth-in-clear"), 1)

    def test_forgets_what_came_in_clear_behind_starttls(self):
        with Peer("--tls-cert", os.environ["CERT"], "--tls-key", os.environ["KEY"]) as peer, Raw(peer.smtp) as client:
            client.reply()
            client.say(b"EHLO t")
            client.send(b"STARTTLS\r\nNOOP\r\n")
            self.assertEqual(client.reply()[:3], b"220")
            context = ssl.create_default_context(cafile=os.environ["CERT"])
            with context.wrap_socket(client.socket, server_hostname="localhost") as secure:
                secure.sendall(b"MAIL FROM:<a@b.example>\r\n")
                self.assertEqual(secure.recv(100)[:3], b"503", "the first reply answers MAIL, and EHLO is needed again")
            client.socket = socket.socket()

    def test_auth_login_works_too(self):
        with Peer("--auth", "user:secret", "--auth-in-clear") as peer, Raw(peer.smtp) as client:
            client.reply()
            self.assertIn(b"AUTH PLAIN LOGIN", client.say(b"EHLO t"))
            self.assertEqual(client.say(b"AUTH LOGIN"), b"334 VXNlcm5hbWU6\r\n")
            self.assertEqual(client.say(base64.b64encode(b"user")), b"334 UGFzc3dvcmQ6\r\n")
            self.assertEqual(client.say(base64.b64encode(b"secret"))[:3], b"235")


class Rules(unittest.TestCase):
    def test_refuse_one_recipient_and_take_the_other(self):
        with Peer() as peer:
            peer.rules({"channel": "email", "recipient": "*@full.example", "phase": "rcpt", "action": "reply", "code": 452, "text": "4.2.2 full"})
            with smtplib.SMTP("127.0.0.1", peer.smtp) as client:
                refused = client.sendmail("a@b.example", ["Bob@FULL.example", "ada@example.org"], MAIL)
            self.assertEqual(refused, {"Bob@FULL.example": (452, b"4.2.2 full")})
            self.assertEqual([line["recipient"] for line in peer.index()], ["ada@example.org"])
            told, = peer.refused()
            self.assertEqual((told["phase"], told["recipient"], told["action"], told["code"]), ("rcpt", "Bob@FULL.example", "reply", 452))

    def test_fail_the_first_time_for_each_recipient(self):
        with Peer() as peer:
            peer.rules({"phase": "rcpt", "first": 1, "per": "recipient", "action": "reply", "code": 451, "text": "4.7.1 later"})
            with Raw(peer.smtp) as client:
                self.assertEqual(client.envelope(b"one@example.org")[:3], b"451")
                self.assertEqual(client.say(b"RCPT TO:<two@example.org>")[:3], b"451")
                self.assertEqual(client.say(b"RCPT TO:<one@example.org>")[:3], b"250")
                self.assertEqual(client.say(b"RCPT TO:<two@example.org>")[:3], b"250")
            rule, = peer.control()["rules"]
            self.assertEqual((rule["seen"], rule["hits"]), (4, 2))

    def test_nth_and_every_count_what_fits(self):
        with Peer() as peer:
            peer.rules({"phase": "rcpt", "recipient": "x@*", "nth": 2, "action": "reply", "code": 550},
                       {"phase": "rcpt", "recipient": "x@*", "every": 2, "action": "reply", "code": 551})
            with Raw(peer.smtp) as client:
                codes = [client.envelope(b"x@example.org")[:3]]
                codes += [client.say(b"RCPT TO:<x@example.org>")[:3] for _ in range(4)]
                self.assertEqual(client.say(b"RCPT TO:<y@example.org>")[:3], b"250")
            self.assertEqual(codes, [b"250", b"550", b"551", b"250", b"551"])

    def test_a_dropped_answer_after_the_dot_leaves_a_kept_message(self):
        with Peer() as peer:
            peer.rules({"phase": "after-dot", "nth": 1, "action": "drop"},
                       {"phase": "after-dot", "nth": 1, "action": "drop", "store": False},
                       {"phase": "after-dot", "nth": 1, "action": "reply", "code": 451})
            ends = []
            for _ in range(3):
                with Raw(peer.smtp) as client:
                    client.envelope()
                    client.say(b"DATA")
                    client.send(stuffed(MAIL))
                    ends.append(client.reply()[:3])
            self.assertEqual(ends, [b"", b"", b"451"])
            self.assertEqual(len(peer.index()), 1)

    def test_cut_an_answer_at_any_byte(self):
        whole = b"250 2.1.5 ok\r\n"
        with Peer() as peer:
            for at in range(len(whole)):
                peer.rules({"phase": "rcpt", "action": "truncate", "at": at})
                with Raw(peer.smtp) as client:
                    self.assertEqual(client.envelope(), whole[:at])

    def test_garble_an_answer_and_go_on(self):
        with Peer() as peer:
            peer.rules({"phase": "rcpt", "action": "garble", "bytes": "250 ok\r\n250 one too many\r\n"},
                       {"phase": "ehlo", "action": "garble", "bytes": "250-" + "x" * 1100 + "\r\n250 ok\r\n"})
            with Raw(peer.smtp) as client:
                client.reply()
                self.assertGreater(len(client.say(b"EHLO t")), 1100)
                client.say(b"MAIL FROM:<a@b.example>")
                self.assertEqual(client.say(b"RCPT TO:<c@d.example>"), b"250 ok\r\n")
                self.assertEqual(client.say(b"DATA"), b"250 one too many\r\n")

    def test_delay_holds_what_is_pipelined_behind(self):
        with Peer() as peer:
            peer.rules({"phase": "mail", "action": "delay", "delay_ms": 200})
            with Raw(peer.smtp) as client:
                client.reply()
                client.say(b"EHLO t")
                started = time.monotonic()
                client.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n")
                self.assertEqual([client.reply()[:3], client.reply()[:3]], [b"250", b"250"])
                self.assertGreaterEqual(time.monotonic() - started, 0.19)

    def test_hang_and_refuse_at_the_banner(self):
        with Peer() as peer:
            peer.rules({"phase": "banner", "nth": 1, "action": "hang"}, {"phase": "banner", "nth": 1, "action": "reply", "code": 421, "text": "busy"})
            with Raw(peer.smtp) as client:
                client.socket.settimeout(0.3)
                with self.assertRaises(OSError):
                    client.reply()
            with Raw(peer.smtp) as client:
                self.assertEqual((client.reply(), client.reply()), (b"421 busy\r\n", b""))
            with Raw(peer.smtp) as client:
                self.assertEqual(client.reply()[:3], b"220")

    def test_stop_in_the_middle_of_a_body(self):
        with Peer() as peer:
            peer.rules({"phase": "body", "at": 20, "action": "drop", "reset": True})
            with Raw(peer.smtp) as client:
                client.envelope()
                client.say(b"DATA")
                client.send(b"Subject: x\r\n\r\n")
                time.sleep(0.05)
                client.send(b"many more bytes than twenty\r\n")
                time.sleep(0.05)
                with self.assertRaises(OSError):
                    client.send(b"y")
                    self.assertNotEqual(client.reply(), b"")
                    raise OSError
            self.assertEqual(peer.index(), [])

    def test_a_rule_that_cannot_be_read_is_refused_by_name(self):
        with Peer() as peer:
            for rule, member in [({"phase": "rcpt"}, "rules[0].action"), ({"phase": "x", "action": "drop"}, "rules[0].phase"),
                                 ({"phase": "rcpt", "action": "reply"}, "rules[0].code"), ({"phase": "rcpt", "action": "drop", "oops": 1}, "rules[0].oops")]:
                status, body, _ = post(peer, "/_control", json.dumps({"rules": [rule]}))
                self.assertEqual((status, json.loads(body)["member"]), (400, member))
        with Peer() as peer:
            with open(os.path.join(peer.top, "bad.json"), "w") as file:
                file.write('{"rules":[{"phase":"nowhere","action":"drop"}]}')
            run = subprocess.run([peer.program, "--dir", peer.store, "--smtp", "127.0.0.1:0", "--rules", file.name], capture_output=True)
            self.assertEqual(run.returncode, 1)
            self.assertIn(b"nowhere", run.stderr)


class Gateway(unittest.TestCase):
    def test_takes_an_sms_as_json_and_answers_with_an_id(self):
        with Peer() as peer:
            status, body, headers = post(peer, "/sms", '{"to":"+441632960001","text":"hi","key":"abc","notice":"n-1"}',
                                         {"Content-Type": "application/json", "Authorization": "Bearer secret"})
            line, = peer.index()
            self.assertEqual((status, json.loads(body), headers["Content-Type"]), (200, {"id": "peer-1", "status": "accepted"}, "application/json"))
            self.assertEqual((line["channel"], line["recipient"], line["key"], line["notice"]), ("sms", "+441632960001", "abc", "n-1"))
            self.assertEqual(line["file"], "sms/000001-+441632960001.json")
            kept = json.loads(peer.read(line))
            self.assertEqual(kept["body"]["text"], "hi")
            self.assertNotIn(b"secret", peer.read(line))

    def test_knows_forms_queries_and_nested_tokens(self):
        with Peer() as peer:
            form = {"Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": "k1"}
            post(peer, "/2010/Messages.json", "To=%2B491711&Body=hallo", form)
            post(peer, "/cgi-bin/sendsms?to=%2B33611&text=x", None, {}, "GET")
            post(peer, "/push/v1", '{"message":{"token":"tok-1","notification":{"title":"x"}}}')
            post(peer, "/3/device/deadbeef", '{"aps":{}}')
            post(peer, "/anything", "no text at all \xff".encode("latin-1"), {})
            self.assertEqual([(line["channel"], line["recipient"], line["key"]) for line in peer.index()],
                             [("http", "+491711", "k1"), ("http", "+33611", None), ("push", "tok-1", None), ("push", "deadbeef", None), ("http", None, None)])

    def test_reads_and_closes_without_keeping(self):
        with Peer() as peer:
            peer.rules({"phase": "http-read", "first": 2, "action": "close-after-read"},
                       {"phase": "http-answer", "nth": 1, "action": "drop"})
            for _ in range(3):
                with self.assertRaises((http.client.RemoteDisconnected, ConnectionResetError)):
                    post(peer, "/sms", '{"to":"+441632960001"}')
            self.assertEqual(post(peer, "/sms", '{"to":"+441632960001"}')[0], 200)
            self.assertEqual((len(peer.index()), peer.count("request")), (2, 4))

    def test_answers_with_any_status_headers_and_body(self):
        with Peer() as peer:
            peer.rules({"channel": "sms", "phase": "http-read", "action": "reply", "code": 503, "text": "<html>", "headers": {"Retry-After": "7", "Content-Type": "text/html"}})
            status, body, headers = post(peer, "/sms", "{}")
            self.assertEqual((status, body, headers["Retry-After"], headers["Content-Type"]), (503, b"<html>", "7", "text/html"))
            self.assertEqual(post(peer, "/push", "{}")[0], 200)
            self.assertEqual([line["channel"] for line in peer.index()], ["push"])

    def test_garbles_truncates_hangs_and_delays(self):
        with Peer() as peer:
            peer.rules({"phase": "http-answer", "nth": 1, "action": "garble", "bytes": "nonsense\r\n", "repeat": 3},
                       {"phase": "http-answer", "nth": 1, "action": "truncate", "at": 25},
                       {"phase": "http-answer", "nth": 1, "action": "hang"},
                       {"phase": "http-answer", "nth": 1, "action": "delay", "delay_ms": 200})
            request = b'POST /sms HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}'
            got = []
            for _ in range(2):
                with socket.create_connection(("127.0.0.1", peer.http), 10) as client:
                    client.sendall(request)
                    got.append(client.makefile("rb").read())
            self.assertEqual(got[0], b"nonsense\r\n" * 3)
            self.assertEqual(got[1], b"HTTP/1.1 200 OK\r\nContent-")
            with socket.create_connection(("127.0.0.1", peer.http), 0.3) as client:
                client.sendall(request)
                with self.assertRaises(socket.timeout):
                    client.recv(1)
            started = time.monotonic()
            self.assertEqual(post(peer, "/sms", "{}")[0], 200)
            self.assertGreaterEqual(time.monotonic() - started, 0.19)
            self.assertEqual(len(peer.index()), 4)

    def test_keeps_a_connection_for_many_requests(self):
        with Peer() as peer:
            connection = http.client.HTTPConnection("127.0.0.1", peer.http, timeout=10)
            for i in range(50):
                connection.request("POST", "/sms", json.dumps({"to": "+44163296%04d" % i}))
                self.assertEqual(connection.getresponse().read(), b'{"id":"peer-%d","status":"accepted"}' % (i + 1))
            connection.close()

    def test_speaks_https(self):
        with Peer("--https", "127.0.0.1:0", "--tls-cert", os.environ["CERT"], "--tls-key", os.environ["KEY"]) as peer:
            context = ssl.create_default_context(cafile=os.environ["CERT"])
            connection = http.client.HTTPSConnection("localhost", peer.https, timeout=10, context=context)
            connection.request("POST", "/push", '{"token":"t"}')
            self.assertEqual(connection.getresponse().status, 200)
            connection.close()
            self.assertEqual(peer.index()[0]["tls"], "TLS")


class Process(unittest.TestCase):
    def test_listens_on_loopback_only(self):
        with Peer() as peer:
            for address in ["0.0.0.0:0", "192.0.2.1:25", "[::]:0"]:
                run = subprocess.run([peer.program, "--quiet-store", "--smtp", address], capture_output=True, timeout=10)
                self.assertEqual(run.returncode, 1, address)
                self.assertIn(b"loopback", run.stderr)

    def test_goes_on_counting_after_a_restart(self):
        with Peer() as peer:
            post(peer, "/sms", '{"to":"+441"}')
            self.assertEqual(peer.stop(), 0)
            peer.start()
            post(peer, "/sms", '{"to":"+442"}')
            self.assertEqual([line["seq"] for line in peer.index()], [1, 2])

    def test_has_the_index_line_before_the_answer_even_when_killed(self):
        with Peer() as peer:
            for i in range(20):
                post(peer, "/sms", '{"to":"+44%d"}' % i)
            peer.process.kill()
            peer.process.wait()
            self.assertEqual(len(peer.index()), 20)
            peer.process = None

    def test_traces_conversations_but_no_credentials(self):
        with Peer("--trace", "--auth", "user:secret", "--auth-in-clear") as peer:
            with smtplib.SMTP("127.0.0.1", peer.smtp) as client:
                client.login("user", "secret")
                client.sendmail("a@b.example", ["c@d.example"], MAIL)
            with open(os.path.join(peer.store, "trace.log")) as file:
                trace = file.read()
            for line in ("1 S: 220 sandbox-peer ESMTP", "1 C: AUTH (not shown)", "1 C: rcpt TO:<c@d.example>", "1 S: 250 2.1.5 ok", "1 S: 250 2.0.0 kept as 1"):
                self.assertIn(line + "\n", trace)
            for secret in ("secret", base64.b64encode(b"\0user\0secret").decode(), "hello"):
                self.assertNotIn(secret, trace)

    def test_quiet_store_only_counts(self):
        with Peer("--quiet-store") as peer:
            post(peer, "/sms", '{"to":"+441"}')
            self.assertEqual(peer.count("taken:sms"), 1)
            self.assertFalse(os.path.exists(peer.store))

    def test_names_files_harmlessly(self):
        with Peer() as peer:
            post(peer, "/sms", '{"to":"../../etc/passwd\\n\\u0007"}')
            self.assertEqual(peer.index()[0]["file"], "sms/000001-.._.._etc_passwd__.json")
            self.assertTrue(peer.read(peer.index()[0]))


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=2).result
    failed = len(result.failures) + len(result.errors)
    print("%d passed, %d failed" % (result.testsRun - failed, failed))
    sys.exit(1 if failed else 0)
