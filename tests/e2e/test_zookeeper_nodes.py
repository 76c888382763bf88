"""The nodes that ZooKeeper always has, as its clients see and change them; and what they do not see
of the service's own."""

import unittest

import zookeeper
from harness import Member, free_port
from zkwire import (ADD_WATCH, ALL_CHILDREN, CHANGED, CHECK, CHILD, CHILDREN, CHILDREN2,
                    CREATED, DELETE, GET, GET_ACL, MULTI, MULTI_END, MULTI_READ, OPEN, SET,
                    SET_ACL, SET_WATCHES, Wire, acl, buffer, flag, i32, i64, multi_results, part,
                    texts)

CONFIG, QUOTA = "/zookeeper/config", "/zookeeper/quota"
KEPT, NO_AUTH, NO_NODE, EXISTS = -8, -102, -101, -110


class FreshMember(unittest.TestCase):
    """Each case has a member whose tree nobody has written to."""

    def setUp(self):
        self.port = free_port()
        flags = ["--zookeeper", f"127.0.0.1:{self.port}",
                 "--super-digest", zookeeper.SUPER_DIGEST]
        self.member = Member(flags=flags).start()
        self.addCleanup(self.member.close)

    def restart(self):
        self.member.stop()
        self.member.start()

    def wire(self):
        wire = Wire(self.port)
        self.addCleanup(wire.close)
        return wire.connect()

    def super_user(self):
        wire = self.wire()
        self.assertEqual(wire.auth("digest", zookeeper.SUPER.encode()), 0)
        return wire


class Root(FreshMember):
    def test_what_the_service_made_is_not_counted(self):
        wire = self.wire()
        self.assertEqual(wire.stat("/")["cversion"], -1)
        self.assertEqual(wire.stat("/")["children"], 1)
        self.assertEqual(wire.create("/s", flags=2)[1].text(), "/s0000000000")
        self.assertEqual(wire.stat("/")["cversion"], 0)
        self.assertEqual(wire.stat("/")["children"], 2)
        self.assertEqual(wire.create("/s", flags=3)[1].text(), "/s0000000001")
        # HTTP shows the same counter.
        made = self.member.post("/v1/tree/?prefix=s", b"")
        self.assertEqual((made.status, made.json["path"]), (201, "/s0000000002"))

    def test_it_counts_on_after_a_restart(self):
        self.assertEqual(self.wire().create("/s", flags=2)[1].text(), "/s0000000000")
        self.restart()
        self.assertEqual(self.wire().create("/s", flags=2)[1].text(), "/s0000000001")

    def test_nothing_tells_of_what_is_hidden(self):
        wire = self.wire()
        error, at = wire.call(CHILDREN2, buffer("/") + flag(False))
        self.assertEqual((at.texts(), at.stat()["children"]), (["zookeeper"], 1))
        reads = part(CHILDREN, buffer("/") + flag(False)) + part(GET, buffer("/") + flag(False))
        (_, names), (_, (_, stat)) = multi_results(wire.must(MULTI_READ, reads + MULTI_END))
        self.assertEqual((names, stat["children"], stat["cversion"]), (["zookeeper"], 1, -1))
        change = part(SET, buffer("/") + buffer(b"v") + i32(-1))
        (_, stat), = multi_results(wire.must(MULTI, change + MULTI_END))
        self.assertEqual((stat["children"], stat["cversion"]), (1, -1))
        self.assertEqual(wire.must(ALL_CHILDREN, buffer("/")).i32(), 3)

    def test_who_watches_all_is_not_told_of_the_recipes(self):
        wire = self.wire()
        wire.must(ADD_WATCH, buffer("/") + i32(1))
        wire.must(ADD_WATCH, buffer("/.coord/locks") + i32(1))
        self.assertEqual(self.member.post("/v1/locks/jobs?ttl=30s", b"").status, 201)
        wire.create("/after")
        events = [wire.event()]
        while events[-1][1] != "/after":
            events.append(wire.event())
        self.assertEqual(events[-1], (CREATED, "/after"))
        self.assertIn((CREATED, "/.coord/locks/jobs"), events)  # Who asks for it.
        below = [path for _, path in events[:-1] if not path.startswith("/.coord/locks")]
        self.assertEqual(below, [])


