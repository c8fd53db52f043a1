#!/usr/bin/env python3
"""Prints commands that show what a demo run left, with customers in them that are worth a look.   pick.py DIR"""
import json
import os
import sys


def main(directory):
    with open(os.path.join(directory, "truth.ndjson"), encoding="utf-8") as file:
        truth = [json.loads(line) for line in file]
    with open(os.path.join(directory, "peer", "index.ndjson"), encoding="utf-8") as file:
        files = {line["recipient"].lower(): line["file"] for line in map(json.loads, file)}
    with open(os.path.join(directory, "jobs.ndjson"), encoding="utf-8") as file:
        jobs = {job["id"]: job for job in map(json.loads, file)}
    several = [line for line in truth if line["kind"] == "rich"]
    several.sort(key=lambda line: "@gone.example" not in json.dumps(jobs[line["job"]]))     # those who needed a fallback first
    rich = several[0] if several else truth[0]
    alone = next((line for line in truth if line["kind"] == "disguised"), truth[0])
    ctl = os.path.join(directory, "ctl")
    hints = [("%s customer show %s" % (ctl, alone["customer"]), "the \"other\" address is the same mailbox"),
             ("%s notice show %s" % (ctl, rich["job"]), "somebody with several ways: what was tried")]
    for contact in jobs[rich["job"]]["customer"]["contacts"]:
        if contact["address"].lower() in files:
            hints.append(("cat %s" % os.path.join(directory, "peer", files[contact["address"].lower()]), "what they got"))
            break
    hints += [("%s stranded" % ctl, "everybody whom nothing can reach, and why"), ("%s desk list" % ctl, "what the service desk has to do"),
              ("%s status" % ctl, "the whole picture"),
              ("ls %s" % os.path.join(directory, "peer", "mail"), "every mail that went out; sms/ and push/ beside it")]
    width = max(len(command) for command, _ in hints)
    for command, what in hints:
        print("  %-*s   %s" % (width, command, what))


if __name__ == "__main__":
    main(sys.argv[1])
