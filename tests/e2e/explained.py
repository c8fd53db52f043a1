#!/usr/bin/env python3
"""Holds the messages in the sandbox peer's store against reachd's records, after whatever was done to it:

  - every message belongs to an attempt that a record knows (nothing is sent without a recorded intent), at the address it was for
  - a second copy carries the same key and is no more than the attempts that the record counts, so its outcome was once unknown
  - what the record calls sent is in the store

    explained.py JOBS.ndjson PEER-INDEX REDIS-SOCKET [COPIES-MAX]      prints the sums; exit 1 where something is not explained
"""
import hashlib
import json
import os
import sys
from collections import Counter, defaultdict

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from resp import Resp


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def records(socket):
    flat = Resp(socket)("HGETALL", "reach:notices")
    for notice, record in zip(flat[::2], flat[1::2]):
        yield notice.decode(), record[:1].decode(), json.loads(record[record.index(b"{"):])


def key_of(notice, attempt):
    """As the contract of the record has it: one key per notice, step and contact point."""
    return hashlib.sha256(("%s %d %s" % (notice, attempt["s"], attempt["k"])).encode()).hexdigest()[:32]


def main(jobs, index, socket, copies_max="1000000"):
    addresses = {job["id"]: {c["address"].lower() for c in job["customer"]["contacts"]} for job in lines(jobs)}
    known, faults = {}, []
    for notice, _, record in records(socket):
        for attempt in record["tries"]:
            known[key_of(notice, attempt)] = (notice, attempt)
    got, recipients = Counter(), defaultdict(set)
    for message in lines(index):
        key = (message["key"] or "").split("@")[0]
        got[key] += 1
        recipients[key].add(message["recipient"].lower())
    for key, count in got.items():
        notice, attempt = known.get(key, (None, None))
        if notice is None:
            faults.append("a message that no record knows of: %s to %s" % (key, recipients[key]))
        elif count > attempt.get("n", 0):
            faults.append("%s: %d copies, but %d attempts are recorded" % (notice, count, attempt.get("n", 0)))
        elif len(recipients[key]) > 1 or not recipients[key] <= addresses.get(notice, set()):
            faults.append("%s: one key, other recipients: %s" % (notice, recipients[key]))
    for key, (notice, attempt) in known.items():
        if attempt["o"] == "sent" and attempt.get("ch") != "banner" and key not in got:
            faults.append("%s: recorded as sent by %s, and not in the store" % (notice, attempt.get("ch")))
    copies = sum(count - 1 for count in got.values())
    if copies > int(copies_max):
        faults.append("%d second copies; at most %s can be explained" % (copies, copies_max))
    print("%d messages, %d of them second copies, %d faults" % (sum(got.values()), copies, len(faults)))
    for fault in faults[:10]:
        print("  " + fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
