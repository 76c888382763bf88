"""ZooKeeper's protocol inside TLS: who may come in, and the identity that a certificate gives."""

import socket
import ssl
import subprocess
import tempfile
import unittest
from pathlib import Path

import zkwire
from harness import COORDD, SLOW, Member, free_port
from test_zookeeper_kazoo import PYTHON
from zkwire import OPEN, WHO_AM_I, Closed, Wire

NO_AUTH, AUTH_FAILED = -102, -115
KAZOO = """
import sys
from kazoo.client import KazooClient
from kazoo.security import make_acl
port, folder = sys.argv[1:]
def client(name):
    one = KazooClient(hosts="localhost:" + port, use_ssl=True, ca=folder + "/ca.pem",
                      certfile=folder + f"/{name}.pem", keyfile=folder + f"/{name}.key")
    one.start(timeout=30)
    return one
ann, bob = client("ann"), client("bob")
ann.create("/of-ann", b"v" * 100_000, acl=[make_acl("x509", "CN=ann,O=Example", all=True)])
assert ann.get("/of-ann")[0] == b"v" * 100_000
try:
    bob.get("/of-ann")
    print("bob reads")
except Exception as error:
    print(type(error).__name__)
with ann.Lock("/locks/tls", "ann"):
    assert not bob.Lock("/locks/tls", "bob").acquire(blocking=False)
ann.stop(), bob.stop()
"""


