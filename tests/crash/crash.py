#!/usr/bin/env python3
"""A campaign that is sent while everything that sends it is killed: reachd, its mailers and Redis get SIGKILL at random.

    crash.py DIR NOTICES KILLS SEED        B: where the programs were built (default build)
                                           SLOW_DISK_MS: each sync of Redis takes so much longer (tests/crash/slow_disk.c)

Every customer has one contact point that works (most an e-mail address, some a telephone number), so whoever did not get a message was
forgotten. Kills are spread over the campaign by a seeded generator: a kill comes when so many messages have arrived, and hits reachd, one of
its mailers, or redis-server. What was killed is started again at once, reachd and Redis by this program, a mailer by reachd. The producer
sends a batch again when Redis dies under it, and what a killed Redis had answered and lost, as docs/contract.md says it has to.

At the end the peer's store is held against the records, notice by notice:
  lost            a notice that did not end in `reached`, or whose message is not in the store
  without intent  a message that no recorded attempt accounts for (the record counts attempts before they are made)
  unexplained     a notice with more copies than its record counts unknown outcomes that explain them
An entry that three workers were killed over goes to the dead letters, unread (queue/PROTOCOL.md), and kills at random can hit the same one
three times. Such a job is pushed again from there, as an operator would, and told; a notice that had begun goes to a person in the same way. More than a
few of them, and anything else among the dead letters, is a fault.

Duplicates must be 0.1 % at most (in a small run: one for each kill), `unaccounted` 0. Exit 0 where all of that holds. DIR keeps the logs.
"""
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "support"))
from resp import Resp, RedisError

B = os.path.abspath(os.environ.get("B", "build"))
SLOW_DISK = int(os.environ.get("SLOW_DISK_MS", "0")) > 0
PUSH_BATCH = 250
AHEAD = 4000                    # jobs in Redis that no message has come of yet: the producer waits there
STALL_S = 60                    # without any progress the run has failed
REACHED = "R"
POISON = "times and never finished"
BURIED_MAX = 0.0005
DUPLICATES_MAX = 0.001

CONFIG = """
redis: {address: "unix:%(dir)s/redis.sock", lease: 5s, consumer: crash, retention: 365d}
worker: {retry_base: 50ms, retry_cap: 500ms}
journal: {directory: "%(dir)s/journal"}
templates: {directory: "%(top)s/templates/messages"}
own_domains: [{domain: walton.example}]
gateways:
  - name: mail
    channel: email
    driver: smtp
    host: 127.0.0.1
    port: %(smtp)d
    tls: plaintext-on-loopback
    from_address: security@walton.example
    mailers: 2
    sessions: 2           # what is in doubt when a mailer is killed: one mail at the most
  - name: sms
    channel: sms
    driver: http
    url: http://127.0.0.1:%(http)d/sms
    allow_insecure: true
    allow_private: true
    idempotency_header: Idempotency-Key
    parallel: 1           # the peer keeps both copies that a real gateway would know to be one
    connections: 1
    body: json
    fields: {to: "{{to}}", text: "{{text}}"}
    id: /id
routes:
  - name: security
    steps:
      - {channel: email, success: sent, wait: 0s, attempts: 100, retry_for: 1d}
      - {channel: sms, success: sent, wait: 0s, attempts: 100, retry_for: 1d}
"""


def job(number):
    """One notice; every eighth customer has a telephone only."""
    if number % 8 == 7:
        contact = {"channel": "sms", "address": "+44%010d" % (7700000000 + number)}
    else:
        contact = {"channel": "email", "address": "c%d@example.org" % number}
    return {"v": 1, "type": "notice", "id": "n%d" % number, "notice": "mail-password-disabled",
            "customer": {"id": "C%d" % number, "locale": "en", "contacts": [contact]},
            "disables": {"accounts": ["c%d@walton.example" % number]}, "data": {"reset_url": "https://walton.example/reset"}}


def await_fact(seconds, what, fact):
    end = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > end:
            raise SystemExit("crash: waited %d s in vain: %s" % (seconds, what))
        time.sleep(0.02)


