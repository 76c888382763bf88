"""Debian's ZooKeeper as a server, and its protocol byte by byte, for what its clients cannot send."""

import base64
import functools
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from cluster import Cluster
from harness import COORDD, SLOW, Member, free_port, wait_until

DEBIAN_PYTHON = "/usr/lib/python3/dist-packages"
JAR = Path("/usr/share/java/zookeeper.jar")


def need_kazoo():
    """Debian's kazoo, whatever interpreter runs this."""
    try:
        import kazoo.client
    except ImportError:
        if DEBIAN_PYTHON not in sys.path:
            sys.path.append(DEBIAN_PYTHON)
        try:
            import kazoo.client
        except ImportError:
            raise unittest.SkipTest("python3-kazoo is not installed") from None
    return kazoo.client


def need_zookeeper():
    if not JAR.exists() or shutil.which("java") is None:
        raise unittest.SkipTest("Debian's zookeeper is not installed")


@functools.cache
def serves_zookeeper():
    done = subprocess.run([str(COORDD), "--help"], capture_output=True, text=True, timeout=30)
    return "--zookeeper-session-min" in done.stdout


def need_zookeeper_port():
    if not serves_zookeeper():
        raise unittest.SkipTest("this coordd does not serve ZooKeeper's protocol")


class ZkMember(Member):
    """A member that listens for ZooKeeper's clients too."""

    def __init__(self, data=None, flags=()):
        need_zookeeper_port()
        self.zookeeper_port = free_port()
        super().__init__(data, ["--zookeeper", self.zookeeper, *flags])

    @property
    def zookeeper(self):
        return f"127.0.0.1:{self.zookeeper_port}"


class ZkCluster(Cluster):
    """Members that listen for ZooKeeper's clients too."""

    def make(self, i):
        need_zookeeper_port()
        member = super().make(i)
        member.zookeeper_port = free_port()
        member.flags += ["--zookeeper", f"127.0.0.1:{member.zookeeper_port}"]
        return member

    @property
    def zookeeper(self):
        """The string of hosts."""
        return ",".join(f"127.0.0.1:{member.zookeeper_port}" for member in self)


class ZooKeeper:
    """One standalone server on 127.0.0.1 with data in a directory of its own."""

    def __init__(self):
        need_zookeeper()
        self.directory = Path(tempfile.mkdtemp(prefix="coord-zk-"))
        self.data = self.directory / "data"
        self.data.mkdir()
        self.process = None
        self.port = free_port()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        (self.directory / "zoo.cfg").write_text(
            f"tickTime=500\ndataDir={self.data}\nclientPort={self.port}\n"
            "clientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\n"
            "4lw.commands.whitelist=*\npreAllocSize=1024\nmaxSessionTimeout=600000\n")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("ZOO", "JAVA_"))}
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1",
                 "-Dzookeeper.extendedTypesEnabled=true", "-Dzookeeper.jmx.log4j.disable=true",
                 "-Dzookeeper.DigestAuthenticationProvider.superDigest=" + SUPER_DIGEST,
                 "-cp", str(JAR), "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                 str(self.directory / "zoo.cfg")], cwd=self.directory, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, env=environment)
        wait_until(self._is_ready, 60, "ZooKeeper")
        return self

    def _is_ready(self):
        assert self.process.poll() is None, (self.directory / "log").read_text(errors="replace")
        return b"Mode: " in self.word("srvr")

    def word(self, word):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as link:
                link.sendall(word.encode())
                answer = b""
                while piece := link.recv(65536):
                    answer += piece
                return answer
        except OSError:
            return b""

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def snapshots(self):
        """Oldest first."""
        return sorted((self.data / "version-2").glob("snapshot.*"),
                      key=lambda p: int(p.name.split(".")[1], 16))

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


SUPER = "super:secret"


def digest_of(credential):
    user = credential.split(":")[0]
    return user + ":" + base64.b64encode(hashlib.sha1(credential.encode()).digest()).decode()


SUPER_DIGEST = digest_of(SUPER)
OPEN = [(31, "world", "anyone")]
NO_NODE, BAD_VERSION, NODE_EXISTS = -101, -103, -110
STAT = ("czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "owner", "length",
        "children", "pzxid")


def text(value):
    if value is None:
        return struct.pack(">i", -1)
    value = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">i", len(value)) + value


