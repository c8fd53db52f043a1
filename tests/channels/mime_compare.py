"""Reads the mails the peer kept with Python's email package and compares them with the messages they were made from.

    mime_compare.py messages.ndjson PEER_DIR
"""
import email
import email.policy
import json
import os
import sys


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def same_name(read, meant):
    """Python puts a blank between the encoded words of a long name (RFC 2047 section 6.2 says that there is none)."""
    return read.replace(" ", "") == (meant or "").replace(" ", "")


def part_text(part):
    assert part.get_content_charset() == "utf-8", part.get_content_charset()
    assert not part.defects, part.defects
    return part.get_payload(decode=True).decode("utf-8").replace("\r\n", "\n")


def compare(message, raw):
    for line in raw.split(b"\r\n"):
        assert b"\n" not in line and b"\r" not in line, "a bare CR or LF"
        assert len(line) <= 998, "a line of %d bytes" % len(line)
        assert all(32 <= byte < 127 or byte == 9 for byte in line), "a byte outside ASCII"
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert not mail.defects, mail.defects
    assert str(mail["subject"]) == message["subject"], mail["subject"]
    assert not mail["subject"].defects, mail["subject"].defects
    assert mail["from"].addresses[0].addr_spec == (message["from_address"] or "notices@walton.example")
    assert mail["reply-to"].addresses[0].addr_spec == (message["reply_to"] or "help@walton.example")
    assert same_name(mail["from"].addresses[0].display_name, message["from_name"] or "Wältön & Söhne")
    assert mail["to"].addresses[0].addr_spec == message["to"]
    assert same_name(mail["to"].addresses[0].display_name, message["to_name"])
    assert mail["date"].datetime.timestamp() * 1000 == message["created_at_ms"]
    parts = list(mail.iter_parts()) if mail.is_multipart() else [mail]
    types = [part.get_content_type() for part in parts]
    assert types == (["text/plain"] if message["html"] is None else ["text/plain", "text/html"]), types
    assert part_text(parts[0]).rstrip("\n") == message["text"].rstrip("\n")
    if message["html"] is not None:
        assert part_text(parts[1]).rstrip("\n") == message["html"].rstrip("\n")


def main():
    messages = {message["key"]: message for message in lines(sys.argv[1])}
    entries = lines(os.path.join(sys.argv[2], "index.ndjson"))
    assert len(entries) == len(messages), "number of mails"
    for entry in entries:
        with open(os.path.join(sys.argv[2], entry["file"]), "rb") as file:
            raw = file.read()
        message = messages[entry["key"].split("@")[0]]
        try:
            compare(message, raw)
        except AssertionError as error:
            sys.exit("%s: %r" % (message["key"], error))


main()
