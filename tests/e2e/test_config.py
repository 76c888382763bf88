"""/v1/config and `coordctl config`, against real members."""

import json
import os
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from cluster import Cluster
from harness import COORDCTL, MemberTest, Stream, ctl, wait_until

SCHEMA = {"type": "object", "required": ["port"],
          "properties": {"port": {"type": "integer", "minimum": 1},
                         "name": {"type": "string", "pattern": "^[a-z]+(-[a-z]+)*$"}}}


class ConfigTest(MemberTest):
    def setUp(self):
        super().setUp()
        self.name = self.id().rsplit(".", 1)[1]
        self.path = "/v1/config/" + self.name

    def publish(self, value, query="", **headers):
        answer = self.member.put(self.path + query, value, **headers)
        self.assertEqual(answer.status, 201, str(answer))
        return answer.json["release"]

    def stream(self, query="", **options):
        stream = Stream(self.member, self.path + query, **options)
        self.addCleanup(stream.close)
        return stream


class Releases(ConfigTest):
    def test_a_value_is_published_and_read_raw_with_its_type(self):
        self.assertEqual(self.publish(b'{"a":1}', "?comment=first&author=ann",
                                      content_type="application/json"), 1)
        got = self.member.get(self.path, accept="application/json")
        self.assertEqual(got.body, b'{"a":1}')
        self.assertEqual(got["Content-Type"], "application/json")
        self.assertEqual(got["Coord-Release"], "1")
        self.assertEqual(got["ETag"], '"1"')
        told = self.member.get(self.path + "?as=json").json
        self.assertEqual({k: told[k] for k in ("name", "release", "gray", "value", "encoding",
                                               "comment", "author")},
                         {"name": self.name, "release": 1, "gray": False, "value": '{"a":1}',
                          "encoding": "utf8", "comment": "first", "author": "ann"})
        self.assertRegex(told["time"], r"^\d{4}-\d\d-\d\dT.*Z$")
        self.assertEqual(self.member.get(self.path, if_none_match='"1"').status, 304)

    def test_if_match_guards_by_release(self):
        first = self.member.put(self.path, b"v", if_match='"1"')
        self.expect(first, 412, "no-node")
        self.assertIsNone(first["ETag"])
        self.publish(b"v1", if_none_match="*")
        self.assertEqual(self.publish(b"v2", if_match='"1"'), 2)
        refused = self.expect(self.member.put(self.path, b"v3", if_match='"1"'), 412,
                              "bad-version")
        self.assertEqual(refused["ETag"], '"2"')
        self.assertEqual(refused.json["outcome"], "not-applied")
        self.expect(self.member.put(self.path, b"v3", if_none_match="*"), 412, "node-exists")
        self.assertEqual(self.member.get(self.path).text, "v2")

    def test_history_difference_and_rollback(self):
        self.publish(b"a\nb\nc\n", "?comment=one")
        self.publish(b"a\nB\nc\n", "?comment=two")
        back = self.member.post(self.path + "/rollback", {"to": 1, "comment": "back"})
        self.assertEqual((back.status, back.json["release"]), (201, 3))
        self.assertEqual(self.member.get(self.path).text, "a\nb\nc\n")
        told = self.member.get(self.path + "/releases").json["releases"]
        self.assertEqual([r["release"] for r in told], [3, 2, 1])
        self.assertEqual(told[0]["rollback_to"], 1)
        self.assertEqual([r["comment"] for r in told], ["back", "two", "one"])
        self.assertEqual(self.member.get(self.path + "/releases/2").text, "a\nB\nc\n")
        self.assertEqual(self.member.get(self.path + "/releases/2?as=json").json["comment"], "two")
        diff = self.member.get(self.path + "/diff?from=1&to=2")
        self.assertIn("\n a\n-b\n+B\n c\n", diff.text)
        as_json = self.member.get(self.path + "/diff", accept="application/json").json
        self.assertEqual((as_json["from"], as_json["to"], as_json["equal"]), (2, 3, False))
        page = self.member.get(self.path + "/releases?limit=2").json
        self.assertEqual([r["release"] for r in page["releases"]], [3, 2])
        rest = self.member.get(self.path + "/releases?cursor=" + page["cursor"]).json
        self.assertEqual([r["release"] for r in rest["releases"]], [1])
        self.assertNotIn("cursor", rest)

    def test_old_releases_are_trimmed(self):
        for i in range(103):
            self.publish(f"v{i + 1}".encode())
        self.expect(self.member.post(self.path + "/rollback", {"to": 2}), 410, "release-trimmed")
        self.expect(self.member.get(self.path + "/releases/3"), 410, "release-trimmed")
        self.expect(self.member.get(self.path + "/diff?from=1&to=9"), 410, "release-trimmed")
        self.assertEqual(self.member.get(self.path + "/releases/4").text, "v4")
        self.assertEqual(len(self.member.get(self.path + "/releases").json["releases"]), 100)

    def test_a_deletion_and_the_list(self):
        self.publish(b"v1")
        self.publish(b"v2")
        names = [c["name"] for c in self.member.get("/v1/config").json["configs"]]
        self.assertIn(self.name, names)
        self.assertEqual(self.member.delete(self.path).status, 204)
        self.expect(self.member.get(self.path), 404, "not-found")
        self.expect(self.member.delete(self.path), 404, "not-found")
        self.expect(self.member.get(self.path + "/releases"), 404, "not-found")
        names = [c["name"] for c in self.member.get("/v1/config").json["configs"]]
        self.assertNotIn(self.name, names)
        self.assertEqual(self.publish(b"again"), 3)  # A number means one value for ever.

    def test_a_large_value_and_an_empty_one(self):
        large = os.urandom(1 << 20)
        self.publish(large)
        self.assertEqual(self.member.get(self.path).body, large)
        self.expect(self.member.put(self.path, large + b"x"), 413, "too-large")
        self.publish(b"")
        self.assertEqual(self.member.get(self.path).body, b"")

    def test_a_retry_with_a_key_publishes_once(self):
        first = self.member.put(self.path, b"v", idempotency_key=self.name)
        again = self.member.put(self.path, b"v", idempotency_key=self.name)
        self.assertEqual(first.json, again.json)
        self.assertEqual(self.member.get(self.path + "?as=json").json["release"], 1)

    def test_misuse_gets_a_clear_answer(self):
        member = self.member
        self.expect(member.get("/v1/config/none"), 404, "not-found")
        self.expect(member.post("/v1/config/none/rollback", {"to": 1}), 404, "not-found")
        self.expect(member.put("/v1/config/none/gray?percent=1", b"v"), 404, "not-found")
        self.expect(member.post("/v1/config/none/gray/promote"), 404, "not-found")
        self.expect(member.get("/v1/config/none/clients"), 404, "not-found")
        self.expect(member.get("/v1/config/none/schema"), 404, "not-found")
        self.expect(member.put("/v1/config/a%20b", b"v"), 400, "bad-request")
        self.expect(member.put("/v1/config/" + "n" * 256, b"v"), 400, "bad-request")
        self.assertEqual(member.put("/v1/config/" + "n" * 255, b"v").status, 201)
        self.publish(b"v")
        self.expect(member.post(self.path + "/rollback", {}), 400, "bad-request")
        self.expect(member.post(self.path + "/rollback", {"to": 9}), 404, "not-found")
        self.expect(member.post(self.path + "/rollback", {"too": 9}), 400, "bad-request")
        self.expect(member.get(self.path + "/releases/x"), 400, "bad-request")
        self.expect(member.get(self.path + "/releases/9"), 404, "not-found")
        self.expect(member.get(self.path + "/diff?from=0"), 400, "bad-request")
        self.expect(member.put(self.path + "/gray", b"v"), 400, "bad-request")
        self.expect(member.put(self.path + "/gray?percent=101", b"v"), 400, "bad-request")
        self.expect(member.put(self.path + "/gray?percent=-1", b"v"), 400, "bad-request")
        self.expect(member.put(self.path + "/gray?label.z=", b"v"), 400, "bad-request")
        self.expect(member.put(self.path + "/gray?labl.z=1", b"v"), 400, "bad-request")
        self.expect(member.get(self.path + "?instance=a%20b"), 400, "bad-request")
        self.expect(member.get(self.path + "?label.z=1&label.z=2"), 400, "bad-request")
        self.expect(member.delete(self.path + "/gray"), 404, "not-found")
        self.expect(member.put(self.path, b"v", if_match='"x"'), 400, "bad-request")
        self.expect(member.put(self.path + "?comment=" + "c" * 1025, b"v"), 400, "bad-request")
        self.expect(member.post(self.path, b"v"), 405, "method-not-allowed")


