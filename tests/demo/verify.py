#!/usr/bin/env python3
"""Looks at what a demo run left behind and says whether reachd kept its promises. Exit 1 where one is broken.

    verify.py DIR REDIS-SOCKET

It asks neither reachd nor reachctl. It reads the records in Redis, the messages in the sandbox peer's store, and the truth that
customers.py wrote down before reachd saw anything, and holds the three against each other:

  P1  every job pushed is in exactly one state, and the counters say what a recount of the records says
  P2  no message went to a mailbox that dies with the change, in whatever disguise
  P3  an account is cleared only where its owner has been reached
  P4  every customer whom nothing can reach has a hold, a banner and a desk case
  P5  nobody is called reached without a message in the store at an address that survives, or a banner that the website showed

The table has no times and nothing that depends on chance: two runs print the same.
"""
import json
import os
import subprocess
import sys
from collections import Counter

FALLEN = {"walton.example", "mail.walton.example", "walton.co.example"}
CHANNELS = [("email", "e-mail"), ("sms", "SMS"), ("push", "push"), ("banner", "banner")]
FINAL = set("RHECV")                       # letters of final states as the records have them (base/notice.h)
STRANDED = "n"


def fold(address):
    """The company's mailbox behind an address, or None where the address is elsewhere. Written here on purpose a second time."""
    local, _, domain = address.lower().rstrip(".").rpartition("@")
    return local.split("+")[0] + "@walton.example" if domain in FALLEN else None


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


class Redis:
    def __init__(self, socket):
        self.socket = socket

    def __call__(self, *arguments):
        run = subprocess.run(["redis-cli", "-s", self.socket, "--json", *arguments], capture_output=True, check=True)
        return json.loads(run.stdout)


class Left:
    """Everything a run left behind, read once."""

    def __init__(self, directory, socket):
        redis = Redis(socket)
        self.truth = {line["customer"]: line for line in lines(os.path.join(directory, "truth.ndjson"))}
        self.pushed = len(self.truth) + len(lines(os.path.join(directory, "twice.ndjson")))
        self.notices = redis("HGETALL", "reach:notices")
        self.counters = {name: int(value) for name, value in redis("HGETALL", "reach:counters").items()}
        self.holds = redis("HGETALL", "reach:holds")
        self.desk = redis("HGETALL", "reach:desk")
        self.banners = set(redis("KEYS", "reach:banner:*"))
        self.clearances = redis("KEYS", "reach:clearance:*")
        self.index = lines(os.path.join(directory, "peer", "index.ndjson"))
        self.seen = {line["notice"] for line in lines(os.path.join(directory, "seen.ndjson"))}
        self.delivered = {line["recipient"] for line in lines(os.path.join(directory, "delivered.ndjson"))}
        self.contacts = {job["id"]: job["customer"]["contacts"] for job in lines(os.path.join(directory, "jobs.ndjson"))}
        self.mailed = list(self.envelopes(os.path.join(directory, "peer", "mail")))
        self.state = {notice: record[0] for notice, record in self.notices.items()}

    @staticmethod
    def envelopes(directory):
        """(file, recipient) of every mail in the store, from the files themselves."""
        for name in sorted(os.listdir(directory)):
            with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
                for line in file:
                    if not line.startswith("X-Envelope-"):
                        break
                    if line.startswith("X-Envelope-To:"):
                        yield name, line[line.index("<") + 1:line.index(">")]

    def count(self, name):
        return self.counters.get("count:" + name, 0)


# ---- the promises -------------------------------------------------------------------------------------------------------
def conservation(left):
    """P1. Returns (faults, remark)."""
    faults = []
    jobs = {line["job"] for line in left.truth.values()}
    for missing in sorted(jobs - set(left.notices)):
        faults.append("job %s has no record" % missing)
    for extra in sorted(set(left.notices) - jobs):
        faults.append("record %s belongs to no job" % extra)
    states = Counter(left.state.values())
    counted = {name[6:]: value for name, value in left.counters.items() if name.startswith("state:") and value and name[6:] not in "UD"}
    if dict(states) != counted:
        faults.append("the counters say %s, the records say %s" % (sorted(counted.items()), sorted(states.items())))
    duplicates, dead = left.counters.get("state:U", 0), left.counters.get("state:D", 0)
    accepted = left.counters.get("accepted", 0)
    if accepted != left.pushed:
        faults.append("%d jobs were pushed, %d were accepted" % (left.pushed, accepted))
    finished = sum(n for state, n in states.items() if state in FINAL) + duplicates + dead
    flying = sum(n for state, n in states.items() if state not in FINAL)
    if accepted != finished + flying:
        faults.append("unaccounted %d" % (accepted - finished - flying))
    return faults, "%s accepted = %s finished + %s in flight, by recount" % (number(accepted), number(finished), number(flying))


def doomed_never_used(left):
    """P2."""
    dead = {address.lower().rstrip(".") for line in left.truth.values() for address in line["doomed"]}
    faults = []
    for where, recipient in left.mailed + [("index.ndjson", line["recipient"]) for line in left.index]:
        if recipient.lower().rstrip(".") in dead or fold(recipient) is not None:
            faults.append("%s: a message to %s, which dies with the change" % (where, recipient))
    return faults, "%s messages looked at; %s addresses they must not have gone to" % (number(len(left.index)), number(len(dead)))


