"""The cluster campaign: every fault at random under clients, watches and sessions, then the checks.

    python3 tests/e2e/cluster_campaign.py --seconds 300 [--seed N] [--clients 6]

Rounds of some faults each, after which all is healed and checked: the histories of the clients are
linearizable, the watch told every change once and in order, no session that was kept alive was
lost, no addition of a client that retries was lost or applied twice, all members have one digest.
The seed draws the faults and operations; the interleaving is the machine's.
"""

import argparse
import json
import random
import sys
import time

from cluster import Cluster
from load import Keeper, Load, Subscriber, start_steady

TTL_MS = 15_000


class Campaign:
    def __init__(self, seed, clients):
        self.seed = seed
        self.random = random.Random(seed)
        self.clients = clients
        self.cluster = Cluster(proxies=True, flags=self.drawn_flags())
        self.faults = [self.kill_one, self.kill_leader, self.kill_majority, self.kill_all,
                       self.pause_leader, self.pause_follower, self.isolate, self.cut_some,
                       self.transfer, self.restart_one]
        self.totals = {"rounds": 0, "operations": 0, "unknown": 0, "events": 0, "resumes": 0,
                       "gap_ms_max": 0, "faults": {}}

    def drawn_flags(self):
        if self.random.random() < 0.3:
            return ()
        return ("--wal-segment", "1MiB",
                "--checkpoint-records", str(self.random.choice((50, 500, 5000))),
                "--checkpoint-interval-ms", str(self.random.choice((20, 100, 1000))))

    def run(self, seconds):
        until = time.monotonic() + seconds
        try:
            self.cluster.start()
            while time.monotonic() < until:
                self.round()
                self.totals["rounds"] += 1
        finally:
            self.cluster.close()

    def round(self):
        cluster = self.cluster
        number = self.totals["rounds"]
        leader = cluster.leader()
        leader.delete("/v1/tree/load?recursive=true")
        start = leader.get("/v1/tree/").revision
        keeper = Keeper(cluster, [leader.open_session(TTL_MS) for _ in range(20)], TTL_MS)
        load = Load(cluster, self.clients, seed=f"{self.seed}-{number}")
        subscriber = Subscriber(cluster, seed=f"{self.seed}-{number}", start=start)
        load.start()
        steady = start_steady(cluster, patience=60, seed=f"{self.seed}-{number}")
        try:
            keeper.start()
            subscriber.start()
            for _ in range(self.random.randint(2, 5)):
                self.fault(load, steady)
            self.heal(load)
            steady.stop()
            load.check()
            keeper.stop()
            if keeper.lost:
                raise AssertionError(f"sessions were lost: {keeper.lost[:3]}")
            if steady.failed or steady.problem:
                raise AssertionError(f"the steady writer: {steady.problem or steady.failed[:3]}")
            cluster.wait_same_digest(seconds=30)
            self.totals["events"] += subscriber.check(cluster.leader())
            self.totals["resumes"] += subscriber.resumes
            self.totals["operations"] += len(load.history)
            self.totals["unknown"] += sum(o.is_unknown for o in load.history)
        finally:
            for part in (keeper, load, subscriber, steady):
                part.is_stopped.set()

    def fault(self, load, steady):
        fault = self.random.choice(self.faults)
        name = fault.__name__
        self.totals["faults"][name] = self.totals["faults"].get(name, 0) + 1
        began = time.monotonic()
        fault()
        self.heal(load)
        steady.wait_for_more(20, 30)
        gap = steady.gap(began)
        self.totals["gap_ms_max"] = max(self.totals["gap_ms_max"], gap)

    def linger(self):
        time.sleep(self.random.uniform(0.05, 3.0))  # The random instant itself.

    def heal(self, load):
        self.cluster.heal()
        for member in self.cluster:
            self.cluster.resume(member)
            if member.process.poll() is not None:
                member.spawn()
        for member in self.cluster:
            self.cluster.wait_ready(member)
        load.wait_for_more(50)

    def kill(self, members):
        for member in members:
            member.kill()
        self.linger()

    def drawn(self, count):
        return self.random.sample(list(self.cluster), count)

    def kill_one(self):
        self.kill(self.drawn(1))

    def kill_leader(self):
        self.kill([self.cluster.leader()])

    def kill_majority(self):
        self.kill(self.drawn(2))

    def kill_all(self):
        self.kill(self.drawn(3))

    def pause_leader(self):
        self.cluster.pause(self.cluster.leader())
        self.linger()

    def pause_follower(self):
        self.cluster.pause(self.random.choice(self.cluster.followers()))
        self.linger()

    def isolate(self):
        self.cluster.isolate(self.drawn(1)[0])
        self.linger()

    def cut_some(self):
        for a in self.cluster:
            for b in self.cluster:
                if a is not b and self.random.random() < 0.35:
                    self.cluster.cut(a, b)
        self.linger()

    def transfer(self):
        to = self.random.choice(self.cluster.followers())
        self.cluster.leader().post("/v1/cluster/transfer-leader", {"to": to.id})

    def restart_one(self):
        member = self.drawn(1)[0]
        if member.stop(20) != 0:
            raise AssertionError(f"SIGTERM: {member.process.returncode}\n{member.log[-2000:]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    campaign = Campaign(options.seed, options.clients)
    try:
        campaign.run(options.seconds)
    except AssertionError as problem:
        print(f"FAILED in round {campaign.totals['rounds']}, seed {campaign.seed}: {problem}")
        print(json.dumps(campaign.totals))
        sys.exit(1)
    print(json.dumps({**campaign.totals, "seed": campaign.seed}))


if __name__ == "__main__":
    main()
