#!/usr/bin/env python3
"""Pushes a job with redis-py, follows what becomes of it, and asks whether an account may be disabled.

    push_job.py ADDRESS JOB.json [ACCOUNT]       ADDRESS: unix:/path or host:port

Exit 0 where the account may be disabled (or none was asked about), 4 where it may not.
"""
import json
import sys
import time

import redis

ENDS = {"reached", "stranded", "expired", "cancelled", "resolved", "duplicate", "dead"}


def connect(address):
    if address.startswith("unix:"):
        return redis.Redis(unix_socket_path=address[5:], decode_responses=True)
    host, port = address.rsplit(":", 1)
    return redis.Redis(host=host, port=int(port), decode_responses=True)


def follow(client, last, notice, seconds):
    """Yields the events of a notice. One stream entry holds a whole batch: its field `events` is a JSON array."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _, entries in client.xread({"reach:events": last}, block=1000) or []:
            for last, fields in entries:
                for event in json.loads(fields["events"]):
                    if event.get("notice") == notice:
                        yield event


def may_be_disabled(client, account):
    """Fail closed: only a record means yes. No record, no Redis, no answer: no."""
    try:
        return client.get("reach:clearance:{%s}" % account) is not None
    except redis.RedisError:
        return False


def main(address, path, account=None):
    client = connect(address)
    with open(path, encoding="utf-8") as file:
        job = json.load(file)
    newest = client.xrevrange("reach:events", count=1)
    client.xadd("reach:intake", {"job": json.dumps(job)})
    for event in follow(client, newest[0][0] if newest else "0", job["id"], 30):
        print(json.dumps(event), flush=True)
        if event["type"] == "notice" and event["state"] in ENDS:
            break
    if account is None:
        return 0
    allowed = may_be_disabled(client, account)
    print("may be disabled" if allowed else "must not be disabled")
    return 0 if allowed else 4


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