class Schemas(ConfigTest):
    def test_a_value_that_does_not_fit_is_refused_with_the_reason(self):
        put = self.member.put(self.path + "/schema", json.dumps(SCHEMA))
        self.assertEqual(put.status, 201, str(put))
        self.expect(self.member.get(self.path), 404, "not-found")
        refused = self.expect(self.member.put(self.path, b'{"port":0}'), 422, "schema-refused")
        self.assertEqual(refused.json["path"], "/port")
        self.assertTrue(refused.json["reason"])
        self.assertIn("/port", refused.json["detail"])
        self.expect(self.member.put(self.path, b"not json"), 422, "schema-refused")
        self.expect(self.member.put(self.path, b'{"port":1,"name":"-"}'), 422, "schema-refused")
        self.assertEqual(self.publish(b'{"port":1,"name":"a-b"}'), 1)
        self.expect(self.member.put(self.path + "/gray?percent=5", b"{}"), 422, "schema-refused")
        self.assertEqual(self.member.put(self.path + "/schema", json.dumps(SCHEMA)).status, 200)
        self.assertEqual(json.loads(self.member.get(self.path + "/schema").body), SCHEMA)
        self.assertEqual(self.member.delete(self.path + "/schema").status, 204)
        self.assertEqual(self.publish(b"anything"), 2)

    def test_a_rollback_and_a_promotion_are_checked_too(self):
        self.publish(b"old")
        self.publish(b'{"port":1}')
        self.member.put(self.path + "/gray?percent=5", b"gray")
        self.member.put(self.path + "/schema", json.dumps(SCHEMA))
        self.expect(self.member.post(self.path + "/rollback", {"to": 1}), 422, "schema-refused")
        self.expect(self.member.post(self.path + "/gray/promote"), 422, "schema-refused")
        self.assertEqual(self.member.post(self.path + "/rollback", {"to": 2}).status, 201)

    def test_a_refusal_is_remembered_under_its_key(self):
        self.member.put(self.path + "/schema", json.dumps(SCHEMA))
        for _ in range(2):
            refused = self.member.put(self.path, b"{}", idempotency_key=self.name)
            self.expect(refused, 422, "schema-refused")
            self.member.delete(self.path + "/schema")

    def test_unusable_schemas_are_refused(self):
        for schema, status in ((b"{", 400), (b'{"type":7}', 422), (b'{"$ref":"#"}', 422),
                               (b'{"$ref":"http://127.0.0.1/x"}', 422),
                               (b'{"pattern":"("}', 422), (b"x" * 70_000, 413),
                               (b'{"allOf":[{"$ref":"#/definitions/a"}],"definitions":'
                                b'{"a":{"not":{"$ref":"#"}}}}', 422)):
            with self.subTest(schema=schema[:60]):
                self.assertEqual(self.member.put(self.path + "/schema", schema).status, status)


