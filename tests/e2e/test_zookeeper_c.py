"""ZooKeeper's own C client, unmodified (Debian's libzookeeper-mt-dev)."""

import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import SLOW, Member, free_port

SOURCE = Path(__file__).resolve().parent / "zookeeper_client.c"


class CClient(unittest.TestCase):
    def test_nodes_watches_order_transactions_acls_and_sessions(self):
        if not Path("/usr/include/zookeeper/zookeeper.h").exists():
            self.skipTest("libzookeeper-mt-dev is not installed")
        port = free_port()
        member = Member(flags=["--zookeeper", f"127.0.0.1:{port}"]).start()
        self.addCleanup(member.close)
        with tempfile.TemporaryDirectory() as directory:
            program = f"{directory}/client"
            subprocess.run(["cc", "-Wall", "-Wextra", "-DTHREADED", "-o", program, str(SOURCE),
                            "-lzookeeper_mt", "-lpthread"], check=True)
            done = subprocess.run([program, f"127.0.0.1:{port}"], text=True, capture_output=True,
                                  timeout=120 * SLOW, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, "passed\n"), done.stderr)


if __name__ == "__main__":
    unittest.main()
