"""Starting, stopping, probes, metrics, configuration, and the OpenAPI document."""

import re
import signal
import subprocess
import time

from harness import COORDD, Member, MemberTest, free_port, wait_until


class Probes(MemberTest):
    def test_the_probes_answer(self):
        self.expect(self.member.get("/livez"), 200)
        self.expect(self.member.get("/readyz"), 200)
        version = self.expect(self.member.get("/version"), 200)
        self.assertRegex(version.text, r"\d+\.\d+\.\d+")

    def test_status_says_what_the_page_names(self):
        self.member.put(self.tree, "x")
        status = self.expect(self.member.get("/v1/status"), 200).json
        for field in ("id", "cluster", "role", "leader", "term", "last", "committed", "applied",
                      "digest", "sessions", "watches", "version"):
            self.assertIn(field, status)
        self.assertEqual(status["role"], "leader")
        self.assertRegex(status["digest"]["value"], r"^[0-9a-f]+$")
        self.assertLessEqual(status["applied"], status["committed"])

    def test_metrics_are_in_the_format_of_prometheus_and_count(self):
        def value():
            answer = self.expect(self.member.get("/metrics"), 200)
            self.assertTrue(answer["Content-Type"].startswith("text/plain"))
            names = re.findall(r"^(coord_\w+)(?:\{[^}]*\})? (\S+)$", answer.text, re.M)
            self.assertTrue(names, answer.text[:500])
            for name in {re.sub(r"_(bucket|sum|count)$", "", n) for n, _ in names}:
                self.assertRegex(answer.text, rf"# TYPE {name}\w* (counter|gauge|histogram|summary)")
            return sum(float(v) for _, v in names)
        before = value()
        for _ in range(10):
            self.member.put(self.tree, "x")
        self.assertGreater(value(), before)

    def test_the_openapi_document_describes_the_routes_that_exist(self):
        document = self.expect(self.member.get("/openapi.json"), 200).json
        self.assertTrue(document["openapi"].startswith("3.1"))
        for path in ("/v1/tree/{path}", "/v1/stat/{path}", "/v1/children/{path}",
                     "/v1/walk/{path}", "/v1/history/{path}", "/v1/acl/{path}",
                     "/v1/quotas/{path}", "/v1/txn", "/v1/watch", "/v1/changes", "/v1/sessions",
                     "/v1/status", "/livez", "/readyz", "/metrics", "/version"):
            self.assertIn(path, document["paths"])
        for path, item in document["paths"].items():
            url = re.sub(r"\{[^}]*\}", "none", path)
            for method in ("get", "put", "post", "patch", "delete"):
                if path == "/v1/watch" and method == "get":
                    continue
                answer = self.member.request(method.upper(), url, b"" if method != "get" else None)
                is_known = not (answer.status == 405 or b"no-route" in answer.body)
                with self.subTest(path=path, method=method):
                    self.assertEqual(method in item, is_known, str(answer))


class Lifetime(MemberTest):
    def test_sigterm_ends_it_cleanly_also_under_streams_and_idle_connections(self):
        from harness import Stream
        stream = Stream(self.member, "/v1/watch?path=/")
        self.addCleanup(stream.close)
        import socket
        idle = socket.create_connection(("127.0.0.1", self.member.port))
        self.addCleanup(idle.close)
        revision = self.member.put(self.tree, "x").revision
        started = time.monotonic()
        self.assertEqual(self.member.stop(), 0, self.member.log)
        self.assertLess(time.monotonic() - started, 15)
        self.member.start()
        again = self.member.get(self.tree)
        self.assertEqual((again.status, again.body), (200, b"x"))
        self.assertEqual(again["ETag"], f'"{revision}"')

    def test_sigint_ends_it_cleanly_too(self):
        self.member.process.send_signal(signal.SIGINT)
        self.assertEqual(self.member.process.wait(20), 0)
        self.member.start()

    def test_a_second_member_on_the_same_data_or_port_refuses_to_start(self):
        for flags in (["--http", f"127.0.0.1:{free_port()}", "--data", str(self.member.data)],
                      ["--http", f"127.0.0.1:{self.member.port}", "--data",
                       str(self.member.data) + "-2"]):
            done = subprocess.run([str(COORDD), *flags], capture_output=True, timeout=60)
            self.assertNotEqual(done.returncode, 0, flags)
            self.assertTrue(done.stderr + done.stdout)
        self.expect(self.member.get("/readyz"), 200)

    def test_the_data_lie_where_the_page_says(self):
        self.member.put(self.tree, "x")
        self.assertTrue((self.member.data / "wal").is_dir())
        wait_until(lambda: (self.member.data / "state").is_dir(), 10, "state/")

    def test_a_restart_finds_everything_in_seconds(self):
        for i in range(200):
            self.member.put(f"{self.tree}-{i}", str(i))
        digest = self.member.digest()
        self.member.stop()
        started = time.monotonic()
        self.member.start()
        self.assertLess(time.monotonic() - started, 15)
        self.assertEqual(self.member.get(f"{self.tree}-199").body, b"199")
        self.assertEqual(self.member.digest()["value"], digest["value"])


