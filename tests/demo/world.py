#!/usr/bin/env python3
"""Plays the rest of the world in a demo run: the mobile networks, which report what became of a text message, and the customers who come
by the website and see their banner. Both tell reachd through reach:receipts, as docs/contract.md describes.

    world.py DIR REDIS-SOCKET           runs until SIGTERM

Numbers that end in 8 are reported as failed, all others as delivered. What was reported goes to
delivered.ndjson and seen.ndjson as well, for verify.py.
"""
import json
import os
import signal
import subprocess
import sys
import time

NETWORK_DELAY_S = 0.3


class World:
    def __init__(self, directory, socket):
        self.directory, self.socket = directory, socket
        self.delivered = open(os.path.join(directory, "delivered.ndjson"), "a", encoding="utf-8")
        self.seen = open(os.path.join(directory, "seen.ndjson"), "a", encoding="utf-8")
        with open(os.path.join(directory, "truth.ndjson"), encoding="utf-8") as file:
            self.coming = [line for line in map(json.loads, file) if line["comes_by"]]
        self.read = 0
        self.waiting = []            # (when, message) of text messages that a network has taken

    def redis(self, *arguments):
        """Asks until there is an answer: a run in which Redis or reachd is killed on purpose has such a world, too."""
        while True:
            run = subprocess.run(["redis-cli", "-e", "-s", self.socket, *arguments], capture_output=True, text=True)
            if run.returncode == 0:
                return run.stdout
            time.sleep(0.2)

    def report(self, receipt):
        self.redis("XADD", "reach:receipts", "*", "receipt", json.dumps({"v": 1, **receipt}))

    def take_messages(self):
        with open(os.path.join(self.directory, "peer", "index.ndjson"), encoding="utf-8") as file:
            file.seek(self.read)
            for line in iter(file.readline, ""):
                if not line.endswith("\n"):
                    break
                self.read = file.tell()
                message = json.loads(line)
                if message["channel"] == "sms":
                    self.waiting.append((time.monotonic() + NETWORK_DELAY_S, message))

    def networks(self):
        now = time.monotonic()
        for _, message in [entry for entry in self.waiting if entry[0] <= now]:
            number = message["recipient"]
            status = "failed" if number.endswith("8") else "delivered"
            if status == "delivered":
                print(json.dumps({"recipient": number}), file=self.delivered, flush=True)
            self.report({"gateway": "sms-main", "ref": "peer-%d" % message["seq"], "status": status})
        self.waiting = [entry for entry in self.waiting if entry[0] > now]

    def customers(self):
        for line in list(self.coming):
            if self.redis("EXISTS", "reach:banner:{%s}" % line["customer"]).strip() == "1":
                print(json.dumps({"notice": line["job"]}), file=self.seen, flush=True)
                self.report({"notice": line["job"], "customer": line["customer"], "status": "seen"})
                self.coming.remove(line)


def main(directory, socket):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    world = World(directory, socket)
    while True:
        world.take_messages()
        world.networks()
        world.customers()
        time.sleep(0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
