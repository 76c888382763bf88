"""Read-only mode of ZooKeeper's protocol: what a member without a leader does for clients that ask
for it, and what becomes of them when there is a leader again."""

import time
import unittest

import zkwire
from cluster import is_ready, write
from harness import wait_until
from zkwire import (CHECK, CLOSE, CREATE, DELETE, MULTI, MULTI_END, SET, SET_ACL, SYNC, Closed,
                    OPEN, Wire, acl, buffer, i32, part)
from zookeeper import ZkCluster

NOT_READ_ONLY = -119


class ReadOnly(unittest.TestCase):
    def setUp(self):
        self.cluster = ZkCluster(3, flags=("--zookeeper-words", "*"))
        self.addCleanup(self.cluster.close)
        self.cluster.start()
        write(self.cluster[1], "/kept", b"v")
        self.cluster.wait_same_digest()
        self.port = self.cluster[1].zookeeper_port

    def wire(self, **fields):
        wire = Wire(self.port)
        self.addCleanup(wire.close)
        return wire.connect(**fields)

    def lose_quorum(self):
        for i in (2, 3):
            self.cluster[i].kill()
        wait_until(lambda: not is_ready(self.cluster[1]), 10, "no leader")

    def word(self, name):
        return zkwire.word(self.port, name)

    def await_read_only(self):
        wait_until(lambda: self.word("isro") == "ro", 10, "read-only mode")

    def find_quorum(self):
        self.cluster[2].spawn()
        self.cluster.wait_ready(self.cluster[1])

    def test_a_leader_that_comes_soon_is_waited_for(self):
        def wire_of(cluster):
            """How a client fares that comes before there is a leader, and how long that took."""
            started = time.monotonic()
            cluster[1].spawn()
            wait_until(lambda: self.word_of(cluster[1], "ruok") == "imok", what="its port")
            cluster[2].spawn()
            with Wire(cluster[1].zookeeper_port) as wire:
                wire.connect(read_only=True)
                return wire.is_read_only, time.monotonic() - started
        for _ in range(5):
            cluster = ZkCluster(2, flags=("--zookeeper-words", "*"))
            self.addCleanup(cluster.close)
            is_read_only, took = wire_of(cluster)
            if took < 2:
                break
        self.assertFalse(is_read_only)

    @staticmethod
    def word_of(member, name):
        try:
            return zkwire.word(member.zookeeper_port, name)
        except OSError:
            return ""

    def test_with_a_leader_nobody_is_read_only(self):
        wire = self.wire(read_only=True)
        self.assertFalse(wire.is_read_only)
        self.assertEqual(wire.set("/kept", b"w")[0], 0)

    def test_the_configuration_is_one_that_clients_can_read(self):
        *servers, version = self.wire().get("/zookeeper/config")[1].buffer().decode().split("\n")
        self.assertEqual((len(servers), version), (3, "version=0"))
        for i, line in enumerate(servers, 1):
            name, _, rest = line.partition("=")
            address, _, clients = rest.partition(";")
            host, peer, election, role = address.split(":")
            self.assertEqual((name, host, role), (f"server.{i}", "127.0.0.1", "participant"))
            self.assertNotEqual(int(peer), int(election))  # Java's clients refuse equal ones.
            self.assertEqual(clients, f"127.0.0.1:{self.cluster[i].zookeeper_port}")

    def test_without_a_leader_it_is_read_and_nothing_is_written(self):
        self.lose_quorum()
        self.await_read_only()
        wire = self.wire(read_only=True, timeout=6000)
        self.assertTrue(wire.is_read_only)
        self.assertEqual(wire.timeout, 6000)
        self.assertNotEqual(wire.session, 0)
        error, at = wire.get("/kept", watch=True)
        self.assertEqual((error, at.buffer()), (0, b"v"))
        self.assertIn("kept", wire.children("/")[1].texts())
        self.assertEqual(wire.exists("/no")[0], -101)
        check = MULTI, part(CHECK, buffer("/kept") + i32(-1)) + MULTI_END
        for op, body in ((CREATE, buffer("/a") + buffer(b"") + acl(OPEN) + i32(0)),
                         (SET, buffer("/kept") + buffer(b"w") + i32(-1)),
                         (DELETE, buffer("/kept") + i32(-1)),
                         (SET_ACL, buffer("/kept") + acl(OPEN) + i32(-1)),
                         (SYNC, buffer("/")), check):
            with self.subTest(op=op):
                self.assertEqual(wire.call(op, body)[0], NOT_READ_ONLY)
        self.assertEqual(wire.ping()[0], 0)
        self.assertEqual(wire.call(CLOSE)[0], 0)
        self.assertTrue(wire.is_closed())

    def test_the_words_tell_of_each_state(self):
        not_serving = "This ZooKeeper instance is not currently serving requests\n"
        self.assertEqual(self.word("isro"), "rw")
        modes = [zkwire.word(member.zookeeper_port, "srvr") for member in self.cluster]
        led = [text for text in modes if "Mode: leader\n" in text]
        self.assertEqual(len(led), 1)
        self.assertRegex(led[0], r"(?m)^Proposal sizes last/min/max: \d+/\d+/\d+$")
        self.assertEqual(sum("Mode: follower\n" in text for text in modes), 2)
        for i in (2, 3):
            self.cluster[i].kill()
        seen = []

        def is_read_only():
            seen.append((self.word("isro"), self.word("srvr")))
            return seen[-1][0] == "ro"
        wait_until(is_read_only, 15, "read-only mode")
        self.assertIn(("null", not_serving), seen)
        self.assertIn("\nMode: read-only\n", self.word("srvr"))
        self.assertIn("\nzk_server_state\tread-only\n", self.word("mntr"))
        self.assertEqual(self.word("ruok"), "imok")
        self.find_quorum()
        self.assertEqual(self.word("isro"), "rw")
        self.assertRegex(self.word("srvr"), r"\nMode: (leader|follower)\n")

    def test_the_configuration_shows_the_members(self):
        conf = self.word("conf")
        config = self.wire().get("/zookeeper/config")[1].buffer().decode()
        self.assertTrue(conf.endswith(f"\npeerType=0\nmembership: \n{config}"), conf)

    def test_who_does_not_ask_for_it_is_sent_away(self):
        self.lose_quorum()
        with self.assertRaises(Closed):
            self.wire(read_only=False)

    def test_clients_are_sent_away_in_time_to_find_a_leader_elsewhere(self):
        open_since = self.wire(timeout=30000)
        self.lose_quorum()
        self.assertTrue(open_since.is_closed())
        self.await_read_only()
        held = {"session": open_since.session, "password": open_since.password}
        for fields in ({}, held):  # At once, as ZooKeeper that does not serve.
            with Wire(self.port, seconds=9) as wire, self.assertRaises(Closed):
                wire.connect(**fields)
        self.find_quorum()
        self.assertEqual(self.wire(**held).session, open_since.session)

    def test_when_there_is_a_leader_it_must_connect_again(self):
        self.lose_quorum()
        wire = self.wire(read_only=True)
        self.assertTrue(wire.is_read_only)
        self.find_quorum()
        self.assertTrue(wire.is_closed())
        again = self.wire(read_only=True)
        self.assertFalse(again.is_read_only)
        self.assertEqual(again.set("/kept", b"w")[0], 0)

    def test_a_session_outlives_it(self):
        before = self.wire(read_only=True, timeout=30000)
        self.assertEqual(before.create("/kept/e", flags=1)[0], 0)
        self.cluster.wait_same_digest()
        before.close()
        self.lose_quorum()
        held = {"session": before.session, "password": before.password, "read_only": True}
        meanwhile = self.wire(**held)
        self.assertTrue(meanwhile.is_read_only)
        self.assertEqual(meanwhile.session, before.session)
        self.assertEqual(meanwhile.exists("/kept/e")[0], 0)
        self.find_quorum()
        self.assertTrue(meanwhile.is_closed())
        after = self.wire(**held)
        self.assertFalse(after.is_read_only)
        self.assertEqual(after.session, before.session)
        self.assertEqual(after.stat("/kept/e")["owner"], before.session)
        self.assertEqual(after.set("/kept/e", b"w")[0], 0)


if __name__ == "__main__":
    unittest.main()