class Servers:
    """The programs of a run, in a directory of their own."""

    def __init__(self, directory):
        self.dir = os.path.abspath(directory)
        self.running = {}

    def start(self, name, *command, **environment):
        with open(os.path.join(self.dir, name + ".log"), "ab") as log:
            self.running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                                  env={**os.environ, **environment})

    def kill(self, name):
        process = self.running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop_all(self):
        for name in ("reachd", "redis", "peer"):
            process = self.running.pop(name, None)
            if process is not None:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def start_redis(self):
        subprocess.run([os.path.join(TOP, "deploy", "redis-mend-aof.sh"), self.dir + "/appendonlydir"], check=True, stdout=subprocess.DEVNULL)
        self.start("redis", "redis-server", "--port", "0", "--unixsocket", self.dir + "/redis.sock", "--unixsocketperm", "700", "--dir", self.dir,
                   "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction", "--save", "", "--daemonize", "no",
                   "--loglevel", "warning", **({"LD_PRELOAD": B + "/slow-disk.so"} if SLOW_DISK else {}))

    def start_peer(self):
        self.start("peer", B + "/sandbox-peer", "--dir", self.dir + "/peer", "--smtp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--no-files",
                   "--ports-file", self.dir + "/ports.json", "--die-with-parent")
        await_fact(20, "the sandbox peer", lambda: os.path.exists(self.dir + "/ports.json") and os.path.getsize(self.dir + "/ports.json"))
        with open(self.dir + "/ports.json", encoding="utf-8") as file:
            ports = json.load(file)
        with open(self.dir + "/reachd.yaml", "w", encoding="utf-8") as file:
            file.write(CONFIG % {"dir": self.dir, "top": os.path.abspath(TOP), "smtp": ports["smtp"], "http": ports["http"]})
        os.chmod(self.dir + "/reachd.yaml", 0o600)

    def start_reachd(self):
        self.start("reachd", B + "/reachd", "--config", self.dir + "/reachd.yaml")

    def mailers(self):
        pid = self.running["reachd"].pid
        try:
            with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as file:
                return [int(child) for child in file.read().split() if is_mailer(int(child))]
        except OSError:
            return []

    def reachctl(self, *arguments):
        return subprocess.run([B + "/reachctl", "--config", self.dir + "/reachd.yaml", *arguments], capture_output=True, text=True)


def is_mailer(pid):
    try:
        with open("/proc/%d/comm" % pid, encoding="ascii") as file:
            return file.read().startswith("reachd-mailer")
    except OSError:
        return False


class Store:
    """What the peer has taken, read as it grows."""

    def __init__(self, path):
        self.path, self.at = path, 0
        self.copies = Counter()          # by key
        self.recipients = {}
        self.n = 0

    def read(self):
        if not os.path.exists(self.path):
            return
        with open(self.path, "rb") as file:
            file.seek(self.at)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self.at += len(line)
                message = json.loads(line)
                key = (message["key"] or "").split("@")[0]
                self.copies[key] += 1
                self.recipients.setdefault(key, set()).add(message["recipient"])
                self.n += 1


def id_of(text):
    """A stream id as it is ordered."""
    return tuple(int(part) for part in text.split(b"-"))


