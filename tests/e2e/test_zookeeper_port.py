"""What an operator meets at ZooKeeper's port: the four-letter words, and its configuration."""

import re
import socket
import unittest

import zkwire
from harness import Member, free_port, wait_until
from test_zookeeper import ZooKeeperTest
from zkwire import Closed, Wire
from zookeeper import ZkMember, ZooKeeper


def shape_of(answer):
    """The lines of a word's answer in some order, without what differs from server to server, and
    without the connections that asked for a word: one may still be there."""
    for pattern, instead in (
            (r"3\.8\.0-.*, built on .*", "VERSION"),
            (r"avg/max: \d+/\d+\.\d{1,4}/\d+", "avg/max: N/N/N"),
            (r"\b(est|lresp|llat|minlat|avglat|maxlat|serverId|clientPort)=\d+", r"\1=N"),
            (r"(Size=|_size: |127\.0\.0\.1:|Node count: )\d+", r"\1N"),
            (r"Dir=/.*", "Dir=PATH"),
            # Who ends in the same tick is a matter of time; ZooKeeper also lists ticks without any.
            (r"(?m)^\d+ expire at .*\n", ""), (r"(?m)^Session Sets \(\d\)", "Session Sets (N)"),
            (r"(?m)^.*(\[0\]\(|^Connections: |sessionId: 0x0$|^Connections Sets).*\n", ""),
            (r"(?<!lcxid=)0x(?!f{16})[0-9a-f]+", "ID")):
        answer = re.sub(pattern, instead, answer)
    return sorted(answer.split("\n"))


class Words(ZooKeeperTest):
    def word(self, name):
        return zkwire.word(self.zk_port, name)

    def test_the_words_of_clients_and_monitors(self):
        wire = self.wire()
        path = self.node(wire)
        wire.get(path, watch=True)
        wire.create(path + "/e", b"", flags=1)
        self.assertEqual(self.word("ruok"), "imok")
        self.assertEqual(self.word("isro"), "rw")
        self.assertRegex(self.word("envi"), r"(?m)^zookeeper\.version=3\.\d+\.\d+-")
        srvr = self.word("srvr")
        self.assertRegex(srvr, r"(?m)^Zookeeper version: 3\.\d+\.\d+-.*, built on \d\d/\d\d/\d{4} \d\d:\d\d [A-Z]+$")
        for line in (r"Latency min/avg/max: \d+/\d+\.\d+/\d+", r"Received: \d+", r"Sent: \d+",
                     r"Connections: \d+", r"Outstanding: \d+", r"Zxid: 0x[0-9a-f]+",
                     r"Mode: standalone", r"Node count: \d+"):
            self.assertRegex(srvr, f"(?m)^{line}$")
        self.assertRegex(self.word("stat"), r"(?m)^ /127\.0\.0\.1:\d+\[1\]\(queued=0,recved=\d+")
        self.assertRegex(self.word("cons"),
                         rf"(?m)^ /127\.0\.0\.1:\d+\[1\]\(queued=0,recved=4,sent=4,"
                         rf"sid={wire.session:#x},lop=CREA,est=\d{{13}},to=10000,lcxid=0x3,"
                         rf"lzxid=0x[0-9a-f]+,lresp=\d+,llat=\d+,minlat=\d+,avglat=\d+,"
                         rf"maxlat=\d+\)$")
        monitor = dict(line.split("\t") for line in self.word("mntr").splitlines())
        self.assertEqual(monitor["zk_server_state"], "standalone")
        self.assertEqual(int(monitor["zk_watch_count"]), 1)
        self.assertGreaterEqual(int(monitor["zk_ephemerals_count"]), 1)
        for name in ("zk_version", "zk_open_file_descriptor_count", "zk_znode_count", "zk_num_alive_connections",
                     "zk_outstanding_requests", "zk_approximate_data_size", "zk_avg_latency"):
            self.assertIn(name, monitor)
        conf = self.word("conf")
        for line in (f"clientPort={self.zk_port}", "secureClientPort=-1", "minSessionTimeout=4000",
                     f"dataDir={self.member.data.resolve()}/state",
                     f"dataLogDir={self.member.data.resolve()}/wal"):
            self.assertIn(line + "\n", conf)
        self.assertNotIn("membership", conf)
        self.assertRegex(self.word("wchs"), r"^1 connections watching 1 paths\nTotal watches:1\n")
        self.assertEqual(self.word("wchc"), f"{wire.session:#x}\n\t{path}\n\n")
        self.assertEqual(self.word("wchp"), f"{path}\n\t{wire.session:#x}\n\n")
        dump = self.word("dump")
        self.assertIn(f"{wire.session:#x}:\n\t{path}/e\n", dump)
        self.assertRegex(dump, r"(?m)^\d+ expire at [A-Z][a-z]{2} [A-Z][a-z]{2} \d\d "
                               r"\d\d:\d\d:\d\d \w+ \d{4}:$")
        self.assertIn(f"sessionId: {wire.session:#x}\n", dump)

        def are_sizes_of_files():  # A segment may be made between the two.
            sizes = re.fullmatch(r"datadir_size: (\d+)\nlogdir_size: (\d+)\n", self.word("dirs"))
            files = [sum(file.stat().st_size for file in (self.member.data / name).iterdir())
                     for name in ("state", "wal")]
            return [int(size) for size in sizes.groups()] == files and min(files) > 0
        wait_until(are_sizes_of_files, what="the sizes of the directories")
        self.assertEqual(self.word("crst"), "Connection stats reset.\n")
        self.assertRegex(self.word("cons"), r"recved=0,sent=0,sid=0x[0-9a-f]+,lop=NA,est=\d+,"
                                            r"to=10000,lzxid=0xffffffffffffffff,lresp=0,llat=0")
        self.assertEqual(self.word("srst"), "Server stats reset.\n")

    def test_they_are_printed_as_zookeeper_prints_them(self):
        reference = ZooKeeper()
        self.addCleanup(reference.close)
        reference.start()
        ours = ZkMember(flags=["--zookeeper-session-min", "1000", "--zookeeper-session-max",
                               "600000", "--zookeeper-words", "*"])
        self.addCleanup(ours.close)
        ours.start()
        ports = reference.port, ours.zookeeper_port
        for port in ports:
            zkwire.word(port, "srst")
            wire = Wire(port).connect()
            self.addCleanup(wire.close)
            wire.create("/e", b"", flags=1)
            wire.get("/e", watch=True)
            wire.exists("/none")
        for name in ("stat", "conf", "cons", "dump", "dirs", "isro", "wchs", "wchc", "wchp",
                     "crst", "cons", "srst", "stat"):
            with self.subTest(word=name):
                theirs, own = (shape_of(zkwire.word(port, name)) for port in ports)
                self.assertEqual(own, theirs)
        theirs, own = ({line.split("\t")[0] for line in zkwire.word(port, "mntr").splitlines()}
                       for port in ports)
        self.assertEqual(own - theirs, set())
        theirs, own = ({line.split("=")[0] for line in zkwire.word(port, "envi").splitlines()}
                       for port in ports)
        self.assertEqual(own - theirs, set())
        self.assertEqual({name for name in theirs - own
                          if not name.startswith(("java.", "os.memory."))}, set())

    def test_a_word_that_is_not_listed_says_so(self):
        port = free_port()
        member = Member(flags=["--zookeeper", f"127.0.0.1:{port}"]).start()
        self.addCleanup(member.close)
        self.assertEqual(zkwire.word(port, "ruok"), "imok")
        self.assertEqual(zkwire.word(port, "wchc"),
                         "wchc is not executed because it is not in the whitelist.\n")


