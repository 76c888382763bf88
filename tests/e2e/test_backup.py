"""Backups of a stopped member, their restoring, and a cluster that is forced anew."""

import base64
import os
import socket
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from harness import COORDD, SLOW, Member, ctl, wait_until


def coordd(*arguments):
    return subprocess.run([str(COORDD), *map(str, arguments)], capture_output=True, text=True,
                          timeout=60 * SLOW, stdin=subprocess.DEVNULL)


class Backup(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="coord-e2e-")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.member = Member()
        self.addCleanup(self.member.close)

    def fill(self):
        """Nodes before and after a checkpoint, the last ones in the log alone."""
        self.member.start()
        for i in range(30):
            self.assertEqual(self.member.put(f"/v1/tree/n{i}", f"value {i}").status, 201)
        last = self.member.put("/v1/tree/n0", "changed")
        self.assertEqual(last.status, 200)
        return self.member.status(), last.revision

    def back_up(self):
        file = self.directory / "backup"
        done = coordd("--data", self.member.data, "--backup", file)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return file

    def check(self, member, revision, cluster):
        self.assertEqual(member.get("/v1/tree/n0").text, "changed")
        self.assertEqual(member.get("/v1/tree/n29").text, "value 29")
        after = member.put("/v1/tree/after", "new")
        self.assertEqual(after.status, 201)
        self.assertGreater(after.revision, revision + 1_000_000)
        self.assertNotEqual(member.status()["cluster"], cluster)

    def test_a_backup_is_restored_as_a_new_cluster_above_its_revisions(self):
        status, revision = self.fill()
        self.member.kill()
        file = self.back_up()
        data = self.directory / "restored"
        done = coordd("--restore", file, "--data", data, "--id", 5)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        other = Member(data=data, flags=["--id", "5"])
        self.addCleanup(other.close)
        other.start()
        self.check(other, revision, status["cluster"])
        # The history came along, and it starts again from there.
        other.kill()
        other.start()
        self.assertEqual(other.get("/v1/tree/after").text, "new")
        # The member that it was taken from goes on as it was.
        self.member.start()
        self.assertEqual(self.member.status()["cluster"], status["cluster"])
        self.assertEqual(self.member.get("/v1/tree/n0").text, "changed")

    def test_a_directory_that_holds_something_is_refused_and_left_alone(self):
        self.fill()
        self.member.stop()
        file = self.back_up()
        data = self.directory / "taken"
        data.mkdir()
        (data / "mine").write_text("kept")
        done = coordd("--restore", file, "--data", data)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("is not empty", done.stderr + done.stdout)
        self.assertEqual([p.name for p in data.iterdir()], ["mine"])

    def test_a_damaged_backup_is_refused_and_nothing_is_left_of_it(self):
        self.fill()
        self.member.stop()
        file = self.back_up()
        whole = file.read_bytes()
        data = self.directory / "restored"
        for name, content in [("cut", whole[:-1]), ("empty", b""),
                              ("changed", whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])]:
            with self.subTest(name):
                file.write_bytes(content)
                done = coordd("--restore", file, "--data", data)
                self.assertEqual(done.returncode, 4, done.stderr + done.stdout)
                self.assertIn("offset", done.stderr + done.stdout)
                self.assertFalse(data.exists())
                self.assertFalse((self.directory / "restored.restoring").exists())

    def test_a_running_member_is_not_backed_up_behind_its_back(self):
        self.fill()
        done = coordd("--data", self.member.data, "--backup", self.directory / "backup")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("another coordd serves", done.stderr + done.stdout)

    def test_a_member_of_a_lost_quorum_becomes_a_cluster_of_one(self):
        status, revision = self.fill()
        self.member.kill()
        forced = Member(data=self.member.data, flags=["--force-new-cluster"])
        self.addCleanup(forced.close)
        forced.start()
        self.assertIn("forced-new-cluster", forced.log)
        self.check(forced, revision, status["cluster"])
        cluster = forced.status()["cluster"]
        forced.kill()
        self.member.start()  # Without the flag: it goes on as that cluster.
        self.assertEqual(self.member.status()["cluster"], cluster)
        self.assertEqual(self.member.get("/v1/tree/after").text, "new")


PATH = {"PATH": f"{COORDD.parent}:{os.environ['PATH']}"}  # coordctl finds coordd in it.


