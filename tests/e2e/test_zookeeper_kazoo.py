"""kazoo, unmodified, as a client: every recipe of it against one member, and a few against three
while the leader is killed. kazoo is Debian's, so Debian's interpreter runs the cases."""

import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

from cluster import Cluster, is_ready, write
from harness import SLOW, Member, free_port, wait_until

CASES = Path(__file__).resolve().parent / "kazoo_cases.py"
NAMES = re.findall(r"^def case_(\w+)", CASES.read_text(), re.MULTILINE)


def interpreter():
    """One that has kazoo, or None."""
    for python in (sys.executable, "/usr/bin/python3", shutil.which("python3")):
        if python and subprocess.run([python, "-c", "import kazoo"], capture_output=True,
                                     check=False).returncode == 0:
            return python
    return None


PYTHON = interpreter()


@unittest.skipIf(PYTHON is None, "python3-kazoo is not installed")
class KazooTest(unittest.TestCase):
    def run_case(self, name, hosts, then=None):
        process = subprocess.Popen([PYTHON, str(CASES), name, hosts], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        try:
            if then is not None:
                self.assertEqual(process.stdout.readline(), "ready\n")
                then()
            out, error = process.communicate("\n", timeout=120 * SLOW)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        self.assertEqual((process.returncode, out), (0, "passed\n"), error[-4000:])


class OneMember(KazooTest):
    @classmethod
    def setUpClass(cls):
        cls.zk_port = free_port()
        cls.member = Member(flags=["--zookeeper", f"127.0.0.1:{cls.zk_port}"]).start()

    @classmethod
    def tearDownClass(cls):
        cls.member.close()


def add_case(name):
    def test(self):
        self.run_case(name, f"127.0.0.1:{self.zk_port}")
    setattr(OneMember, "test_" + name, test)


for each in NAMES:
    if each not in ("failover", "read_only"):
        add_case(each)


class ThreeMembers(KazooTest):
    def cluster(self):
        cluster = Cluster(3)
        self.addCleanup(cluster.close)
        hosts = [f"127.0.0.1:{free_port()}" for _ in cluster]
        for member, host in zip(cluster, hosts):
            member.flags += ["--zookeeper", host]
        return cluster.start(), ",".join(hosts)

    def test_recipes_over_all_members(self):
        _, hosts = self.cluster()
        for name in ("nodes", "lock", "counter", "watchers", "sessions"):
            with self.subTest(name):
                self.run_case(name, hosts)

    def test_a_client_that_reads_only_begins_without_a_leader(self):
        cluster, hosts = self.cluster()
        write(cluster[1], "/kept", b"v")
        cluster.wait_same_digest()
        for i in (2, 3):
            cluster[i].kill()
        wait_until(lambda: not is_ready(cluster[1]), 10, "no leader")
        self.run_case("read_only", hosts, then=cluster[2].spawn)

    def test_clients_go_on_when_the_leader_is_killed(self):
        cluster, hosts = self.cluster()
        self.run_case("failover", hosts, then=lambda: cluster.leader().kill())


if __name__ == "__main__":
    unittest.main()
