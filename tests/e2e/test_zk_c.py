"""ZooKeeper's C client, Debian's, unmodified."""

import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import SLOW
from zookeeper import ZkCluster, ZkMember

HERE = Path(__file__).resolve().parent


class CClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not Path("/usr/include/zookeeper/zookeeper.h").exists() or shutil.which("gcc") is None:
            raise unittest.SkipTest("libzookeeper-mt-dev is not installed")
        directory = tempfile.mkdtemp(prefix="coord-e2e-")
        cls.addClassCleanup(shutil.rmtree, directory, True)
        cls.program = directory + "/c_client"
        subprocess.run(["gcc", "-std=gnu11", "-O1", "-Wall", "-Werror", "-DTHREADED",
                        str(HERE / "clients/c_client.c"), "-o", cls.program, "-lzookeeper_mt",
                        "-lpthread"], check=True, timeout=120)
        cls.member = ZkMember()
        cls.addClassCleanup(cls.member.close)
        cls.member.start()

    def scenario(self, name):
        done = subprocess.run([self.program, self.member.zookeeper, f"/c-{name}", name],
                              capture_output=True, text=True, timeout=120 * SLOW,
                              stdin=subprocess.DEVNULL)
        self.assertEqual((done.returncode, done.stdout), (0, "ok\n"), done.stderr)

    def test_synchronous_calls(self):
        self.scenario("sync")

    def test_asynchronous_calls_and_a_thousand_in_flight(self):
        self.scenario("async")

    def test_watches(self):
        self.scenario("watches")

    def test_multi(self):
        self.scenario("multi")

    def test_acls(self):
        self.scenario("acls")

    def test_sessions(self):
        self.scenario("sessions")

    def reconnecting(self, hosts, disturb, read):
        """Runs the scenario that keeps one session over whatever `disturb` does."""
        process = subprocess.Popen([self.program, hosts, "/c-reconnect", "reconnect"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: process.poll() is None and (process.kill(), process.wait()))
        self.assertEqual(process.stdout.readline(), "ready\n")
        disturb()
        out, err = process.communicate("enough\n", timeout=120 * SLOW)
        self.assertEqual((process.returncode, out), (0, "ok\n"), err)
        # What the C client counted is what HTTP reads.
        answer = read("/v1/stat/c-reconnect/counter")
        self.assertEqual(answer.status, 200, str(answer))
        self.assertGreater(answer.json["version"], 20)
        self.assertEqual(read("/v1/stat/c-reconnect/e").status, 404)  # Closed with its session.

    def grown(self, read, count=30):
        """Waits until the counter has grown so much more."""
        from harness import wait_until

        def version():
            try:
                answer = read("/v1/stat/c-reconnect/counter?consistency=local")
                return answer.json["version"] if answer.status == 200 else 0
            except OSError:
                return 0

        start = version()
        wait_until(lambda: version() >= start + count, 60, "the counter to grow")

    def test_a_session_outlives_its_member_s_restart(self):
        def disturb():
            self.grown(self.member.get)
            self.member.kill()
            self.member.start()
            self.grown(self.member.get)

        self.reconnecting(self.member.zookeeper, disturb, self.member.get)

    def test_a_session_outlives_the_leader_of_three(self):
        cluster = ZkCluster(3)
        self.addCleanup(cluster.close)
        cluster.start()

        def read(path):
            return cluster.leader().get(path)

        def disturb():
            for _ in range(2):
                self.grown(read)
                leader = cluster.leader()
                leader.kill()
                self.grown(read)
                leader.start()

        self.reconnecting(cluster.zookeeper, disturb, read)


if __name__ == "__main__":
    unittest.main()