class Certificates:
    """A CA, and who has a certificate of it: the member, ann, bob, ops; and eve, who made her own."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.run("req", "-x509", "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.pem")
        for name, subject in (("member", "/CN=localhost"), ("ann", "/O=Example/CN=ann"),
                              ("bob", "/O=Example/CN=bob"), ("ops", "/O=Example/CN=ops")):
            self.run("req", "-subj", subject, "-addext", "subjectAltName=DNS:localhost",
                     "-keyout", f"{name}.key", "-out", f"{name}.csr")
            self.run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                     "-CAcreateserial", "-out", f"{name}.pem")
        self.run("req", "-x509", "-subj", "/O=Example/CN=ann", "-keyout", "eve.key",
                 "-out", "eve.pem")

    def run(self, verb, *words):
        keys = ("-newkey", "rsa:2048", "-nodes") if verb == "req" else ()
        subprocess.run(["openssl", verb, *keys, *words], cwd=self.folder, check=True,
                       capture_output=True)

    def of(self, name):
        return str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")

    def context(self, name=None):
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        if name:
            context.load_cert_chain(*self.of(name))
        return context

    def flags(self, port, clients="needed"):
        certificate, key = self.of("member")
        return ["--zookeeper-tls", f"127.0.0.1:{port}", "--tls-certificate", certificate,
                "--tls-key", key, "--tls-ca", str(self.folder / "ca.pem"), "--tls-clients", clients]


class TlsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="coord-e2e-")
        cls.addClassCleanup(folder.cleanup)
        cls.certificates = Certificates(folder.name)


class Tls(TlsTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.port, cls.plain = free_port(), free_port()
        cls.member = Member(flags=cls.certificates.flags(cls.port) +
                            ["--zookeeper", f"127.0.0.1:{cls.plain}", "--zookeeper-words", "*",
                             "--zookeeper-super-x509", "CN=ops,O=Example"])
        cls.addClassCleanup(cls.member.close)
        cls.member.start()

    def wire(self, name, port=None):
        wire = Wire(port or self.port, tls=self.certificates.context(name))
        self.addCleanup(wire.close)
        return wire.connect()

    def identities(self, wire):
        at = wire.must(WHO_AM_I)
        return [(at.text(), at.text()) for _ in range(at.i32())]

    def test_a_certificate_is_an_identity(self):
        ann = self.wire("ann")
        self.assertEqual(self.identities(ann),
                         [("ip", "127.0.0.1"), ("x509", "CN=ann,O=Example")])
        self.assertEqual(ann.auth("x509", b""), 0)
        self.assertEqual(ann.create("/ann", b"v", entries=[(31, "x509", "CN=ann,O=Example")])[0], 0)
        self.assertEqual(ann.create("/auth", b"v", entries=[(31, "auth", "")])[0], 0)
        for path in ("/ann", "/auth"):
            self.assertEqual(ann.get(path)[1].buffer(), b"v")
            with Wire(self.plain) as plain:
                plain.connect()
                self.assertEqual(plain.get(path)[0], NO_AUTH)

    def test_the_super_users_certificate_may_do_everything(self):
        ann, ops = self.wire("ann"), self.wire("ops")
        self.assertEqual(ann.create("/mine", b"v", entries=[(31, "x509", "CN=ann,O=Example")])[0], 0)
        self.assertEqual(ops.get("/mine")[1].buffer(), b"v")
        self.assertNotIn("super", [scheme for scheme, _ in self.identities(ann)])

    def test_without_tls_nobody_is_known_by_a_certificate(self):
        with Wire(self.plain) as plain:
            plain.connect()
            self.assertEqual(plain.auth("x509", b""), AUTH_FAILED)

    def test_who_has_no_certificate_of_the_ca_does_not_come_in(self):
        for name in (None, "eve"):
            with self.subTest(name=name), self.assertRaises((ssl.SSLError, Closed, OSError)):
                self.wire(name)

    def test_who_speaks_no_tls_harms_only_itself(self):
        ann = self.wire("ann")
        with self.assertRaises(Closed):
            Wire(self.port).connect()
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as link:
            link.sendall(b"\x16\x03\x01" + b"\xff" * 5000)
            while link.recv(4096):
                pass
        self.assertEqual(ann.exists("/zookeeper")[0], 0)

    def test_a_large_value_and_many_requests_at_once(self):
        ann = self.wire("ann")
        value = bytes(range(256)) * 4000
        self.assertEqual(ann.create("/large", value, entries=OPEN)[0], 0)
        self.assertEqual(ann.get("/large")[1].buffer(), value)
        xids = [ann.send(zkwire.GET, zkwire.buffer("/large") + b"\0") for _ in range(40)]
        for xid in xids:
            self.assertEqual(ann.reply(xid)[1].buffer(), value)

    def test_an_event_comes_inside_too(self):
        ann = self.wire("ann")
        self.assertEqual(ann.create("/seen", b"1", entries=OPEN)[0], 0)
        ann.get("/seen", watch=True)
        with Wire(self.plain) as plain:
            plain.connect()
            self.assertEqual(plain.set("/seen", b"2")[0], 0)
        self.assertEqual(ann.event()[1], "/seen")

    def test_a_word_is_answered(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as raw:
            with self.certificates.context("ann").wrap_socket(
                    raw, server_hostname="localhost") as link:
                link.sendall(b"ruok")
                self.assertEqual(link.recv(10), b"imok")
                self.assertEqual(link.recv(10), b"")  # Ended as TLS ends.
        self.assertIn(f"clientPort={self.plain}\nsecureClientPort={self.port}\n",
                      zkwire.word(self.plain, "conf"))

    @unittest.skipIf(PYTHON is None, "python3-kazoo is not installed")
    def test_kazoo(self):
        done = subprocess.run([PYTHON, "-c", KAZOO, str(self.port), str(self.certificates.folder)],
                              capture_output=True, text=True, timeout=120 * SLOW, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, "NoAuthError\n"), done.stderr[-2000:])


class Options(TlsTest):
    def test_clients_without_a_certificate_may_be_wanted_or_not_asked(self):
        for clients in ("wanted", "ignored"):
            port = free_port()
            member = Member(flags=self.certificates.flags(port, clients))
            try:
                member.start()
                for name, count in ((None, 1), ("ann", 2 if clients == "wanted" else 1)):
                    with Wire(port, tls=self.certificates.context(name)) as wire:
                        wire.connect()
                        self.assertEqual(wire.must(WHO_AM_I).i32(), count, (clients, name))
            finally:
                member.close()

    def test_what_is_missing_or_wrong_is_said(self):
        good = self.certificates.flags(1)
        other = self.certificates.of("ann")[1]
        cases = (
            (good[:2], "--tls-certificate and --tls-key"),
            (good[2:], "give --zookeeper-tls"),
            (good[:6], "--tls-ca"),
            (good[:5] + [other] + good[6:], "ann.key: key values mismatch"),
            (good[:3] + ["/none.pem"] + good[4:], "/none.pem"),
            (["--zookeeper-tls", "here:there"] + good[2:], "neither HOST:PORT nor off"),
        )
        for flags, text in cases:
            done = subprocess.run([COORDD, "--check-config", *flags], capture_output=True,
                                  text=True, check=False)
            self.assertEqual(done.returncode, 2, flags)
            self.assertIn(text, done.stderr)
        done = subprocess.run([COORDD, "--check-config", *good], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
