"""ZooKeeper's wire protocol, byte by byte: what the reference server does where clients can tell.
Each pitfall has a case."""

import base64
import hashlib
import re
import struct
import unittest

from harness import Member, free_port
from zkwire import (ADD_WATCH, ALL_CHILDREN, CHANGED, CHECK, CHECK_WATCHES, CHILD, CHILDREN,
                    CLOSE, CREATE, CREATE2, CREATE_CONTAINER, CREATE_TTL, CREATED,
                    DELETE, DELETE_CONTAINER, DELETED, EPHEMERALS, EXISTS, GET, GET_ACL, MULTI,
                    MULTI_END, MULTI_READ, OPEN, PING, RECONFIG, REMOVE_WATCHES, SET, SET_ACL,
                    SET_WATCHES, SET_WATCHES2, SYNC, WHO_AM_I, Closed, Wire, acl, buffer, flag,
                    i32, i64, multi_results, part, texts)

SUPER = "super:" + base64.b64encode(hashlib.sha1(b"super:secret").digest()).decode()


def digest(user, password):
    return f"{user}:" + base64.b64encode(hashlib.sha1(f"{user}:{password}".encode()).digest()).decode()


class ZooKeeperTest(unittest.TestCase):
    flags = ("--zookeeper-words", "*", "--super-digest", SUPER)

    @classmethod
    def setUpClass(cls):
        cls.zk_port = free_port()
        cls.member = Member(flags=["--zookeeper", f"127.0.0.1:{cls.zk_port}", *cls.flags]).start()

    @classmethod
    def tearDownClass(cls):
        cls.member.close()

    def wire(self, connect=True, **fields):
        wire = Wire(self.zk_port)
        self.addCleanup(wire.close)
        return wire.connect(**fields) if connect else wire

    def path(self):
        return "/" + re.sub(r"[^A-Za-z0-9]", "-", self.id().split(".")[-1])

    def node(self, wire, suffix="", data=b""):
        path = self.path() + suffix
        error, _ = wire.create(path, data)
        self.assertEqual(error, 0)
        return path


