"""Watches: ordered, unique, complete, and resumable over kill -9."""

import json
import time

from harness import MemberTest, Stream, in_background, wait_until


class Watches(MemberTest):
    def test_a_stream_opens_with_a_bookmark_and_brings_each_change_once(self):
        before = self.member.put(self.tree, "v0").revision
        stream = self.watch(f"path={self.base}&values=true")
        self.assertEqual(stream.status, 200)
        self.assertTrue(stream.headers["Content-Type"].startswith("text/event-stream"))
        self.assertEqual(stream.headers["Cache-Control"], "no-store")
        self.assertEqual(stream.headers["X-Accel-Buffering"], "no")
        bookmark = wait_until(lambda: stream.events[:1], 5, "bookmark")[0]
        self.assertEqual(bookmark.event, "bookmark")
        self.assertGreaterEqual(bookmark.data["revision"], before)
        self.assertEqual(bookmark.id, str(bookmark.data["revision"]))
        changed = self.member.put(self.tree, "v1").revision
        deleted = self.member.delete(self.tree).revision
        created = self.member.put(self.tree, "v2").revision
        events = stream.wait_for(3)
        self.assertEqual([(e.event, e.data["revision"], e.id) for e in events],
                         [("changed", changed, str(changed)), ("deleted", deleted, str(deleted)),
                          ("created", created, str(created))])
        self.assertEqual(events[0].data["value"], "v1")
        self.assertEqual(events[0].data["type"], "changed")
        self.assertEqual(events[0].data["path"], self.base)

    def test_values_and_previous_values_come_only_on_demand(self):
        self.member.put(self.tree, "v0")
        bare = self.watch(f"path={self.base}")
        full = self.watch(f"path={self.base}&values=true&prev=true")
        self.member.put(self.tree, b"\xff")
        self.assertNotIn("value", bare.wait_for(1)[0].data)
        data = full.wait_for(1)[0].data
        self.assertEqual((data["value"], data["encoding"]), ("/w==", "base64"))
        self.assertIn("v0", str(data))

    def test_depth_chooses_node_children_or_subtree(self):
        self.member.put(self.tree, "")
        streams = {d: self.watch(f"path={self.base}&depth={d}") for d in ("0", "1", "all")}
        for path in ("/a", "/a/b"):
            self.member.put(self.tree + path, "")
        self.member.put(self.tree, "end")
        want = {"0": [""], "1": ["/a", ""], "all": ["/a", "/a/b", ""]}
        for depth, paths in want.items():
            events = streams[depth].wait_for(len(paths))
            got = [e.data["path"].removeprefix(self.base) for e in events]
            self.assertEqual(got, paths, depth)

    def test_several_paths_in_one_stream_keep_the_order_of_revisions(self):
        for name in ("a", "b", "c"):
            self.member.put(self.tree + name, "")
        stream = self.watch(f"path={self.base}a&path={self.base}c")
        for name in ("c", "b", "a", "c"):
            self.member.put(self.tree + name, "x")
        got = [e.data["path"][-1] for e in stream.wait_for(3)]
        self.assertEqual(got, ["c", "a", "c"])

    def test_initial_sends_the_present_state_first_then_a_bookmark(self):
        self.member.put(self.tree, "top")
        self.member.put(self.tree + "/a", "1")
        stream = self.watch(f"path={self.base}&depth=all&initial=true&values=true")
        wait_until(lambda: len(stream.of()) >= 2 and
                   any(e.event == "bookmark" for e in stream.events[2:]), 5, "initial state")
        first, second = stream.of()[:2]
        self.assertEqual([(e.event, e.data["initial"], e.data["value"]) for e in (first, second)],
                         [("created", True, "top"), ("created", True, "1")])
        self.member.put(self.tree + "/a", "2")
        self.assertNotIn("initial", stream.wait_for(3)[2].data)

    def test_a_transaction_has_one_id_on_its_last_event(self):
        self.member.put(self.tree, "")
        stream = self.watch(f"path={self.base}&depth=all")
        ops = [{"op": "create", "path": f"{self.base}/{i}", "value": ""} for i in range(3)]
        revision = self.member.post("/v1/txn", {"then": ops}).json["revision"]
        events = stream.wait_for(3)
        self.assertEqual([e.id for e in events], ["", "", str(revision)])
        self.assertEqual({e.data["revision"] for e in events}, {revision})

    def test_from_and_last_event_id_resume_after_that_revision(self):
        revisions = [self.member.put(self.tree, str(i)).revision for i in range(5)]
        by_query = self.watch(f"path={self.base}&from={revisions[1]}")
        by_header = self.watch(f"path={self.base}", headers={"Last-Event-ID": str(revisions[1])})
        for stream in (by_query, by_header):
            self.assertEqual([e.data["revision"] for e in stream.wait_for(3)], revisions[2:])
            wait_until(lambda: stream.events[-1].event == "bookmark", 5, "the present")

    def test_ndjson_has_the_same_events_as_lines(self):
        self.member.put(self.tree, "")
        stream = self.watch(f"path={self.base}&values=true", ndjson=True)
        self.assertTrue(stream.headers["Content-Type"].startswith("application/x-ndjson"))
        self.member.put(self.tree, "v")
        event = stream.wait_for(1)[0]
        self.assertEqual((event.data["type"], event.data["value"]), ("changed", "v"))

    def test_a_revision_of_the_future_and_unknown_fields_are_refused(self):
        for query in ("path=/a&from=x", "path=a", "path=/a&depth=2", "", "path=/a&from=-1"):
            with self.subTest(query=query):
                self.expect(self.member.get("/v1/watch?" + query), 400, "bad-request")

    def test_changes_gives_the_feed_in_pages(self):
        start = self.member.put(self.tree, "0").revision
        revisions = [self.member.put(self.tree, str(i)).revision for i in range(1, 5)]
        seen, at = [], start
        while True:
            page = self.expect(self.member.get(f"/v1/changes?from={at}&limit=2"), 200).json
            changes = next(v for v in page.values() if isinstance(v, list))
            if not changes:
                break
            seen += [c["revision"] for c in changes if c["path"] == self.base]
            at = max(c["revision"] for c in changes)
        self.assertEqual(seen, revisions)

    def test_a_resume_over_kill_misses_and_repeats_nothing(self):
        self.member.put(self.tree, "")
        stream = self.watch(f"path={self.base}&depth=all")
        wanted = []
        for i in range(20):
            wanted.append(self.member.put(f"{self.tree}/{i}", "").revision)
        got = [e.data["revision"] for e in stream.wait_for(7)]
        stream.close()
        got = [e.data["revision"] for e in stream.of()]
        last = stream.last_id
        self.member.kill()
        self.member.start()
        for i in range(20, 30):
            wanted.append(self.member.put(f"{self.tree}/{i}", "").revision)
        again = self.watch(f"path={self.base}&depth=all", headers={"Last-Event-ID": last})
        got += [e.data["revision"] for e in again.wait_for(30 - len(got))]
        self.assertEqual(got, wanted)

    def test_a_slow_reader_holds_up_nobody(self):
        import socket
        self.member.put(self.tree, "")
        with socket.create_connection(("127.0.0.1", self.member.port)) as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.sendall(f"GET /v1/watch?path={self.base}&values=true HTTP/1.1\r\n"
                         "Host: x\r\nAccept: text/event-stream\r\n\r\n".encode())
            quick = self.watch(f"path={self.base}")
            value = b"x" * 100_000
            revisions = [self.member.put(self.tree, value).revision for _ in range(200)]
            events = quick.wait_for(200, 20)
            self.assertEqual([e.data["revision"] for e in events], revisions)
        self.expect(self.member.get(self.tree), 200)


