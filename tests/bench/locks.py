#!/usr/bin/env python3
"""Locks of three members: pairs of lock and release, hand-overs, and what a hand-over costs inside
the cluster with few and with many waiters. Writes are measured beside it, at the same moment.

    locks.py [--seconds 5] [--runs 3] [--waiters 10,1000] [--own]
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import urllib.request

from ensemble import HTTP, ROOT, Ensemble

LOADGEN = ROOT / "build/release/tests/bench/loadgen"


def load(port, op, **flags):
    words = [str(LOADGEN), "--port", str(port), "--op", op]
    for name, value in flags.items():
        words += ["--" + name, str(value)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    if done.stderr:
        print(done.stderr, file=sys.stderr)
    return json.loads(done.stdout)


def frames(ensemble):
    """Messages that the members have sent to each other."""
    total = 0
    for number in ensemble.numbers():
        with urllib.request.urlopen(f"http://127.0.0.1:{HTTP + number}/metrics") as answer:
            for line in answer.read().decode().splitlines():
                if re.match(r"coord_peer_(messages|frames)_sent", line):
                    total += float(line.split()[-1])
    return total


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--waiters", default="10,1000")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--own", action="store_true", help="each lock brings a session of its own")
    parser.add_argument("--folder", default=str(ROOT / "build/bench/locks"))
    options = parser.parse_args()
    ensemble = Ensemble(options.folder)
    ensemble.start(3, 0)
    try:
        port = HTTP + ensemble.leader()
        op = "lock-own" if options.own else "lock"
        writes, pairs = [], []
        load(port, "fill", keys=10000)
        for _ in range(options.runs):  # In turn, so that both see the same machine.
            writes.append(load(port, "put", connections=64, seconds=options.seconds))
            pairs.append(load(port, op, connections=64, seconds=options.seconds))
        for name, results in (("write", writes), ("pair", pairs)):
            rate = statistics.median(r["per_second"] for r in results)
            print(f"{name:5} {rate:9.0f}/s  p50 {results[0]['p50_us']:.0f} us  "
                  f"p99 {results[0]['p99_us']:.0f} us  errors {sum(r['errors'] for r in results)}")
        for waiters in map(int, options.waiters.split(",")):
            write = load(port, "put", connections=1, seconds=2)
            sent = []
            for count in (options.count, 2 * options.count):
                before = frames(ensemble)
                done = load(port, "hand-over", connections=waiters, count=count)
                sent.append(frames(ensemble) - before)
            print(f"hand-over with {waiters} waiting: p50 {done['p50_us']:.0f} us, p99 "
                  f"{done['p99_us']:.0f} us; one write p50 {write['p50_us']:.0f} us: "
                  f"{done['p50_us'] / write['p50_us']:.2f} writes; messages between members for "
                  f"each more hand-over: {(sent[1] - sent[0]) / options.count:.1f}")
    finally:
        ensemble.stop()


if __name__ == "__main__":
    sys.exit(main())