class Zookeeper(FreshMember):
    def test_it_has_its_nodes_and_they_stay(self):
        wire = self.super_user()
        error, at = wire.call(CHILDREN2, buffer("/zookeeper") + flag(False))
        names, stat = at.texts(), at.stat()
        self.assertEqual((sorted(names), stat["children"], stat["cversion"]),
                         (["config", "quota"], 2, -2))
        reads = part(CHILDREN, buffer("/zookeeper") + flag(False)) + part(
            GET, buffer(CONFIG) + flag(False)) + part(GET, buffer(QUOTA) + flag(False))
        (_, names), *nodes = multi_results(wire.must(MULTI_READ, reads + MULTI_END))
        self.assertEqual(sorted(names), ["config", "quota"])
        for _, (value, stat) in nodes:
            self.assertEqual((value, stat["length"]), (b"", 0))
        self.assertEqual(wire.must(ALL_CHILDREN, buffer("/zookeeper")).i32(), 2)
        for path in ("/", "/zookeeper", QUOTA, CONFIG):
            self.assertEqual(wire.get(path)[1].buffer(), b"", path)
            self.assertEqual(wire.delete(path), KEPT, path)
            self.assertEqual(wire.create(path)[0], EXISTS, path)

    def test_the_configuration_is_read_and_not_written(self):
        wire = self.wire()
        error, at = wire.get(CONFIG)  # A member without peers has no ensemble to tell of.
        self.assertEqual((error, at.buffer(), at.stat()["length"]), (0, b"", 0))
        at = wire.must(GET_ACL, buffer(CONFIG))
        self.assertEqual([(at.i32(), at.text(), at.text()) for _ in range(at.i32())],
                         [(1, "world", "anyone")])
        self.assertEqual(wire.set(CONFIG, b"mine")[0], NO_AUTH)
        self.assertEqual(wire.call(SET_ACL, buffer(CONFIG) + acl(OPEN) + i32(-1))[0], NO_AUTH)
        self.assertEqual(wire.create(CONFIG + "/below")[0], NO_AUTH)
        # It says who the members are, whoever asks to write it.
        self.assertEqual(self.super_user().set(CONFIG, b"mine")[0], NO_AUTH)
        self.assertEqual(self.member.put("/v1/tree" + CONFIG, b"mine").status, 403)

    def test_watches_on_them_are_as_on_others(self):
        wire = self.wire()
        body = i64(1) + texts([CONFIG, QUOTA]) + texts([]) + texts([QUOTA])
        self.assertEqual(wire.call(SET_WATCHES, body, xid=-8)[0], 0)
        self.assertEqual(wire.events, [])  # Nothing has happened to them.
        wire.children("/zookeeper", watch=True)
        wire.create(QUOTA + "/a")
        self.assertEqual(wire.event(), (CHILD, QUOTA))
        self.assertEqual(wire.set(QUOTA, b"v")[0], 0)
        self.assertEqual(wire.event(), (CHANGED, QUOTA))
        check = part(CHECK, buffer(QUOTA) + i32(1)) + MULTI_END
        self.assertEqual(multi_results(wire.must(MULTI, check)), [(CHECK, None)])

    def test_a_quota_says_what_is_used(self):
        wire = self.wire()
        wire.create("/top", b"abc")
        wire.create("/top/x", b"12345")
        wire.create(QUOTA + "/top")
        stats, limits = QUOTA + "/top/zookeeper_stats", QUOTA + "/top/zookeeper_limits"
        wire.create(stats, b"written once")
        self.assertEqual(wire.get(stats)[1].buffer(), b"written once")  # Of nothing yet.
        wire.create(limits, b"count=9,bytes=-1=;byteHardLimit=-1;countHardLimit=-1")

        def used():
            at = wire.get(stats)[1]
            value, stat = at.buffer(), at.stat()
            self.assertEqual((stat["length"], stat["version"]), (len(value), 0))
            self.assertEqual(wire.stat(stats)["length"], len(value))
            return value

        self.assertEqual(used(), b"count=2,bytes=8")
        wire.create("/top/y", b"67")
        wire.set("/top/y", b"67890")
        self.assertEqual(used(), b"count=3,bytes=13")
        wire.delete("/top/x")
        self.assertEqual(used(), b"count=2,bytes=8")
        self.assertEqual(self.member.get("/v1/tree" + stats).body, b"count=2,bytes=8")
        self.restart()
        wire = self.wire()
        self.assertEqual(used(), b"count=2,bytes=8")
        hard = b"count=9,bytes=-1=;byteHardLimit=-1;countHardLimit=3"
        self.assertEqual(wire.set(limits, hard)[0], 0)
        self.assertEqual(wire.create("/top/z", b"67")[0], 0)
        self.assertEqual(wire.create("/top/zz", b"67")[0], -125)
        self.assertEqual(used(), b"count=3,bytes=10")
        self.assertEqual(wire.delete(limits), 0)
        self.assertEqual(wire.create("/top/zz")[0], 0)
        self.assertEqual(wire.get(stats)[1].buffer(), b"written once")


class Permissions(FreshMember):
    def test_who_may_not_change_the_children_does_not_learn_which_there_are(self):
        owner, other = self.wire(), self.wire()
        owner.auth("digest", b"ann:secret")
        entries = [(31, "auth", ""), (1, "world", "anyone")]
        self.assertEqual(owner.create("/mine", entries=entries)[0], 0)
        self.assertEqual(owner.create("/mine/there")[0], 0)
        for path in ("/mine/there", "/mine/not"):
            self.assertEqual(other.delete(path), NO_AUTH, path)
            several = part(DELETE, buffer(path) + i32(-1)) + MULTI_END
            self.assertEqual(multi_results(other.must(MULTI, several))[0], (-1, NO_AUTH))
        for path in ("/mine/new", "/mine/.."):
            self.assertEqual(other.create(path)[0], NO_AUTH, path)
        self.assertEqual(other.delete("/mine/not/below"), NO_NODE)
        self.assertEqual(owner.delete("/mine/not"), NO_NODE)
        self.assertEqual(owner.create("/mine/..")[0], -8)


if __name__ == "__main__":
    unittest.main()
