#!/usr/bin/env python3
"""What idle sessions cost a cluster that nobody else uses: three members, so many sessions of
ZooKeeper's protocol (time-out 30 s, a ping each 10 s, as its clients do), each with its connection.

    idle_sessions.py [--sessions 10000] [--seconds 60]

Prints each member's anonymous memory before and with them, and its processor time in percent of
one core.
"""

import argparse
import selectors
import socket
import struct
import sys
import time
from pathlib import Path

from ensemble import ROOT, ZOOKEEPER, Ensemble
from heartbeats import measure

TIMEOUT_MS, PERIOD = 30_000, 10.0
CONNECT = struct.pack(">iiqiqi16s?", 45, 0, 0, TIMEOUT_MS, 0, 16, bytes(16), False)
PING = struct.pack(">iii", 8, -2, 11)
CONNECT_REPLY_BYTES, PING_REPLY_BYTES = 4 + 37, 4 + 16


def anonymous_mib(ensemble):
    def of(pid):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
        raise SystemExit("RssAnon is not told")
    return [of(ensemble.pid(number)) for number in ensemble.numbers()]


class Sessions:
    def __init__(self, count):
        self.selector = selectors.DefaultSelector()
        self.links, self.waiting, self.failures, self.pings = [], 0, 0, 0
        for number in range(count):
            link = socket.create_connection(("127.0.0.1", ZOOKEEPER + 1 + number % 3))
            link.sendall(CONNECT)
            self.links.append(link)
            if number % 200 == 199 or number == count - 1:
                self.finish_connects(number // 200 * 200)
        for link in self.links:
            link.setblocking(False)
            self.selector.register(link, selectors.EVENT_READ)

    def finish_connects(self, first):
        for link in self.links[first:]:
            reply = link.recv(CONNECT_REPLY_BYTES, socket.MSG_WAITALL)
            granted = struct.unpack_from(">i", reply, 8)[0]
            self.failures += granted != TIMEOUT_MS

    def ping(self, seconds):
        """One after the other, evenly over the period."""
        gap, start = PERIOD / len(self.links), time.monotonic()
        for due in range(int(seconds / gap)):
            while (left := start + due * gap - time.monotonic()) > 0:
                self.receive(left)
            self.links[due % len(self.links)].sendall(PING)
            self.pings += 1

    def receive(self, seconds):
        for key, _ in self.selector.select(max(0.0, seconds)):
            self.failures += len(key.fileobj.recv(4096)) % PING_REPLY_BYTES != 0

    def close(self):
        for link in self.links:
            link.close()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--folder", default=str(ROOT / "build/bench/idle"))
    options = parser.parse_args()
    ensemble = Ensemble(options.folder)
    ensemble.start(3, 0)
    try:
        time.sleep(2)
        empty = anonymous_mib(ensemble)
        idle = measure(ensemble, lambda: time.sleep(options.seconds / 4))
        sessions = Sessions(options.sessions)
        sessions.ping(PERIOD)  # Everything is warm, and the checkpoint of the opening is done.
        busy = measure(ensemble, lambda: sessions.ping(options.seconds))
        full = anonymous_mib(ensemble)
        print(f"leader: member {ensemble.leader()}; {ensemble.status(1)['sessions']} sessions, "
              f"{sessions.pings} pings, {sessions.failures} failed")
        for number, (a, b, c, d) in enumerate(zip(empty, full, idle, busy), 1):
            print(f"member {number}: {a:.1f} MiB empty, {b:.1f} MiB with them; "
                  f"{c:.1f} % of a core idle, {d:.1f} % with them")
        print(f"all members: {sum(full) - sum(empty):.1f} MiB for them")
        sessions.close()
    finally:
        ensemble.stop()


if __name__ == "__main__":
    sys.exit(main())