class Handshake(ZooKeeperTest):
    def test_the_answer_has_37_bytes_with_the_read_only_byte_and_36_without(self):
        for read_only, size in ((False, 37), (True, 37), (None, 36)):
            self.assertEqual(self.wire(read_only=read_only).connect_size, size)

    def test_the_time_out_is_negotiated_into_its_bounds(self):
        for asked, given in ((1, 4000), (10000, 10000), (10**9, 40000), (-5, 4000)):
            self.assertEqual(self.wire(timeout=asked).timeout, given)

    def test_a_session_has_an_id_and_16_bytes_of_password(self):
        first, second = self.wire(), self.wire()
        self.assertGreater(first.session, 0)
        self.assertNotEqual(first.session, second.session)
        self.assertEqual(len(first.password), 16)
        self.assertNotEqual(first.password, second.password)

    def test_a_frame_may_come_in_any_pieces(self):
        wire = self.wire(connect=False)
        frame = buffer(i32(0) + i64(0) + i32(10000) + i64(0) + buffer(bytes(16)) + flag(False))
        for at in range(len(frame)):
            wire.link.sendall(frame[at:at + 1])
        self.assertEqual(len(wire.read_frame()), 37)
        ping = buffer(i32(-2) + i32(PING)) * 3
        wire.link.sendall(ping[:17])
        wire.link.sendall(ping[17:])
        for _ in range(3):
            self.assertEqual(wire.reply(-2)[0], 0)

    def test_a_frame_that_is_too_large_ends_the_connection_and_not_the_session(self):
        for length in (1048576, 2**31 - 1, -1):
            wire = self.wire()
            wire.link.sendall(i32(length) + b"x")
            self.assertTrue(wire.is_closed())
            again = self.wire(session=wire.session, password=wire.password)
            self.assertEqual(again.session, wire.session)

    def test_a_refused_session_is_answered_with_time_out_0_and_id_0(self):
        wire = self.wire(session=0x7fff0000)
        self.assertEqual((wire.timeout, wire.session), (0, 0))
        self.assertTrue(wire.is_closed())

    def test_a_wrong_password_is_refused_and_the_session_lives_on(self):
        owner = self.wire()
        other = self.wire(session=owner.session, password=b"0123456789abcdef")
        self.assertEqual((other.timeout, other.session), (0, 0))
        self.assertTrue(other.is_closed())
        self.assertEqual(owner.ping()[0], 0)

    def test_who_has_seen_more_than_the_member_has_is_left_without_an_answer(self):
        wire = self.wire(connect=False)
        wire.send_connect(seen=2**40)
        with self.assertRaises(Closed):
            wire.read_exactly(1)

    def test_a_session_moves_to_a_new_connection_with_its_ephemerals(self):
        first = self.wire()
        path = self.path()
        self.assertEqual(first.create(path, b"", flags=1)[0], 0)
        second = self.wire(session=first.session, password=first.password)
        self.assertEqual(second.session, first.session)
        self.assertTrue(first.is_closed())
        self.assertEqual(second.stat(path)["owner"], second.session)

    def test_a_silent_session_expires_and_its_connection_is_closed(self):
        wire = self.wire(timeout=4000)
        path = self.path()
        wire.create(path, b"", flags=1)
        wire.exists(path, watch=True)
        self.assertEqual(wire.event(), (DELETED, path))  # As ZooKeeper: the last that it is told.
        self.assertTrue(wire.is_closed())
        self.assertEqual(self.wire().exists(path)[0], -101)
        self.assertEqual(self.wire(session=wire.session, password=wire.password).timeout, 0)

    def test_closing_a_session_is_answered_and_ends_its_ephemerals(self):
        wire, other = self.wire(), self.wire()
        path = self.path()
        wire.create(path, b"", flags=1)
        self.assertEqual(wire.call(CLOSE)[0], 0)
        self.assertTrue(wire.is_closed())
        self.assertEqual(other.exists(path)[0], -101)

    def test_rubbish_harms_only_its_sender(self):
        bystander = self.wire()
        for rubbish in (b"\0" * 64, b"GET / HTTP/1.1\r\n\r\n", buffer(b"short"), b"\xff" * 32):
            wire = self.wire(connect=False)
            wire.link.sendall(rubbish)
            if rubbish[:1] != b"\0":
                self.assertTrue(wire.is_closed())
        self.assertEqual(bystander.ping()[0], 0)

    def test_an_http_session_and_this_one_are_the_same(self):
        wire = self.wire()
        listed = self.member.get(f"/v1/sessions/{wire.session}").json
        self.assertEqual(int(listed["id"]), wire.session)
        opened = self.member.open_session(15000)
        number, secret = opened["session"].split(".")
        again = self.wire(session=int(number), password=bytes.fromhex(secret))
        self.assertEqual(again.session, int(number))
        self.assertEqual(again.create(self.path(), b"", flags=1)[0], 0)
        self.assertEqual(again.stat(self.path())["owner"], int(number))