class Producer(threading.Thread):
    """Pushes the jobs in batches; a batch whose answer did not come is pushed again. A Redis that was killed may have lost jobs that it had
    answered (appendfsync everysec); then the last id of its stream is lower than an id that it has given, and those are pushed again."""

    def __init__(self, socket, count, store):
        super().__init__(daemon=True)
        self.socket, self.count, self.store = socket, count, store
        self.pushed = 0
        self.ids = []                    # by number: what XADD has answered
        self.repeated = 0
        self.lost = 0                    # answered, and gone
        self.doubted = threading.Event() # Redis was killed since it was looked at

    def is_done(self):
        return self.pushed == self.count and not self.doubted.is_set()

    def push(self, redis, numbers):
        words = b""
        for number in numbers:
            parts = [b"XADD", b"reach:intake:bulk", b"*", b"job", json.dumps(job(number)).encode()]
            words += b"*5\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        redis.socket.sendall(words)
        return [id_of(redis.read()) for _ in numbers]

    def look_back(self, redis):
        self.doubted.clear()
        flat = redis("XINFO", "STREAM", "reach:intake:bulk") if redis("EXISTS", "reach:intake:bulk") else []
        last = next((value for name, value in zip(flat[::2], flat[1::2]) if name == b"last-generated-id"), b"0-0")
        while self.ids and self.ids[-1] > id_of(last):
            self.ids.pop()
        self.lost += self.pushed - len(self.ids)
        self.pushed = len(self.ids)

    def turn(self, redis):
        if self.doubted.is_set():
            self.look_back(redis)
        if self.pushed == self.count or self.pushed - self.store.n > AHEAD:
            time.sleep(0.05)
            return
        numbers = range(self.pushed, min(self.pushed + PUSH_BATCH, self.count))
        self.ids[self.pushed:] = self.push(redis, numbers)
        self.pushed = numbers.stop

    def run(self):
        redis = None
        while True:
            try:
                redis = redis or Resp(self.socket)
                self.turn(redis)
            except (OSError, RedisError, ValueError, IndexError):
                redis = None
                self.repeated += 1
                self.doubted.set()
                time.sleep(0.1)


class Killer:
    """Kills when so many messages have come; what and when is drawn beforehand."""

    def __init__(self, servers, producer, count, kills, seed):
        draw = random.Random(seed)
        self.servers, self.producer = servers, producer
        self.plan = sorted((draw.randrange(count), draw.choice(("reachd", "mailer", "redis")), draw.random()) for _ in range(kills))
        self.done = Counter()
        self.last_letter, self.buried = "0-0", 0

    def push_buried(self):
        """Pushes jobs again that ended in the dead letters because workers were killed over them; how many."""
        redis, n = Resp(self.servers.dir + "/redis.sock"), 0
        for letter, flat in redis("XRANGE", "reach:dead", "(" + self.last_letter, "+"):
            fields = dict(zip(flat[::2], flat[1::2]))
            if POISON not in fields[b"reason"].decode():
                raise SystemExit("crash: a dead letter: %r" % fields)
            redis("XADD", "reach:intake:bulk", "*", "job", fields[b"job"])
            self.last_letter = letter.decode()
            n += 1
        self.buried += n
        return n

    def strike(self, arrived):
        """At most one kill; whether there was one."""
        if not self.plan or arrived < self.plan[0][0]:
            return False
        _, what, share = self.plan[0]
        if what == "mailer":
            mailers = self.servers.mailers()
            if not mailers:
                return False             # reachd is just being started
            os.kill(mailers[int(share * len(mailers))], signal.SIGKILL)
        else:
            self.servers.kill(what)
            if what == "redis":
                self.producer.doubted.set()
            getattr(self.servers, "start_" + what)()
        self.plan.pop(0)
        self.done[what] += 1
        return True


def run(servers, store, producer, killer, count):
    heard, last = time.monotonic(), (0, 0)
    while True:
        store.read()
        struck = killer.strike(store.n)
        if (store.n, producer.pushed) != last or struck:
            heard, last = time.monotonic(), (store.n, producer.pushed)
        if servers.running["reachd"].poll() is not None:
            raise SystemExit("crash: reachd ended by itself with status %d" % servers.running["reachd"].returncode)
        if not killer.plan and producer.is_done() and is_settled(servers, count):
            if not killer.push_buried():
                return
        if time.monotonic() - heard > STALL_S:
            raise SystemExit("crash: nothing has moved for %d s: %d of %d messages, %d kills to come; %s" % (
                STALL_S, store.n, count, len(killer.plan), servers.reachctl("status").stdout))
        time.sleep(0.02 if struck or killer.plan else 0.25)


def is_settled(servers, count):
    answer = servers.reachctl("--json", "status")
    if answer.returncode != 0:
        return False
    status = json.loads(answer.stdout)
    waiting = sum(lane["waiting"] + lane["pending"] for lane in status["lanes"].values())
    return status["accepted"] >= count and status["in_flight"] == 0 and waiting == 0


