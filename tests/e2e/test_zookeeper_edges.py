"""ZooKeeper's port at its edges: what 3.8 answers to what clients seldom send, byte by byte."""

import unittest

from test_zookeeper import ZooKeeperTest
from zkwire import (ADD_WATCH, CHANGED, CHECK, CHECK_WATCHES, CHILD, CHILDREN, CREATE, CREATE2,
                    CREATE_CONTAINER, DELETE, DELETE_CONTAINER, DELETED, EPHEMERALS, EXISTS, GET,
                    GET_ACL, MULTI, MULTI_END, OPEN, RECONFIG, REMOVE_WATCHES, SET, SET_WATCHES,
                    SYNC, WHO_AM_I, acl, buffer, flag, i32, i64, multi_results, part, texts)


class Handshake(ZooKeeperTest):
    def again(self, wire, timeout, **fields):
        return self.wire(session=wire.session, password=wire.password, timeout=timeout, **fields)

    def test_a_session_that_comes_back_negotiates_its_time_out_anew(self):
        wire = self.wire(timeout=8000)
        for asked, given in ((20000, 20000), (10**9, 40000), (1, 4000), (9000, 9000)):
            again = self.again(wire, asked)
            self.assertEqual((again.session, again.timeout), (wire.session, given))
            listed = self.member.get(f"/v1/sessions/{wire.session}").json
            self.assertEqual(listed["ttl_ms"], given)

    def test_it_expires_after_the_time_out_that_it_has_now(self):
        wire, other = self.wire(timeout=40000), self.wire(timeout=40000)
        path = self.path()
        again = self.again(wire, 4000)
        self.assertEqual(again.create(path, flags=1)[0], 0)
        other.exists(path, watch=True)
        again.close()
        self.assertEqual(other.event(), (DELETED, path))  # The reader waits 20 s, not 40.

    def test_who_has_seen_less_than_nothing_is_let_in(self):
        for seen in (-1, -2**63):
            self.assertNotEqual(self.wire(seen=seen).session, 0)


class Zxids(ZooKeeperTest):
    def test_the_first_reply_tells_what_was_applied(self):
        before = self.wire()
        self.node(before)
        wire = self.wire()
        wire.must(WHO_AM_I)
        self.assertGreater(wire.zxid, before.zxid)

    def test_what_is_refused_at_the_door_tells_what_was_applied(self):
        wire, other = self.wire(), self.wire()
        top = self.node(wire)
        bad = ((CREATE, buffer(top + "/x") + buffer(b"") + acl(OPEN) + i32(99), -8),
               (CREATE, buffer(top), -5), (ADD_WATCH, buffer(top) + i32(7), -5),
               (DELETE_CONTAINER, buffer(top), -8), (MULTI, part(GET, buffer("/")), -5))
        for op, body, code in bad:
            other.set(top, b"")
            error, _ = other.exists(top)
            self.assertEqual(wire.call(op, body)[0], code)
            self.assertEqual(wire.zxid, other.zxid, op)


