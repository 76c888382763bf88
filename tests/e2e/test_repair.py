"""What a member that lost or damaged its data is told, done as it is told: nothing is lost."""

import random
import re
import shutil
import unittest
from pathlib import Path

from cluster import Cluster, is_ready, status, write
from harness import Member, ctl, wait_until
from test_disk_faults import batches, damage


class Replaced(unittest.TestCase):
    COUNT = 60

    def setUp(self):
        self.cluster = Cluster(3, flags=("--checkpoint-interval-ms", "200"))
        self.addCleanup(self.cluster.close)
        self.cluster.start()
        leader = self.cluster.leader()
        for i in range(self.COUNT):
            last = write(leader, f"/n{i}", f"value {i} " + "x" * 700)
        self.cluster.wait_applied(last)
        self.lost = self.cluster.followers()[0]
        wait_until(lambda: status(self.lost)["checkpointed"] >= last, 20, "a checkpoint")
        self.lost.kill()

    def refused(self, code, *said):
        """It ends at the start and says all that."""
        self.lost.spawn()
        wait_until(lambda: self.lost.process.poll() is not None, 20, "it refuses to start")
        self.assertEqual(self.lost.process.returncode, code, self.lost.log)
        for words in (*said, f"coordctl cluster replace {self.lost.id} --with", "--join"):
            self.assertIn(words, self.lost.log)

    def replaced(self, new=7):
        """By the command that it printed; the address is the old one's."""
        at = self.cluster.leader()
        address = f"127.0.0.1:{self.cluster.peer_ports[self.lost.id]}"
        done = ctl(at, "cluster", "replace", str(self.lost.id), "--with", f"{new}={address}",
                   "--yes")
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        self.lost.data.rename(Path(str(self.lost.data) + ".damaged"))
        member = Member(data=self.lost.data, flags=["--id", str(new), "--peer", address,
                                                    "--join", at.url])
        member.id = new
        del self.cluster.members[self.lost.id]
        self.cluster.members[new] = member
        member.spawn()
        self.cluster.wait_ready(member, 30)

        def roles():
            found = at.get("/v1/cluster").json["members"]
            return {m["id"]: m["role"] for m in found}
        want = {m.id: "voter" for m in self.cluster}
        wait_until(lambda: roles() == want, 20, f"{new} votes and {self.lost.id} is gone")
        self.cluster.wait_same_digest()
        # It carries the cluster with one other, and has all that was acknowledged.
        other = next(m for m in self.cluster if m is not member)
        other.kill()
        rest = [m for m in self.cluster if m is not other]
        write(self.cluster.leader(among=rest), "/after", "x")
        for i in range(self.COUNT):
            answer = member.get(f"/v1/tree/n{i}?consistency=local")
            self.assertEqual(answer.text, f"value {i} " + "x" * 700)

    def test_a_member_with_a_damaged_log_is_replaced(self):
        found = batches(self.lost.data)
        file, offset, size = found[len(found) // 2]
        damage(file, offset + random.Random(1).randrange(size), b"\x10")
        self.refused(4, file.name, f"offset {offset}")
        self.replaced()

    def test_a_member_with_a_damaged_checkpoint_is_replaced(self):
        file = self.lost.data / "state/data.mdb"
        content = file.read_bytes()
        places = [m.start() for m in re.finditer(rb"value 30 x", content)]
        self.assertTrue(places, "the value is in no checkpoint")
        for place in places:
            damage(file, place, b"\x01")
        self.refused(4, "state")
        self.replaced()

    def test_a_member_with_an_empty_disk_is_replaced(self):
        shutil.rmtree(self.lost.data)
        self.refused(1, "wiped-member")
        self.replaced()

    def test_a_damaged_member_never_serves(self):
        file, offset, _ = batches(self.lost.data)[2]
        damage(file, offset + 20, b"\x01")
        for _ in range(2):  # Nor after a second try: the first one changed nothing.
            self.refused(4, file.name)
        self.assertFalse(is_ready(self.lost))


if __name__ == "__main__":
    unittest.main()
