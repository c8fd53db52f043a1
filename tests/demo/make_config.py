#!/usr/bin/env python3
"""Makes a configuration for a trial run out of deploy/reachd.example.yaml.

    make_config.py EXAMPLE PORTS.json REDIS-SOCKET

What an operator would write stays: own domains, gateways with their fields and codes, clearance, desk. What belongs to a company's
machines is pointed here: the words to this checkout, the gateways to the sandbox peer, without credentials and TLS, which the peer was not given.
Pauses are those of a demo: milliseconds where the example has seconds. Where a wait could end before a slow machine has done its part, it is
long: what the run shows must not depend on how fast it was.

The example is edited line by line, so that it needs no YAML library and its comments stay.
"""
import json
import os
import re
import sys

OWN = """
# ---- for the trial run ----
redis:
  address: "unix:%(socket)s"
  lease: 20s
worker:
  retry_base: 200ms
  retry_cap: 1s
templates:
  directory: "%(words)s"
  archive: "%(socket)s.words"
routes:
  - name: security
    steps:
      - {channel: email, success: sent, wait: 1s, attempts: 4, retry_for: 10m}
      - {channel: sms, success: delivered, wait: 10m, attempts: 4, retry_for: 10m}
      - {channel: push, success: sent, wait: 1s, attempts: 4, retry_for: 10m}
      - {channel: banner, success: seen, wait: 7d, attempts: 4, retry_for: 1h}
"""
REPLACED = ("redis", "worker", "templates", "routes", "default_route", "log_level", "libexec")
DROPPED = {"smtp": ("username", "password_file", "ca_file", "host", "port", "tls"),
           "http": ("auth", "auth_header", "username", "secret_file", "ca_file", "url", "allow_insecure", "allow_private", "http2")}


def added(driver, channel, ports):
    if driver == "smtp":
        return {"host": "127.0.0.1", "port": ports["smtp"], "tls": "plaintext-on-loopback"}
    if driver == "http":
        return {"url": "http://127.0.0.1:%d/%s" % (ports["http"], channel), "allow_insecure": "true", "allow_private": "true"}
    return {}


def sections(lines):
    """(name, lines) of each top-level key with the comment in front of it; first what stands before any of them (None)."""
    name, held, comment = None, [], []
    for line in lines:
        found = re.match(r"([a-z_]+):", line)
        if found:
            yield name, held
            name, held, comment = found.group(1), comment, []
        if re.match(r"#|\s*$", line):
            comment.append(line)
        else:
            held += comment + [line]
            comment = []
    yield name, held


def keys(item):
    """The plain keys of one list item, with their values."""
    found = {}
    for line in item:
        match = re.match(r"  (?:- |  )([a-z_]+):\s*([^#\n]*)", line)
        if match:
            found[match.group(1)] = match.group(2).strip().strip('"')
    return found


def gateway(item, ports):
    known = keys(item)
    driver = known.get("driver", "")
    lines = [line for line in item if not re.match(r"    (%s):" % "|".join(DROPPED.get(driver, ("-",))), line)]
    last = max(i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#"))
    more = ["    %s: %s\n" % pair for pair in added(driver, known.get("channel", ""), ports).items()]
    return lines[:last + 1] + more + lines[last + 1:]


def gateways(lines, ports):
    starts = [i for i, line in enumerate(lines) if line.startswith("  - ")] + [len(lines)]
    out = lines[:starts[0]]
    for begin, end in zip(starts, starts[1:]):
        out += gateway(lines[begin:end], ports)
    return out


def main(example, ports, socket):
    with open(ports, encoding="utf-8") as file:
        ports = json.load(file)
    with open(example, encoding="utf-8") as file:
        lines = file.readlines()
    for name, held in sections(lines):
        if name in REPLACED:
            continue
        if name == "gateways":
            held = gateways(held, ports)
        sys.stdout.writelines(held)
    words = os.path.join(os.path.dirname(os.path.abspath(example)), "..", "templates", "messages")
    sys.stdout.write(OWN % {"socket": os.path.abspath(socket), "words": os.path.normpath(words)})


if __name__ == "__main__":
    main(*sys.argv[1:])
