#!/usr/bin/env python3
"""Stops and kills a reachd at every step of intent, send, result and acknowledgement in turn (fault F01, and F05 for those that are resumed).

    failpoints.py DIR        prints its sum in the last line. B: where the programs were built, with failpoints (base/failpoint.h)

One notice a run. The reachd under test gets to a point and
  kill    kills itself there; started again under its name it finishes the notice;
  stop    stops itself there; another reachd takes the notice over after its lease and finishes it; then the first is resumed, and shows with
          a second notice that it is at work again.
Whatever the point: the notice ends as reached, nothing is unaccounted, and there is one message, but where a message may have gone out and
nobody can know: there a second copy may follow, with the same key, and the record counts the doubt.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

TOP = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(TOP, "tests", "support"))
from resp import Resp

B = os.path.abspath(os.environ.get("B", "build-san"))
LIMIT_S = 90          # for any fact; nothing waits so long that goes right
AT_ONCE = 4

ONE, PERHAPS, TWO = {1}, {1, 2}, {2}
# Point: channels, and how many messages there may be after a kill and after a stop.
#   handed-over   the mailer or libcurl has it, whether it went out depends on the moment
#   answered      the gateway has it, its answer was not looked at: a mailer has put it down for the next reachd, libcurl has not; and another
#                 reachd does not know it either way
#   before-result the answer stands in the journal of its reachd; another one does not know it
POINTS = {
    "read": {"email": (ONE, ONE)},
    "looked-up": {"email": (ONE, ONE)},
    "before-intent": {"email": (ONE, ONE)},
    "intent-recorded": {"email": (ONE, ONE)},
    "before-send": {"email": (ONE, ONE), "sms": (ONE, ONE)},
    "handed-over": {"email": (PERHAPS, PERHAPS), "sms": (PERHAPS, PERHAPS)},
    "answered": {"email": (ONE, TWO), "sms": (TWO, TWO)},
    "before-result": {"email": (ONE, TWO), "sms": (ONE, TWO)},
    "result-recorded": {"email": (ONE, ONE), "sms": (ONE, ONE)},
    "ended": {"email": (ONE, ONE), "sms": (ONE, ONE)},
}

CONFIG = """
redis: {address: "unix:%(redis)s", prefix: "%(name)s:", lease: %(lease)s, consumer: %(consumer)s}
worker: {retry_base: 50ms, retry_cap: 500ms}
journal: {directory: "%(dir)s/%(consumer)s"}
templates: {directory: "%(top)s/templates/messages"}
own_domains: [{domain: walton.example}]
gateways:
%(gateway)s
routes:
  - {name: security, steps: [{channel: %(channel)s, success: sent, wait: 0s, attempts: 50, retry_for: 1d}]}