def acl_list(acl):
    return struct.pack(">i", len(acl)) + b"".join(
        struct.pack(">i", bits) + text(scheme) + text(who) for bits, scheme, who in acl)


STAT_BYTES = 68


def stat_of(body):
    return dict(zip(STAT, struct.unpack(">qqqqiiiqiiq", body)))


class Wire:
    """One session, one request at a time."""

    def __init__(self, port, timeout_ms=600_000, credential=None, patience=15):
        self.link = socket.create_connection(("127.0.0.1", port), timeout=patience * SLOW)
        self._send(struct.pack(">iqiq", 0, 0, timeout_ms, 0) + text(b"\0" * 16) + b"\0")
        greeting = self._receive()
        _, self.timeout_ms, self.session = struct.unpack_from(">iiq", greeting)
        if self.session == 0:
            raise ConnectionError("refused")
        self.password = greeting[20:36]
        self.xid = 0
        self.events = []
        if credential is not None:
            self._send(struct.pack(">iii", -4, 100, 0) + text("digest") + text(credential))
            assert struct.unpack_from(">iqi", self._receive())[2] == 0

    def _send(self, frame):
        self.link.sendall(struct.pack(">i", len(frame)) + frame)

    def _exactly(self, size):
        got = b""
        while len(got) < size:
            piece = self.link.recv(size - len(got))
            if not piece:
                raise ConnectionError("closed")
            got += piece
        return got

    def _receive(self):
        return self._exactly(struct.unpack(">i", self._exactly(4))[0])

    def request(self, op, body):
        """Gives (error, zxid, body)."""
        self.xid += 1
        self._send(struct.pack(">ii", self.xid, op) + body)
        while True:
            frame = self._receive()
            xid, zxid, error = struct.unpack_from(">iqi", frame)
            if xid == self.xid:
                return error, zxid, frame[16:]
            if xid == -1:
                self.events.append(frame[16:])

    def create(self, path, data=b"", acl=None, flags=0):
        """4: a container."""
        op = 19 if flags == 4 else 1
        error, _, body = self.request(
            op, text(path) + text(data) + acl_list(acl or OPEN) + struct.pack(">i", flags))
        assert error == 0, (path, error)
        return body[4:4 + struct.unpack_from(">i", body)[0]].decode()

    def create_ttl(self, path, data, ttl_ms):
        error, _, _ = self.request(
            21, text(path) + text(data) + acl_list(OPEN) + struct.pack(">iq", 5, ttl_ms))
        assert error == 0, (path, error)

    def set(self, path, data, version=-1):
        error, _, _ = self.request(5, text(path) + text(data) + struct.pack(">i", version))
        assert error == 0, (path, error)

    def set_acl(self, path, acl):
        error, _, _ = self.request(7, text(path) + acl_list(acl) + struct.pack(">i", -1))
        assert error == 0, (path, error)

    def delete(self, path):
        error, _, _ = self.request(2, text(path) + struct.pack(">i", -1))
        assert error == 0, (path, error)

    def stat(self, path):
        """None if there is no such node."""
        error, _, body = self.request(3, text(path) + b"\0")
        if error == NO_NODE:
            return None
        assert error == 0, (path, error)
        return stat_of(body)

    def try_set(self, path, data, version=-1):
        """Gives (error, zxid, stat)."""
        error, zxid, body = self.request(5, text(path) + text(data) + struct.pack(">i", version))
        return error, zxid, stat_of(body) if error == 0 else None

    def try_create(self, path, data):
        error, zxid, body = self.request(
            15, text(path) + text(data) + acl_list(OPEN) + struct.pack(">i", 0))
        return error, zxid, stat_of(body[-STAT_BYTES:]) if error == 0 else None

    def read_after_sync(self, path):
        """Gives (error, zxid, (data, stat)); linearizable, other than a plain read."""
        error, _, _ = self.request(9, text(path))
        if error != 0:
            return error, 0, None
        error, zxid, body = self.request(4, text(path) + b"\0")
        if error != 0:
            return error, zxid, None
        size = max(0, struct.unpack_from(">i", body)[0])
        return 0, zxid, (body[4:4 + size], stat_of(body[4 + size:]))

    def close(self):
        try:
            self._send(struct.pack(">ii", self.xid + 1, -11))
            self._receive()
        except (OSError, ConnectionError):
            pass
        self.link.close()