class Order(ZooKeeperTest):
    def test_reserved_xids(self):
        wire = self.wire()
        error, at = wire.ping()
        self.assertEqual((error, at.done()), (0, True))
        self.assertEqual(wire.auth("digest", b"a:b"), 0)
        self.assertEqual(wire.auth("digest", b"name-alone"), 0)
        self.assertEqual(wire.call(SET_WATCHES, i64(0) + texts([]) * 3, xid=-8)[0], 0)
        self.assertEqual(wire.auth("nonsense", b"a:b"), -115)
        self.assertTrue(wire.is_closed())

    def test_replies_come_in_the_order_of_requests_and_reads_see_earlier_writes(self):
        wire = self.wire()
        path = self.node(wire)
        xids = []
        for round_ in range(50):
            xids.append((wire.send(SET, buffer(path) + buffer(str(round_)) + i32(-1)), None))
            xids.append((wire.send(GET, buffer(path) + flag(False)), str(round_).encode()))
            if round_ % 10 == 0:
                xids.append((wire.send(SYNC, buffer(path)), None))
                wire.send(PING, xid=-2)
                xids.append((-2, None))
        last = 0
        for xid, value in xids:
            error, at = wire.reply(xid)
            self.assertEqual(error, 0)
            self.assertGreaterEqual(wire.zxid, last)
            last = wire.zxid
            if value is not None:
                self.assertEqual(at.buffer(), value)

    def test_a_write_tells_its_zxid_and_a_failed_one_takes_one_too(self):
        wire = self.wire()
        path = self.node(wire)
        made = wire.zxid
        self.assertEqual(wire.stat(path)["czxid"], made)
        error, at = wire.create(path)
        self.assertEqual((error, at.done()), (-110, True))
        self.assertGreater(wire.zxid, made)
        failed = wire.zxid
        error, at = wire.set(path, b"x")
        self.assertEqual(at.stat()["mzxid"], wire.zxid)
        self.assertGreater(wire.zxid, failed)

    def test_an_event_comes_before_the_reply_that_shows_it(self):
        wire, other = self.wire(), self.wire()
        path = self.node(wire)
        wire.get(path, watch=True)
        xid = wire.send(SET, buffer(path) + buffer(b"1") + i32(-1))
        self.assertEqual(wire.event(), (CHANGED, path))
        self.assertEqual(wire.reply(xid)[0], 0)
        wire.get(path, watch=True)
        other.set(path, b"2")
        error, at = wire.get(path)
        self.assertEqual(at.buffer(), b"2")
        self.assertEqual(wire.event(), (CHANGED, path))

    def test_sync_answers_the_path(self):
        wire = self.wire()
        for path in (self.node(wire), "/not-there"):
            self.assertEqual(wire.must(SYNC, buffer(path)).text(), path)

    def test_an_unknown_operation_is_answered_and_closed(self):
        wire = self.wire()
        self.assertEqual(wire.call(4711)[0], -6)
        self.assertTrue(wire.is_closed())

    def test_a_request_that_is_cut_short_is_an_error_and_no_end(self):
        wire = self.wire()
        for op in (CREATE, DELETE, EXISTS, GET, SET, SET_ACL, CHILDREN, MULTI, ADD_WATCH):
            self.assertEqual(wire.call(op, b"\0\0")[0], -5, op)
        self.assertEqual(wire.call(CREATE, buffer("/x") + buffer(b"") + i32(2**30))[0], -5)
        self.assertEqual(wire.ping()[0], 0)


