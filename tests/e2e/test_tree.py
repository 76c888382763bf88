"""The tree over HTTP: values, guards, content, errors, as the API page says."""

import base64
import json
from urllib.parse import quote

from harness import MemberTest


class Values(MemberTest):
    def test_put_creates_then_sets_and_get_returns_the_bytes(self):
        m = self.member
        made = self.expect(m.put(self.tree, "hello"), 201)
        self.assertEqual(made.body, b"")
        first = made["ETag"]
        self.assertEqual(first, f'"{made.revision}"')
        self.assertIn(f"czxid={made.revision}", made["Coord-Stat"])
        set_ = self.expect(m.put(self.tree, "again"), 200)
        self.assertGreater(set_.revision, made.revision)
        got = self.expect(m.get(self.tree), 200)
        self.assertEqual(got.body, b"again")
        self.assertEqual(got["ETag"], f'"{set_.revision}"')
        self.assertGreaterEqual(got.revision, set_.revision)
        self.assertIn("version=1", got["Coord-Stat"])
        self.assertEqual(got["Coord-Consistency"], "linearizable")

    def test_head_is_get_without_a_body(self):
        self.member.put(self.tree, "hello")
        got = self.expect(self.member.request("HEAD", self.tree), 200)
        self.assertEqual(got.body, b"")
        self.assertEqual(got["Content-Length"], "5")
        self.assertIn("mzxid=", got["Coord-Stat"])

    def test_a_missing_node_is_404_with_the_revision(self):
        gone = self.expect(self.member.get(self.tree), 404, "no-node")
        self.assertEqual(gone.json["path"], self.base)
        self.assertEqual(gone.json["revision"], gone.revision)
        self.expect(self.member.delete(self.tree), 404, "no-node")

    def test_delete_answers_204_without_a_body_and_the_node_is_gone(self):
        self.member.put(self.tree, "x")
        done = self.expect(self.member.delete(self.tree), 204)
        self.assertEqual(done.body, b"")
        self.assertGreater(done.revision, 0)
        self.expect(self.member.get(self.tree), 404, "no-node")

    def test_a_put_that_accepts_json_gets_path_revision_and_stat(self):
        made = self.expect(self.member.put(self.tree, "x", accept="application/json"), 201).json
        self.assertEqual(made["path"], self.base)
        self.assertEqual(made["stat"]["mzxid"], made["revision"])
        self.assertEqual(made["stat"]["data_length"], 1)

    def test_the_parent_must_exist_unless_parents_are_asked_for(self):
        refused = self.expect(self.member.put(self.tree + "/a/b", "x"), 404, "no-node")
        self.assertEqual(refused.json["outcome"], "not-applied")
        self.expect(self.member.put(self.tree + "/a/b?parents=true", "x"), 201)
        self.expect(self.member.get(self.tree + "/a"), 200)

    def test_a_node_with_children_is_deleted_only_recursively(self):
        self.member.put(self.tree + "/a/b?parents=true", "x")
        self.expect(self.member.delete(self.tree), 409, "not-empty")
        self.expect(self.member.delete(self.tree + "?recursive=true"), 204)
        self.expect(self.member.get(self.tree + "/a/b"), 404, "no-node")

    def test_the_root_can_be_read_with_and_without_a_slash(self):
        self.expect(self.member.get("/v1/tree"), 200)
        self.expect(self.member.get("/v1/tree/"), 200)
        self.expect(self.member.get("/v1/stat/"), 200)

    def test_an_escaped_slash_is_a_slash_and_plus_is_a_plus(self):
        self.member.put(self.tree, "")
        self.expect(self.member.put(self.tree + "%2Fa+b", "x"), 201)
        names = self.member.get("/v1/children" + self.base).json["children"]
        self.assertEqual(names, ["a+b"])

    def test_unicode_names_come_back_as_they_went_in(self):
        self.member.put(self.tree, "")
        self.expect(self.member.put(self.tree + "/" + quote("größe 日本"), "x"), 201)
        self.assertEqual(self.member.get("/v1/children" + self.base).json["children"],
                         ["größe 日本"])

    def test_every_byte_of_a_large_value_comes_back(self):
        value = bytes(range(256)) * 4096  # 1 MiB, the default limit.
        self.expect(self.member.put(self.tree, value), 201)
        self.assertEqual(self.member.get(self.tree).body, value)
        big = self.expect(self.member.put(self.tree, value + b"x"), 413, "too-large")
        self.assertIn("1048576", json.dumps(big.json))
        self.assertEqual(self.member.get(self.tree).body, value)

    def test_a_read_waits_for_nothing_it_does_not_need(self):
        self.member.put(self.tree, "x")
        local = self.expect(self.member.get(self.tree + "?consistency=local"), 200)
        self.assertEqual(local["Coord-Consistency"], "local")
        self.assertGreaterEqual(int(local["Coord-Staleness-Ms"]), 0)
        leader = self.expect(self.member.get(self.tree + "?consistency=leader"), 200)
        self.assertEqual(leader["Coord-Consistency"], "leader")
        revision = self.member.put(self.tree, "y").revision
        own = self.member.get(f"{self.tree}?consistency=local&min_revision={revision}")
        self.assertEqual(own.body, b"y")