class Gray(ConfigTest):
    def value(self, query=""):
        return self.member.get(self.path + query)

    def test_labels_and_percentages(self):
        self.publish(b"base")
        set_gray = self.member.put(self.path + "/gray?label.zone=eu", b"eu")
        self.assertEqual(set_gray.status, 201, str(set_gray))
        self.assertEqual(self.value().text, "base")
        got = self.value("?label.zone=eu&label.tier=x")
        self.assertEqual((got.text, got["Coord-Gray"], got["Coord-Release"]), ("eu", "true", "1"))
        self.assertTrue(self.value("?label.zone=eu&as=json").json["gray"])
        self.assertEqual(self.value("?label.zone=us").text, "base")
        self.assertEqual(self.member.put(self.path + "/gray?percent=30", b"some").status, 200)
        self.assertEqual(self.value().text, "base")
        before = [self.value(f"?instance=i{i}").text for i in range(100)]
        self.assertTrue(10 <= before.count("some") <= 50, before.count("some"))
        self.member.put(self.path + "/gray?percent=60", b"some")
        after = [self.value(f"?instance=i{i}").text for i in range(100)]
        self.assertTrue(all(b == "some" for a, b in zip(before, after) if a == "some"))
        told = self.member.get(self.path + "/gray?as=json").json
        self.assertEqual((told["value"], told["percent"], told["labels"]), ("some", 60, {}))

    def test_withdraw_and_promote(self):
        self.publish(b"base")
        self.member.put(self.path + "/gray?percent=100", b"new")
        self.assertEqual(self.value("?instance=i").text, "new")
        self.assertEqual(self.member.delete(self.path + "/gray").status, 204)
        self.assertEqual(self.value("?instance=i").text, "base")
        self.member.put(self.path + "/gray?percent=100", b"new")
        promoted = self.member.post(self.path + "/gray/promote", {"comment": "fine"})
        self.assertEqual((promoted.status, promoted.json["release"]), (201, 2))
        self.assertEqual(self.value().text, "new")
        self.expect(self.member.post(self.path + "/gray/promote"), 404, "not-found")


