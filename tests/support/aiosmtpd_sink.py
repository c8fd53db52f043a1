"""A mail server on aiosmtpd that keeps what it gets.

    aiosmtpd_sink.py DIR CERT KEY USER PASSWORD

Chooses a port, writes it to DIR/port, and each mail to DIR/N.json: envelope, login, TLS, header fields and decoded parts. Requires STARTTLS and
AUTH. "gone@" is refused with 550 5.1.1, "later@" with 451 4.7.1, a mail to "spam@" after its end with 554 5.7.1.
"""
import asyncio
import email
import email.policy
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

directory, cert, key, user, password = sys.argv[1:]


class Handler:
    count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        local = address.split("@")[0]
        if local == "gone":
            return "550 5.1.1 <%s> no such user" % address
        if local == "later":
            return "451 4.7.1 greylisted"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        if envelope.rcpt_tos[0].startswith("spam@"):
            return "554 5.7.1 looks like spam"
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        Handler.count += 1
        document = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl["cipher"][1],
            "login": session.auth_data,
            "subject": str(mail["subject"]),
            "message_id": mail["message-id"],
            "parts": [[part.get_content_type(), part.get_content()] for part in mail.iter_parts()],
            "defects": [str(defect) for defect in mail.defects],
        }
        path = os.path.join(directory, "%d.json" % Handler.count)
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(document, file)
        os.rename(path + ".new", path)
        return "250 2.0.0 kept"


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == user.encode() and data.password == password.encode()
    return AuthResult(success=good, handled=good, auth_data=user if good else None)


def make_server():
    return SMTP(Handler(), hostname="aio.example", require_starttls=True, tls_context=context, auth_required=True, authenticator=authenticate)


async def main():
    server = await asyncio.get_running_loop().create_server(make_server, "127.0.0.1", 0)
    with open(os.path.join(directory, "port.new"), "w") as file:
        file.write(str(server.sockets[0].getsockname()[1]))
    os.rename(os.path.join(directory, "port.new"), os.path.join(directory, "port"))
    await server.serve_forever()


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(cert, key)
asyncio.run(main())