class LongPolls(MemberTest):
    def once_waited_for(self, action):
        """Does `action` when the poll that follows waits."""
        self.wait_for_watches(0)

        def act():
            self.wait_for_watches(1)
            action()
        self.addCleanup(in_background(act))

    def test_a_poll_returns_on_a_real_change(self):
        start = self.member.put(self.tree, "0").revision
        self.once_waited_for(lambda: self.member.put(self.tree, "1"))
        answer = self.member.get(f"{self.tree}?wait=10s&since={start}")
        self.expect(answer, 200)
        self.assertEqual(answer.body, b"1")

    def test_a_poll_without_a_change_is_304_at_its_end(self):
        etag = self.member.put(self.tree, "0")["ETag"]
        started = time.monotonic()
        answer = self.member.get(f"{self.tree}?wait=1s", if_none_match=etag)
        self.assertEqual((answer.status, answer.body), (304, b""))
        self.assertGreater(time.monotonic() - started, 0.9)

    def test_what_changed_since_is_answered_at_once(self):
        start = self.member.put(self.tree, "0").revision
        self.member.put(self.tree, "1")
        started = time.monotonic()
        answer = self.member.get(f"{self.tree}?wait=10s&since={start}")
        self.assertEqual((answer.status, answer.body), (200, b"1"))
        self.assertLess(time.monotonic() - started, 5)

    def test_a_missing_node_is_waited_for_and_a_deletion_answers_404(self):
        self.once_waited_for(lambda: self.member.put(self.tree, "x"))
        answer = self.member.get(f"{self.tree}?wait=10s")
        self.assertEqual((answer.status, answer.body), (200, b"x"))
        self.once_waited_for(lambda: self.member.delete(self.tree))
        gone = self.member.get(f"{self.tree}?wait=10s&since={answer.revision}")
        self.expect(gone, 404, "no-node")

    def test_other_nodes_do_not_wake_it(self):
        start = self.member.put(self.tree, "0").revision
        self.once_waited_for(lambda: self.member.put(self.tree + "-other", "1"))
        answer = self.member.get(f"{self.tree}?wait=3s&since={start}")
        self.assertEqual(answer.status, 304)

    def test_children_are_polled_too(self):
        start = self.member.put(self.tree, "0").revision
        self.once_waited_for(lambda: self.member.put(self.tree + "/a", "1"))
        answer = self.member.get(f"/v1/children{self.base}?wait=10s&since={start}")
        self.expect(answer, 200)
        self.assertEqual(answer.json["children"], ["a"])

    def test_an_event_stream_of_a_node_works_on_its_own_url(self):
        self.member.put(self.tree, "0")
        stream = Stream(self.member, self.tree + "?wait=1s")
        self.addCleanup(stream.close)
        self.assertEqual(stream.status, 200)
        self.member.put(self.tree, "1")
        self.assertEqual(stream.wait_for(1)[0].data["path"], self.base)


class Compacted(MemberTest):
    flags = ("--history-changes", "1000", "--history-memory", "64KiB")

    def test_a_resume_before_the_oldest_revision_is_410_and_names_it(self):
        first = self.member.put(self.tree, "").revision
        ops = [{"op": "set", "path": self.base, "value": "x" * 100}] * 1000
        for _ in range(5):
            self.assertEqual(self.member.post("/v1/txn", {"then": ops}).status, 200)

        def refused():
            # What is beyond the bound may stay a while, but not for ever.
            self.member.put(self.tree, "y")
            stream = self.watch(f"path={self.base}&from={first}")
            stream.close()
            return stream if stream.status == 410 else None

        refused = wait_until(refused, 30, "compaction")
        problem = json.loads(refused.body)
        self.assertEqual(problem["code"], "compacted")
        self.assertGreater(problem["oldest_revision"], first)
        resumed = self.watch(f"path={self.base}&from={problem['oldest_revision']}")
        self.assertEqual(resumed.status, 200)
        self.expect(self.member.get(f"{self.tree}?at={first}"), 410, "compacted")