class Nodes(ZooKeeperTest):
    def test_a_sequence_counts_children_ever_created_and_cversion_deletes_too(self):
        wire = self.wire()
        top = self.node(wire)
        names = []
        for flags, name in ((2, "s"), (0, "plain"), (3, "e")):
            error, at = wire.create(f"{top}/{name}", b"", flags=flags)
            self.assertEqual(error, 0)
            names.append(at.text())
        self.assertEqual(names, [f"{top}/s0000000000", f"{top}/plain", f"{top}/e0000000002"])
        self.assertEqual(wire.delete(names[0]), 0)
        removed = wire.zxid
        stat = wire.stat(top)
        self.assertEqual((stat["cversion"], stat["children"], stat["pzxid"]), (4, 2, removed))
        self.assertEqual(wire.create(f"{top}/", b"", flags=2)[1].text(), f"{top}/0000000003")

    def test_a_child_and_an_acl_change_their_own_versions_alone(self):
        wire = self.wire()
        top = self.node(wire)
        before = wire.stat(top)
        self.assertEqual(before["pzxid"], before["czxid"])
        wire.create(top + "/a")
        after = wire.stat(top)
        self.assertEqual(after["pzxid"], wire.zxid)
        self.assertEqual((after["mzxid"], after["version"]), (before["mzxid"], 0))
        error, at = wire.call(SET_ACL, buffer(top) + acl(OPEN) + i32(-1))
        stat = at.stat()
        self.assertEqual((error, stat["aversion"], stat["mzxid"], stat["version"]),
                         (0, 1, before["mzxid"], 0))
        self.assertEqual(wire.call(SET_ACL, buffer(top) + acl(OPEN) + i32(7))[0], -103)

    def test_null_data_stays_null_and_empty_stays_empty(self):
        wire = self.wire()
        top = self.node(wire)
        for name, data in (("null", None), ("empty", b"")):
            wire.create(f"{top}/{name}", data)
            error, at = wire.get(f"{top}/{name}")
            self.assertEqual((at.buffer(), at.stat()["length"]), (data, 0))
        error, at = wire.set(top, None)
        self.assertEqual(wire.get(top)[1].buffer(), None)

    def test_containers_and_ttl_nodes_show_no_owner(self):
        wire = self.wire()
        top = self.node(wire)
        error, at = wire.create(top + "/c", b"", flags=4, op=CREATE_CONTAINER)
        self.assertEqual((error, at.text(), at.stat()["owner"]), (0, top + "/c", 0))
        error, at = wire.create(top + "/t", b"", flags=5, op=CREATE_TTL, ttl=600000)
        self.assertEqual((error, at.text(), at.stat()["owner"]), (0, top + "/t", 0))
        error, at = wire.create(top + "/t", b"", flags=6, op=CREATE_TTL, ttl=600000)
        self.assertEqual(at.text(), top + "/t0000000002")
        self.assertEqual(wire.create(top + "/d", b"", flags=4)[0], 0)
        self.assertEqual(wire.create(top + "/n", b"", flags=5, op=CREATE_TTL, ttl=0)[0], -8)
        self.assertEqual(wire.create(top + "/n", b"", flags=9)[0], -8)
        self.assertEqual(wire.call(DELETE_CONTAINER, buffer(top + "/c"))[0], -8)

    def test_create_answers_the_path_and_create2_the_stat_too(self):
        wire = self.wire()
        top = self.node(wire)
        error, at = wire.create(top + "/a")
        self.assertEqual((at.text(), at.done()), (top + "/a", True))
        error, at = wire.create(top + "/b", b"xyz", op=CREATE2)
        self.assertEqual((at.text(), at.stat()["length"], at.done()), (top + "/b", 3, True))

    def test_errors_of_nodes(self):
        wire = self.wire()
        top = self.node(wire)
        wire.create(top + "/e", b"", flags=1)
        wire.create(top + "/full")
        wire.create(top + "/full/x")
        cases = (
            (-101, wire.get("/missing")[0]), (-101, wire.set("/missing", b"")[0]),
            (-101, wire.set("/missing", b"", 3)[0]), (-101, wire.delete("/missing", 3)),
            (-101, wire.create("/missing/child")[0]), (-110, wire.create(top)[0]),
            (-103, wire.set(top, b"", 5)[0]), (-103, wire.delete(top + "/e", 5)),
            (-111, wire.delete(top)), (-111, wire.delete(top + "/full")),
            (-108, wire.create(top + "/e/child")[0]), (-101, wire.children("/missing")[0]))
        for want, got in cases:
            self.assertEqual(got, want, cases)

    def test_paths_are_checked_after_the_parent(self):
        wire = self.wire()
        top = self.node(wire)
        for path, want in (("/no//b", -101), (top + "//b", -101), (top + "/", -8), ("", -8),
                           ("relative", -8), (top + "/..", -8), (top + "/a\x01b", -8),
                           ("/", -110)):
            self.assertEqual(wire.create(path)[0], want, path)
        for path in ("/a//b", "relative", top + "/", top + "/."):
            self.assertEqual(wire.get(path)[0], -101, path)
        self.assertEqual(wire.exists("")[0], 0)
        for path in ("/", "/zookeeper", "relative"):
            self.assertEqual(wire.delete(path), -8, path)
        self.assertEqual(wire.set(top + "/", b"")[0], -8)

    def test_reconfig_is_for_the_super_user_and_done_elsewhere(self):
        wire = self.wire()
        change = buffer("server.2=h:1:2;3") + buffer("") + buffer("")
        self.assertEqual(wire.call(RECONFIG, change + i64(-1))[0], -102)
        wire.auth("digest", b"super:secret")
        self.assertEqual(wire.call(RECONFIG, change + i64(-1))[0], -6)
        self.assertEqual(wire.call(RECONFIG, change + i64(77))[0], -103)
        self.assertEqual(wire.call(RECONFIG, buffer("") * 3 + i64(-1))[0], -8)

    def test_what_http_writes_is_read_here_and_the_reverse(self):
        wire = self.wire()
        path = self.path()
        self.assertEqual(self.member.put("/v1/tree" + path, b"from http").status, 201)
        self.assertEqual(wire.get(path)[1].buffer(), b"from http")
        wire.set(path, b"from zookeeper")
        self.assertEqual(self.member.get("/v1/tree" + path).body, b"from zookeeper")

    def test_many_children_come_in_one_answer(self):
        wire = self.wire()
        top = self.node(wire)
        for start in range(0, 12000, 1000):
            body = b"".join(part(CREATE, buffer(f"{top}/{n:05}") + buffer(b"") + acl(OPEN) + i32(0))
                            for n in range(start, start + 1000))
            self.assertEqual(len(multi_results(wire.must(MULTI, body + MULTI_END))), 1000)
        self.assertEqual(len(wire.children(top)[1].texts()), 12000)
        self.assertEqual(wire.must(ALL_CHILDREN, buffer(top)).i32(), 12000)

    def test_ephemerals_of_the_session_and_who_it_is(self):
        wire = self.wire()
        top = self.node(wire)
        for name in ("a", "b", "other"):
            wire.create(f"{top}/{name}", b"", flags=1)
        self.assertEqual(wire.must(EPHEMERALS, buffer(top + "/")).texts(),
                         [f"{top}/a", f"{top}/b", f"{top}/other"])
        self.assertEqual(wire.must(EPHEMERALS, buffer(top + "/o")).texts(), [f"{top}/other"])
        wire.auth("digest", b"joe:secret")
        at = wire.must(WHO_AM_I)
        self.assertEqual([(at.text(), at.text()) for _ in range(at.i32())],
                         [("ip", "127.0.0.1"), ("digest", "joe")])


