"""Apache Curator, Debian's, unmodified: framework, recipes and discovery."""

import shutil
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from harness import SLOW
from zookeeper import ZkCluster, ZkMember

HERE = Path(__file__).resolve().parent
JARS = [f"/usr/share/java/{name}.jar" for name in (
    "curator-client", "curator-framework", "curator-recipes", "curator-x-discovery", "guava",
    "slf4j-api", "slf4j-nop", "zookeeper", "zookeeper-jute", "jackson-core", "jackson-databind",
    "jackson-annotations", "netty-all")]
SCENARIOS = [
    "framework", "transactions", "mutex", "read-write-lock", "multi-lock", "semaphore",
    "leader-latch", "leader-selector", "barriers", "queues", "counters", "shared-count",
    "path-children-cache", "tree-cache", "curator-cache", "node-cache", "persistent-nodes",
    "group-member", "persistent-watcher", "discovery"]
# Of these every step may be tried again after a lost connection.
REPEATABLE = ["mutex", "read-write-lock", "semaphore", "leader-selector", "group-member"]


class Curator(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        missing = [jar for jar in JARS if not Path(jar).exists()]
        if missing or shutil.which("javac") is None:
            raise unittest.SkipTest("missing: " + ", ".join(missing or ["javac"]))
        cls.classes = tempfile.mkdtemp(prefix="coord-e2e-")
        cls.addClassCleanup(shutil.rmtree, cls.classes, True)
        subprocess.run(["javac", "-nowarn", "-cp", ":".join(JARS), "-d", cls.classes,
                        str(HERE / "clients/CuratorRecipes.java")], check=True, timeout=180,
                       capture_output=True)

    def run_scenarios(self, hosts, base, names=()):
        done = subprocess.run(
            ["java", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp",
             ":".join([*JARS, self.classes]), "CuratorRecipes", hosts, base, *names],
            capture_output=True, text=True, timeout=400 * SLOW, stdin=subprocess.DEVNULL)
        self.assertEqual(done.stdout.split("\n"),
                         [f"ok {name}" for name in names or SCENARIOS] + [""],
                         done.stderr[-8000:])
        self.assertEqual(done.returncode, 0, done.stderr[-8000:])

    def test_every_recipe_against_one_member(self):
        member = ZkMember()
        self.addCleanup(member.close)
        member.start()
        self.run_scenarios(member.zookeeper, "/curator")
        # What is left of it is seen by HTTP: the recipes' nodes, and nobody's ephemerals.
        self.assertEqual(member.get("/v1/tree/curator/tree-cache").status, 200)
        self.assertEqual(member.get("/v1/sessions").json["sessions"], [])

    def test_locks_and_elections_of_three_while_leaders_die(self):
        cluster = ZkCluster(3)
        self.addCleanup(cluster.close)
        cluster.start()
        is_over = threading.Event()
        kills = []

        def kill_leaders():
            while not is_over.wait(1 * SLOW):
                leader = cluster.leader(seconds=30)
                leader.kill()
                kills.append(leader.id)
                cluster.leader(seconds=30)
                leader.start(seconds=60)

        killer = threading.Thread(target=kill_leaders)
        killer.start()
        try:
            for turn in range(20):
                self.run_scenarios(cluster.zookeeper, f"/curator{turn}", REPEATABLE)
                if len(kills) >= 4:
                    break
        finally:
            is_over.set()
            killer.join()
        self.assertGreaterEqual(len(kills), 4)
        cluster.wait_same_digest(seconds=30)


if __name__ == "__main__":
    unittest.main()