class Guards(MemberTest):
    def test_if_match_takes_the_version_quoted_bare_or_weak(self):
        etag = self.member.put(self.tree, "0")["ETag"]
        for form in ("{}", "W/{}", None):
            sent = form.format(etag) if form else etag.strip('"')
            answer = self.expect(self.member.put(self.tree, "x", if_match=sent), 200)
            etag = answer["ETag"]

    def test_a_failed_guard_is_412_with_the_current_etag(self):
        etag = self.member.put(self.tree, "0")["ETag"]
        self.member.put(self.tree, "1")
        now = self.member.get(self.tree)["ETag"]
        for refused in (self.member.put(self.tree, "2", if_match=etag),
                        self.member.delete(self.tree, if_match=etag),
                        self.member.put(self.tree + "?version=7", "2"),
                        self.member.delete(self.tree + "?version=0")):
            self.expect(refused, 412, "bad-version")
            self.assertEqual(refused["ETag"], now)
            self.assertEqual(refused.json["outcome"], "not-applied")
        self.assertEqual(self.member.get(self.tree).body, b"1")

    def test_if_none_match_star_creates_only(self):
        self.expect(self.member.put(self.tree, "mine", if_none_match="*"), 201)
        refused = self.expect(self.member.put(self.tree, "too", if_none_match="*"), 412,
                              "node-exists")
        self.assertEqual(refused["ETag"], self.member.get(self.tree)["ETag"])
        self.assertEqual(self.member.get(self.tree).body, b"mine")

    def test_a_guarded_write_never_creates(self):
        for answer in (self.member.put(self.tree, "x", if_match='"7"'),
                       self.member.put(self.tree + "?version=0", "x"),
                       self.member.delete(self.tree, if_match='"7"')):
            self.expect(answer, 412, "no-node")
            self.assertIsNone(answer["ETag"])
        self.expect(self.member.get(self.tree), 404)

    def test_the_data_version_guards_as_in_zookeeper(self):
        self.member.put(self.tree, "0")
        self.expect(self.member.put(self.tree + "?version=0", "1"), 200)
        self.expect(self.member.put(self.tree + "?version=0", "2"), 412, "bad-version")
        self.expect(self.member.delete(self.tree + "?version=1"), 204)

    def test_if_none_match_with_the_etag_answers_304_to_a_read(self):
        etag = self.member.put(self.tree, "0")["ETag"]
        answer = self.member.get(self.tree, if_none_match=etag)
        self.assertEqual((answer.status, answer.body), (304, b""))


