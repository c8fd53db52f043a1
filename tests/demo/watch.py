#!/usr/bin/env python3
"""Shows how a demo run gets on, and ends when nothing moves any more.

    watch.py DIR SOCKET COMMAND...      SOCKET: of its Redis; COMMAND: reachctl with its options, such as: reachctl --config FILE

On a terminal one line that changes; elsewhere a plain line now and then. A run has settled once every job is in and no notice
is on its way: what is left waits for a person, or for a customer who comes by and sees the banner. Exit 1 where that does not come.
"""
import json
import os
import shutil
import subprocess
import sys
import time

PATIENCE_S = float(os.environ.get("DEMO_PATIENCE_S", "100"))
SILENCE_S = 20
REACHED = "R"
STILL = set("nRHECV")           # letters of states in which nothing is under way: stranded, and the final ones (base/notice.h)


def ask(command, *arguments):
    run = subprocess.run([*command, "--json", *arguments], capture_output=True, text=True)
    return run.stdout if run.returncode == 0 else None


def waits_for_banner(record):
    """Whether what a record (its text as Redis holds it) tried last is a banner, which waits for its customer."""
    tries = json.loads(record[record.index("{"):]).get("tries", [])
    return bool(tries) and max(tries, key=lambda t: t["s"]).get("ch") == "banner"


def settled(status, socket, jobs, coming):
    """Whether nothing moves any more. Whoever comes by has been reached by then; what is on its way must be a banner for somebody
    else. All is judged by one reading of the records: a notice that moves on between two readings would be in neither."""
    if status["accepted"] < jobs:
        return False
    run = subprocess.run(["redis-cli", "-s", socket, "--json", "HGETALL", "reach:notices"], capture_output=True, check=True)
    records = json.loads(run.stdout)
    return (all(records.get(notice, " ")[0] == REACHED for notice in coming)
            and all(waits_for_banner(record) for record in records.values() if record[0] not in STILL))


class Progress:
    WIDTH = 20

    def __init__(self):
        self.tty = sys.stdout.isatty()
        self.color = self.tty and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self.told = -1
        self.begin = time.monotonic()

    def show(self, status, jobs):
        states = status["states"]
        done = sum(states.get(name, 0) for name in ("reached", "stranded", "dead", "duplicate"))
        text = "%d of %d  reached %d, stranded %d, moving %d, unaccounted %d" % (
            done, jobs, states.get("reached", 0), status["stranded"], status["in_flight"] - status["stranded"], status["unaccounted"])
        if self.tty:
            full = int(self.WIDTH * min(1, done / jobs))
            bar = "█" * full + "░" * (self.WIDTH - full)
            text = text[:shutil.get_terminal_size().columns - self.WIDTH - 2]
            print("\r\033[K%s %s" % ("\033[32m%s\033[0m" % bar if self.color else bar, text), end="", flush=True)
        elif time.monotonic() - self.begin > 2 * (self.told + 1):
            self.told += 1
            print("  " + text, flush=True)

    def end(self):
        if self.tty:
            print("\r\033[K", end="", flush=True)


def lines(directory, name):
    with open(os.path.join(directory, name), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def main(directory, socket, command):
    jobs = len(lines(directory, "jobs.ndjson")) + len(lines(directory, "twice.ndjson"))
    coming = {line["job"] for line in lines(directory, "truth.ndjson") if line["comes_by"]}
    progress = Progress()
    end = time.monotonic() + PATIENCE_S
    heard = time.monotonic()
    while time.monotonic() < end:
        answer = ask(command, "status")
        if answer is None and time.monotonic() - heard > SILENCE_S:
            break
        if answer is not None:
            heard = time.monotonic()
            status = json.loads(answer)
            progress.show(status, jobs)
            if settled(status, socket, jobs, coming):
                progress.end()
                return 0
        time.sleep(0.25)
    progress.end()
    print("the run has not settled, or is gone, after %d s" % (PATIENCE_S - (end - time.monotonic())), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
