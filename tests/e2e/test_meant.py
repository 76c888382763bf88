"""What a client meant is done or refused, never done by half: guards, keys, waits, other sites."""

import http.client
import unittest

from harness import MemberTest, Stream, in_background, wait_until


class Guards(MemberTest):
    def send(self, method, path, headers, body=b""):
        """With headers that http.client would not send by itself."""
        connection = http.client.HTTPConnection("127.0.0.1", self.member.port, timeout=30)
        try:
            connection.putrequest(method, path)
            for name, value in headers:
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def test_a_guard_without_a_value_is_not_taken_for_none(self):
        for name in ("If-Match", "If-None-Match", "Coord-Fence", "Coord-Session",
                     "Idempotency-Key"):
            self.assertEqual(self.send("PUT", self.tree, [(name, "")], b"x"), 400, name)
        self.expect(self.member.get(self.tree), 404)

    def test_a_guard_that_nothing_looks_at_is_refused(self):
        self.expect(self.member.put(self.tree, "x"), 201)
        acl = [{"scheme": "world", "id": "anyone", "permissions": "cdrwa"}]
        self.expect(self.member.put("/v1/acl" + self.base, acl, if_match='"1"'), 400, "bad-request")
        for method, path, body in (("POST", self.tree, "x"), ("POST", "/v1/counters/c", ""),
                                   ("POST", "/v1/txn", {"then": []}),
                                   ("PUT", "/v1/quotas" + self.base, {"nodes": 5})):
            self.expect(self.member.request(method, path, body, {"If-Match": '"1"'}), 400,
                        "bad-request")

    def test_another_type_or_fence_is_another_request(self):
        key = {"idempotency_key": self.base}
        self.expect(self.member.put(self.tree, "{}", content_type="application/json", **key), 201)
        self.expect(self.member.put(self.tree, "{}", content_type="application/json", **key), 201)
        self.expect(self.member.put(self.tree, "{}", content_type="image/png", **key), 422,
                    "idempotency-mismatch")
        self.expect(self.member.put(self.tree, "{}", content_type="application/json",
                                    coord_fence="jobs=1", **key), 422, "idempotency-mismatch")

    def test_a_json_patch_is_no_merge_patch(self):
        self.member.put(self.tree, "{}")
        patch = [{"op": "add", "path": "/a", "value": 1}]
        answer = self.member.request("PATCH", self.tree, str(patch).replace("'", '"'),
                                     {"Content-Type": "application/json-patch+json"})
        self.expect(answer, 415, "unsupported-media-type")
        self.assertEqual(self.member.get(self.tree).text, "{}")

    def test_an_operation_that_is_refused_at_the_door_is_named(self):
        get = {"op": "get", "path": "/"}
        create = {"op": "create", "path": self.base, "mode": "ephemeral"}
        for branch, ops, code, status in (
                ("then", [get, create], "session-required", 400),
                ("else", [get, get, {"op": "no"}], "bad-request", 400),
                ("then", [{**create, "mode": "persistent", "value": "x" * (2**20 + 1)}],
                 "too-large", 413)):
            refused = self.expect(self.member.post("/v1/txn", {branch: ops}), status, code).json
            self.assertEqual((refused["branch"], refused["op"]), (branch, len(ops) - 1))
        self.assertEqual(refused["limit"], 2**20)
        long = self.member.put(self.tree, "x", content_type="a/" + "b" * 300)
        self.assertEqual(self.expect(long, 413, "too-large").json["limit"], 255)

    def test_names_of_full_length_may_bring_a_session(self):
        name = "n" * 255
        for path in ("locks", "elections"):
            self.expect(self.member.post(f"/v1/{path}/{name}"), 201)


class OtherSites(MemberTest):
    flags = ("--cors-origin", "http://good.example")

    def test_pages_of_other_sites_change_nothing(self):
        own = f"http://127.0.0.1:{self.member.port}"
        for origin, status in ((None, 201), (own, 200), ("http://good.example", 200),
                               ("http://evil.example", 403), ("null", 403)):
            headers = {"origin": origin} if origin else {}
            answer = self.expect(self.member.put(self.tree, "x", **headers), status)
            if status == 403:
                self.assertEqual(answer.json["code"], "forbidden")
                self.assertIsNone(answer["Access-Control-Allow-Origin"])
            self.expect(self.member.get("/v1/tree/", **headers), 200)


