"""Clusters of real members: elect, replicate, lose members, refuse strangers."""

import re
import shutil
import unittest
from pathlib import Path

from cluster import Cluster, is_ready, status_of, write
from harness import free_port, wait_until


class ClusterTest(unittest.TestCase):
    def cluster(self, *arguments, **options):
        cluster = Cluster(*arguments, **options)
        self.addCleanup(cluster.close)
        return cluster.start()

    def write(self, member, path, value):
        return write(member, path, value)

    def read_local(self, member, path):
        return member.request("GET", f"/v1/tree{path}?consistency=local").body


class Three(ClusterTest):
    def test_they_elect_one_leader_and_replicate_a_write(self):
        cluster = self.cluster()
        leader = cluster.leader()
        revision = self.write(leader, "/a", "hello")
        cluster.wait_applied(revision)
        for member in cluster:
            self.assertEqual(self.read_local(member, "/a"), b"hello", member.id)
        cluster.wait_same_digest()
        self.assertEqual(len({status_of(m)["cluster"] for m in cluster}), 1)
        self.assertEqual([status_of(m)["role"] for m in cluster].count("leader"), 1)

    def test_the_others_go_on_when_the_leader_is_killed_and_it_comes_back(self):
        cluster = self.cluster()
        first = cluster.leader()
        self.write(first, "/a", "one")
        rest = cluster.followers()
        first.kill()
        second = cluster.leader(among=rest)
        self.assertIsNot(second, first)
        revision = self.write(second, "/a", "two")
        first.spawn()
        cluster.wait_ready(first)
        cluster.wait_applied(revision)
        self.assertEqual(self.read_local(first, "/a"), b"two")
        cluster.wait_same_digest()

    def test_all_may_be_killed_and_nothing_acknowledged_is_lost(self):
        cluster = self.cluster()
        leader = cluster.leader()
        for i in range(20):
            self.write(leader, f"/n{i}", str(i))
        for member in cluster:
            member.kill()
        cluster.start()
        leader = cluster.leader()
        for i in range(20):
            self.assertEqual(leader.get(f"/v1/tree/n{i}").body, str(i).encode())

    def test_one_of_three_alone_acknowledges_nothing(self):
        cluster = self.cluster()
        leader = cluster.leader()
        for member in cluster.followers():
            member.kill()
        wait_until(lambda: not is_ready(leader), 10, "the lone member is not ready")
        answer = leader.request("PUT", "/v1/tree/alone", "x", timeout=20)
        self.assertGreaterEqual(answer.status, 500, str(answer))

    def test_sigterm_at_the_leader_hands_leadership_over(self):
        cluster = self.cluster()
        first = cluster.leader()
        rest = cluster.followers()
        self.assertEqual(first.stop(), 0, first.log)
        self.assertIn("hands leadership over", first.log)
        self.write(cluster.leader(among=rest), "/after", "x")

    def test_a_paused_leader_is_replaced_and_follows_when_it_goes_on(self):
        cluster = self.cluster()
        first = cluster.leader()
        rest = cluster.followers()
        cluster.pause(first)
        second = cluster.leader(among=rest)
        revision = self.write(second, "/a", "x")
        cluster.resume(first)
        cluster.wait_applied(revision)
        wait_until(lambda: (status_of(first) or {}).get("role") == "follower", 10, "it follows")

    def test_a_member_that_comes_last_takes_part(self):
        cluster = Cluster(3)
        self.addCleanup(cluster.close)
        for i in (1, 2):
            cluster[i].spawn()
        for i in (1, 2):
            cluster.wait_ready(cluster[i])
        revision = self.write(cluster.leader(among=[cluster[1], cluster[2]]), "/a", "x")
        cluster[3].spawn()
        cluster.wait_ready(cluster[3])
        cluster.wait_applied(revision)
        cluster[1].kill()  # Now the last one is needed, for votes too.
        self.write(cluster.leader(among=[cluster[2], cluster[3]]), "/b", "x")

    def test_metrics_count_the_links(self):
        cluster = self.cluster()
        for member in cluster:
            text = member.get("/metrics").text
            self.assertRegex(text, r"(?m)^coord_peer_links_up 2$")
            sent = re.search(r"(?m)^coord_peer_bytes_sent_total (\S+)$", text)
            self.assertGreater(float(sent[1]), 0)


