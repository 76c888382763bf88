"""Clusters of real members under faults: what clients saw is linearizable, watches are complete,
sessions are neither lost nor kept, and all members are equal in the end."""

import unittest

from cluster import Cluster, is_ready, status_of
from harness import SLOW, wait_until
from load import TOP, Keeper, Load, Subscriber


class FaultTest(unittest.TestCase):
    def cluster(self, *arguments, **options):
        cluster = Cluster(*arguments, **options)
        self.addCleanup(cluster.close)
        return cluster.start()

    def loaded(self, cluster, **options):
        """A load, and a subscriber that hears of all of it."""
        load = Load(cluster, **options)
        self.addCleanup(load.is_stopped.set)
        start = cluster.leader().get("/v1/tree/").revision
        subscriber = Subscriber(cluster, start=start)
        self.addCleanup(subscriber.is_stopped.set)
        load.start()
        subscriber.start()
        load.wait_for_more(200)
        return load, subscriber

    def settle(self, cluster, load, subscriber, members=None):
        """After the faults: every check there is."""
        members = members or list(cluster)
        load.targets = subscriber.targets = members
        for member in members:
            cluster.wait_ready(member)
        load.wait_for_more(200)
        load.check()
        cluster.wait_same_digest(members)
        self.assertGreater(subscriber.check(members[0]), 100)
        self.assertGreater(subscriber.resumes, 0)


class Kills(FaultTest):
    def test_the_leader_is_killed_again_and_again(self):
        cluster = self.cluster()
        load, subscriber = self.loaded(cluster)
        for _ in range(4):
            leader = cluster.leader()
            leader.kill()
            load.wait_for_more(100)
            leader.spawn()
            cluster.wait_ready(leader)
        self.settle(cluster, load, subscriber)

    def test_a_follower_is_killed_again_and_again(self):
        cluster = self.cluster()
        load, subscriber = self.loaded(cluster)
        for _ in range(4):
            follower = cluster.followers()[0]
            follower.kill()
            load.wait_for_more(100)
            follower.spawn()
            cluster.wait_ready(follower)
        self.settle(cluster, load, subscriber)

    def test_a_majority_is_killed(self):
        for keeps_leader in (True, False):
            with self.subTest(keeps_leader=keeps_leader):
                cluster = self.cluster()
                load, subscriber = self.loaded(cluster)
                leader, one, two = cluster.leader(), *cluster.followers()
                killed = (one, two) if keeps_leader else (leader, one)
                rest = leader if keeps_leader else two
                for member in killed:
                    member.kill()
                wait_until(lambda: not is_ready(rest), 10, "the one that is left is not ready")
                self.assertEqual(rest.get(f"/v1/tree{TOP}?consistency=local").status, 200)
                self.assertEqual(rest.get(f"/v1/tree{TOP}?timeout=1s").status, 503)
                for member in killed:
                    member.spawn()
                self.settle(cluster, load, subscriber)

    def test_all_are_killed(self):
        cluster = self.cluster()
        load, subscriber = self.loaded(cluster)
        for _ in range(3):
            for member in cluster:
                member.kill()
            for member in cluster:
                member.spawn()
            load.wait_for_more(150)
        self.settle(cluster, load, subscriber)


if __name__ == "__main__":
    unittest.main()