class Multi(ZooKeeperTest):
    def test_all_of_it_or_nothing(self):
        wire = self.wire()
        top = self.node(wire)
        body = (part(CREATE, buffer(top + "/a") + buffer(b"1") + acl(OPEN) + i32(0)) +
                part(CREATE2, buffer(top + "/b") + buffer(b"2") + acl(OPEN) + i32(0)) +
                part(CREATE_CONTAINER, buffer(top + "/c") + buffer(b"") + acl(OPEN) + i32(4)) +
                part(CREATE_TTL, buffer(top + "/t") + buffer(b"") + acl(OPEN) + i32(5) + i64(9999)) +
                part(SET, buffer(top + "/a") + buffer(b"3") + i32(0)) +
                part(CHECK, buffer(top + "/a") + i32(1)) +
                part(DELETE, buffer(top + "/b") + i32(-1)))
        results = multi_results(wire.must(MULTI, body + MULTI_END))
        self.assertEqual([kind for kind, _ in results],
                         [CREATE, CREATE, CREATE2, CREATE2, SET, CHECK, DELETE])
        self.assertEqual(results[0][1], top + "/a")
        self.assertEqual(results[4][1]["mzxid"], wire.zxid)
        self.assertEqual(wire.stat(top + "/a")["czxid"], wire.zxid)
        self.assertEqual(wire.exists(top + "/b")[0], -101)

    def test_a_failed_one_says_each_code_twice_and_has_one_zxid(self):
        wire = self.wire()
        top = self.node(wire)
        make = part(CREATE, buffer(top + "/a") + buffer(b"") + acl(OPEN) + i32(0))
        for bad, code in ((part(DELETE, buffer(top + "/no") + i32(-1)), -101),
                          (part(CHECK, buffer(top) + i32(9)), -103),
                          (part(CHECK, buffer("/no//x") + i32(9)), -8),
                          (part(CREATE, buffer(top + "/b") + buffer(b"") + acl([]) + i32(0)), -114),
                          (part(CREATE, buffer(top + "/b") + buffer(b"") + acl(OPEN) + i32(9)), -8)):
            before = wire.zxid
            error, at = wire.call(MULTI, make + bad + make + MULTI_END)
            self.assertEqual(error, 0)
            self.assertEqual(multi_results(at), [(-1, 0), (-1, code), (-1, -2)])
            self.assertGreater(wire.zxid, before)
        self.assertEqual(wire.exists(top + "/a")[0], -101)

    def test_an_empty_one_is_fine(self):
        self.assertEqual(multi_results(self.wire().must(MULTI, MULTI_END)), [])

    def test_errors_do_not_stop_the_others_of_a_multi_read(self):
        wire = self.wire()
        top = self.node(wire, data=b"v")
        wire.create(top + "/x")
        body = (part(GET, buffer(top) + flag(False)) + part(GET, buffer("/no") + flag(False)) +
                part(CHILDREN, buffer(top) + flag(False)))
        results = multi_results(wire.must(MULTI_READ, body + MULTI_END))
        self.assertEqual(results[0][1][0], b"v")
        self.assertEqual(results[1], (-1, -101))
        self.assertEqual(results[2], (CHILDREN, ["x"]))