class Observers(ClusterTest):
    def test_an_observer_follows_and_does_not_vote(self):
        cluster = self.cluster(1, observers=1)
        self.assertEqual(cluster.leader().id, 1)
        revision = self.write(cluster[1], "/a", "x")
        cluster.wait_applied(revision)
        self.assertEqual(status_of(cluster[2])["role"], "observer")
        self.assertEqual(self.read_local(cluster[2], "/a"), b"x")
        cluster[2].kill()
        self.write(cluster[1], "/b", "x")


class Partitions(ClusterTest):
    def test_a_leader_that_is_cut_off_is_replaced_and_comes_back(self):
        cluster = self.cluster(3, proxies=True)
        first = cluster.leader()
        rest = cluster.followers()
        cluster.isolate(first)
        second = cluster.leader(among=rest)
        revision = self.write(second, "/a", "majority")
        wait_until(lambda: (status_of(first) or {"role": "leader"})["role"] != "leader", 10,
                   "it steps down")
        cluster.heal()
        cluster.wait_applied(revision)
        cluster.wait_same_digest()

    def test_a_leader_that_is_not_heard_is_replaced(self):
        cluster = self.cluster(3, proxies=True)
        first = cluster.leader()
        rest = cluster.followers()
        for member in rest:
            cluster.cut(first, member)  # It hears them, they do not hear it.
        self.write(cluster.leader(among=rest), "/a", "x")
        cluster.heal()
        cluster.wait_same_digest()


class Strangers(ClusterTest):
    def test_members_of_two_clusters_refuse_each_other(self):
        one, other = self.cluster(), self.cluster()
        # A member of the other cluster is started with the addresses of the first.
        stranger = other[3]
        stranger.kill()
        flags = stranger.flags
        at = flags.index("--members") + 1
        ours = one.listed.split(",")[:2]
        flags[at] = ",".join([*ours, other.listed.split(",")[2]])
        stranger.spawn()
        # Before it has applied its log again it knows only its list.
        refused = r"code=(foreign-cluster|members-differ)"
        wait_until(lambda: re.search(refused, stranger.log), 10, "it is refused")
        wait_until(lambda: re.search(refused, one[1].log), 10, "both sides say so")
        answer = stranger.get("/readyz")
        self.assertEqual(answer.status, 503)
        self.assertIn("refuses this one", answer.text)
        one.wait_same_digest()

    def test_other_members_lists_do_not_form_a_cluster(self):
        cluster = Cluster(2)
        self.addCleanup(cluster.close)
        lists = [cluster.listed, cluster.listed + f",3=127.0.0.1:{free_port()}"]
        for member, members in zip(cluster, lists):
            member.flags[member.flags.index("--members") + 1] = members
            member.spawn()
        wait_until(lambda: "members-differ" in cluster[1].log, 10, "refused")
        wait_until(lambda: "members-differ" in cluster[2].log, 10, "refused")
        self.assertFalse(is_ready(cluster[1]) or is_ready(cluster[2]))

    def test_a_wiped_disk_is_refused_with_the_command_that_replaces_it(self):
        cluster = self.cluster()
        self.write(cluster.leader(), "/a", "x")
        cluster.wait_same_digest()
        lost = cluster.followers()[0]
        lost.kill()
        shutil.rmtree(lost.data)
        lost.spawn()
        self.assertEqual(lost.process.wait(20), 1, lost.log)
        self.assertIn("wiped-member", lost.log)
        self.assertIn(f"coordctl cluster replace {lost.id}", lost.log)
        self.assertIn("--join", lost.log)
        self.write(cluster.leader(), "/b", "x")

    def test_swapped_disks_are_refused(self):
        cluster = self.cluster()
        cluster.wait_applied(self.write(cluster.leader(), "/a", "x"))
        for member in cluster:
            self.assertEqual(member.stop(), 0)
        one, two = cluster[1].data, cluster[2].data
        aside = Path(cluster.directory) / "aside"
        one.rename(aside)
        two.rename(one)
        aside.rename(two)
        for member in cluster:
            member.spawn()
        wait_until(lambda: "disk of member 2" in cluster[1].log, 20, "member 1 is refused")
        wait_until(lambda: "disk of member 1" in cluster[2].log, 20, "member 2 is refused")
        self.assertFalse(any(is_ready(m) for m in cluster))
        for i in (1, 2):
            cluster[i].kill()
        one.rename(aside)
        two.rename(one)
        aside.rename(two)
        for i in (1, 2):
            cluster[i].spawn()
        for member in cluster:
            cluster.wait_ready(member)
        self.assertEqual(self.read_local(cluster[3], "/a"), b"x")