class OnlineBackup(unittest.TestCase):
    """Of a member that goes on serving."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="coord-e2e-")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.file = self.directory / "backup"
        self.member = Member()
        self.addCleanup(self.member.close)

    def fill(self, megabytes=0):
        self.member.start()
        for i in range(30):
            self.assertEqual(self.member.put(f"/v1/tree/n{i}", f"value {i}").status, 201)
        for i in range(megabytes * 2):
            self.assertEqual(self.member.put(f"/v1/tree/large{i}", os.urandom(1 << 19)).status, 201)

    def test_everything_acknowledged_before_is_in_it_and_writes_go_on_meanwhile(self):
        self.fill(megabytes=8)
        before = self.member.put("/v1/tree/last", "before").revision
        self.is_over = threading.Event()
        counts = []

        def write():
            count = 0
            while not self.is_over.is_set():
                count += self.member.put(f"/v1/tree/meanwhile{count}", b"x" * 2000).status == 201
            counts.append(count)

        writer = threading.Thread(target=write)
        writer.start()
        done = ctl(self.member, "backup", str(self.file))
        self.is_over.set()
        writer.join()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"revision", done.stdout)
        self.assertEqual(done.stderr, b"")  # No terminal, no progress.
        self.assertGreater(counts[0], 0)
        self.assertEqual([p.name for p in self.directory.iterdir()], ["backup"])
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)
        data = self.directory / "restored"
        done = ctl(self.member, "restore", str(self.file), "--data", str(data), "--id", "7",
                   environment=PATH)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        other = Member(data=data, flags=["--id", "7"])
        self.addCleanup(other.close)
        other.start()
        self.assertEqual(other.get("/v1/tree/last").text, "before")
        self.assertEqual(other.get("/v1/tree/large15").body,
                         self.member.get("/v1/tree/large15").body)
        # A prefix of what was written meanwhile, without a hole.
        names = set(other.get("/v1/children/?limit=10000").json["children"])
        seen = len([n for n in names if n.startswith("meanwhile")])
        self.assertEqual({f"meanwhile{i}" for i in range(seen)},
                         {n for n in names if n.startswith("meanwhile")})
        self.assertGreater(other.put("/v1/tree/after", "").revision, before + 1_000_000)

    def test_a_download_that_was_cut_is_refused(self):
        self.fill(megabytes=2)
        answer = self.member.get("/v1/backup")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer["Content-Type"], "application/octet-stream")
        self.assertGreaterEqual(answer.revision, self.member.status()["checkpointed"])
        for cut in (1, 17, len(answer.body) // 2):
            with self.subTest(cut):
                self.file.write_bytes(answer.body[:-cut])
                data = self.directory / "restored"
                done = ctl(self.member, "restore", str(self.file), "--data", str(data),
                           environment=PATH)
                self.assertEqual(done.returncode, 1)
                self.assertIn(b"offset", done.stdout + done.stderr)
                self.assertFalse(data.exists())

    def test_a_member_that_dies_in_the_middle_leaves_no_file(self):
        self.fill(megabytes=32)
        started = subprocess.Popen(
            [str(COORDD.parent.parent / "cli/coordctl"), "--endpoint", self.member.url, "backup",
             str(self.file)], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        part = self.directory / "backup.part"
        wait_until(lambda: part.exists() and part.stat().st_size > 0 or started.poll() is not None,
                   what="the first bytes")
        self.member.kill()
        _, stderr = started.communicate(timeout=60 * SLOW)
        if started.returncode == 0:
            self.skipTest("it was faster than the kill")
        self.assertIn(b"not whole", stderr)
        self.assertFalse(part.exists())
        self.assertFalse(self.file.exists())

    def test_a_client_that_takes_nothing_costs_no_memory_and_a_third_backup_waits(self):
        self.fill(megabytes=32)
        slow = []

        def begin():  # What an earlier test left may still take a place.
            link = socket.socket()
            self.addCleanup(link.close)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            link.connect(("127.0.0.1", self.member.port))
            link.sendall(b"GET /v1/backup HTTP/1.1\r\nHost: x\r\n\r\n")
            if not link.recv(100).startswith(b"HTTP/1.1 200"):
                return False
            slow.append(link)
            return True
        for _ in range(2):
            wait_until(begin, what="a place")
        third = self.member.get("/v1/backup")
        self.assertEqual((third.status, third.code), (503, "overloaded"), str(third))
        self.assertEqual(self.member.put("/v1/tree/still", "served").status, 201)
        slow[0].close()
        wait_until(lambda: self.member.get("/v1/backup").status == 200, what="a place")

    def test_it_takes_an_operator(self):
        member = Member(flags=["--super-digest", "op:" + base64.b64encode(b"x" * 20).decode()])
        self.addCleanup(member.close)
        member.start()
        answer = member.get("/v1/backup")
        self.assertEqual((answer.status, answer.code), (403, "forbidden"))


if __name__ == "__main__":
    unittest.main()