class Content(MemberTest):
    def type_after(self, value, content_type=None):
        headers = {"content_type": content_type} if content_type else {}
        self.member.put(self.tree, value, **headers)
        got = self.member.get(self.tree)
        self.assertEqual(got["X-Content-Type-Options"], "nosniff")
        return got["Content-Type"]

    def test_a_type_is_kept_and_served(self):
        self.assertEqual(self.type_after('{"a":1}', "application/json"), "application/json")
        self.assertEqual(self.type_after("a: 1", "application/yaml"), "application/yaml")

    def test_no_type_is_text_if_it_is_utf8_and_else_octets(self):
        self.assertEqual(self.type_after("grün"), "text/plain; charset=utf-8")
        self.assertEqual(self.type_after(b"\xff\x00"), "application/octet-stream")

    def test_what_curl_d_sends_counts_as_no_type(self):
        self.assertEqual(self.type_after("hello", "application/x-www-form-urlencoded"),
                         "text/plain; charset=utf-8")

    def test_html_svg_and_scripts_are_served_as_text(self):
        for sent in ("text/html", "image/svg+xml", "text/javascript", "application/javascript",
                     "application/xhtml+xml", "Text/HTML; charset=utf-8"):
            with self.subTest(sent=sent):
                self.assertTrue(self.type_after("<script>", sent).startswith("text/plain"))

    def test_a_set_without_a_type_clears_it(self):
        self.type_after("{}", "application/json")
        self.assertEqual(self.type_after("{}"), "text/plain; charset=utf-8")

    def test_the_envelope_gives_text_as_text_and_other_bytes_as_base64(self):
        self.member.put(self.tree, "grün")
        envelope = self.member.get(self.tree, accept="application/json")
        self.assertEqual(envelope["Content-Type"], "application/json")
        self.assertEqual({k: envelope.json[k] for k in ("path", "value", "encoding")},
                         {"path": self.base, "value": "grün", "encoding": "utf8"})
        self.assertEqual(envelope.json["stat"]["data_length"], 5)
        self.assertEqual(envelope.json["revision"], envelope.revision)
        self.member.put(self.tree, b"\xff\x00a")
        envelope = self.member.get(self.tree, accept="application/json").json
        self.assertEqual(envelope["encoding"], "base64")
        self.assertEqual(base64.b64decode(envelope["value"]), b"\xff\x00a")

    def test_accept_chooses_and_as_overrides(self):
        self.member.put(self.tree, "v")
        table = [("*/*", "", False), ("text/plain", "", False), ("text/*", "", False),
                 ("application/octet-stream", "", False), ("application/json", "", True),
                 ("text/plain;q=0.5, application/json", "", True),
                 ("application/json;q=0.5, text/plain", "", False),
                 ("application/json, text/plain", "", True),
                 ("text/plain, application/json", "", False),
                 ("*/*", "?as=json", True), ("application/json", "?as=raw", False)]
        for accept, query, is_envelope in table:
            with self.subTest(accept=accept, query=query):
                got = self.member.get(self.tree + query, accept=accept)
                self.assertEqual(got.status, 200, str(got))
                self.assertEqual(got.body != b"v", is_envelope, str(got))
                self.assertIn("Accept", got["Vary"] or "")

    def test_a_type_that_cannot_be_given_is_406(self):
        self.member.put(self.tree, "v")
        self.expect(self.member.get("/v1/children" + self.base, accept="image/png"), 406)

    def test_null_and_empty_differ_in_the_envelope_and_not_raw(self):
        m = self.member
        m.post("/v1/txn", {"then": [{"op": "create", "path": self.base}]})
        self.assertIsNone(m.get(self.tree, accept="application/json").json["value"])
        raw = self.expect(m.get(self.tree), 200)
        self.assertEqual(raw.body, b"")
        m.post("/v1/txn", {"then": [{"op": "set", "path": self.base, "value": ""}]})
        self.assertEqual(m.get(self.tree, accept="application/json").json["value"], "")

    def test_large_json_answers_are_gzipped_only_on_demand(self):
        import gzip
        self.member.put(self.tree, "")
        ops = [{"op": "create", "path": f"{self.base}/node-{i:04}", "value": ""}
               for i in range(200)]
        self.expect(self.member.post("/v1/txn", {"then": ops}), 200)
        url = "/v1/children" + self.base
        plain = self.member.get(url)
        self.assertIsNone(plain["Content-Encoding"])
        packed = self.member.get(url, accept_encoding="gzip")
        self.assertEqual(packed["Content-Encoding"], "gzip")
        self.assertEqual(json.loads(gzip.decompress(packed.body))["children"],
                         plain.json["children"])
        self.member.put(self.tree, "x" * 5000)
        self.assertIsNone(self.member.get(self.tree, accept_encoding="gzip")["Content-Encoding"])


