"""Backups of a stopped member, their restoring, and a cluster that is forced anew."""

import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import COORDD, SLOW, Member


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


if __name__ == "__main__":
    unittest.main()
