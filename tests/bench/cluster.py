#!/usr/bin/env python3
"""What a cluster of three costs its clients when something happens to it. See README.md here.

    cluster.py [--only failover,transfer,rolling,join,away] [--rounds 50] [--nodes 10000]
               [--sessions 1000] [--folder F] [--json FILE]

One steady writer, on one connection, retries every 5 ms, gives an attempt up after 250 ms and then
tries the next member. A gap is the time from the event to the next acknowledged write.
"""

import argparse
import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from ensemble import HTTP, PEER, ROOT, Ensemble
from servers import LOADGEN

SCENARIOS = ("failover", "transfer", "rolling", "away", "join")


def call(number, method, path, body=None, headers=None, timeout=0.25):
    connection = http.client.HTTPConnection("127.0.0.1", HTTP + number, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Writer(threading.Thread):
    """Writes one node after the other, and remembers what was acknowledged, and when."""

    def __init__(self, numbers):
        super().__init__(daemon=True)
        self.numbers, self.at, self.connection = list(numbers), 0, None
        self.acknowledged = []  # (time, number of the write)
        self.count, self.failed = 0, 0
        self.is_over = threading.Event()

    def attempt(self):
        if self.connection is None:
            number = self.numbers[self.at % len(self.numbers)]
            self.connection = http.client.HTTPConnection("127.0.0.1", HTTP + number, timeout=0.25)
        try:
            self.connection.request("PUT", f"/v1/tree/w/{self.count % 100}?parents=true",
                                    str(self.count))
            answer = self.connection.getresponse()
            answer.read()
            if answer.status in (200, 201):
                return True
        except (OSError, http.client.HTTPException):
            pass
        self.connection.close()
        self.connection = None
        self.at += 1
        return False

    def run(self):
        while not self.is_over.is_set():
            if self.attempt():
                self.acknowledged.append((time.monotonic(), self.count))
                self.count += 1
            else:
                self.failed += 1
                time.sleep(0.005)

    def gap_around(self, moment):
        """The longest time between two acknowledged writes that ends after `moment`."""
        times = [t for t, _ in self.acknowledged if t > moment - 1]
        return max((b - max(a, moment) for a, b in zip(times, times[1:]) if b > moment), default=0)

    def wait_after(self, moment, seconds):
        while not self.acknowledged or self.acknowledged[-1][0] < moment + seconds:
            time.sleep(0.01)

    def close(self):
        self.is_over.set()
        self.join()


class Bench:
    def __init__(self, options):
        self.options = options
        self.ensemble = Ensemble(Path(options.folder) / "ensemble")
        self.figures = {}

    def note(self, scenario, **figures):
        self.figures[scenario] = figures
        shown = "  ".join(f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}"
                          for name, value in figures.items())
        print(f"{scenario:12} {shown}", flush=True)

    def start(self, nodes, observers=0):
        self.ensemble.start(3, observers)
        if nodes:
            subprocess.run([str(LOADGEN), "--server", "coord", "--port",
                            str(HTTP + self.ensemble.leader()), "--op", "fill", "--keys", str(nodes),
                            "--parents", "100"], check=True, stdout=subprocess.DEVNULL)

    def sessions(self, count):
        tokens = []
        for i in range(count):
            status, body = call(1 + i % 3, "POST", "/v1/sessions", '{"ttl_ms":15000}', timeout=5)
            if status not in (200, 201):
                raise SystemExit(f"no session: {status} {body}")
            tokens.append(json.loads(body)["session"])
        return tokens

    def keep(self, tokens, over, lost):
        """Renews every session, round and round, through whoever answers."""
        number = 0
        while not over.is_set():
            for token in tokens:
                for _ in range(400):
                    number += 1
                    try:
                        status, _ = call(1 + number % 3, "POST", "/v1/sessions/mine/keepalive",
                                         headers={"Coord-Session": token}, timeout=1)
                    except (OSError, http.client.HTTPException):
                        time.sleep(0.01)
                        continue
                    if status == 200:
                        break
                    if status in (404, 410):
                        lost.add(token)
                        break
                    time.sleep(0.01)
                if over.is_set():
                    return

    def failover(self):
        self.start(self.options.nodes)
        tokens, over, lost = self.sessions(self.options.sessions), threading.Event(), set()
        keeper = threading.Thread(target=self.keep, args=(tokens, over, lost), daemon=True)
        keeper.start()
        writer = Writer([1, 2, 3])
        writer.start()
        gaps = []
        for _ in range(self.options.rounds):
            writer.wait_after(time.monotonic(), 0.5)
            leader = self.ensemble.leader()
            moment = time.monotonic()
            os.kill(self.ensemble.pid(leader), signal.SIGKILL)
            writer.wait_after(moment, 1.5)
            gaps.append(writer.gap_around(moment))
            self.ensemble.up(leader)
            self.ensemble.ready()
        over.set()
        keeper.join()
        writer.close()
        state = {}
        for i in range(100):
            state[i] = int(call(1, "GET", f"/v1/tree/w/{i}", timeout=5)[1])
        missing = [n for _, n in writer.acknowledged if state[n % 100] < n]
        self.note("failover", nodes=self.options.nodes, rounds=len(gaps),
                  median_s=statistics.median(gaps), worst_s=max(gaps),
                  acknowledged=len(writer.acknowledged), lost_writes=len(missing),
                  sessions=len(tokens), lost_sessions=len(lost))
        self.ensemble.stop()

    def transfer(self):
        self.start(1000)
        writer = Writer([1])
        writer.start()
        gaps = []
        for _ in range(20):
            writer.wait_after(time.monotonic(), 0.3)
            leader = self.ensemble.leader()
            moment = time.monotonic()
            call(leader, "POST", "/v1/cluster/transfer-leader", json.dumps({"to": leader % 3 + 1}),
                 timeout=5)
            writer.wait_after(moment, 0.5)
            gaps.append(writer.gap_around(moment))
        writer.close()
        self.note("transfer", rounds=len(gaps), median_s=statistics.median(gaps), worst_s=max(gaps),
                  failed_attempts=writer.failed)
        self.ensemble.stop()

    def rolling(self):
        """A request fails when no attempt of it succeeds within ten seconds."""
        self.start(10_000)
        writer = Writer([1, 2, 3])
        writer.start()
        began = time.monotonic()
        for number in (1, 2, 3):
            writer.wait_after(time.monotonic(), 0.5)
            pid = self.ensemble.pid(number)
            os.kill(pid, signal.SIGTERM)
            while self.ensemble.pid(number):
                time.sleep(0.005)
            self.ensemble.up(number)
            self.ensemble.ready()
        writer.wait_after(time.monotonic(), 0.5)
        worst = writer.gap_around(began)
        writer.close()
        self.note("rolling", worst_gap_s=worst, failed_requests=int(worst > 10),
                  retried_attempts=writer.failed, acknowledged=len(writer.acknowledged))
        self.ensemble.stop()

    def load(self, number, seconds, rate=2000):
        run = subprocess.run(
            [str(LOADGEN), "--server", "coord", "--port", str(HTTP + number), "--op", "put",
             "--connections", "16", "--seconds", str(seconds), "--rate", str(rate), "--keys",
             "10000", "--parents", "100"], check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(run.stdout)

    def away(self):
        """A follower that missed 100,000 writes."""
        self.start(10_000)
        leader = self.ensemble.leader()
        gone = leader % 3 + 1
        os.kill(self.ensemble.pid(gone), signal.SIGKILL)
        subprocess.run([str(LOADGEN), "--server", "coord", "--port", str(HTTP + leader), "--op",
                        "put", "--connections", "64", "--seconds", "9", "--rate", "12000", "--keys", "10000",
                        "--parents", "100"], check=True, stdout=subprocess.DEVNULL)
        behind = self.ensemble.status(leader)["applied"]
        began = time.monotonic()
        missed = behind - 10_000
        self.ensemble.up(gone)
        while (self.ensemble.status(gone) or {"applied": 0})["applied"] < behind:
            time.sleep(0.01)
        log = (self.ensemble.folder / f"log{gone}").read_text()
        self.note("away", missed=missed, caught_up_s=time.monotonic() - began,
                  snapshots=log.count("is installed"))
        self.ensemble.stop()

    def join(self):
        """A fourth member comes to 1,000,000 nodes under a load of writes."""
        self.start(1_000_000)
        leader = self.ensemble.leader()
        self.load(leader, 5)
        quiet = self.load(leader, 15)
        folder = self.ensemble.folder
        with open(folder / "log4", "ab") as log:
            process = subprocess.Popen(
                [str(ROOT / "build/release/coord/coordd"), "--id", "4", "--peer",
                 f"127.0.0.1:{PEER + 4}", "--http", f"127.0.0.1:{HTTP + 4}", "--data",
                 str(folder / "data4"), "--join", f"http://127.0.0.1:{HTTP + leader}"],
                stdout=log, stderr=log)
        began, done = time.monotonic(), []

        def wait():
            while True:
                status = self.ensemble.status(4)
                head = self.ensemble.status(leader)
                if status and status["ready"] and head and head["applied"] - status["applied"] < 1000:
                    done.append(time.monotonic() - began)
                    return
                time.sleep(0.05)

        waiter = threading.Thread(target=wait, daemon=True)
        waiter.start()
        busy = self.load(leader, 15)
        waiter.join(120)
        process.terminate()
        process.wait(30)
        self.note("join", caught_up_s=done[0] if done else -1.0, quiet_p99_ms=quiet["p99_us"] / 1000,
                  busy_p99_ms=busy["p99_us"] / 1000, ratio=busy["p99_us"] / quiet["p99_us"],
                  errors=busy["errors"])
        self.ensemble.stop()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--only", default=",".join(SCENARIOS))
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--folder", default=str(ROOT / "build/bench"))
    parser.add_argument("--json", help="keep the figures in this file")
    options = parser.parse_args()
    bench = Bench(options)
    for scenario in options.only.split(","):
        if scenario not in SCENARIOS:
            parser.error(f"no scenario is named {scenario}")
        getattr(bench, scenario)()
    if options.json:
        Path(options.json).write_text(json.dumps(bench.figures, indent=1) + "\n")
    shutil.rmtree(bench.ensemble.folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