class Patch(MemberTest):
    def test_a_merge_patch_sets_removes_and_nests(self):
        self.member.put(self.tree, '{"a":1,"b":{"c":2,"d":3}}')
        self.expect(self.member.patch(self.tree, '{"a":null,"b":{"c":9},"e":[1]}',
                                      content_type="application/merge-patch+json"), 200)
        self.assertEqual(self.member.get(self.tree).json, {"b": {"c": 9, "d": 3}, "e": [1]})

    def test_a_patch_of_what_is_not_json_is_422_and_changes_nothing(self):
        self.member.put(self.tree, "not json")
        self.expect(self.member.patch(self.tree, '{"a":1}'), 422, "invalid")
        self.assertEqual(self.member.get(self.tree).body, b"not json")

    def test_a_patch_that_is_not_json_is_refused(self):
        self.member.put(self.tree, "{}")
        self.assertIn(self.member.patch(self.tree, '{"a":').status, (400, 422))

    def test_add_counts_and_answers_the_new_number(self):
        self.member.put(self.tree, "40")
        answer = self.expect(self.member.patch(self.tree + "?add=2"), 200)
        self.assertIn("42", answer.text)
        self.assertEqual(self.member.get(self.tree).body, b"42")
        self.expect(self.member.patch(self.tree + "?add=-50"), 200)
        self.assertEqual(self.member.get(self.tree).body, b"-8")

    def test_add_refuses_overflow_and_what_is_no_number(self):
        self.member.put(self.tree, str(2**63 - 1))
        self.expect(self.member.patch(self.tree + "?add=1"), 422, "invalid")
        self.assertEqual(self.member.get(self.tree).text, str(2**63 - 1))
        self.member.put(self.tree, "ten")
        self.expect(self.member.patch(self.tree + "?add=1"), 422, "invalid")
        self.expect(self.member.patch(self.tree + "?add=x"), 400, "bad-request")

    def test_a_guarded_patch_is_refused_on_another_version(self):
        etag = self.member.put(self.tree, "{}")["ETag"]
        self.member.put(self.tree, '{"a":1}')
        self.expect(self.member.patch(self.tree, '{"b":2}', if_match=etag), 412, "bad-version")


