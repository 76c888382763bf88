#!/usr/bin/env python3
"""What registered instances cost a cluster that nobody else uses: three members, so many instances
(ttl 30 s, a heartbeat each 10 s), each with a connection of its own, spread over the members.

    heartbeats.py [--instances 10000] [--seconds 30] [--by post|put]

Prints the processor time of each member, in percent of one core, without and with the heartbeats.
"""

import argparse
import json
import os
import selectors
import socket
import sys
import time
from pathlib import Path

from ensemble import HTTP, ROOT, Ensemble

PERIOD = 10.0
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of(pid):
    """Processor seconds so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def request(number, by):
    path = f"/v1/services/web/i{number}"
    if by == "post":
        return f"POST {path}/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
    return register(number)


def register(number):
    body = json.dumps({"address": f"10.0.{number // 250}.{number % 250}", "port": 80,
                       "ttl_ms": 30000, "tags": ["blue"], "meta": {"zone": "eu"}})
    return (f"PUT /v1/services/web/i{number} HTTP/1.1\r\nHost: x\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


class Instances:
    """All of them, driven by one thread: each connection has one request under way at most."""

    def __init__(self, count, by):
        self.count, self.by = count, by
        self.selector = selectors.DefaultSelector()
        self.links = []
        self.sent_at = [0.0] * count
        self.latencies = []
        self.failures = 0
        for number in range(count):
            link = socket.create_connection(("127.0.0.1", HTTP + 1 + number % 3))
            link.setblocking(False)
            self.selector.register(link, selectors.EVENT_READ, number)
            self.links.append(link)

    def close(self):
        for link in self.links:
            link.close()

    def send(self, number, data):
        self.sent_at[number] = time.monotonic()
        self.links[number].sendall(data)

    def receive(self, seconds):
        """Answers that come within so long; how many."""
        found = self.selector.select(max(0.0, seconds))
        for key, _ in found:
            head = key.fileobj.recv(65536)
            self.latencies.append(time.monotonic() - self.sent_at[key.data])
            self.failures += head.split(b" ", 2)[1] not in (b"200", b"201", b"204")
        return len(found)

    def register_all(self):
        window, waiting = 300, 0
        for number in range(self.count):
            self.send(number, register(number))
            waiting += 1
            while waiting >= window:
                waiting -= self.receive(1)
        while waiting:
            waiting -= self.receive(1)

    def beat(self, seconds):
        """One after the other, evenly over the period."""
        gap = PERIOD / self.count
        start = time.monotonic()
        for due in range(int(seconds / gap)):
            number = due % self.count
            while (left := start + due * gap - time.monotonic()) > 0:
                self.receive(left)
            self.send(number, request(number, self.by))
        return time.monotonic() - start


def measure(ensemble, run):
    pids = [ensemble.pid(number) for number in ensemble.numbers()]
    before, start = [cpu_of(pid) for pid in pids], time.monotonic()
    run()
    took = time.monotonic() - start
    return [100 * (cpu_of(pid) - b) / took for pid, b in zip(pids, before)]


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--by", choices=["post", "put"], default="post")
    parser.add_argument("--folder", default=str(ROOT / "build/bench/heartbeats"))
    options = parser.parse_args()
    ensemble = Ensemble(options.folder)
    ensemble.start(3, 0)
    try:
        idle = measure(ensemble, lambda: time.sleep(options.seconds / 3))
        instances = Instances(options.instances, options.by)
        instances.register_all()
        failed = instances.failures
        instances.latencies.clear()
        instances.beat(PERIOD)  # Everything is warm, and the checkpoint of the loading is done.
        last = ensemble.status(1)["last"]
        instances.latencies.clear()
        busy = measure(ensemble, lambda: instances.beat(options.seconds))
        written = ensemble.status(1)["last"] - last
        latencies = sorted(instances.latencies)
        at = lambda q: 1000 * latencies[int(q * (len(latencies) - 1))]
        print(f"leader: member {ensemble.leader()}")
        for number, (without, with_them) in enumerate(zip(idle, busy), 1):
            print(f"member {number}: idle {without:.1f} %, with heartbeats {with_them:.1f} % "
                  "of a core")
        print(f"{len(latencies)} heartbeats, p50 {at(0.5):.1f} ms, p99 {at(0.99):.1f} ms; "
              f"{instances.failures - failed} failed, {failed} registrations failed; "
              f"{written} log entries")
        instances.close()
    finally:
        ensemble.stop()


if __name__ == "__main__":
    sys.exit(main())
