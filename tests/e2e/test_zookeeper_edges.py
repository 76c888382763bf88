"""ZooKeeper's port at its edges: what 3.8 answers to what clients seldom send, byte by byte."""

import unittest

from test_zookeeper import ZooKeeperTest
from zkwire import (ADD_WATCH, CHANGED, CHECK_WATCHES, CHILD, CREATE, DELETE_CONTAINER, DELETED,
                    GET, MULTI, OPEN, REMOVE_WATCHES, SYNC, WHO_AM_I, acl, buffer, i32, part)


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
               (CREATE, buffer(top), -5), (ADD_WATCH, buffer(top) + i32(7), -8),
               (DELETE_CONTAINER, buffer(top), -8), (MULTI, part(GET, buffer("/")), -5))
        for op, body, code in bad:
            other.set(top, b"")
            error, _ = other.exists(top)
            self.assertEqual(wire.call(op, body)[0], code)
            self.assertEqual(wire.zxid, other.zxid, op)


class Watches(ZooKeeperTest):
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