class Watches(ZooKeeperTest):
    def quiet(self, wire):
        """Nothing has come that was not asked for."""
        wire.ping()
        self.assertEqual(wire.events, [])

    def test_reads_of_a_missing_node_leave_no_watch_but_exists_does(self):
        wire = self.wire()
        path = self.path()
        self.assertEqual(wire.get(path, watch=True)[0], -101)
        self.assertEqual(wire.children(path, watch=True)[0], -101)
        wire.create(path)
        self.quiet(wire)
        wire.delete(path)
        self.assertEqual(wire.exists(path, watch=True)[0], -101)
        wire.create(path)
        self.assertEqual(wire.event(), (CREATED, path))

    def test_several_kinds_on_one_node_give_one_deleted_event(self):
        wire = self.wire()
        path = self.node(wire)
        wire.get(path, watch=True)
        wire.exists(path, watch=True)
        wire.children(path, watch=True)
        wire.delete(path)
        self.assertEqual(wire.event(), (DELETED, path))
        self.quiet(wire)

    def test_a_watch_fires_once(self):
        wire = self.wire()
        path = self.node(wire)
        wire.children(path, watch=True)
        wire.create(path + "/a")
        self.assertEqual(wire.event(), (CHILD, path))
        wire.create(path + "/b")
        wire.set(path, b"x")
        self.quiet(wire)

    def test_watches_end_with_their_connection_and_are_brought_again(self):
        wire, other = self.wire(), self.wire()
        top = self.node(wire)
        for name in ("changed", "deleted", "same", "parent", "leaf"):
            wire.create(f"{top}/{name}")
        seen = wire.zxid
        wire.get(top + "/changed", watch=True)
        other.set(top + "/changed", b"x")
        other.delete(top + "/deleted")
        other.create(top + "/parent/child")
        other.create(top + "/made")
        again = self.wire(session=wire.session, password=wire.password, seen=seen)
        body = (i64(seen) + texts([top + "/changed", top + "/deleted", top + "/same"]) +
                texts([top + "/made", top + "/unmade"]) +
                texts([top + "/parent", top + "/leaf", top + "/deleted"]))
        error, _ = again.call(SET_WATCHES, body, xid=-8)
        self.assertEqual(error, 0)
        events = {(kind, path[len(top):]) for kind, _, path in again.events}
        self.assertEqual(events, {(CHANGED, "/changed"), (DELETED, "/deleted"), (CREATED, "/made"),
                                  (CHILD, "/parent")})
        again.events.clear()
        other.set(top + "/same", b"y")
        self.assertEqual(again.event(), (CHANGED, top + "/same"))
        other.create(top + "/unmade")
        self.assertEqual(again.event(), (CREATED, top + "/unmade"))
        other.create(top + "/leaf/child")
        self.assertEqual(again.event(), (CHILD, top + "/leaf"))

    def test_a_persistent_watch_stays_and_a_recursive_one_sees_all_below(self):
        wire = self.wire()
        top = self.node(wire)
        self.assertEqual(wire.must(ADD_WATCH, buffer(top) + i32(0)).i32(), 0)
        wire.get(top, watch=True)
        wire.set(top, b"1")
        self.assertEqual(wire.event(), (CHANGED, top))
        wire.set(top, b"2")
        wire.create(top + "/a")
        self.assertEqual([wire.event(), wire.event()], [(CHANGED, top), (CHILD, top)])
        deep = self.node(wire, "-deep")
        wire.must(ADD_WATCH, buffer(deep) + i32(1))
        wire.create(deep + "/x")
        wire.create(deep + "/x/y")
        wire.delete(deep + "/x/y")
        self.assertEqual([wire.event() for _ in range(3)],
                         [(CREATED, deep + "/x"), (CREATED, deep + "/x/y"),
                          (DELETED, deep + "/x/y")])
        self.quiet(wire)
        self.assertEqual(wire.call(ADD_WATCH, buffer(top) + i32(7))[0], -5)

    def test_set_watches_2_brings_persistent_ones(self):
        wire = self.wire()
        top = self.node(wire)
        error, _ = wire.call(SET_WATCHES2, i64(0) + texts([]) * 3 + texts([top]) + texts([top]),
                             xid=-8)
        self.assertEqual(error, 0)
        wire.create(top + "/a")
        self.assertEqual([wire.event(), wire.event()], [(CREATED, top + "/a"), (CHILD, top)])

    def test_watches_are_looked_for_and_removed(self):
        wire = self.wire()
        path = self.node(wire)
        self.assertEqual(wire.call(REMOVE_WATCHES, buffer(path) + i32(3))[0], -121)
        self.assertEqual(wire.call(CHECK_WATCHES, buffer(path) + i32(3))[0], -121)
        wire.get(path, watch=True)
        self.assertEqual(wire.call(CHECK_WATCHES, buffer(path) + i32(2))[0], 0)
        self.assertEqual(wire.call(CHECK_WATCHES, buffer(path) + i32(1))[0], -121)
        self.assertEqual(wire.call(REMOVE_WATCHES, buffer(path) + i32(2))[0], 0)
        wire.set(path, b"x")
        self.quiet(wire)


