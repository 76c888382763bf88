"""A small client of ZooKeeper's wire protocol that shows every byte: for tests of what a library
would hide. Standard library only."""

import socket
import struct

CREATE, DELETE, EXISTS, GET, SET, GET_ACL, SET_ACL, CHILDREN, SYNC = 1, 2, 3, 4, 5, 6, 7, 8, 9
PING, CHILDREN2, CHECK, MULTI, CREATE2, RECONFIG = 11, 12, 13, 14, 15, 16
CHECK_WATCHES, REMOVE_WATCHES, CREATE_CONTAINER, DELETE_CONTAINER, CREATE_TTL = 17, 18, 19, 20, 21
MULTI_READ, AUTH, SET_WATCHES, SASL, EPHEMERALS, ALL_CHILDREN = 22, 100, 101, 102, 103, 104
SET_WATCHES2, ADD_WATCH, WHO_AM_I, CLOSE = 105, 106, 107, -11
CREATED, DELETED, CHANGED, CHILD = 1, 2, 3, 4  # Types of events.
OPEN = [(31, "world", "anyone")]
STAT = struct.Struct(">qqqqiiiqiiq")
STAT_NAMES = ("czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "owner",
              "length", "children", "pzxid")


def i32(v):
    return struct.pack(">i", v)


def i64(v):
    return struct.pack(">q", v)


def buffer(v):
    if v is None:
        return i32(-1)
    v = v.encode() if isinstance(v, str) else v
    return i32(len(v)) + v


def flag(v):
    return b"\x01" if v else b"\x00"


def acl(entries):
    return i32(len(entries)) + b"".join(i32(p) + buffer(s) + buffer(i) for p, s, i in entries)


def texts(values):
    return i32(len(values)) + b"".join(buffer(v) for v in values)


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        piece = self.data[self.at:self.at + n]
        assert len(piece) == n, "a reply that is cut short"
        self.at += n
        return piece

    def i32(self):
        return struct.unpack(">i", self.take(4))[0]

    def i64(self):
        return struct.unpack(">q", self.take(8))[0]

    def buffer(self):
        n = self.i32()
        return None if n == -1 else self.take(n)

    def text(self):
        return self.buffer().decode()

    def flag(self):
        return self.take(1) == b"\x01"

    def stat(self):
        return dict(zip(STAT_NAMES, STAT.unpack(self.take(STAT.size))))

    def texts(self):
        return [self.text() for _ in range(self.i32())]

    def done(self):
        return self.at == len(self.data)


class Closed(Exception):
    """The server closed the connection."""


