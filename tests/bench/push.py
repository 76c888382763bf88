#!/usr/bin/env python3
"""How long a release takes from its answer to the last of many SSE clients. Three members here.

    push.py [--clients 1000] [--rounds 50] [--bytes 200] [--instances] [--json FILE]

The clients are spread over the members and read by one process, which shares the machine with them:
what it takes to read so many sockets is a part of the figure, and is measured apart as `reader_ms`
(the time from the first client's bytes to the last's). With --instances each client describes itself,
and one in two sees a gray value.
"""

import argparse
import json
import resource
import select
import socket
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
from cluster import Cluster  # noqa: E402

OPENING_SECONDS = 60
ROUND_SECONDS = 20


def open_client(member, query):
    link = socket.create_connection(("127.0.0.1", member.port))
    link.sendall(f"GET /v1/config/app{query} HTTP/1.1\r\nHost: x\r\n"
                 "Accept: text/event-stream\r\n\r\n".encode())
    link.setblocking(False)
    return link


def wait_for(poll, links, marks, seconds):
    """Reads until every client has seen one of the marks; when the first and the last had."""
    left = set(links)
    first = None
    deadline = time.monotonic() + seconds
    rest = {fd: b"" for fd in links}
    while left:
        if time.monotonic() > deadline:
            raise SystemExit(f"{len(left)} clients have not seen {marks}")
        for fd, _ in poll.poll(1):
            try:
                data = links[fd].recv(65536)
            except BlockingIOError:
                continue
            if not data:
                raise SystemExit("a stream was cut")
            if fd in left:
                text = rest[fd] + data
                if any(mark in text for mark in marks):
                    left.discard(fd)
                    last = time.monotonic()
                    first = first or last
                rest[fd] = text[-200:]
    return first, last


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--bytes", type=int, default=200)
    parser.add_argument("--instances", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    files = options.clients + 500
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    cluster = Cluster()
    try:
        cluster.start()
        figures = measure(cluster, options)
    finally:
        cluster.close()
    print(json.dumps(figures, indent=1))
    if options.json:
        Path(options.json).write_text(json.dumps(figures))


def measure(cluster, options):
    leader = cluster.leader()
    answer = leader.put("/v1/config/app", b"0")
    assert answer.status == 201, answer
    if options.instances:
        assert leader.put("/v1/config/app/gray?percent=50", b"gray").status == 201
    poll = select.epoll()
    links = {}
    members = list(cluster)
    for i in range(options.clients):
        query = f"?instance=host-{i}" if options.instances else ""
        link = open_client(members[i % len(members)], query)
        links[link.fileno()] = link
        poll.register(link.fileno(), select.EPOLLIN)
    wait_for(poll, links, [b"event: release"], OPENING_SECONDS)
    delays, spreads, writes = [], [], []
    for number in range(1, options.rounds + 1):
        mark = f"<{number}>".encode()
        value = mark + b"x" * (options.bytes - len(mark))
        begin = time.monotonic()
        if options.instances:  # Both halves get something new in turn; a round is both of them.
            gray = leader.put("/v1/config/app/gray?percent=50", value)
            assert gray.status == 200, gray
        answer = leader.put("/v1/config/app", value)
        answered = time.monotonic()
        assert answer.status == 201, answer
        first, last = wait_for(poll, links, [mark], ROUND_SECONDS)
        delays.append(max(0.0, last - answered) * 1000)
        spreads.append((last - first) * 1000)
        writes.append((answered - begin) * 1000)
    delays.sort()
    return {"clients": options.clients, "rounds": options.rounds,
            "after_answer_ms": {"p50": round(statistics.median(delays), 2),
                                "p90": round(delays[int(len(delays) * 0.9)], 2),
                                "max": round(delays[-1], 2)},
            "reader_ms_p50": round(statistics.median(spreads), 2),
            "write_ms_p50": round(statistics.median(writes), 2)}


if __name__ == "__main__":
    main()