class Modes(MemberTest):
    def test_sequential_children_are_numbered_with_ten_digits(self):
        self.member.put(self.tree, "")
        first = self.expect(self.member.post(self.tree + "?prefix=job-", "a"), 201)
        self.assertEqual(first.json["path"], self.base + "/job-0000000000")
        self.assertEqual(first.json["revision"], first.revision)
        self.assertEqual(first["Location"], self.tree + "/job-0000000000")
        second = self.member.post(self.tree + "?prefix=job-", "b")
        self.assertEqual(second.json["path"], self.base + "/job-0000000001")
        bare = self.member.post(self.tree, "c")
        self.assertEqual(bare.json["path"], self.base + "/0000000002")
        self.assertEqual(self.member.get(first["Location"]).body, b"a")

    def test_location_is_percent_encoded(self):
        self.member.put(self.tree, "")
        made = self.member.post(self.tree + "?prefix=" + quote("ä b-"), "")
        self.assertEqual(made["Location"], self.tree + "/%C3%A4%20b-0000000000")

    def test_an_ephemeral_needs_a_session_and_goes_with_it_in_one_revision(self):
        self.expect(self.member.put(self.tree + "?mode=ephemeral", ""), 400, "session-required")
        session = self.member.open_session()
        for name in ("/a", "/b"):
            self.member.put(self.tree + "?parents=true", "")
            self.expect(self.member.put(self.tree + name + "?mode=ephemeral", "",
                                        coord_session=session["session"]), 201)
        stat = self.member.get("/v1/stat" + self.base + "/a").json
        self.assertEqual(stat["ephemeral_owner"], session["id"])
        self.expect(self.member.put(self.tree + "/a/c", ""), 409, "no-children-for-ephemerals")
        closed = self.member.delete("/v1/sessions/mine", coord_session=session["session"])
        self.expect(closed, 204)
        self.assertEqual(self.member.get("/v1/children" + self.base).json["children"], [])
        self.assertEqual(self.member.get("/v1/stat" + self.base).json["pzxid"], closed.revision)

    def test_another_mode_or_another_owner_is_a_conflict_that_names_the_owner(self):
        one, two = self.member.open_session(), self.member.open_session()
        ephemeral = self.tree + "?mode=ephemeral"
        self.expect(self.member.put(ephemeral, "1", coord_session=one["session"]), 201)
        refused = self.expect(self.member.put(ephemeral, "2", coord_session=two["session"]), 409,
                              "node-exists")
        self.assertEqual(refused.json["owner"], one["id"])
        self.expect(self.member.put(ephemeral, "3", coord_session=one["session"]), 200)
        self.expect(self.member.put(self.tree + "?mode=persistent", "4"), 409, "node-exists")

    def test_a_container_goes_after_its_last_child_and_a_ttl_node_after_its_time(self):
        from harness import wait_until
        self.expect(self.member.put(self.tree + "?ttl=1s", "x"), 201)
        self.expect(self.member.put(self.tree + "-c?mode=container", ""), 201)
        self.member.put(self.tree + "-c/child", "")
        self.member.delete(self.tree + "-c/child")
        wait_until(lambda: self.member.get(self.tree).status == 404, 5, "the ttl node's end")
        wait_until(lambda: self.member.get(self.tree + "-c").status == 404, 20,
                   "the container's end")

    def test_stat_has_the_names_and_the_meaning_of_zookeeper(self):
        m = self.member
        made = m.put(self.tree, "abc").revision
        child = m.put(self.tree + "/c", "").revision
        changed = m.put(self.tree, "abcd").revision
        answer = self.expect(m.get("/v1/stat" + self.base), 200)
        stat = answer.json
        want = {"czxid": made, "mzxid": changed, "pzxid": child, "version": 1, "cversion": 1,
                "aversion": 0, "ephemeral_owner": None, "data_length": 4, "num_children": 1}
        self.assertEqual({name: stat[name] for name in want}, want)
        self.assertRegex(stat["ctime"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
        self.assertRegex(stat["mtime"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
        self.expect(m.get("/v1/stat" + self.base + "/none"), 404, "no-node")


class Lists(MemberTest):
    def fill(self, count):
        self.member.put(self.tree, "")
        ops = [{"op": "create", "path": f"{self.base}/n{i:04}", "value": f"v{i}"}
               for i in range(count)]
        self.expect(self.member.post("/v1/txn", {"then": ops}), 200)

    def test_children_come_in_byte_order_by_pages(self):
        self.fill(25)
        url = "/v1/children" + self.base
        names, cursor, pages = [], None, 0
        while True:
            page = self.member.get(url + "?limit=10" + (f"&cursor={quote(cursor)}" if cursor else ""))
            self.expect(page, 200)
            names += page.json["children"]
            pages += 1
            cursor = page.json.get("cursor")
            if not cursor:
                break
        self.assertEqual(pages, 3)
        self.assertEqual(names, [f"n{i:04}" for i in range(25)])
        self.assertNotIn("cursor", self.member.get(url).json)

    def test_children_with_prefix_stat_and_values(self):
        self.fill(12)
        url = "/v1/children" + self.base
        self.assertEqual(self.member.get(url + "?prefix=n001").json["children"],
                         ["n0010", "n0011"])
        first = self.member.get(url + "?limit=1&stat=true&values=true").json["children"][0]
        self.assertEqual((first["name"], first["value"], first["encoding"]), ("n0000", "v0", "utf8"))
        self.assertEqual(first["stat"]["data_length"], 2)
        only_stat = self.member.get(url + "?limit=1&stat=true").json["children"][0]
        self.assertNotIn("value", only_stat)

    def test_limits_beyond_the_bound_and_foreign_cursors_are_refused(self):
        self.fill(2)
        url = "/v1/children" + self.base
        for query in ("?limit=10001", "?limit=0", "?limit=x", "?cursor=%00%ff"):
            with self.subTest(query=query):
                self.expect(self.member.get(url + query), 400, "bad-request")
        self.expect(self.member.get("/v1/children" + self.base + "/none"), 404, "no-node")

    def test_walk_gives_the_subtree_as_lines_at_one_revision(self):
        self.member.put(self.tree + "/a/b/c?parents=true", "deep")
        self.member.put(self.tree + "/d", "x")
        walk = self.expect(self.member.get("/v1/walk" + self.base + "?values=true"), 200)
        self.assertEqual(walk["Content-Type"], "application/x-ndjson")
        lines = [json.loads(line) for line in walk.text.splitlines()]
        self.assertEqual([line["path"].removeprefix(self.base) for line in lines],
                         ["", "/a", "/a/b", "/a/b/c", "/d"])
        self.assertEqual(lines[3]["value"], "deep")
        self.assertIn("stat", lines[0])
        self.assertGreater(walk.revision, 0)
        shallow = self.member.get("/v1/walk" + self.base + "?depth=1")
        paths = [json.loads(line)["path"] for line in shallow.text.splitlines()]
        self.assertEqual([p.removeprefix(self.base) for p in paths], ["", "/a", "/d"])

    def test_system_nodes_show_only_on_demand(self):
        names = self.member.get("/v1/children/").json["children"]
        self.assertNotIn(".coord", names)
        self.assertNotIn("zookeeper", names)

    def test_history_and_at_show_the_past(self):
        revisions = [self.member.put(self.tree, f"v{i}").revision for i in range(3)]
        history = self.expect(self.member.get("/v1/history" + self.base), 200).json
        entries = sorted(history.get("history", history.get("entries", history.get("versions"))),
                         key=lambda entry: entry["revision"])
        self.assertEqual([entry["revision"] for entry in entries], revisions)
        self.assertEqual([entry["value"] for entry in entries], ["v0", "v1", "v2"])
        self.assertEqual([entry["kind"] for entry in entries], ["created", "changed", "changed"])
        self.assertRegex(entries[0]["time"], r"^\d{4}-.*Z$")
        for revision, value in zip(revisions, ("v0", "v1", "v2")):
            self.assertEqual(self.member.get(f"{self.tree}?at={revision}").text, value)
        self.expect(self.member.get(f"{self.tree}?at={revisions[0] - 1}"), 404, "no-node")


class Transactions(MemberTest):
    def txn(self, **fields):
        return self.member.post("/v1/txn", fields)

    def test_then_runs_when_all_comparisons_hold_at_one_revision(self):
        a = self.member.put(self.tree, "v").revision
        done = self.txn(
            compare=[{"path": self.base, "version": 0}, {"path": self.base + "/x", "exists": False},
                     {"path": self.base, "mzxid": a}, {"path": self.base, "value": "v"}],
            then=[{"op": "set", "path": self.base, "value": "v2"},
                  {"op": "create", "path": self.base + "/b", "value": "AAEC",
                   "encoding": "base64"},
                  {"op": "get", "path": self.base},
                  {"op": "children", "path": self.base},
                  {"op": "check", "path": self.base, "version": 1}])
        self.expect(done, 200)
        self.assertTrue(done.json["succeeded"])
        results = done.json["results"]
        self.assertEqual([r["op"] for r in results], ["set", "create", "get", "children", "check"])
        self.assertEqual(results[0]["stat"]["mzxid"], done.json["revision"])
        self.assertEqual(results[1]["stat"]["czxid"], done.json["revision"])
        self.assertEqual(results[2]["value"], "v2")
        self.assertEqual(results[3]["children"], ["b"])
        self.assertEqual(self.member.get(self.tree + "/b").body, b"\0\1\2")

    def test_else_runs_when_one_does_not_hold_and_may_be_absent(self):
        self.member.put(self.tree, "v")
        done = self.txn(compare=[{"path": self.base, "version": 7}],
                        then=[{"op": "delete", "path": self.base}],
                        **{"else": [{"op": "get", "path": self.base}]})
        self.expect(done, 200)
        self.assertFalse(done.json["succeeded"])
        self.assertEqual(done.json["results"][0]["value"], "v")
        absent = self.txn(compare=[{"path": self.base, "version": 7}],
                          then=[{"op": "delete", "path": self.base}])
        self.expect(absent, 200)
        self.assertFalse(absent.json["succeeded"])
        self.assertEqual(absent.json["results"], [])

    def test_an_op_that_fails_undoes_all_and_is_named(self):
        self.member.put(self.tree, "v")
        failed = self.txn(then=[{"op": "set", "path": self.base, "value": "new"},
                                {"op": "create", "path": self.base, "value": ""}])
        self.expect(failed, 409, "node-exists")
        self.assertEqual((failed.json["branch"], failed.json["op"]), ("then", 1))
        self.assertEqual(failed.json["outcome"], "not-applied")
        self.assertEqual(self.member.get(self.tree).body, b"v")

    def test_sequential_and_delete_tree_in_a_transaction(self):
        self.member.put(self.tree + "/old/x?parents=true", "")
        done = self.txn(then=[
            {"op": "create", "path": self.base + "/s-", "sequential": True, "value": "1"},
            {"op": "create", "path": self.base + "/s-", "sequential": True, "value": "2"},
            {"op": "delete-tree", "path": self.base + "/old"}])
        self.expect(done, 200)
        names = self.member.get("/v1/children" + self.base).json["children"]
        self.assertEqual(names, [r["path"].rsplit("/", 1)[1] for r in done.json["results"][:2]])
        self.assertEqual(int(names[1][-10:]), int(names[0][-10:]) + 1)

    def test_what_is_malformed_is_400_and_what_is_too_long_too_large(self):
        for body in ("[]", "{", '{"then":[{"op":"fly","path":"/a"}]}',
                     '{"then":[{"op":"set"}]}', '{"then":[{"op":"set","path":"a","value":""}]}',
                     '{"then":7}', '{"compare":[{"path":"/a","version":"x"}]}'):
            with self.subTest(body=body):
                answer = self.member.post("/v1/txn", body, content_type="application/json")
                self.expect(answer, 400, "bad-request")
        many = [{"op": "check", "path": "/"}] * 1001
        self.assertIn(self.txn(then=many).status, (400, 413))


class Access(MemberTest):
    def test_the_acl_is_readable_and_open_at_first(self):
        self.member.put(self.tree, "")
        acl = self.expect(self.member.get("/v1/acl" + self.base), 200).json
        self.assertEqual(len(acl["acl"]), 1)
        self.assertEqual((acl["acl"][0]["scheme"], acl["acl"][0]["id"]), ("world", "anyone"))

    def test_a_digest_acl_lets_its_user_in_and_nobody_else(self):
        import hashlib
        m = self.member
        m.put(self.tree, "secret")
        world = m.get("/v1/acl" + self.base).json["acl"][0]["permissions"]
        digest = base64.b64encode(hashlib.sha1(b"ann:pw").digest()).decode()
        self.expect(m.put("/v1/acl" + self.base, json.dumps(
            {"acl": [{"scheme": "digest", "id": f"ann:{digest}", "permissions": world}]})), 200)
        ann = "Basic " + base64.b64encode(b"ann:pw").decode()
        self.assertEqual(m.get(self.tree, authorization=ann).body, b"secret")
        self.assertEqual(m.get("/v1/stat" + self.base).json["aversion"], 1)


class Quotas(MemberTest):
    def test_a_quota_refuses_what_goes_beyond_and_shows_what_is_used(self):
        m = self.member
        m.put(self.tree, "")
        self.assertIn(m.put("/v1/quotas" + self.base, '{"nodes":3,"bytes":100}').status,
                      (200, 201, 204))
        m.put(self.tree + "/a", "x" * 10)
        m.put(self.tree + "/b", "")
        refused = self.expect(m.put(self.tree + "/c", ""), 507, "quota")
        self.assertEqual(refused.json["outcome"], "not-applied")
        self.expect(m.put(self.tree + "/a", "x" * 200), 507, "quota")
        self.expect(m.get("/v1/quotas" + self.base), 200)
        self.expect(m.delete("/v1/quotas" + self.base), 204)
        self.expect(m.put(self.tree + "/c", ""), 201)


class ExactlyOnce(MemberTest):
    def test_a_retry_with_the_same_key_gets_the_first_answer(self):
        self.member.put(self.tree, "0")
        first = self.member.patch(self.tree + "?add=1", idempotency_key="k1")
        again = self.member.patch(self.tree + "?add=1", idempotency_key="k1")
        self.assertEqual((first.status, first.revision, first.body),
                         (again.status, again.revision, again.body))
        self.assertEqual(self.member.get(self.tree).body, b"1")

    def test_the_same_key_with_another_request_is_422(self):
        self.member.put(self.tree, "0", idempotency_key="k2")
        self.expect(self.member.put(self.tree, "1", idempotency_key="k2"), 422,
                    "idempotency-mismatch")

    def test_a_key_is_remembered_over_kill_and_restart(self):
        self.member.put(self.tree, "0")
        first = self.member.patch(self.tree + "?add=1", idempotency_key="k3")
        self.member.kill()
        self.member.start()
        again = self.member.patch(self.tree + "?add=1", idempotency_key="k3")
        self.assertEqual((first.status, first.revision), (again.status, again.revision))
        self.assertEqual(self.member.get(self.tree).body, b"1")

    def test_a_refusal_is_remembered_too(self):
        for _ in range(2):
            refused = self.member.put(self.tree, "x", if_match='"7"', idempotency_key="k4")
            self.expect(refused, 412, "no-node")
        self.member.put(self.tree, "y")
        self.expect(self.member.put(self.tree, "x", if_match='"7"', idempotency_key="k4"), 412)