"""
GATEWAYS = {
    "email": """  - {name: mail, channel: email, driver: smtp, host: 127.0.0.1, port: %(smtp)d, tls: plaintext-on-loopback,
     from_address: security@walton.example, mailers: 1, sessions: 1}""",
    "sms": """  - {name: sms, channel: sms, driver: http, url: "http://127.0.0.1:%(http)d/sms", allow_insecure: true, allow_private: true,
     idempotency_header: Idempotency-Key, body: json, fields: {to: "{{to}}", text: "{{text}}"}, id: /id}""",
}


class Failed(Exception):
    pass


def await_fact(what, fact):
    end = time.monotonic() + LIMIT_S
    while not fact():
        if time.monotonic() > end:
            raise Failed("waited %d s in vain: %s" % (LIMIT_S, what))
        time.sleep(0.03)


def is_stopped(process):
    with open("/proc/%d/stat" % process.pid, encoding="ascii", errors="replace") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "T"


class Run:
    """One point, one way, one channel."""

    def __init__(self, place, number, point, action, channel, allowed):
        self.place, self.point, self.action, self.channel, self.allowed = place, point, action, channel, allowed
        self.name = "f%02d-%s-%s-%s" % (number, point, action, channel)
        self.dir = place.dir + "/" + self.name
        self.number = number
        self.processes = []

    def address(self, which):
        number = 2 * self.number + which
        return "+4477%08d" % number if self.channel == "sms" else "f%d@example.org" % number

    def config(self, consumer):
        path = "%s/%s.yaml" % (self.dir, consumer)
        with open(path, "w", encoding="utf-8") as file:
            file.write(CONFIG % {"redis": self.place.socket, "name": self.name, "consumer": consumer, "dir": self.dir, "top": TOP,
                                 "lease": "2s" if self.action == "stop" else "60s", "channel": self.channel,
                                 "gateway": GATEWAYS[self.channel] % self.place.ports})
        os.chmod(path, 0o600)
        return path

    def start(self, consumer, failpoint=None):
        environment = {**os.environ, "REACH_FAILPOINT": failpoint} if failpoint else dict(os.environ)
        with open("%s/%s.log" % (self.dir, consumer), "ab") as log:
            process = subprocess.Popen([B + "/reachd", "--config", self.config(consumer)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env=environment, start_new_session=True)
        self.processes.append(process)
        return process

    def says(self, consumer, text):
        with open("%s/%s.log" % (self.dir, consumer), encoding="utf-8", errors="replace") as file:
            return text in file.read()

    def push(self, which):
        job = {"v": 1, "type": "notice", "id": "n%d" % which, "notice": "mail-password-disabled",
               "customer": {"id": "C%d" % which, "locale": "en", "contacts": [{"channel": self.channel, "address": self.address(which)}]},
               "disables": {"accounts": ["c%d@walton.example" % which]}, "data": {"reset_url": "https://walton.example/reset"}}
        Resp(self.place.socket)("XADD", self.name + ":intake", "*", "job", json.dumps(job))

    def record(self, which):
        record = Resp(self.place.socket)("HGET", self.name + ":notices", "n%d" % which)
        return (None, None) if record is None else (record[:1], json.loads(record[record.index(b"{"):]))

    def await_reached(self, which):
        await_fact("notice n%d is reached" % which, lambda: self.record(which)[0] == b"R")

    def go(self):
        os.makedirs(self.dir)
        first = self.start("first", "%s=%s" % (self.point, self.action))
        self.push(0)
        if self.action == "kill":
            await_fact("it kills itself", lambda: first.poll() is not None)
            if first.returncode != -signal.SIGKILL:
                raise Failed("it ended with status %d" % first.returncode)
            self.start("first")
            self.await_reached(0)
        else:
            await_fact("it stops itself", lambda: is_stopped(first))
            second = self.start("second")
            await_fact("the second reachd is at work", lambda: self.says("second", " ready: "))
            self.await_reached(0)
            second.terminate()
            if second.wait(LIMIT_S) != 0:
                raise Failed("the second reachd ended with status %d" % second.returncode)
            first.send_signal(signal.SIGCONT)
        self.push(1)
        self.await_reached(1)
        self.check()

    def check(self):
        copies, keys = self.place.messages_to(self.address(0))
        doubts = sum(attempt.get("u", 0) for attempt in self.record(0)[1]["tries"])
        attempts = sum(attempt.get("n", 0) for attempt in self.record(0)[1]["tries"])
        if copies not in self.allowed:
            raise Failed("%d messages, and not %s" % (copies, " or ".join(map(str, sorted(self.allowed)))))
        if copies > attempts or copies - 1 > doubts or len(keys) != 1:
            raise Failed("%d messages, %d attempts in the record, %d unknown outcomes, %d keys" % (copies, attempts, doubts, len(keys)))
        if self.place.messages_to(self.address(1))[0] != 1:
            raise Failed("the notice behind it has %d messages" % self.place.messages_to(self.address(1))[0])
        status = subprocess.run([B + "/reachctl", "--config", self.config("first"), "--json", "status"], capture_output=True, text=True)
        if status.returncode != 0 or json.loads(status.stdout)["unaccounted"] != 0:
            raise Failed("unaccounted: " + status.stdout + status.stderr)

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def tell_logs(self):
        for consumer in ("first", "second"):
            path = "%s/%s.log" % (self.dir, consumer)
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    print("---- %s\n%s" % (path, "".join(file.readlines()[-15:])))

    def __call__(self):
        try:
            self.go()
            return None
        except (Failed, OSError) as failure:
            return str(failure)
        finally:
            self.end()


class Place:
    """Redis and the peer that all runs share; each has keys and addresses of its own."""

    def __init__(self, directory):
        self.dir = os.path.abspath(directory)
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir, mode=0o700)
        self.socket = self.dir + "/redis.sock"
        self.lock = threading.Lock()
        self.processes = [
            subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", self.socket, "--unixsocketperm", "700", "--dir", self.dir,
                              "--appendonly", "yes", "--maxmemory-policy", "noeviction", "--save", "", "--loglevel", "warning"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL),
            subprocess.Popen([B + "/sandbox-peer", "--dir", self.dir + "/peer", "--smtp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--no-files",
                              "--ports-file", self.dir + "/ports.json", "--die-with-parent"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL)]
        ports = self.dir + "/ports.json"
        await_fact("the peer is there", lambda: os.path.exists(ports) and os.path.getsize(ports))
        await_fact("Redis is there", self.answers)
        with open(ports, encoding="utf-8") as file:
            self.ports = json.load(file)

    def answers(self):
        try:
            return Resp(self.socket)("PING") is not None
        except OSError:
            return False

    def messages_to(self, address):
        """How many, and under which keys."""
        copies, keys = 0, set()
        with open(self.dir + "/peer/index.ndjson", encoding="utf-8") as file:
            for line in file:
                message = json.loads(line) if line.endswith("\n") else {"recipient": None}
                if message["recipient"] == address:
                    copies += 1
                    keys.add(message["key"])
        return copies, keys

    def end(self):
        for process in self.processes:
            process.terminate()
            process.wait()


def all_runs(place):
    runs = []
    for point, channels in POINTS.items():
        for channel, allowed in channels.items():
            for action, numbers in zip(("kill", "stop"), allowed):
                runs.append(Run(place, len(runs), point, action, channel, numbers))
    return runs


def main(directory):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    place = Place(directory)
    failed = 0
    try:
        runs = all_runs(place)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for run, fault in zip(runs, pool.map(lambda run: run(), runs)):
                print("  fault 01 %s at %s, %s ... %s" % (run.action, run.point, run.channel, fault or "ok"))
                if fault is not None:
                    failed += 1
                    run.tell_logs()
    finally:
        place.end()
    print("%d passed, %d failed" % (len(runs) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
