"""The README's first screen, run as it stands, with real curl."""

import re
import subprocess
import time

from harness import ROOT, MemberTest


def first_screen():
    """The curl lines of the README's block that starts with `curl -X PUT -d hello`."""
    for block in re.findall(r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S):
        if block.startswith("curl -X PUT -d hello"):
            return block.strip().splitlines()
    raise AssertionError("the README has no first screen")


class Readme(MemberTest):
    def shell(self, line, seconds=10):
        line = line.replace("localhost:7070", f"localhost:{self.member.port}")
        return subprocess.run(["bash", "-c", line.replace("curl ", "curl -sS ")], text=True,
                              capture_output=True, timeout=seconds, cwd=self.member.own)

    def test_the_five_lines_do_what_they_say(self):
        put, get, watch, lock, write = first_screen()
        self.assertEqual(self.shell(put).stdout, "")
        self.assertEqual(self.shell(get).stdout, "hello")
        self.assertTrue(watch.endswith("&"))
        line = watch.removesuffix("&").replace("localhost:7070", f"localhost:{self.member.port}")
        process = subprocess.Popen(["bash", "-c", "exec " + line.replace("curl ", "curl -sS ")],
                                   stdout=subprocess.PIPE, text=True)
        try:
            self.assertEqual(process.stdout.readline(), "event: bookmark\n")
            self.shell(put.replace("hello", "again"))
            seen = ""
            until = time.monotonic() + 10
            while "again" not in seen and time.monotonic() < until:
                seen += process.stdout.readline()
            self.assertIn("event: changed", seen)
            self.assertIn('"value":"again"', seen.replace(": ", ":").replace("event:", "event: "))
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()
        self.assertIn('"state":"held"', self.shell(lock).stdout)
        again = self.shell(lock.replace("-D head", "-w ' %{http_code}'"))
        self.assertTrue(again.stdout.endswith(" 409"), again.stdout)
        self.assertEqual(self.shell(write).stdout, "")
        self.assertEqual(self.member.get("/v1/tree/report").text, "done")
        self.shell("curl -X DELETE -H @held localhost:7070/v1/locks/jobs/mine")
        late = self.shell(write.replace("curl ", "curl -w ' %{http_code}' "))
        self.assertIn("fence-stale", late.stdout)
        self.assertTrue(late.stdout.endswith(" 409"), late.stdout)

    def test_dev_run_prints_the_same_lines(self):
        script = (ROOT / "dev").read_text()
        shown = re.sub(r"\$at", "localhost:7070", script)
        for line in first_screen():
            self.assertIn("  " + line, shown)


class Documents(MemberTest):
    """Every coordctl and curl line of docs/getting-started.md runs without an error."""

    def test_getting_started_runs(self):
        from harness import BUILD
        import os
        text = (ROOT / "docs/getting-started.md").read_text()
        lines = [line for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
                 for line in block.strip().splitlines() if line and not line.startswith("./dev")]
        self.assertGreater(len(lines), 8)
        environment = {**os.environ, "PATH": f"{BUILD}/cli:{os.environ['PATH']}",
                       "COORD_ENDPOINT": self.member.url}
        script = "set -e\n" + "\n".join(lines).replace("localhost:7070",
                                                       f"localhost:{self.member.port}")
        script = script.replace("curl ", "curl -sSf ")
        done = subprocess.run(["bash", "-c", script], text=True, capture_output=True, timeout=60,
                              env=environment, cwd=self.member.own)
        self.assertEqual(done.returncode, 0, f"{done.stdout}\n{done.stderr}\n{script}")