class Wire:
    """One connection. Requests and replies may be taken apart, to see their order."""

    def __init__(self, port, seconds=20, tls=None):
        self.link = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:  # An ssl.SSLContext.
            self.link = tls.wrap_socket(self.link, server_hostname="localhost")
        self.received = b""
        self.xid = 0
        self.events = []
        self.session, self.password, self.timeout = 0, bytes(16), 0
        self.is_read_only = False

    def close(self):
        self.link.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send_frame(self, body):
        self.link.sendall(buffer(body))

    def read_exactly(self, n):
        while len(self.received) < n:
            try:
                piece = self.link.recv(65536)
            except ConnectionResetError as error:
                raise Closed from error
            if not piece:
                raise Closed
            self.received += piece
        piece, self.received = self.received[:n], self.received[n:]
        return piece

    def read_frame(self):
        return self.read_exactly(struct.unpack(">i", self.read_exactly(4))[0])

    def is_closed(self):
        """Reads until the end; fails with a timeout if it does not come."""
        try:
            while True:
                self.read_exactly(1)
        except Closed:
            return True

    # ---- the handshake
    def send_connect(self, timeout=10000, session=0, password=bytes(16), seen=0, read_only=False):
        tail = b"" if read_only is None else flag(read_only)
        self.send_frame(i32(0) + i64(seen) + i32(timeout) + i64(session) + buffer(password) + tail)

    def connect(self, **fields):
        """The answer's fields; keeps session and password."""
        self.send_connect(**fields)
        frame = self.read_frame()
        answer = Cursor(frame)
        assert answer.i32() == 0
        self.timeout, self.session = answer.i32(), answer.i64()
        self.password = answer.buffer()
        self.connect_size = len(frame)
        self.is_read_only = not answer.done() and answer.flag()
        return self

    # ---- requests
    def send(self, op, body=b"", xid=None):
        if xid is None:
            self.xid += 1
            xid = self.xid
        self.send_frame(i32(xid) + i32(op) + body)
        return xid

    def next_frame(self):
        """(xid, zxid, error, Cursor) of the next reply or event."""
        at = Cursor(self.read_frame())
        return at.i32(), at.i64(), at.i32(), at

    def reply(self, xid):
        """The reply to `xid`; events before it are kept."""
        while True:
            got, zxid, error, at = self.next_frame()
            if got == -1:
                self.events.append((at.i32(), at.i32(), at.text()))
                continue
            assert got == xid, f"the reply to {got} came for {xid}"
            self.zxid = zxid
            return error, at

    def call(self, op, body=b"", xid=None):
        return self.reply(self.send(op, body, xid))

    def must(self, op, body=b""):
        error, at = self.call(op, body)
        assert error == 0, f"operation {op}: error {error}"
        return at

    def event(self):
        """The next event: (type, path). Nothing else may come before it."""
        if not self.events:
            xid, zxid, error, at = self.next_frame()
            assert (xid, zxid, error) == (-1, -1, 0), (xid, zxid, error)
            self.events.append((at.i32(), at.i32(), at.text()))
        kind, state, path = self.events.pop(0)
        assert state == 3
        return kind, path

    # ---- bodies
    def create(self, path, data=b"", flags=0, entries=None, op=CREATE, ttl=None):
        body = buffer(path) + buffer(data) + acl(OPEN if entries is None else entries) + i32(flags)
        return self.call(op, body + (b"" if ttl is None else i64(ttl)))

    def delete(self, path, version=-1):
        return self.call(DELETE, buffer(path) + i32(version))[0]

    def set(self, path, data, version=-1):
        return self.call(SET, buffer(path) + buffer(data) + i32(version))

    def get(self, path, watch=False):
        return self.call(GET, buffer(path) + flag(watch))

    def exists(self, path, watch=False):
        return self.call(EXISTS, buffer(path) + flag(watch))

    def children(self, path, watch=False):
        return self.call(CHILDREN, buffer(path) + flag(watch))

    def stat(self, path):
        error, at = self.exists(path)
        assert error == 0, error
        return at.stat()

    def auth(self, scheme, credential):
        return self.call(AUTH, i32(0) + buffer(scheme) + buffer(credential), xid=-4)[0]

    def ping(self):
        return self.call(PING, xid=-2)


def part(op, body):
    return i32(op) + flag(False) + i32(-1) + body


MULTI_END = i32(-1) + flag(True) + i32(-1)


def multi_results(at):
    """[(type, error or result)] of a multi's reply."""
    results = []
    while True:
        kind, done, _ = at.i32(), at.flag(), at.i32()
        if done:
            assert at.done()
            return results
        if kind == -1:
            results.append((kind, at.i32()))
        elif kind == CREATE:
            results.append((kind, at.text()))
        elif kind == CREATE2:
            results.append((kind, (at.text(), at.stat())))
        elif kind == SET:
            results.append((kind, at.stat()))
        elif kind == GET:
            results.append((kind, (at.buffer(), at.stat())))
        elif kind == CHILDREN:
            results.append((kind, at.texts()))
        else:
            results.append((kind, None))


def word(port, name, seconds=10):
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as link:
        link.sendall(name.encode())
        received = b""
        while piece := link.recv(65536):
            received += piece
        return received.decode()
