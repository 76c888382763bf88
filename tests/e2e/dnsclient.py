"""Asks DNS questions, over UDP or TCP. Standard library only; no more of DNS than the tests need."""

import socket
import struct
from dataclasses import dataclass

from harness import SLOW

TYPES = {"A": 1, "NS": 2, "SOA": 6, "AAAA": 28, "SRV": 33, "ANY": 255}


@dataclass
class DnsAnswer:
    rcode: int
    is_cut: bool
    records: list  # (type, ttl, value) of the answer section.
    soa: bool
    size: int

    @property
    def values(self):
        return [value for _, _, value in self.records]


def question(name, kind, edns=None, identity=77):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part)
    message = struct.pack(">6H", identity, 0x0100, 1, 0, 0, 1 if edns else 0)
    message += labels + b"\0" + struct.pack(">2H", TYPES[kind], 1)
    if edns:
        message += b"\0" + struct.pack(">2HIH", 41, edns, 0, 0)
    return message


def take_name(data, at):
    parts, end = [], None
    while data[at]:
        if data[at] & 0xC0 == 0xC0:
            end = end or at + 2
            at = struct.unpack_from(">H", data, at)[0] & 0x3FFF
            continue
        parts.append(data[at + 1:at + 1 + data[at]].decode())
        at += 1 + data[at]
    return ".".join(parts), end or at + 1


def take_record(data, at):
    _, at = take_name(data, at)
    kind, _, ttl, size = struct.unpack_from(">2HIH", data, at)
    at += 10
    value = data[at:at + size]
    if kind == TYPES["A"]:
        value = socket.inet_ntop(socket.AF_INET, value)
    elif kind == TYPES["AAAA"]:
        value = socket.inet_ntop(socket.AF_INET6, value)
    elif kind == TYPES["SRV"]:
        priority, weight, port = struct.unpack_from(">3H", value)
        value = (priority, weight, port, take_name(data, at + 6)[0])
    return (kind, ttl, value), at + size


def parse(data):
    _, flags, questions, answers, authorities, _ = struct.unpack_from(">6H", data)
    at = 12
    for _ in range(questions):
        _, at = take_name(data, at)
        at += 4
    records, others = [], []
    for i in range(answers + authorities):
        record, at = take_record(data, at)
        (records if i < answers else others).append(record)
    return DnsAnswer(flags & 15, bool(flags & 0x0200), records,
                     any(kind == TYPES["SOA"] for kind, _, _ in others), len(data))


def exchange_udp(port, message, seconds=5):
    """The raw answer, or None when none came."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(seconds * SLOW)
        link.sendto(message, ("127.0.0.1", port))
        try:
            return link.recv(65536)
        except TimeoutError:
            return None


def ask(port, name, kind="A", edns=None, tcp=False):
    message = question(name, kind, edns)
    if not tcp:
        data = exchange_udp(port, message)
        assert data is not None, f"no answer about {name}"
        return parse(data)
    with socket.create_connection(("127.0.0.1", port), timeout=5 * SLOW) as link:
        link.sendall(struct.pack(">H", len(message)) + message)
        with link.makefile("rb") as stream:
            size = struct.unpack(">H", stream.read(2))[0]
            return parse(stream.read(size))
