"""Moving from ZooKeeper: coordctl import zookeeper, from Debian's server and its snapshots."""

import base64
import json
import os
import signal
import subprocess
import threading
import unittest
from datetime import datetime

from harness import COORDCTL, SLOW, Member, ctl, wait_until
from zookeeper import OPEN, SUPER, Wire, ZooKeeper, digest_of

AUTH = ("--auth", "digest:" + SUPER)
LOCKED = [(31, "digest", digest_of("ann:pw")), (1, "world", "anyone")]


def millis(text):
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


class Import(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.source = ZooKeeper()
        cls.addClassCleanup(cls.source.close)
        cls.source.start()
        cls.wire = Wire(cls.source.port, credential="ann:pw")
        cls.addClassCleanup(cls.wire.close)

    def setUp(self):
        self.member = Member()
        self.addCleanup(self.member.close)
        self.member.start()
        self.top = "/" + self.id().rsplit(".", 1)[1]

    def run_import(self, *arguments, code=0, member=None):
        done = ctl(member or self.member, "--output", "json", "import", "zookeeper", *arguments,
                   seconds=120)
        self.assertEqual(done.returncode, code, done.stderr.decode() + done.stdout.decode())
        return json.loads(done.stdout) if done.stdout else done.stderr.decode()

    def fill(self, top=None):
        """Every kind of node; gives how many there are that are copied."""
        wire, top = self.wire, top or self.top
        wire.create(top, b"top")
        wire.create(f"{top}/empty", b"")
        wire.create(f"{top}/null", None)
        wire.create(f"{top}/binary", bytes(range(256)) * 300)
        wire.create(f"{top}/locked", b"mine", LOCKED)
        wire.set(f"{top}/locked", b"mine still")
        wire.set_acl(f"{top}/locked", LOCKED + [(4, "ip", "10.0.0.0/8")])
        wire.create(f"{top}/set", b"1")
        for i in range(5):
            wire.set(f"{top}/set", b"%d" % i)
        wire.create(f"{top}/queue", b"")
        for _ in range(7):
            wire.create(f"{top}/queue/item-", b"x", flags=2)
        wire.delete(f"{top}/queue/item-0000000003")
        wire.create(f"{top}/queue/owner", b"", flags=1)  # Ephemeral: counts, but stays there.
        wire.create(f"{top}/box", b"", flags=4)
        wire.create(f"{top}/box/inner", "grün ☃")
        wire.create_ttl(f"{top}/brief", b"", 3_600_000)
        wire.create(f"{top}/deep", b"")
        for i in range(20):
            wire.create(f"{top}/deep/" + "/".join("abcdefghijklmnopqrstuvwxyz"[:i + 1]), b"%d" % i)
        return 1 + 6 + 6 + 2 + 1 + 1 + 20

    def expect_like_source(self, path, here=None, member=None):
        want = self.wire.stat(path)
        answer = (member or self.member).get("/v1/stat" + (here or path))
        self.assertEqual(answer.status, 200, str(answer))
        stat = answer.json
        got = {"ctime": millis(stat["ctime"]), "mtime": millis(stat["mtime"]),
               "version": stat["version"], "aversion": stat["aversion"],
               "length": stat["data_length"],
               "created": (stat["cversion"] + stat["num_children"]) // 2}
        self.assertEqual(got, {
            "ctime": want["ctime"], "mtime": want["mtime"], "version": want["version"],
            "aversion": want["aversion"], "length": want["length"],
            "created": (want["cversion"] + want["children"]) // 2}, path)
        return stat

    def expect_everything(self, top=None, here=None, member=None):
        top = top or self.top
        here = here or top
        member = member or self.member
        for name in ("", "/empty", "/null", "/binary", "/locked", "/set", "/queue", "/box",
                     "/box/inner", "/deep", "/deep/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t"):
            self.expect_like_source(top + name, here + name, member)
        self.assertEqual(member.get(f"/v1/tree{here}/binary").body, bytes(range(256)) * 300)
        envelope = {"Accept": "application/json"}
        self.assertIsNone(member.request("GET", f"/v1/tree{here}/null", None, envelope)
                          .json["value"])
        self.assertEqual(member.request("GET", f"/v1/tree{here}/empty", None, envelope)
                         .json["value"], "")
        self.assertEqual(member.get(f"/v1/tree{here}/box/inner").text, "grün ☃")
        acl = {(e["scheme"], e["id"]): sorted(e["permissions"])
               for e in member.get(f"/v1/acl{here}/locked").json["acl"]}
        self.assertEqual(acl, {
            ("digest", digest_of("ann:pw")): ["admin", "create", "delete", "read", "write"],
            ("world", "anyone"): ["read"], ("ip", "10.0.0.0/8"): ["create"]})
        names = member.get(f"/v1/children{here}/queue").json["children"]
        self.assertEqual(names, [f"item-000000000{i}" for i in (0, 1, 2, 4, 5, 6)])
        # The next sequential name goes on from the source's, its ephemeral counted.
        made = member.post(f"/v1/tree{here}/queue?prefix=item-", b"")
        self.assertEqual(made.json["path"], f"{here}/queue/item-0000000008")

    def test_a_living_tree_comes_with_all_that_clients_see_of_it(self):
        nodes = self.fill()
        before = self.run_import(self.source.address, "--path", self.top, "--dry-run", *AUTH)
        self.assertEqual((before["nodes"], before["created"], before["dry_run"]),
                         (nodes, nodes, True))
        self.assertEqual(self.member.get("/v1/stat" + self.top).status, 404)
        summary = self.run_import(self.source.address, "--path", self.top, *AUTH)
        self.assertEqual(summary["nodes"], nodes)
        self.assertEqual(summary["created"], nodes)
        self.assertEqual(summary["ephemerals_skipped"], 1)
        self.assertTrue(summary["verified"])
        self.assertFalse(summary["read_only"])
        self.assertEqual(summary["digest"]["source"], summary["digest"]["target"])
        self.expect_everything()
        # Open to everybody again, as before; a restart keeps it all.
        self.assertEqual(self.member.put(f"/v1/tree{self.top}/set", "new").status, 200)
        self.member.kill()
        self.member.start()
        stat = self.expect_like_source(self.top + "/deep/a")
        self.assertGreater(stat["czxid"], 0)
        self.assertLess(stat["czxid"], 1000)  # A revision of this cluster.
        again = self.run_import(self.source.address, "--path", self.top, *AUTH)
        self.assertEqual((again["created"], again["updated"], again["extra"]), (0, 2, 1))
        self.assertEqual(self.member.get(f"/v1/tree{self.top}/set").text, "4")

    def test_it_goes_to_another_place_and_leaves_what_is_there(self):
        nodes = self.fill()
        self.member.put("/v1/tree/moved/here/own?parents=true", "kept")
        summary = self.run_import(self.source.address, "--path", self.top, "--target",
                                  "/moved/here", *AUTH)
        self.assertEqual((summary["nodes"], summary["extra"]), (nodes, 1))
        self.assertEqual(self.member.get("/v1/tree/moved/here/own").text, "kept")
        self.assertEqual(self.member.get("/v1/tree/moved/here/set").text, "4")
        self.assertEqual(self.member.get("/v1/stat" + self.top).status, 404)

    def test_a_snapshot_file_brings_the_kinds_of_nodes_too(self):
        source = ZooKeeper()
        self.addCleanup(source.close)
        source.start()
        shared, self.__class__.wire = self.wire, Wire(source.port, credential="ann:pw")
        try:
            nodes = self.fill("/app")
            self.wire.create("/other", b"o")
            source.stop()
            source.start()  # It writes an exact one when it starts.
            self.__class__.wire.link.close()
            self.__class__.wire = Wire(source.port, credential="ann:pw")
            file = str(source.snapshots()[-1])
            summary = self.run_import(file)
            self.assertEqual(summary["nodes"], nodes + 2)  # The root, and /other.
            self.assertTrue(summary["verified"])
            self.expect_everything("/app")
            box = self.member.get("/v1/stat/app/box").json
            self.assertEqual(box["mode"], "container")
            brief = self.member.get("/v1/stat/app/brief").json
            self.assertEqual((brief["mode"], brief["ttl_ms"]), ("ttl", 3_600_000))
            # The same file tells a living import what ZooKeeper does not.
            other = Member()
            self.addCleanup(other.close)
            other.start()
            self.run_import(source.address, "--kinds", file, "--path", "/app", *AUTH, member=other)
            self.assertEqual(other.get("/v1/stat/app/box").json["mode"], "container")
            self.assertEqual(other.get("/v1/stat/app/brief").json["ttl_ms"], 3_600_000)
            self.expect_damage_is_seen(file)
        finally:
            self.wire.close()
            self.__class__.wire = shared

    def expect_damage_is_seen(self, file):
        with open(file, "rb") as whole:
            data = whole.read()
        bad = file + ".bad"
        for name, content in [("cut", data[:len(data) // 2]), ("empty", b""),
                              ("changed", data[:400] + bytes([data[400] ^ 1]) + data[401:]),
                              ("packed", b"\x1f\x8b" + data)]:
            with self.subTest(name):
                with open(bad, "wb") as out:
                    out.write(content)
                said = self.run_import(bad, "--target", "/bad", code=1)
                self.assertIn("no whole snapshot", said)
                self.assertEqual(self.member.get("/v1/children/.coord/imports").json["children"],
                                 [])

    def follow(self, *arguments):
        process = subprocess.Popen(
            [str(COORDCTL), "--endpoint", self.member.url, "--output", "json", "import",
             "zookeeper", self.source.address, "--path", self.top, "--follow", *AUTH, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(lambda: process.poll() is None and (process.kill(), process.wait()))
        said = []

        def read():
            for line in process.stderr:
                said.append(line.decode())

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        wait_until(lambda: process.poll() is not None or any("following" in s for s in said), 60,
                   f"following: {said}")
        self.assertIsNone(process.poll(), said)
        return process

    def value(self, path):
        answer = self.member.get("/v1/tree" + self.top + path)
        return answer.text if answer.status == 200 else answer.status

    def test_following_keeps_up_and_the_target_is_read_only_until_finished(self):
        self.fill()
        process = self.follow()
        wire, top = self.wire, self.top
        wire.set(f"{top}/set", b"after")
        wire.create(f"{top}/new", b"n")
        wire.create(f"{top}/new/below", b"b")
        wire.delete(f"{top}/empty")
        wait_until(lambda: (self.value("/set"), self.value("/new/below"), self.value("/empty")) ==
                   ("after", "b", 404), 20, "the changes")
        wire.delete(f"{top}/new/below")
        wire.delete(f"{top}/new")
        wire.create(f"{top}/queue/item-", b"x", flags=2)
        wait_until(lambda: self.value("/new") == 404 and self.value("/queue/item-0000000008") == "x",
                   20, "more changes")
        for answer in (self.member.put(f"/v1/tree{top}/set", "mine"),
                       self.member.put(f"/v1/tree{top}/own", "mine"),
                       self.member.delete(f"/v1/tree{top}/set"),
                       self.member.delete(f"/v1/tree{top}?recursive=true"),
                       self.member.post("/v1/txn", {"then": [
                           {"op": "set", "path": f"{top}/set", "value": "mine"}]})):
            self.assertEqual((answer.status, answer.code), (403, "forbidden"), str(answer))
            self.assertIn("imported", answer.json["detail"])
        self.assertEqual(self.member.put("/v1/tree/elsewhere", "free").status, 201)
        self.assertEqual(self.value("/set"), "after")
        # Another one into the same place or around it is refused; a restart forgets nothing.
        self.run_import(self.source.address, "--path", top, *AUTH, code=4)
        self.run_import(self.source.address, *AUTH, code=4)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30 * SLOW), 0)
        self.assertTrue(json.loads(process.stdout.read())["read_only"])
        self.member.kill()
        self.member.start()
        self.assertEqual(self.member.put(f"/v1/tree{top}/set", "mine").status, 403)
        # Changed while nobody followed; an ACL says nothing to a watch.
        wire.delete(f"{top}/set")
        wire.set_acl(f"{top}/null", LOCKED)
        summary = self.run_import("--finish", *AUTH)
        self.assertTrue(summary["verified"])
        self.assertEqual(summary["deleted"], 1)
        self.assertEqual(self.value("/set"), 404)
        self.expect_like_source(f"{top}/null")
        self.assertEqual(self.member.put(f"/v1/tree{top}/set", "mine").status, 201)
        self.run_import("--finish", code=3)

    def test_following_goes_on_over_breaks_and_ends_when_another_finishes(self):
        self.fill()
        process = self.follow()
        self.member.kill()
        self.wire.set(f"{self.top}/set", b"while down")
        self.member.start()
        wait_until(lambda: self.value("/set") == "while down", 30, "catching up with the source")
        self.run_import("--finish", "--no-verify", "--target", self.top)
        self.assertEqual(process.wait(30 * SLOW), 0)
        self.assertFalse(json.loads(process.stdout.read())["read_only"])
        self.assertEqual(self.member.put(f"/v1/tree{self.top}/set", "mine").status, 200)

    def test_containers_wait_for_the_end_of_the_import(self):
        self.member.close()
        self.member = Member()
        self.addCleanup(self.member.close)
        self.member.start()
        begin = self.member.put("/v1/imports/app?source=by%20hand", b"")
        self.assertEqual(begin.status, 201, str(begin))
        lines = [{"path": "/app", "mode": "container", "children_created": 3},
                 {"path": "/app/brief", "mode": "ttl", "ttl_ms": 1}]
        answer = self.member.post("/v1/imports/app",
                                  "\n".join(json.dumps(line) for line in lines))
        self.assertEqual(answer.status, 200, str(answer))
        revision = answer.revision
        # Due at once and again and again, and not taken away while it is closed.
        wait_until(lambda: self.member.status()["applied"] > revision + 2, 20, "time to pass")
        self.assertEqual(self.member.get("/v1/stat/app/brief").status, 200)
        self.assertEqual(self.member.delete("/v1/imports/app").status, 204)
        wait_until(lambda: self.member.get("/v1/stat/app/brief").status == 404, 20, "the ttl")

    def test_what_is_wrong_is_said(self):
        self.wire.create(self.top, b"")
        self.wire.create(f"{self.top}/secret", b"", [(31, "digest", digest_of("ann:pw"))])
        said = self.run_import(self.source.address, "--path", self.top, code=7)
        self.assertIn("--auth", said)
        self.assertEqual(self.member.get("/v1/children/.coord/imports").json["children"], [])
        self.run_import(self.source.address, "--path", "/nothing/there", *AUTH, code=3)
        self.run_import("127.0.0.1:1", code=5)
        self.run_import("/no/such/file", code=2)
        self.run_import("not a host", code=2)
        self.run_import(code=2)
        self.run_import(self.source.address, "--path", "/zookeeper", code=2)
        self.run_import(self.source.address, "--finish", "--follow", code=2)
        self.run_import("--finish", code=3)
        member = self.member
        for method, path, body, status in [
                ("PUT", "/v1/imports/app", b"", 400),
                ("PUT", "/v1/imports/.coord/x?source=a", b"", 403),
                ("POST", "/v1/imports/app", b'{"path":"/app"}', 404),
                ("POST", "/v1/imports/app", b"", 400),
                ("POST", "/v1/imports/app", b"{", 400),
                ("POST", "/v1/imports/app", b'{"path":"/app","mode":"ephemeral"}', 400),
                ("POST", "/v1/imports/app", b'{"path":"/app","mode":"ttl"}', 400),
                ("POST", "/v1/imports/app", b'{"path":"/app","version":9999999999}', 400),
                ("POST", "/v1/imports/app", b'{"path":"/app","wrong":1}', 400),
                ("POST", "/v1/imports/app", b'{"path":"/app"}\n' * 1001, 413),
                ("DELETE", "/v1/imports/app", None, 404)]:
            answer = member.request(method, path, body)
            self.assertEqual(answer.status, status, f"{method} {path} {body!r:.60}: {answer}")
        self.assertEqual(member.put("/v1/imports/app?source=a", b"").status, 201)
        for body, status in [(b'{"path":"/elsewhere"}', 400), (b'{"path":"/app/a/b"}', 404),
                             (b'{"path":"/app"}\n{"path":"/app/x","acl":[]}', 400)]:
            answer = member.request("POST", "/v1/imports/app", body)
            self.assertEqual(answer.status, status, str(answer))
        self.assertEqual(member.get("/v1/stat/app").status, 404)  # All or nothing.
        self.assertEqual(member.put("/v1/imports/app?source=a", b"").status, 200)
        self.assertEqual(member.put("/v1/imports/app?source=b", b"").status, 409)
        self.assertEqual(member.put("/v1/imports/app/below?source=a", b"").status, 409)

    def test_an_import_takes_an_operator(self):
        member = Member(flags=["--super-digest", "op:" + base64.b64encode(b"x" * 20).decode()])
        self.addCleanup(member.close)
        member.start()
        answer = member.put("/v1/imports/app?source=a", b"")
        self.assertEqual((answer.status, answer.code), (403, "forbidden"))

    def test_many_nodes_come_in_seconds(self):
        wire, top = self.wire, self.top
        wire.create(top, b"")
        count = int(os.environ.get("COORD_IMPORT_NODES", 3000))
        for i in range(count // 100):
            wire.create(f"{top}/d{i}", b"")
            for j in range(99):
                wire.create(f"{top}/d{i}/n{j}", b"x" * 100, OPEN)
        summary = self.run_import(self.source.address, "--path", top, *AUTH)
        self.assertEqual(summary["nodes"], count // 100 * 100 + 1)
        self.assertTrue(summary["verified"])


if __name__ == "__main__":
    unittest.main()