class Acls(ZooKeeperTest):
    def test_auth_becomes_the_callers_identities_and_others_are_kept_out(self):
        owner, other = self.wire(), self.wire()
        path = self.path()
        self.assertEqual(owner.create(path, b"", entries=[(31, "auth", "")])[0], -114)
        owner.auth("digest", b"joe:secret")
        self.assertEqual(owner.create(path, b"v", entries=[(31, "auth", "")])[0], 0)
        at = owner.must(GET_ACL, buffer(path))
        self.assertEqual((at.i32(), at.i32(), at.text(), at.text()),
                         (1, 31, "digest", digest("joe", "secret")))
        self.assertEqual(other.get(path)[0], -102)
        self.assertEqual(other.set(path, b"")[0], -102)
        self.assertEqual(other.children(path)[0], -102)
        self.assertEqual(other.create(path + "/x")[0], -102)
        self.assertEqual(other.call(GET_ACL, buffer(path))[0], -102)
        self.assertEqual(other.exists(path)[0], 0)
        self.assertEqual(other.auth("digest", b"joe:wrong"), 0)  # Nobody checks it.
        self.assertEqual(other.get(path)[0], -102)
        self.assertEqual(other.auth("digest", b"super:secret"), 0)
        self.assertEqual(other.get(path)[1].buffer(), b"v")

    def test_a_watch_that_stays_tells_of_what_its_client_may_read(self):
        owner, other = self.wire(), self.wire()
        owner.auth("digest", b"joe:secret")
        top = self.node(owner)
        secret, hidden = f"{top}/secret", f"{top}/hidden"
        self.assertEqual(owner.create(hidden, entries=[(31, "auth", "")])[0], 0)
        for wire in (owner, other):
            self.assertEqual(wire.call(ADD_WATCH, buffer(top) + i32(1))[0], 0)
            self.assertEqual(wire.call(ADD_WATCH, buffer(hidden) + i32(0))[0], 0)
        other.exists(secret, watch=True)
        self.assertEqual(owner.create(secret, entries=[(31, "auth", "")])[0], 0)
        self.assertEqual(owner.create(f"{hidden}/a", entries=[(31, "auth", "")])[0], 0)
        self.assertEqual(owner.set(secret, b"x")[0], 0)
        self.assertEqual(owner.create(f"{top}/open")[0], 0)
        self.assertEqual([owner.event() for _ in range(5)],
                         [(CREATED, secret), (CREATED, f"{hidden}/a"), (CHILD, hidden),
                          (CHANGED, secret), (CREATED, f"{top}/open")])
        # What it asked for by name and once, as `exists` would tell it; and nothing else.
        self.assertEqual([other.event(), other.event()],
                         [(CREATED, secret), (CREATED, f"{top}/open")])

    def test_delete_asks_the_parent(self):
        wire = self.wire()
        top = self.node(wire)
        wire.create(top + "/open", b"", entries=[(1, "world", "anyone")])
        self.assertEqual(wire.delete(top + "/open"), 0)
        wire.create(top + "/p", b"", entries=[(31 - 8, "world", "anyone")])
        wire.create(top + "/p/c")
        self.assertEqual(wire.delete(top + "/p/c"), -102)

    def test_the_hash_shows_as_x_without_admin(self):
        wire = self.wire()
        path = self.path()
        entries = [(1, "world", "anyone"), (31, "digest", digest("joe", "secret"))]
        wire.create(path, b"", entries=entries)
        at = wire.must(GET_ACL, buffer(path))
        self.assertEqual([(at.i32(), at.text(), at.text()) for _ in range(at.i32())],
                         [(1, "world", "anyone"), (31, "digest", "joe:x")])
        wire.auth("digest", b"joe:secret")
        at = wire.must(GET_ACL, buffer(path))
        self.assertEqual([(at.i32(), at.text(), at.text()) for _ in range(at.i32())], entries)

    def test_malformed_acls_are_refused(self):
        wire = self.wire()
        for entries in ([], [(31, "nonsense", "x")], [(31, "world", "nobody")],
                        [(31, "digest", "no-colon")], [(31, "ip", "not-an-address")],
                        [(64, "world", "anyone")]):
            self.assertEqual(wire.create(self.path(), b"", entries=entries)[0], -114, entries)

    def test_an_address_is_an_identity(self):
        wire = self.wire()
        path = self.path()
        self.assertEqual(wire.create(path, b"v", entries=[(31, "ip", "127.0.0.0/8")])[0], 0)
        self.assertEqual(wire.get(path)[0], 0)
        wire.create(path + "-far", b"v", entries=[(31, "ip", "10.0.0.0/8")])
        self.assertEqual(wire.get(path + "-far")[0], -102)


if __name__ == "__main__":
    unittest.main()
