#!/usr/bin/env python3
"""A cluster of coordd on this machine, for measuring: start it, ask about it, bring a member back.

    ensemble.py start -n 3 [--observers 1] [--folder F]   empty data, returns when all serve
    ensemble.py ready|pids|leader|stop [--folder F]
    ensemble.py up NUMBER [--folder F]                    starts a member again on its data
"""

import argparse
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
COORDD = ROOT / "build/release/coord/coordd"
HTTP, PEER, ZOOKEEPER = 18080, 18180, 18280


class Ensemble:
    def __init__(self, folder):
        self.folder = Path(folder)

    def plan(self):
        return json.loads((self.folder / "plan.json").read_text())

    def start(self, voters, observers):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        members = []
        for number in range(1, voters + observers + 1):
            role = "/observer" if number > voters else ""
            members.append(f"{number}=127.0.0.1:{PEER + number}{role}")
        (self.folder / "plan.json").write_text(
            json.dumps({"count": len(members), "members": ",".join(members)}))
        for number in range(1, len(members) + 1):
            self.up(number)
        self.ready()

    def up(self, number):
        plan = self.plan()
        with open(self.folder / f"log{number}", "ab") as log:
            process = subprocess.Popen(
                [str(COORDD), "--id", str(number), "--data", str(self.folder / f"data{number}"),
                 "--http", f"127.0.0.1:{HTTP + number}", "--members", plan["members"],
                 "--zookeeper", f"127.0.0.1:{ZOOKEEPER + number}"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        (self.folder / f"pid{number}").write_text(str(process.pid))

    def status(self, number):
        connection = http.client.HTTPConnection("127.0.0.1", HTTP + number, timeout=1)
        try:
            connection.request("GET", "/v1/status")
            return json.loads(connection.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def numbers(self):
        return range(1, self.plan()["count"] + 1)

    def ready(self, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = [self.status(number) for number in self.numbers()]
            if all(status and status["ready"] for status in found):
                return
            time.sleep(0.02)
        raise SystemExit(f"not all members serve: {found}")

    def pid(self, number):
        path = self.folder / f"pid{number}"
        pid = int(path.read_text()) if path.exists() else 0
        try:
            words = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")
            state = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0]
        except OSError:
            return 0
        is_ours = words[0] == str(COORDD).encode() and state != "Z"
        return pid if is_ours and str(self.folder).encode() in b"\0".join(words) else 0

    def leader(self):
        for number in self.numbers():
            status = self.status(number)
            if status and status["role"] == "leader":
                return number
        return 0

    def stop(self):
        if not (self.folder / "plan.json").exists():
            return
        pids = [pid for pid in map(self.pid, self.numbers()) if pid]
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        while any(map(self.pid, self.numbers())) and time.monotonic() < deadline:
            time.sleep(0.02)
        for pid in filter(None, map(self.pid, self.numbers())):
            os.kill(pid, signal.SIGKILL)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("verb", choices=["start", "ready", "pids", "leader", "up", "stop"])
    parser.add_argument("number", type=int, nargs="?", default=1)
    parser.add_argument("-n", type=int, default=3)
    parser.add_argument("--observers", type=int, default=0)
    parser.add_argument("--folder", default=str(ROOT / "build/bench/ensemble"))
    options = parser.parse_args()
    ensemble = Ensemble(options.folder)
    if options.verb == "start":
        ensemble.start(options.n, options.observers)
    elif options.verb == "up":
        ensemble.up(options.number)
    elif options.verb == "pids":
        print(*[ensemble.pid(number) for number in ensemble.numbers()], sep="\n")
    elif options.verb == "leader":
        print(ensemble.leader())
    else:
        getattr(ensemble, options.verb)()


if __name__ == "__main__":
    sys.exit(main())
