"""Faults of the disk under a real member: torn and damaged files, no room, a sync that fails."""

import os
import random
import shutil
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

from cluster import is_ready
from harness import BUILD, Member, wait_until
from zkwire import Wire
from zookeeper import ZkMember

MAGIC = b"coordWL1"  # coord/disk/wal_format.md
FRAME = struct.Struct("<8s7Q")  # magic, checksum, segment, salt, generation, number, previous, size


def batches(data):
    """(file, offset, size) of each batch of the log, in the order it was written."""
    found = []
    for file in sorted((Path(data) / "wal").glob("wal-*")):
        content = file.read_bytes()
        offset = 0
        while offset + FRAME.size <= len(content):
            magic, _, segment, _, _, number, _, size = FRAME.unpack_from(content, offset)
            is_next = not found or number == found[-1][0] + 1
            if magic != MAGIC or segment != int(file.name[4:], 16) or not is_next:
                break
            found.append((number, file, offset, size))
            offset += (size + 511) // 512 * 512
    return [batch[1:] for batch in found]


def damage(file, offset, bits):
    with open(file, "r+b") as opened:
        opened.seek(offset)
        old = opened.read(len(bits))
        opened.seek(offset)
        opened.write(bytes(a ^ b for a, b in zip(old, bits)))


class DiskTest(unittest.TestCase):
    def member(self, data=None, **options):
        member = Member(data=data, **options)
        self.addCleanup(member.close)
        return member

    def written(self, count=12):
        """The data of a member that was killed after `count` writes; nothing is written after."""
        member = self.member().start()
        for i in range(count):
            self.assertEqual(member.put(f"/v1/tree/n{i}", f"value {i} " + "x" * 700).status, 201)
        # Without a checkpoint, an empty log is that of a member that never ran.
        wait_until(lambda: int(member.status()["checkpointed"]) > 0, 30, "a first checkpoint")
        member.kill()
        return member

    def copy_of(self, member):
        folder = tempfile.mkdtemp(prefix="coord-e2e-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        shutil.copytree(member.data, folder + "/data")
        return folder + "/data"

    def expect_refusal(self, member, *named):
        member.spawn()
        code = member.process.wait(60)
        self.assertNotEqual(code, 0)
        self.assertGreater(code, 0, f"it crashed instead of refusing:\n{member.log}")
        for word in named:
            self.assertIn(word, member.log)


class Log(DiskTest):
    def test_a_torn_last_batch_is_cut_and_said_and_nothing_else_is_lost(self):
        count = 12
        origin = self.written(count)
        file, offset, size = batches(origin.data)[-1]
        places = {0, 1, 8, 16, 63, 64, size // 2, size - 1}
        places |= set(random.Random(1).sample(range(size), 4))
        for place in sorted(places):
            with self.subTest(place=place, of=size):
                data = self.copy_of(origin)
                damage(Path(data) / "wal" / file.name, offset + place, b"\xff" * (size - place))
                member = self.member(data).start()
                present = [i for i in range(count) if member.get(f"/v1/tree/n{i}").status == 200]
                self.assertIn(present, (list(range(count)), list(range(count - 1))))
                # Without its first bytes it cannot be told from a block that was never used.
                if place >= len(MAGIC):
                    self.assertIn(file.name, member.log)
                    self.assertIn(str(offset), member.log)
                self.assertEqual(member.put("/v1/tree/after", "x").status, 201)
                self.assertEqual(member.stop(), 0)

    def test_a_flipped_bit_before_the_last_batch_is_refused_and_named(self):
        origin = self.written()
        found = batches(origin.data)
        self.assertGreater(len(found), 10)
        for file, offset, size in found[1:-1:2]:
            with self.subTest(offset=offset):
                data = self.copy_of(origin)
                place = random.Random(offset).randrange(size)
                damage(Path(data) / "wal" / file.name, offset + place, b"\x10")
                self.expect_refusal(self.member(data), file.name, str(offset))

    def test_a_log_segment_that_is_gone_is_refused(self):
        origin = self.written()
        data = self.copy_of(origin)
        before = self.member(data)
        for file in (Path(data) / "wal").glob("wal-*"):
            file.unlink()
        before.spawn()
        try:
            code = before.process.wait(5)
            self.assertGreater(code, 0)
        except subprocess.TimeoutExpired:
            # It started: then the checkpoint alone must hold everything.
            wait_until(lambda: is_ready(before), 20, "it serves")
            self.assertEqual(before.get("/v1/tree/n11").status, 200)


class Checkpoint(DiskTest):
    def test_a_flipped_bit_in_the_checkpoint_is_found_at_the_start(self):
        member = self.member(flags=("--checkpoint-interval-ms", "200")).start()
        marker = b"needle-in-the-checkpoint-" + b"n" * 100
        member.put("/v1/tree/needle", marker)
        revision = member.put("/v1/tree/fill", "").revision
        wait_until(lambda: int(member.status()["checkpointed"]) >= revision, 30, "a checkpoint")
        self.assertEqual(member.stop(), 0)
        file = member.data / "state/data.mdb"
        content = file.read_bytes()
        at = content.find(marker)
        self.assertGreater(at, 0, "the marker is in no checkpoint")
        while at >= 0:  # Every copy: the file keeps old pages.
            damage(file, at + 40, b"\x01")
            at = content.find(marker, at + 1)
        self.expect_refusal(member, "state")


class Sync(DiskTest):
    SHIM = r"""
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <stdlib.h>
        #include <unistd.h>
        /* Fails while the file named by FAIL_SYNC exists. */
        static int is_on(void) {
          const char *name = getenv("FAIL_SYNC");
          return name && access(name, F_OK) == 0;
        }
        int fdatasync(int fd) {
          if (is_on()) { errno = EIO; return -1; }
          return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
        }
        int fsync(int fd) {
          if (is_on()) { errno = EIO; return -1; }
          return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
        }
    """

    @unittest.skipIf(BUILD.name in ("asan", "tsan"), "a preloaded library and sanitizers exclude "
                     "each other")
    def test_a_failing_sync_ends_the_process_before_anything_is_acknowledged(self):
        folder = tempfile.mkdtemp(prefix="coord-e2e-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        (Path(folder) / "shim.c").write_text(self.SHIM)
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", f"{folder}/shim.so", f"{folder}/shim.c",
                        "-ldl"], check=True)
        switch = Path(folder) / "on"
        member = self.member(environment={"LD_PRELOAD": f"{folder}/shim.so",
                                          "FAIL_SYNC": str(switch)}).start()
        self.assertEqual(member.put("/v1/tree/before", "x").status, 201)
        switch.touch()
        try:
            answer = member.put("/v1/tree/during", "x")
            self.assertGreaterEqual(answer.status, 500, str(answer))
        except OSError:
            pass  # The process ended under the request: that is an answer too.
        self.assertNotEqual(member.process.wait(10), 0)
        switch.unlink()
        member.start()
        self.assertEqual(member.get("/v1/tree/before").status, 200)
        self.assertEqual(member.stop(), 0)


class Full(DiskTest):
    MOUNT_MIB = 160

    def mounted(self):
        folder = tempfile.mkdtemp(prefix="coord-e2e-full-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.MOUNT_MIB}m", "coord-e2e",
                               folder], capture_output=True, text=True) if os.geteuid() == 0 else None
        if done is None or done.returncode != 0:
            self.skipTest("mounting a small file system takes root: "
                          + (done.stderr.strip() if done else "not root"))
        self.addCleanup(subprocess.run, ["umount", "-l", folder])
        return folder

    def test_a_full_disk_refuses_writes_loses_nothing_and_serves_again(self):
        folder = self.mounted()
        member = ZkMember(folder + "/data", flags=("--wal-segment", "8MiB"))
        self.addCleanup(member.close)
        member.start()
        self.assertEqual(member.put("/v1/tree/v", "").status, 201)
        # The log may take the rest for its next segment meanwhile, and then not one more is taken.
        self.assertEqual(member.put("/v1/tree/v/first", "x" * 1_000_000).status, 201)
        ballast = Path(folder) / "ballast"
        with open(ballast, "wb") as file:  # Leaves 8 MiB.
            room = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
            for _ in range(max(0, (room >> 20) - 8)):
                file.write(b"b" * (1 << 20))
        acknowledged, refused, unknown = ["first"], [], []
        for i in range(400):
            answer = member.put(f"/v1/tree/v/{i}", f"{i}:" + "x" * 1_000_000)
            if answer.status == 201:
                acknowledged.append(i)
            elif answer.code == "outcome-unknown":
                # In flight when the disk became full: the log keeps it until there is room.
                unknown.append(i)
                self.assertLessEqual(len(unknown), 1, "later writes must be refused at once")
            else:
                self.assertIn((answer.status, answer.code),
                              ((507, "disk-full"), (503, "disk-full"), (503, "overloaded")))
                self.assertEqual(answer.json["outcome"], "not-applied")
                refused.append(i)
                if len(refused) >= 10:
                    break
        self.assertGreaterEqual(len(refused), 10, "the disk never became full")
        with Wire(member.zookeeper_port) as wire:  # Whoever would read only does.
            wire.connect(read_only=True)
            self.assertTrue(wire.is_read_only)
            self.assertEqual(wire.exists("/v/first")[0], 0)
        self.assertEqual(member.get(f"/v1/tree/v/{acknowledged[0]}").status, 200)
        ballast.unlink()
        wait_until(lambda: member.put("/v1/tree/room", "x").status in (200, 201), 30,
                   "writes again")
        for is_killed in (False, True):
            if is_killed:
                member.kill()
                member.start()
            for i in acknowledged:
                self.assertEqual(member.get(f"/v1/stat/v/{i}").status, 200, i)
            for i in refused:
                self.assertEqual(member.get(f"/v1/stat/v/{i}").status, 404, i)
        self.assertEqual(member.stop(), 0)