class Configuration(MemberTest):
    def run_coordd(self, *flags, environment=None):
        import os
        return subprocess.run([str(COORDD), *flags], capture_output=True, timeout=30, text=True,
                              env={**os.environ, **(environment or {})})

    def test_version_and_help(self):
        self.assertRegex(self.run_coordd("--version").stdout, r"\d+\.\d+\.\d+")
        shown = self.run_coordd("--help").stdout
        for flag in ("--data", "--http", "--config", "--check-config"):
            self.assertIn(flag, shown)

    def test_check_config_accepts_what_is_right_and_names_what_is_wrong(self):
        import tempfile
        with tempfile.TemporaryDirectory() as folder:
            good, bad = folder + "/good.conf", folder + "/bad.conf"
            with open(good, "w") as file:
                file.write(f'data = "{folder}/data"\nhttp = "127.0.0.1:7999"\n')
            with open(bad, "w") as file:
                file.write('colour = "red"\n')
            fine = self.run_coordd("--config", good, "--check-config")
            self.assertEqual(fine.returncode, 0, fine.stderr)
            wrong = self.run_coordd("--config", bad, "--check-config")
            self.assertNotEqual(wrong.returncode, 0)
            self.assertIn("colour", wrong.stderr + wrong.stdout)
            for flags in (["--http", "nonsense"], ["--http", "127.0.0.1:99999"],
                          ["--colour", "red"]):
                self.assertNotEqual(self.run_coordd("--check-config", *flags).returncode, 0, flags)

    def test_the_environment_sets_flags(self):
        import tempfile
        port = free_port()
        with tempfile.TemporaryDirectory() as folder:
            member = Member(data=folder + "/data",
                            environment={"COORD_HTTP": f"127.0.0.1:{port}"})
            self.addCleanup(member.close)
            import os
            with open(member.log_path, "wb") as log:
                member.port = port
                member.process = subprocess.Popen(
                    [str(COORDD)], stdout=log, stderr=log,
                    env={**os.environ, "COORD_HTTP": f"127.0.0.1:{port}",
                         "COORD_DATA": folder + "/data"})

            def ready():
                try:
                    return member.get("/readyz").status == 200
                except OSError:
                    return False
            wait_until(ready, 20, "readyz")
            self.assertTrue((member.data / "wal").is_dir())
            self.assertEqual(member.stop(), 0)


class Cors(MemberTest):
    def test_a_foreign_origin_is_not_allowed_by_default(self):
        answer = self.member.get("/v1/status", origin="http://evil.example")
        self.assertIsNone(answer["Access-Control-Allow-Origin"])


class Logs(MemberTest):
    def test_values_and_secrets_never_appear_in_the_log(self):
        opened = self.member.open_session()
        secret = opened["session"].partition(".")[2]
        self.member.put(self.tree, "a-payload-nobody-should-see",
                        coord_session=opened["session"])
        self.member.request("GET", self.tree, headers={"Authorization": "Basic YW5uOnB3c2VjcmV0"})
        self.member.stop()
        log = self.member.log
        self.member.start()
        for hidden in (secret, "a-payload-nobody-should-see", "pwsecret", "YW5uOnB3c2VjcmV0"):
            self.assertNotIn(hidden, log)
        self.assertTrue(log.strip())

    def test_a_member_at_rest_is_silent(self):
        before = len(self.member.log.splitlines())
        time.sleep(3)
        self.assertLessEqual(len(self.member.log.splitlines()) - before, 3)


