"""A two-node Patroni cluster of PostgreSQL 15, Debian's, unmodified, fails over through us."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from harness import SLOW, free_port, wait_until
from zookeeper import ZkCluster

POSTGRES = Path("/usr/lib/postgresql/15/bin")
PATRONI = Path("/usr/bin/patroni")

CONFIGURATION = """
scope: demo
name: {name}
restapi: {{listen: "127.0.0.1:{rest}", connect_address: "127.0.0.1:{rest}"}}
zookeeper: {{hosts: {hosts}}}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 5
    maximum_lag_on_failover: 1048576
    postgresql:
      use_pg_rewind: false
      parameters: {{fsync: "off", max_connections: 20, shared_buffers: 16MB}}
  initdb: [{{encoding: UTF8}}, {{auth-host: trust}}, {{auth-local: trust}}]
  pg_hba:
    - host all all 127.0.0.1/32 trust
    - host replication all 127.0.0.1/32 trust
postgresql:
  listen: "127.0.0.1:{port}"
  connect_address: "127.0.0.1:{port}"
  data_dir: {directory}/{name}
  bin_dir: {bin}
  pgpass: {directory}/{name}.pgpass
  authentication:
    superuser: {{username: postgres, password: secret}}
    replication: {{username: replicator, password: secret}}
  parameters: {{unix_socket_directories: "{directory}"}}
"""


class Node:
    def __init__(self, name, directory, hosts, user):
        self.name, self.directory, self.user = name, directory, user
        self.rest, self.port = free_port(), free_port()
        self.process = None
        self.file = directory / f"{name}.yml"
        self.file.write_text(CONFIGURATION.format(
            name=name, rest=self.rest, port=self.port, directory=directory, bin=POSTGRES,
            hosts=json.dumps(hosts.split(","))))
        self.log = directory / f"{name}.log"

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(PATRONI), str(self.file)], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                cwd=self.directory, start_new_session=True, user=self.user,
                env={"PATH": f"{POSTGRES}:/usr/bin:/bin", "LC_ALL": "C.UTF-8",
                     "HOME": str(self.directory)})

    def role(self):
        """As its REST interface tells it: None while it is down."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rest}/patroni", timeout=5) as got:
                answer = json.load(got)
        except urllib.error.HTTPError as error:
            answer = json.load(error)
        except (OSError, ValueError):
            return None
        return answer["role"] if answer.get("state") == "running" else None

    def sql(self, statement):
        done = subprocess.run(
            ["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-Atc", statement],
            capture_output=True, text=True, timeout=30 * SLOW, stdin=subprocess.DEVNULL)
        return done.stdout.strip() if done.returncode == 0 else None

    def pids(self):
        """Patroni and its PostgreSQL: those of its session, and the postmaster of its directory."""
        pids = [self.process.pid] if self.process.poll() is None else []
        try:
            pids.append(int((self.directory / self.name / "postmaster.pid").read_text().split()[0]))
        except (OSError, ValueError, IndexError):
            pass
        return pids

    def kill(self):
        """The machine dies: kill -9 of both."""
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def close(self):
        if self.process is not None and (self.process.poll() is None or self.pids()):
            self.kill()


class Patroni(unittest.TestCase):
    def setUp(self):
        for needed in (PATRONI, POSTGRES / "postgres", Path("/usr/bin/psql")):
            if not needed.exists():
                raise unittest.SkipTest(f"{needed} is not installed")
        if subprocess.run(["/usr/bin/python3", "-c", "import kazoo, psycopg2"],
                          capture_output=True).returncode != 0:
            raise unittest.SkipTest("python3-kazoo or python3-psycopg2 is not installed")
        user = None
        if os.geteuid() == 0:  # PostgreSQL does not run as root.
            try:
                user = pwd.getpwnam("postgres").pw_uid
            except KeyError:
                raise unittest.SkipTest("there is no user postgres") from None
        self.directory = Path(tempfile.mkdtemp(prefix="coord-pg-"))
        self.addCleanup(shutil.rmtree, self.directory, True)
        if user is not None:
            os.chown(self.directory, user, -1)
        self.cluster = ZkCluster(3)
        self.addCleanup(self.cluster.close)
        self.cluster.start()
        self.nodes = [Node(name, self.directory, self.cluster.zookeeper, user)
                      for name in ("one", "two")]
        for node in self.nodes:
            self.addCleanup(node.close)

    def wait(self, condition, seconds, what):
        try:
            return wait_until(condition, seconds, what)
        except AssertionError as error:
            logs = "\n".join(node.log.read_text(errors="replace")[-3000:]
                             for node in self.nodes if node.log.exists())
            raise AssertionError(f"{error}\n{logs}") from None

    def test_it_fails_over_and_does_not_while_our_leader_dies(self):
        one, two = self.nodes
        one.start()
        self.wait(lambda: one.role() == "master", 120, "the first leads")
        two.start()
        self.wait(lambda: two.role() == "replica", 120, "the second follows")
        self.assertIsNotNone(one.sql("create table t (v int); insert into t values (1)"))
        self.wait(lambda: two.sql("select v from t") == "1", 30, "replication")
        # Its state is in our tree: who leads, bound to the leader's session.
        leader = self.cluster.leader()
        self.assertEqual(leader.get("/v1/tree/service/demo/leader").text, "one")
        owner = leader.get("/v1/stat/service/demo/leader").json["ephemeral_owner"]
        self.assertIsNotNone(owner)

        # Our leader dies: Patroni's keeps its session and its role.
        leader.kill()
        fresh = self.cluster.leader(seconds=30)
        leader.start(seconds=60)
        before = fresh.status()["applied"]
        self.wait(lambda: fresh.status()["applied"] > before + 3, 60, "Patroni to write on")
        self.assertEqual(fresh.get("/v1/stat/service/demo/leader").json["ephemeral_owner"], owner)
        self.assertEqual((one.role(), two.role()), ("master", "replica"))

        # Patroni's leader dies: its session runs out, and the other takes over.
        one.kill()
        self.wait(lambda: two.role() == "master", 90, "the second takes over")
        self.assertEqual(two.sql("insert into t values (2); select count(*) from t")
                         .split("\n")[-1], "2")
        self.assertEqual(fresh.get("/v1/tree/service/demo/leader").text, "two")
        one.start()
        self.wait(lambda: one.role() == "replica", 120, "the first comes back and follows")
        self.wait(lambda: one.sql("select count(*) from t") == "2", 60, "and catches up")


if __name__ == "__main__":
    unittest.main()