def records(socket):
    redis = Resp(socket)
    cursor = b"0"
    while True:
        cursor, flat = redis("HSCAN", "reach:notices", cursor, "COUNT", "2000")
        for notice, record in zip(flat[::2], flat[1::2]):
            yield notice.decode(), record[:1].decode(), json.loads(record[record.index(b"{"):])
        if cursor == b"0":
            return


def key_of(notice, attempt):
    """As the record has it: one key per notice, step and contact point."""
    return hashlib.sha256(("%s %d %s" % (notice, attempt["s"], attempt["k"])).encode()).hexdigest()[:32]


def doubts_of(record):
    """How often an outcome was unknown: each may have brought one copy more."""
    return sum(attempt.get("u", 0) for attempt in record["tries"])


def verify(servers, store, killer, count):
    """The faults found, as texts, and the number of notices with an unknown outcome."""
    faults, seen, doubts = {"lost": [], "without intent": [], "unexplained": [], "misdirected": []}, set(), 0
    known = set()
    for notice, state, record in records(servers.dir + "/redis.sock"):
        seen.add(notice)
        doubts += doubts_of(record) > 0
        copies = 0
        address = job(int(notice[1:]))["customer"]["contacts"][0]["address"]
        for attempt in record["tries"]:
            key = key_of(notice, attempt)
            known.add(key)
            copies += store.copies[key]
            if store.copies[key] > attempt.get("n", 0):
                faults["without intent"].append("%s: %d messages, %d attempts" % (notice, store.copies[key], attempt.get("n", 0)))
            if store.recipients.get(key, {address}) != {address}:
                faults["misdirected"].append(notice)
        if state == "H" and POISON in record.get("why", ""):
            killer.buried += 1
        elif state != REACHED or copies == 0:
            faults["lost"].append("%s: state %s, %d messages" % (notice, state, copies))
        if copies - 1 > doubts_of(record):
            faults["unexplained"].append("%s: %d messages: %s" % (notice, copies, json.dumps(record.get("log"))[:300]))
    faults["lost"] += ["n%d: no record" % number for number in range(count) if "n%d" % number not in seen]
    faults["without intent"] += ["a message with the key %s" % key for key in store.copies if key not in known]
    return faults, doubts


def report(servers, store, producer, killer, count, seconds):
    faults, doubts = verify(servers, store, killer, count)
    status = json.loads(servers.reachctl("--json", "status").stdout)
    duplicates = sum(copies - 1 for copies in store.copies.values())
    allowed = sum(killer.done.values()) if count < 20000 else 0
    print("%d notices, %d messages, %.0f s; killed: %s, %d in all; %d times without an answer for jobs, %d jobs "
          "answered and lost, and pushed again; %d jobs and notices that three kills had hit" % (
              count, store.n, seconds, ", ".join("%s %d" % pair for pair in sorted(killer.done.items())), sum(killer.done.values()),
              producer.repeated, producer.lost, killer.buried))
    print("%s, duplicates %d (%.3f %%), notices that were once unknown %d, unaccounted %d" % (
        ", ".join("%s %d" % (name, len(found)) for name, found in faults.items()), duplicates, 100 * duplicates / count, doubts, status["unaccounted"]))
    for name, found in faults.items():
        for fault in found[:5]:
            print("  %s: %s" % (name, fault))
    return (not any(faults.values()) and duplicates <= max(allowed, DUPLICATES_MAX * count) and status["unaccounted"] == 0 and
            killer.buried <= max(5, BURIED_MAX * count))


def main(directory, count, kills, seed):
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory, mode=0o700)
    servers = Servers(directory)
    store = Store(servers.dir + "/peer/index.ndjson")
    producer = Producer(servers.dir + "/redis.sock", int(count), store)
    killer = Killer(servers, producer, int(count), int(kills), int(seed))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begin = time.monotonic()
    try:
        servers.start_peer()
        servers.start_redis()
        servers.start_reachd()
        producer.start()
        run(servers, store, producer, killer, int(count))
        store.read()
        good = report(servers, store, producer, killer, int(count), time.monotonic() - begin)
    finally:
        servers.stop_all()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