class Configuration(unittest.TestCase):
    def member(self, *flags, environment=None):
        member = Member(flags=flags, environment=environment)
        self.addCleanup(member.close)
        return member

    def test_connections_of_an_address_are_bounded(self):
        port = free_port()
        self.member("--zookeeper", f"127.0.0.1:{port}",
                    "--zookeeper-connections-per-address", "2").start()
        first, second = Wire(port).connect(), Wire(port).connect()
        with self.assertRaises((Closed, OSError)):
            Wire(port).connect()
        self.assertEqual(first.ping()[0], 0)
        second.close()
        first.close()

        def is_free():
            try:
                with Wire(port) as wire:
                    return wire.connect().session
            except (Closed, OSError):
                return False
        wait_until(is_free, what="a place for a connection")

    def test_a_port_that_is_taken_is_an_error_only_if_it_was_asked_for(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            member = self.member("--zookeeper", f"127.0.0.1:{taken.getsockname()[1]}").spawn()
            self.assertNotEqual(member.process.wait(20), 0)
            self.assertIn("Address already in use", member.log)
        try:
            holder = socket.create_server(("127.0.0.1", 2181))
        except OSError:
            holder = None  # Somebody has it already: as good.
        member = self.member(environment={"COORD_ZOOKEEPER": ""}).start()  # As if it were not set.
        self.assertIn("event=no-zookeeper", member.log)
        if holder is not None:
            holder.close()

    def test_off_and_nonsense(self):
        self.assertNotIn("zookeeper", self.member("--zookeeper", "off").start().log)
        for flags in (("--zookeeper", "nonsense:port"), ("--zookeeper-session-min", "50000"),
                      ("--zookeeper-session-max", "999999999"), ("--zookeeper-frame-max", "5")):
            member = self.member(*flags).spawn()
            self.assertEqual(member.process.wait(20), 2, flags)


if __name__ == "__main__":
    unittest.main()