def cleared_only_when_reached(left):
    """P3."""
    owner = {line["account"]: line for line in left.truth.values()}
    faults = []
    for key in sorted(left.clearances):
        account = key[key.index("{") + 1:key.rindex("}")]
        line = owner.get(account)
        if line is None or left.state.get(line["job"]) != "R":
            faults.append("%s is cleared, but its owner has not been reached" % account)
    return faults, "%s accounts cleared, each of them its reached owner's" % number(len(left.clearances))


def unreachable(left):
    """Customers whom nothing can reach: by the truth, and those whose every way failed, by the record."""
    def is_one(line):
        state = left.state.get(line["job"])
        return state == STRANDED or (state != "R" and not set(line["left"]) - {"banner"})

    return [line for line in left.truth.values() if is_one(line)]


def nobody_forgotten(left):
    """P4."""
    faults = []
    stranded = unreachable(left)
    for line in stranded:
        case = json.loads(left.desk.get(line["job"], "null"))
        if line["account"] not in left.holds:
            faults.append("%s: no hold on the account" % line["customer"])
        if "reach:banner:{%s}" % line["customer"] not in left.banners:
            faults.append("%s: no banner" % line["customer"])
        if case is None or case["customer"] != line["customer"] or not case["owner"] or not case["opened_at"]:
            faults.append("%s: no desk case with an owner and an age" % line["customer"])
    return faults, "%s customers nothing can reach; each has hold, banner and desk case" % number(len(stranded))


def reached_means_a_message(left):
    """P5."""
    told = {(line["channel"], line["recipient"].lower()) for line in left.index}
    doomed = {line["job"]: line["doomed"] for line in left.truth.values()}
    faults = []
    for notice, state in left.state.items():
        if state != "R" or notice in left.seen:
            continue
        usable = [contact for contact in left.contacts.get(notice, []) if contact["address"] not in doomed.get(notice, [])]
        proven = [c for c in usable if (c["channel"], c["address"].lower()) in told and (c["channel"] != "sms" or c["address"] in left.delivered)]
        if not proven:
            faults.append("%s is called reached, and nothing in the store or from the networks proves it" % notice)
    return faults, "%s reached, each of them proven by the store" % number(sum(state == "R" for state in left.state.values()))


PROMISES = [("P1", "conservation", conservation), ("P2", "never through a doomed contact", doomed_never_used),
            ("P3", "cleared only on evidence", cleared_only_when_reached), ("P4", "nobody forgotten", nobody_forgotten),
            ("P5", "accepted is not reached", reached_means_a_message)]


# ---- the table ------------------------------------------------------------------------------------------------------------
def number(n):
    return format(n, ",")


def row(text, n, remark=""):
    print("  %-44s %7s%s" % (text, number(n), "   " + remark if remark else ""))


def copies(left):
    """How many messages are second copies: same key, same recipient."""
    seen = Counter((line["key"], line["recipient"]) for line in left.index if line["key"])
    return sum(n - 1 for n in seen.values())


def table(left):
    states = Counter(left.state.values())
    stranded = unreachable(left)
    nothing = [line for line in stranded if not line["left"]]
    by_banner = [line for line in stranded if line["left"] == ["banner"]]
    waiting = [line for line in left.truth.values() if left.state.get(line["job"], "R") not in FINAL | {STRANDED}]
    print("Customers")
    row("told of the change", len(left.truth))
    for channel, name in CHANNELS:
        row("  reached by %s" % (name if channel != "banner" else "a banner they saw"), left.count("reached." + channel))
    row("  reached, all in all", states["R"])
    row("  nothing can reach them", len(stranded), "%s desk cases, %s holds" % (number(len(left.desk)), number(len(left.holds))))
    row("    no way at all survives the change", len(nothing))
    row("    only a banner, if they come by", len(by_banner))
    row("    every way was tried in vain", len(stranded) - len(nothing) - len(by_banner))
    row("  the banner waits for them to come by", sum(line not in stranded for line in waiting))
    print("Fallbacks taken")
    for channel, name in CHANNELS:
        row("  to %s" % ("another e-mail address" if channel == "email" else name), left.count("fallback." + channel))
    print("Messages")
    for channel, name in CHANNELS[:3]:
        row("  " + name, sum(line["channel"] == channel for line in left.index))
    row("  of them second copies", copies(left), "the first one's outcome was unknown; same key")
    print("Jobs")
    row("pushed", left.pushed)
    row("  duplicates, answered as such", left.counters.get("state:U", 0))
    row("  dead letters", left.counters.get("state:D", 0))
    accounted = sum(value for name, value in left.counters.items() if name.startswith("state:"))
    row("  unaccounted", left.counters.get("accepted", 0) - accounted)


def promises(left):
    """Prints a line for each promise; how many are broken."""
    broken = 0
    print("Promises")
    for name, title, check in PROMISES:
        faults, remark = check(left)
        broken += bool(faults)
        print("  %s  %-32s %s  %s" % (name, title, "BROKEN" if faults else "kept  ", remark if not faults else "%d faults:" % len(faults)))
        for fault in faults[:5]:
            print("        " + fault)
    return broken


def main(directory, socket):
    left = Left(directory, socket)
    table(left)
    return 1 if promises(left) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
