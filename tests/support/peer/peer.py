"""Starts the sandbox peer for a Python test and reads what it kept. Standard library only."""
import json
import os
import subprocess
import tempfile
import time
import urllib.request


class Peer:
    """A running peer. `with Peer("--chunking") as peer:`; peer.smtp and peer.http are its ports."""

    def __init__(self, *options, program=None, directory=None):
        self.program = program or os.path.join(os.environ["B"], "sandbox-peer")
        self.options = options
        self.own = None if directory else tempfile.TemporaryDirectory(prefix="peer-")
        self.top = directory or self.own.name
        self.store = os.path.join(self.top, "store")
        self.process = None

    def start(self):
        ports = os.path.join(self.top, "ports.json")
        if os.path.exists(ports):
            os.unlink(ports)
        self.process = subprocess.Popen(
            [self.program, "--dir", self.store, "--smtp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--ports-file", ports,
             "--die-with-parent", *self.options])
        end = time.monotonic() + 20
        while not os.path.exists(ports):
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise RuntimeError("the peer did not start")
            time.sleep(0.01)
        with open(ports) as file:
            told = json.load(file)
        self.smtp, self.http, self.https = told["smtp"], told["http"], told["https"]
        return self

    def stop(self):
        """Ends it; its exit status."""
        self.process.terminate()
        status = self.process.wait(20)
        self.process = None
        return status

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process is not None:
            self.stop()
        if self.own is not None:
            self.own.cleanup()

    def _lines(self, name):
        with open(os.path.join(self.store, name)) as file:
            return [json.loads(line) for line in file]

    def index(self):
        return self._lines("index.ndjson")

    def refused(self):
        return self._lines("refused.ndjson")

    def read(self, line):
        """The bytes of the file that an index line names."""
        with open(os.path.join(self.store, line["file"]), "rb") as file:
            return file.read()

    def rules(self, *rules):
        """Replaces the rules."""
        self._control(json.dumps({"rules": rules}).encode())

    def control(self):
        """{"counts": ..., "rules": ...}"""
        return self._control(None)

    def count(self, name):
        return self.control()["counts"].get(name, 0)

    def _control(self, body):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open("http://127.0.0.1:%d/_control" % self.http, body, 10) as answer:
            return json.load(answer)