class Push(ConfigTest):
    def later(self, what):
        thread = threading.Thread(target=what)
        thread.start()
        self.addCleanup(thread.join)

    def test_a_stream_opens_with_the_present_release_and_shows_each_new_one(self):
        self.publish(b"v1")
        stream = self.stream()
        self.publish(b"v2")
        seen = stream.wait_for(2, kinds=["release"])
        self.assertEqual([e.data["value"] for e in seen], ["v1", "v2"])
        self.assertEqual([e.data["release"] for e in seen], [1, 2])
        # What concerns others is no event.
        self.member.put(self.path + "/gray?label.zone=eu", b"g")
        self.publish(b"v3")
        self.assertEqual([e.data["value"] for e in stream.wait_for(3, kinds=["release"])],
                         ["v1", "v2", "v3"])
        self.member.delete(self.path)
        stream.wait_for(1, kinds=["not-found"])

    def test_a_stream_resumes(self):
        self.publish(b"v1")
        stream = self.stream()
        stream.wait_for(1, kinds=["release"])
        stream.close()
        self.publish(b"v2")
        resumed = self.stream(headers={"Last-Event-ID": stream.last_id})
        self.publish(b"v3")
        wait_until(lambda: [e for e in resumed.of(["release"]) if e.data["value"] == "v3"],
                   what="v3")
        self.assertNotIn("v1", [e.data["value"] for e in resumed.of(["release"])])

    def test_a_gray_stream_follows_its_value(self):
        self.publish(b"base")
        stream = self.stream("?label.zone=eu")
        self.member.put(self.path + "/gray?label.zone=eu", b"gray")
        stream.wait_for(2, kinds=["release"])
        self.member.delete(self.path + "/gray")
        seen = stream.wait_for(3, kinds=["release"])
        self.assertEqual([(e.data["value"], e.data["gray"]) for e in seen],
                         [("base", False), ("gray", True), ("base", False)])

    def test_a_long_poll_wakes_on_a_real_change_only(self):
        self.publish(b"v1")
        got = []
        self.wait_for_watches(0)
        self.later(lambda: got.append(self.member.get(self.path + "?wait=10s")))
        self.wait_for_watches(1)
        self.member.put(self.path + "/gray?label.zone=eu", b"g")
        self.member.put(self.path + "/schema", b"{}")
        self.assertEqual(got, [])
        self.publish(b'"v2"')
        wait_until(lambda: got, what="the poll's answer")
        self.assertEqual((got[0].status, got[0].text), (200, '"v2"'))

    def test_long_polls_by_etag_by_revision_and_of_what_is_missing(self):
        start = self.member.get("/v1/config/none")
        self.assertEqual(self.member.get(self.path + "?wait=50ms").status, 304)
        got = []
        self.wait_for_watches(0)
        self.later(lambda: got.append(self.member.get(self.path + "?wait=10s")))
        self.wait_for_watches(1)
        self.publish(b"v1")
        wait_until(lambda: got, what="the poll's answer")
        self.assertEqual(got[0].text, "v1")
        self.assertEqual(self.member.get(f"{self.path}?wait=20s&since={start.revision}").text, "v1")
        now = self.member.get(self.path)
        polled = self.member.get(f"{self.path}?wait=50ms&since={now.revision}")
        self.assertEqual(polled.status, 304)
        self.assertEqual(self.member.get(self.path + "?wait=50ms", if_none_match='"1"').status, 304)
        self.assertEqual(self.member.get(self.path + "?wait=9s", if_none_match='"7"').text, "v1")
        gone = []
        self.wait_for_watches(0)
        self.later(lambda: gone.append(self.member.get(self.path + "?wait=10s")))
        self.wait_for_watches(1)
        self.member.delete(self.path)
        wait_until(lambda: gone, what="the poll's answer")
        self.expect(gone[0], 404, "not-found")

    def test_who_runs_which_release(self):
        self.publish(b"v1")
        self.member.get(self.path + "?instance=host-1&label.zone=eu")
        stream = self.stream("?instance=host-2")
        stream.wait_for(1, kinds=["release"])
        self.publish(b"v2")
        stream.wait_for(2, kinds=["release"])
        told = {c["instance"]: c for c in self.member.get(self.path + "/clients").json["clients"]}
        self.assertEqual((told["host-1"]["release"], told["host-1"]["connected"]), (1, False))
        self.assertEqual(told["host-1"]["labels"], {"zone": "eu"})
        self.assertEqual((told["host-2"]["release"], told["host-2"]["connected"]), (2, True))
        stream.close()
        wait_until(lambda: not any(c["connected"] for c in self.member.get(
            self.path + "/clients").json["clients"]), what="the stream is gone")


