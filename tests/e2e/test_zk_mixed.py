"""One history of clients of both kinds on the same nodes: HTTP's writes and reads, and ZooKeeper's
writes and its reads after sync, are one linearizable history, whoever is killed."""

import time
import unittest

from cluster import is_ready
from harness import SLOW
from linearizability import Operation
from load import TOP, Client, Load, Subscriber
from zookeeper import NO_NODE, NODE_EXISTS, BAD_VERSION, Wire, ZkCluster, ZkMember


class WireClient(Client):
    """Of ZooKeeper's protocol: sets, guarded sets and reads after sync, at random members."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.wire = None
        self.versions = {}  # By key: the (mzxid, version) seen last.

    def run(self):
        try:
            super().run()
        finally:
            if self.wire is not None:
                self.wire.link.close()

    def step(self):
        draw = self.random.random()
        if self.wire is None or draw < 0.02:
            if not self.reconnect():
                return
        key = f"k{self.random.randrange(self.load.keys)}"
        if draw < 0.5:
            return self.get(self.random.choice((key, f"n{self.random.randrange(self.load.keys)}")))
        self.sequence += 1
        value = f"{self.number}.{self.sequence}"
        if draw < 0.75 and key in self.versions:
            return self.guarded(key, value)
        self.put(key, value)

    def reconnect(self):
        if self.wire is not None:
            self.wire.link.close()
        self.wire = None
        member = self.random.choice(self.load.targets)
        try:
            self.wire = Wire(member.zookeeper_port, timeout_ms=4000, patience=self.load.timeout)
        except (OSError, ValueError):
            self.load.note("unreachable")
            self.load.is_stopped.wait(0.01)
        return self.wire is not None

    def ask(self, operation, ask):
        """What `ask` gives, or None when the connection was lost: then a write is unknown."""
        try:
            answer = ask(self.wire)
        except (OSError, ValueError):
            self.wire.link.close()
            self.wire = None
            self.load.note("lost")
            if operation.kind != "get":
                self.history.append(operation)
            return None
        operation.returned = time.monotonic()
        self.load.note("answered by wire")
        self.load.note("answered")
        return answer

    def get(self, key):
        operation = Operation("get", key, time.monotonic(), client=self.number)
        answer = self.ask(operation, lambda wire: wire.read_after_sync(f"{TOP}/{key}"))
        if answer is None:
            return
        error, zxid, found = answer
        if error not in (0, NO_NODE):
            raise AssertionError(f"getData {key}: {error}")
        operation.revision = zxid
        if error == 0:
            data, stat = found
            operation.seen = (data.decode(), stat["mzxid"])
            self.versions[key] = (stat["mzxid"], stat["version"])
        self.history.append(operation)

    def put(self, key, value):
        """Set, or create: whichever the node needs."""
        operation = Operation("put", key, time.monotonic(), value=value, client=self.number)

        def ask(wire):
            while True:
                error, zxid, stat = wire.try_set(f"{TOP}/{key}", value)
                if error == NO_NODE:
                    error, zxid, stat = wire.try_create(f"{TOP}/{key}", value)
                    if error == NODE_EXISTS:
                        continue
                return error, zxid, stat

        answer = self.ask(operation, ask)
        if answer is None:
            return
        error, zxid, stat = answer
        if error != 0 or stat["mzxid"] != zxid:
            raise AssertionError(f"put {key}: {error} at {zxid}: {stat}")
        operation.revision = zxid
        self.versions[key] = (stat["mzxid"], stat["version"])
        self.history.append(operation)

    def guarded(self, key, value):
        """Nodes are never deleted here, so a version says the same as an mzxid."""
        mzxid, version = self.versions[key]
        operation = Operation("cas", key, time.monotonic(), value=value, expected=mzxid,
                              client=self.number)
        answer = self.ask(operation, lambda w: w.try_set(f"{TOP}/{key}", value, version))
        if answer is None:
            return
        error, zxid, stat = answer
        if error == BAD_VERSION:
            del self.versions[key]  # It was another's: nothing happened.
            return
        if error != 0:
            raise AssertionError(f"setData {key}: {error}")
        operation.revision = zxid
        self.versions[key] = (stat["mzxid"], stat["version"])
        self.history.append(operation)


class MixedLoad(Load):
    def __init__(self, cluster, clients=6, **options):
        super().__init__(cluster, clients, **options)
        half = len(self.clients) // 2
        self.clients[half:] = [WireClient(self, i, f"wire/{i}") for i in range(half, clients)]


class Mixed(unittest.TestCase):
    def loaded(self, cluster):
        load = MixedLoad(cluster)
        self.addCleanup(load.is_stopped.set)
        subscriber = Subscriber(cluster, start=cluster.leader().get("/v1/tree/").revision)
        self.addCleanup(subscriber.is_stopped.set)
        load.start()
        subscriber.start()
        load.wait_for_more(300, seconds=60)
        return load, subscriber

    def settle(self, cluster, load, subscriber):
        for member in cluster:
            cluster.wait_ready(member, 60)
        load.wait_for_more(300, seconds=60)
        load.check()
        self.assertGreater(load.counts["answered by wire"], 100)
        cluster.wait_same_digest(seconds=30)
        subscriber.check(next(iter(cluster)))

    def test_the_leader_is_killed_under_clients_of_both_kinds(self):
        cluster = ZkCluster(3)
        self.addCleanup(cluster.close)
        cluster.start()
        load, subscriber = self.loaded(cluster)
        for _ in range(4):
            leader = cluster.leader(seconds=30)
            leader.kill()
            load.wait_for_more(200, seconds=60)
            leader.spawn()
            cluster.wait_ready(leader, 60)
        self.settle(cluster, load, subscriber)

    def test_a_node_of_one_kind_of_client_is_read_by_the_other(self):
        member = ZkMember()
        self.addCleanup(member.close)
        member.start()
        self.assertTrue(is_ready(member))
        wire = Wire(member.zookeeper_port)
        self.addCleanup(wire.link.close)
        wire.create("/from-wire", b"w")
        wire.create("/mine", b"", flags=1)
        self.assertEqual(member.get("/v1/tree/from-wire").text, "w")
        stat = member.get("/v1/stat/mine").json
        self.assertEqual(int(stat["ephemeral_owner"]), wire.session)
        member.put("/v1/tree/from-http", "h")
        error, zxid, (data, there) = wire.read_after_sync("/from-http")
        self.assertEqual((error, data), (0, b"h"))
        http = member.get("/v1/stat/from-http").json
        for ours, theirs in (("czxid", "czxid"), ("mzxid", "mzxid"), ("version", "version")):
            self.assertEqual(http[ours], there[theirs])
        self.assertGreaterEqual(zxid, there["mzxid"])
        # An ephemeral of either kind goes with its session, and the other sees it go.
        session = member.open_session()
        member.put("/v1/tree/theirs?mode=ephemeral", "", coord_session=session["session"])
        self.assertEqual(wire.stat("/theirs")["owner"], int(session["id"]))
        member.delete("/v1/sessions/mine", coord_session=session["session"])
        self.assertIsNone(wire.stat("/theirs"))
        wire.close()
        self.assertEqual(member.get("/v1/stat/mine").status, 404)


if __name__ == "__main__":
    unittest.main()