class Waits(MemberTest):
    def test_a_long_poll_waits_for_min_revision_first(self):
        self.member.put(self.tree, "x")
        ahead = "consistency=local&min_revision=999999"
        refused = self.expect(self.member.get(f"{self.tree}?wait=100ms&{ahead}"), 503, "behind")
        self.assertTrue(refused.json["retryable"])
        lock = self.member.get(f"/v1/locks/none?wait=100ms&{ahead}&timeout=20s")
        self.expect(lock, 503, "behind")
        self.wait_for_watches(0)
        waits = in_background(lambda at=self.reached(2): self.member.get(
            f"{self.tree}?wait=10s&consistency=local&min_revision={at}"))
        for value in ("y", "z"):
            self.expect(self.member.put(self.tree, value), 200)
        self.wait_for_watches(1)
        self.expect(self.member.put(self.tree, "end"), 200)
        self.assertEqual(waits().text, "end")

    def reached(self, more):
        return self.member.get("/v1/tree/").revision + more

    def test_what_a_member_has_not_applied_is_behind_for_a_local_read(self):
        ahead = self.member.put(self.tree, "x").revision + 1000
        for query in (f"at={ahead}", f"wait=5s&since={ahead}"):
            self.expect(self.member.get(f"{self.tree}?{query}&consistency=local"), 503, "behind")
        self.expect(self.member.get(f"{self.tree}?at={ahead}"), 404, "not-found")
        self.expect(self.member.get(f"{self.tree}?wait=5s&since={ahead}"), 400, "bad-request")

    def test_a_listing_with_a_prefix_wakes_for_its_names_only(self):
        self.member.put(self.tree, "")
        children = f"/v1/children{self.base}?prefix=web-"
        self.wait_for_watches(0)
        stream = Stream(self.member, children)
        self.addCleanup(stream.close)
        polls = in_background(lambda: self.member.get(children + "&wait=10s"))
        self.wait_for_watches(2)
        self.member.put(self.tree + "/db-1", "")
        self.member.put(self.tree + "/web-1", "")
        self.assertEqual(polls().json["children"], ["web-1"])
        wait_until(lambda: any(e.event == "created" for e in stream.events), what="an event")
        self.assertEqual([e.data["path"] for e in stream.events if e.event == "created"],
                         [f"{self.base}/web-1"])

    def test_the_end_of_a_session_is_told_with_its_reason(self):
        session = self.member.open_session()["session"]
        self.wait_for_watches(0)
        stream = self.watch(f"path={self.base}", headers={"Coord-Session": session})
        polls = [in_background(lambda at=at: self.member.get(at + "?wait=10s",
                                                             coord_session=session))
                 for at in (self.tree, "/v1/locks/none")]
        self.wait_for_watches(3)
        self.expect(self.member.delete("/v1/sessions/mine", coord_session=session), 204)
        for poll in polls:
            self.assertEqual(self.expect(poll(), 410, "session-expired").json["reason"], "closed")
        wait_until(lambda: any(e.event == "session-expired" for e in stream.events), what="its end")
        self.assertEqual(stream.events[-1].data["reason"], "closed")

    def test_answers_that_nothing_has_changed_say_how_old_they_are(self):
        etag = self.member.put(self.tree, "x")["ETag"]
        for query in ("consistency=local", "consistency=local&wait=50ms"):
            answer = self.member.get(f"{self.tree}?{query}", if_none_match=etag)
            self.assertEqual((answer.status, answer["Coord-Consistency"]), (304, "local"))
            self.assertGreaterEqual(int(answer["Coord-Staleness-Ms"]), 0)
        self.assertEqual(self.member.get("/v1/status")["Coord-Consistency"], "local")
        stream = self.watch(f"path={self.base}")
        self.assertEqual(stream.headers["Coord-Consistency"], "linearizable")

    def test_the_views_of_configurations_can_be_waited_for(self):
        name = "/v1/config/" + self.id().rpartition(".")[2][:100]
        self.wait_for_watches(0)
        polls = in_background(lambda: self.member.get("/v1/config?wait=10s"))
        third = in_background(lambda: self.member.get(name + "/releases/3?wait=10s"))
        self.wait_for_watches(2)
        stream = Stream(self.member, name + "/releases")
        self.addCleanup(stream.close)
        for value in ("one", "two", "three"):
            self.expect(self.member.put(name, value), 201)
        self.assertIn(name.rpartition("/")[2], [c["name"] for c in polls().json["configs"]])
        self.assertEqual(third().text, "three")
        wait_until(lambda: any(len(e.data.get("releases", ())) == 3 for e in stream.events),
                   what="three releases in the stream")


class Sessions(MemberTest):
    def test_a_session_is_shown_with_its_nodes_and_locks(self):
        opened = self.member.open_session(name="host-1")
        session = {"coord_session": opened["session"]}
        self.expect(self.member.put(self.tree + "?mode=ephemeral", "x", **session), 201)
        for lock in ("b", "a"):
            self.expect(self.member.post("/v1/locks/" + lock, **session), 201)
        listed = next(s for s in self.member.get("/v1/sessions").json["sessions"]
                      if s["id"] == opened["id"])
        for shown in (self.member.get("/v1/sessions/" + opened["id"]).json, listed):
            self.assertEqual(shown["locks"], ["a", "b"])
            self.assertIn(self.base, shown["ephemerals"])
            self.assertEqual(shown["ephemeral_count"], 3)
            self.assertGreater(shown["remaining_ms"], 0)
        for i in range(100):
            self.member.put(f"{self.tree}-{i}?mode=ephemeral", "x", **session)
        listed = self.member.get("/v1/sessions").json["sessions"]
        listed = next(s for s in listed if s["id"] == opened["id"])
        self.assertEqual((listed["ephemerals"], listed["locks"], listed["ephemeral_count"]),
                         (None, None, 103))
        self.assertEqual(
            len(self.member.get("/v1/sessions/" + opened["id"]).json["ephemerals"]), 103)

    def test_a_held_answer_repeats_a_session_of_the_locks_own(self):
        first = self.expect(self.member.post("/v1/locks/own"), 201)
        held = {"coord_session": first["Coord-Session"]}
        again = self.expect(self.member.post("/v1/locks/own", **held), 200)
        mine = self.expect(self.member.get("/v1/locks/own/mine", **held), 200)
        for answer in (again, mine):
            self.assertEqual(answer["Coord-Session"], first["Coord-Session"])
            self.assertEqual(answer["Coord-Fence"], first["Coord-Fence"])
        other = {"coord_session": self.member.open_session()["session"]}
        self.expect(self.member.post("/v1/locks/given", **other), 201)
        self.assertIsNone(self.member.get("/v1/locks/given/mine", **other)["Coord-Session"])


if __name__ == "__main__":
    unittest.main()