class CommandLine(ConfigTest):
    def run_ctl(self, *arguments, code=0, **options):
        done = ctl(self.member, "config", *arguments, **options)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout.decode()

    def test_the_verbs(self):
        name = self.name
        self.run_ctl("put", name, '{"a": 1}', "--comment", "first", "--author", "ann")
        self.assertEqual(self.run_ctl("get", name), '{"a": 1}')
        self.run_ctl("put", name, '{"a": 2}', "--if-release", "1")
        self.run_ctl("put", name, "x", "--if-release", "1", code=4)
        self.assertIn("+{\"a\": 2}", self.run_ctl("diff", name))
        self.run_ctl("rollback", name, "1")
        history = self.run_ctl("history", name)
        self.assertIn("first", history)
        self.assertIn("(rollback to 1)", history)
        self.assertEqual(self.run_ctl("get", name, "--release", "2"), '{"a": 2}')
        self.run_ctl("gray", "set", name, "g", "--label", "zone=eu")
        self.assertEqual(self.run_ctl("get", name, "--label", "zone=eu"), "g")
        self.run_ctl("gray", "promote", name)
        self.run_ctl("gray", "clear", name, code=3)
        self.run_ctl("schema", "set", name, '{"type":"object"}')
        self.run_ctl("put", name, "[]", code=1)
        self.assertIn(name, self.run_ctl("ls"))
        self.run_ctl("clients", name)
        self.run_ctl("rm", name)
        self.run_ctl("get", name, code=3)

    def test_edit_publishes_what_changed(self):
        self.publish(b"one\n")
        quiet = {"EDITOR": "true", "VISUAL": ""}
        self.run_ctl("edit", self.name, environment=quiet)
        self.run_ctl("edit", self.name, environment={"EDITOR": "sed -i s/one/two/", "VISUAL": ""})
        self.assertEqual(self.member.get(self.path).text, "two\n")
        self.assertEqual(self.member.get(self.path + "?as=json").json["release"], 2)
        self.run_ctl("edit", self.name, code=1, environment={"EDITOR": "false", "VISUAL": ""})

    def test_watch_writes_files_and_runs_the_command(self):
        with tempfile.TemporaryDirectory() as directory:
            source = Path(directory) / "app.in"
            made = Path(directory) / "app.conf"
            copy = Path(directory) / "app.json"
            log = Path(directory) / "log"
            source.write_text("host={{db.host}} first={{ports.0}}\n")
            self.publish(b'{"db":{"host":"h1"},"ports":[7,8]}')
            process = subprocess.Popen(
                [str(COORDCTL), "--endpoint", self.member.url, "config", "watch", self.name,
                 "--template", f"{source}={made}", "--file", str(copy), "--exec",
                 f"echo $COORD_RELEASE >> {log}", "--count", "2"], stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL)
            self.addCleanup(process.wait)
            wait_until(lambda: log.exists() and log.read_text() == "1\n", what="the first run")
            self.assertEqual(made.read_text(), "host=h1 first=7\n")
            self.publish(b'{"db":{"host":"h2"},"ports":[9]}')
            self.assertEqual(process.wait(20), 0)
            self.assertEqual(log.read_text(), "1\n2\n")
            self.assertEqual(made.read_text(), "host=h2 first=9\n")
            self.assertEqual(json.loads(copy.read_text())["ports"], [9])
            self.assertEqual(sorted(os.listdir(directory)),
                             ["app.conf", "app.in", "app.json", "log"])


