"""coordctl: verbs, flags, output forms and exit codes that scripts use."""

import json
import os
import subprocess
import tempfile
import time

from harness import COORDCTL, MemberTest, ctl, free_port, wait_until


class Ctl(MemberTest):
    def ctl(self, *arguments, want=0, **options):
        done = ctl(self.member, *arguments, **options)
        self.assertEqual(done.returncode, want, f"{arguments}: {done.stdout!r} {done.stderr!r}")
        return done.stdout.decode()

    def test_set_and_get_keep_every_byte(self):
        self.ctl("set", self.base, "hello")
        self.assertEqual(self.ctl("get", self.base), "hello")
        value = bytes(range(256))
        self.ctl("set", self.base, "-", input=value)
        self.assertEqual(ctl(self.member, "get", self.base).stdout, value)
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"from a file\n")
            file.flush()
            self.ctl("set", self.base, "@" + file.name)
        self.assertEqual(self.ctl("get", self.base), "from a file\n")

    def test_create_refuses_what_exists_and_numbers_sequentials(self):
        self.ctl("create", self.base, "x")
        self.ctl("create", self.base, "y", want=4)
        shown = self.ctl("create", "--sequential", self.base + "/job-", "1")
        self.assertIn(self.base + "/job-0000000000", shown)
        made = json.loads(self.ctl("--output", "json", "create", "--sequential",
                                   self.base + "/job-", "2"))
        self.assertEqual(made["path"], self.base + "/job-0000000001")
        self.ctl("create", "--parents", self.base + "/a/b/c", "deep")
        self.assertEqual(self.ctl("get", self.base + "/a/b/c"), "deep")

    def test_rm_takes_a_tree_only_when_told(self):
        self.ctl("create", "--parents", self.base + "/a/b", "x")
        self.ctl("rm", self.base, want=4)
        self.ctl("rm", "-r", self.base)
        self.ctl("get", self.base, want=3)
        self.ctl("rm", self.base, want=3)

    def test_guards(self):
        self.ctl("set", self.base, "0")
        stat = json.loads(self.ctl("--output", "json", "stat", self.base))
        self.ctl("set", "--if-match", str(stat["mzxid"]), self.base, "1")
        self.ctl("set", "--if-match", str(stat["mzxid"]), self.base, "2", want=4)
        self.ctl("set", "--if-absent", self.base, "3", want=4)
        self.assertEqual(self.ctl("get", self.base), "1")
        self.assertEqual(self.ctl("get", "--at", str(stat["mzxid"]), self.base), "0")

    def test_ls_and_tree(self):
        self.ctl("create", "--parents", self.base + "/config", "x" * 118)
        self.ctl("create", "--container", self.base + "/workers")
        self.assertEqual(self.ctl("ls", self.base).split(), ["config", "workers"])
        long = self.ctl("ls", "-l", self.base)
        self.assertEqual(long.splitlines()[0].split(),
                         ["NAME", "TYPE", "VERSION", "SIZE", "CHILDREN", "MODIFIED", "SESSION"])
        self.assertRegex(long, r"config +persistent +0 +118 +0 +\d{4}-\d\d-\d\dT")
        tree = self.ctl("tree", self.base)
        self.assertIn("config", tree)
        self.assertIn("workers", tree)

    def test_json_output_is_json(self):
        self.ctl("set", self.base, "v")
        for arguments in (("get", self.base), ("stat", self.base), ("ls", "/"), ("status",),
                          ("history", self.base), ("acl", "get", self.base), ("version",)):
            with self.subTest(arguments=arguments):
                json.loads(self.ctl("--output", "json", *arguments))

    def test_walk_and_history(self):
        self.ctl("create", "--parents", self.base + "/a/b", "x")
        self.ctl("set", self.base + "/a/b", "y")
        walk = self.ctl("walk", self.base)
        for path in ("", "/a", "/a/b"):
            self.assertIn(self.base + path, walk)
        self.assertEqual(len(self.ctl("history", self.base + "/a/b").strip().splitlines()), 3)

    def test_watch_prints_events_and_runs_commands(self):
        self.ctl("set", self.base, "v0")
        with tempfile.TemporaryDirectory() as folder:
            process = subprocess.Popen(
                [str(COORDCTL), "--endpoint", self.member.url, "watch", self.base, "--exec",
                 f"echo run >> {folder}/ran"], stdout=subprocess.PIPE, text=True)
            try:
                def changed():
                    self.member.put(self.tree, str(time.monotonic()))
                    return os.path.exists(f"{folder}/ran")
                wait_until(changed, 10, "the command")
            finally:
                process.terminate()
                process.wait()
                process.stdout.close()

    def test_txn_from_a_file_and_from_stdin(self):
        text = json.dumps({"then": [{"op": "create", "path": self.base, "value": "t"}]})
        self.ctl("txn", "-", input=text.encode())
        self.assertEqual(self.ctl("get", self.base), "t")
        self.ctl("txn", "-", input=text.encode(), want=4)

    def test_sessions_and_ephemerals(self):
        opened = json.loads(self.ctl("--output", "json", "session", "open", "--ttl", "30s"))
        token = opened["session"]
        self.ctl("--session", token, "create", "--ephemeral", self.base, "me")
        self.assertIn(opened["id"], self.ctl("session", "ls"))
        self.ctl("--session", token, "session", "close")
        self.ctl("get", self.base, want=3)

    def test_acl_and_quota(self):
        self.ctl("set", self.base, "x")
        self.assertIn("world", self.ctl("acl", "get", self.base))
        self.ctl("quota", "set", self.base, "--nodes", "2")
        self.assertIn("2", self.ctl("quota", "get", self.base))
        self.ctl("set", self.base + "/a", "")
        done = ctl(self.member, "set", self.base + "/b", "")
        self.assertNotEqual(done.returncode, 0)

    def test_exit_codes_tell_what_happened(self):
        self.ctl("get", want=2)
        self.ctl("fly", want=2)
        self.ctl("get", self.base, want=3)
        gone = subprocess.run(
            [str(COORDCTL), "--endpoint", f"http://127.0.0.1:{free_port()}", "get", "/"],
            capture_output=True, timeout=60)
        self.assertEqual(gone.returncode, 5, gone.stderr)
        self.assertEqual(gone.stdout, b"")

    def test_it_fails_over_to_the_endpoint_that_answers(self):
        self.ctl("set", self.base, "v")
        dead = f"http://127.0.0.1:{free_port()}"
        done = subprocess.run(
            [str(COORDCTL), "--endpoint", f"{dead},{self.member.url}", "get", self.base],
            capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (0, b"v"), done.stderr)

    def test_help_has_examples_and_completion_is_shell(self):
        self.assertIn("coordctl", self.ctl("--help"))
        self.assertIn("set", self.ctl("set", "--help"))
        script = self.ctl("completion", "bash")
        checked = subprocess.run(["bash", "-n"], input=script.encode(), capture_output=True)
        self.assertEqual(checked.returncode, 0, checked.stderr)

    def test_bench_reports_percentiles(self):
        shown = self.ctl("bench", "--help")
        self.assertIn("bench", shown)

    def test_status_shows_the_member(self):
        self.assertIn("leader", self.ctl("status"))