class Nodes(ZooKeeperTest):
    def test_create_container_makes_containers_whatever_the_flags(self):
        wire = self.wire()
        top = self.node(wire)
        for flags in range(5):
            error, at = wire.create(f"{top}/{flags}-", flags=flags, op=CREATE_CONTAINER)
            path, stat = at.text(), at.stat()
            self.assertEqual((error, stat["owner"]), (0, 0))
            self.assertEqual(path == f"{top}/{flags}-", flags not in (2, 3), path)
            self.assertEqual(self.member.get("/v1/stat" + path).json["mode"], "container")
        self.assertEqual(wire.must(EPHEMERALS, buffer(top)).texts(), [])

    def test_in_a_multi_the_flags_say_what_is_made(self):
        wire = self.wire()
        top = self.node(wire)
        kinds = [(op, flags) for op in (CREATE, CREATE2, CREATE_CONTAINER) for flags in (0, 1, 4)]
        body = b"".join(part(op, buffer(f"{top}/{op}-{flags}") + buffer(b"") + acl(OPEN) +
                             i32(flags)) for op, flags in kinds)
        results = multi_results(wire.must(MULTI, body + MULTI_END))
        self.assertEqual([kind for kind, _ in results],
                         [CREATE2 if flags == 4 else CREATE for _, flags in kinds])
        owners = [wire.stat(f"{top}/{op}-{flags}")["owner"] for op, flags in kinds]
        self.assertEqual(owners, [wire.session if flags == 1 else 0 for _, flags in kinds])

    def test_the_parent_of_a_relative_path_is_missing(self):
        wire = self.wire()
        for path, want in (("p/q", -101), ("p/q/", -101), ("p", -8), ("p/q\0", -8),
                           ("/none/a\0b", -8)):
            self.assertEqual(wire.create(path)[0], want, path)
            self.assertEqual(wire.create(path, flags=2)[0], want, path)
            self.assertEqual(wire.delete(path), want, path)
            for op, body in ((CREATE, buffer(path) + buffer(b"") + acl(OPEN) + i32(0)),
                             (DELETE, buffer(path) + i32(-1))):
                at = wire.must(MULTI, part(op, body) + MULTI_END)
                self.assertEqual(multi_results(at), [(-1, want)], path)
            self.assertEqual(wire.set(path, b"")[0], -8, path)

    def test_names_may_be_long(self):
        wire, top = self.wire(), self.path()
        self.assertEqual(wire.create(top)[0], 0)
        names = [f"{i:04}" + "n" * 2043 for i in range(1200)]  # More than a client's jute.maxbuffer.
        sent = [wire.send(CREATE, buffer(f"{top}/{name}") + buffer(b"v") + acl(OPEN) + i32(0))
                for name in names]
        self.assertEqual({wire.reply(xid)[0] for xid in sent}, {0})
        error, at = wire.children(top)
        self.assertEqual((error, at.texts()), (0, names))
        self.assertEqual(wire.create(f"{top}/{names[0]}n")[0], -8)
        self.assertEqual(self.member.get(f"/v1/tree{top}/{names[0]}").body, b"v")

    def test_nul_is_refused_by_exists_and_not_found_by_other_reads(self):
        wire = self.wire()
        self.assertEqual(wire.exists("/a\0b")[0], -8)
        self.assertEqual(wire.get("/a\0b")[0], -101)

    def test_a_path_that_is_null_is_malformed(self):
        wire = self.wire()
        null = buffer(None)
        rest = buffer(b"") + acl(OPEN) + i32(0)
        for op, body in ((CREATE, null + rest), (DELETE, null + i32(-1)),
                         (EXISTS, null + flag(True)), (GET, null + flag(False)),
                         (CHILDREN, null + flag(False)), (GET_ACL, null),
                         (CHECK_WATCHES, null + i32(3)), (REMOVE_WATCHES, null + i32(3)),
                         (MULTI, part(CHECK, null + i32(0)) + MULTI_END),
                         (MULTI, part(SET, null + buffer(b"") + i32(0)) + MULTI_END)):
            self.assertEqual(wire.call(op, body)[0], -5, op)
        self.assertEqual(wire.set(None, b"")[0], -8)
        self.assertEqual(wire.must(EPHEMERALS, null).texts(), [])

    def test_sync_answers_the_empty_path_too(self):
        self.assertEqual(self.wire().must(SYNC, buffer("")).text(), "")

    def test_reconfig_says_what_is_malformed(self):
        wire = self.wire()
        wire.auth("digest", b"super:secret")
        nothing = buffer("")
        for joining, version, want in (
                ("junk", -1, -8), ("junk", 5, -103), ("server.2", 0, -8),
                ("server.2=h:1:2", -1, -8), ("server.x=h:1:2;3", -1, -8),
                ("server.2=h:1:2;3,junk", -1, -8), ("server.2=h:1:2;3,server.3=h:1:2;3", -1, -6)):
            body = buffer(joining) + nothing + nothing + i64(version)
            self.assertEqual(wire.call(RECONFIG, body)[0], want, joining)
        self.assertEqual(wire.call(RECONFIG, nothing * 2 + buffer("junk") + i64(-1))[0], -8)


class Watches(ZooKeeperTest):
    def test_a_type_that_is_none_is_malformed(self):
        wire = self.wire()
        path = self.node(wire)
        for mode in (-1, 2):
            self.assertEqual(wire.call(ADD_WATCH, buffer(path) + i32(mode))[0], -5, mode)
        for kind in (-1, 0, 4, 9):
            for op in (CHECK_WATCHES, REMOVE_WATCHES):
                self.assertEqual(wire.call(op, buffer(path) + i32(kind))[0], -5, kind)

    def test_lists_of_set_watches_are_not_null(self):
        wire = self.wire()
        none, null = texts([]), i32(-1)
        for lists in (null + none + none, none + none + null, i32(1) + null + none + none):
            self.assertEqual(wire.call(SET_WATCHES, i64(0) + lists, xid=-8)[0], -5)

    def test_half_of_a_persistent_watch_is_removed(self):
        other = self.wire()
        top = self.node(other)
        # Removed of it, and what is told of a change, a new child and its end.
        for mode, kind, told in ((0, 1, [(CHANGED, top)]), (0, 2, [(CHILD, top), (CHILD, top)]),
                                 (1, 2, [(DELETED, top + "/x")]), (1, 3, [])):
            wire = self.wire()
            wire.must(ADD_WATCH, buffer(top) + i32(mode))
            self.assertEqual(wire.call(REMOVE_WATCHES, buffer(top) + i32(kind))[0], 0)
            self.assertEqual(wire.call(REMOVE_WATCHES, buffer(top) + i32(kind))[0], -121)
            left = [wire.call(CHECK_WATCHES, buffer(top) + i32(one))[0] for one in (1, 2)]
            self.assertEqual(left, [-121 if kind in (one, 3) else 0 for one in (1, 2)])
            other.set(top, b"")
            other.create(top + "/x")
            other.delete(top + "/x")
            wire.must(SYNC, buffer(top))
            self.assertEqual([(event, path) for event, _, path in wire.events], told)
            wire.close()


if __name__ == "__main__":
    unittest.main()