class ThreeMembers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()

    def publish(self, member, value):
        """Publishes until it is known to be there; the release."""
        key = os.urandom(8).hex()

        def done():
            try:
                answer = member.put("/v1/config/app", value, idempotency_key=key)
            except OSError:
                return None
            return answer.json["release"] if answer.status == 201 else None
        return wait_until(done, 30, f"release of {value}")

    def test_streams_and_polls_on_followers_and_over_the_leaders_end(self):
        leader = self.cluster.leader()
        follower = self.cluster.followers()[0]
        self.publish(follower, b"v1")
        stream = Stream(follower, "/v1/config/app?instance=host-1")
        self.addCleanup(stream.close)
        doomed = Stream(leader, "/v1/config/app")
        self.addCleanup(doomed.close)
        for other in (stream, doomed):
            self.assertEqual(other.wait_for(1, kinds=["release"])[0].data["value"], "v1")
        read = follower.get("/v1/config/app")
        self.assertEqual((read.status, read.text), (200, "v1"))
        leader.kill()
        self.publish(follower, b"v2")
        # The follower's stream goes on, the leader's resumes elsewhere; neither misses a release.
        stream.wait_for(2, kinds=["release"])
        resumed = Stream(self.cluster.leader(seconds=20), "/v1/config/app",
                         headers={"Last-Event-ID": doomed.last_id})
        self.addCleanup(resumed.close)
        self.assertEqual(resumed.wait_for(1, kinds=["release"])[0].data["value"], "v2")
        self.publish(follower, b"v3")
        self.assertEqual(stream.wait_for(3, kinds=["release"])[-1].data["release"], 3)
        self.assertEqual(resumed.wait_for(2, kinds=["release"])[-1].data["release"], 3)
        leader.start()
        self.cluster.wait_ready(leader)
        wait_until(lambda: leader.get("/v1/config/app?consistency=local").text == "v3",
                   what="the member that came back")
        self.cluster.wait_same_digest()


if __name__ == "__main__":
    unittest.main()
