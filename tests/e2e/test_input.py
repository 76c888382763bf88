"""Bad input: each gets the right problem, or is closed in time; the member lives on."""

import json
import os
import socket
import time
from urllib.parse import quote

import zkwire
from harness import SLOW, MemberTest, free_port, wait_until


def status_of(received):
    return int(received.split(b" ", 2)[1]) if received.startswith(b"HTTP/1.") else None


def memory_kib(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise AssertionError("no RssAnon")


class BadInput(MemberTest):
    def tearDown(self):
        self.expect(self.member.get("/livez"), 200)

    def test_paths_that_zookeeper_refuses_are_400(self):
        for path in ("/v1/tree//a", "/v1/tree/a/", "/v1/tree/a//b", "/v1/tree/a/../b",
                     "/v1/tree/./a", "/v1/tree/a%00b", "/v1/tree/a%01", "/v1/tree/%ff%fe",
                     "/v1/tree/%C3%28", "/v1/tree/a%2F%2Fb", "/v1/tree/%zz", "/v1/tree/a%7f",
                     "/v1/tree/a%ED%A0%80", "/v1/stat/a/", "/v1/children/a//b"):
            with self.subTest(path=path):
                self.expect(self.member.get(path), 400, "bad-request")

    def test_unknown_routes_and_methods_are_named_as_such(self):
        for path in ("/", "/v1", "/v1/", "/v1/trees/a", "/v2/tree/a", "/favicon.ico"):
            with self.subTest(path=path):
                self.expect(self.member.get(path), 404, "no-route")
        refused = self.expect(self.member.request("POST", "/v1/stat/a"), 405, "method-not-allowed")
        self.assertIn("GET", refused["Allow"])
        self.expect(self.member.request("BREW", "/v1/tree/a"), 405, "method-not-allowed")

    def test_unknown_and_malformed_parameters_are_400(self):
        self.member.put(self.tree, "1")
        for method, url in (("GET", "?colour=red"), ("PUT", "?mode=solid"), ("PUT", "?ttl=fast"),
                            ("PUT", "?version=x"), ("PUT", "?parents=maybe"),
                            ("PUT", "?version=99999999999999999999"), ("GET", "?at=x"),
                            ("GET", "?consistency=eventual"), ("GET", "?as=xml"),
                            ("PATCH", "?add=1.5"), ("DELETE", "?recursive=perhaps"),
                            ("GET", "?wait=-1s"), ("GET", "?timeout=never"),
                            ("GET", "?max_staleness=x&consistency=local")):
            with self.subTest(method=method, url=url):
                self.expect(self.member.request(method, self.tree + url), 400, "bad-request")
        self.assertEqual(self.member.get(self.tree).body, b"1")

    def test_malformed_headers_are_400(self):
        for headers in ({"if_match": '"x"'}, {"if_match": "*x"}, {"coord_session": "nonsense"},
                        {"coord_session": "1.zz"}, {"idempotency_key": "k" * 256},
                        {"authorization": "Basic !!!"}):
            with self.subTest(headers=headers):
                answer = self.member.put(self.tree, "x", **headers)
                self.assertIn(answer.status, (400, 401, 403), str(answer))
                self.assertEqual(answer["Content-Type"], "application/problem+json")

    def test_malformed_http_is_refused_or_closed(self):
        for data in (b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                     b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x00" * 1000,
                     b"GET /v1/tree/a HTTP/1.1\r\nBad Header: x\r\n\r\n",
                     b"PUT /v1/tree/a HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                     b"PUT /v1/tree/a HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
                     b"PUT /v1/tree/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                     b"Content-Length: 4\r\n\r\nabcd",
                     b"PUT /v1/tree/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                     b"zz\r\nabc\r\n0\r\n\r\n"):
            with self.subTest(data=data[:60]):
                received = self.member.raw(data, seconds=3, then_close=True)
                if received:
                    self.assertIn(status_of(received), (400, 404, 405, 408, 411, 431, 501, 505))

    def test_headers_that_are_too_large_are_431_and_bodies_413(self):
        many = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000 + b"\r\n\r\n"
        self.assertIn(status_of(self.member.raw(many, 3)), (431, None))
        announced = (b"PUT /v1/tree/a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n"
                     b"\r\nabc")
        received = self.member.raw(announced, 3)
        self.assertEqual(status_of(received), 413)
        self.assertIn(b"too-large", received)
        self.expect(self.member.put("/v1/tree/a", b"x" * (2 << 20)), 413, "too-large")
        long_name = self.member.put("/v1/tree/" + "n" * 3000, "")
        self.assertIn(long_name.status, (400, 413, 414))

    def test_a_body_cut_short_changes_nothing(self):
        self.member.put(self.tree, "whole")
        head = (f"PUT {self.tree} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n").encode()
        received = self.member.raw(head + b"half", 3, then_close=True)
        self.assertIn(status_of(received), (None, 400, 408))
        self.assertEqual(self.member.get(self.tree).body, b"whole")

    def test_malformed_json_is_400_on_every_route_that_takes_it(self):
        deep = "[" * 100_000
        for route in ("/v1/txn", "/v1/sessions"):
            for body in ("{", "nonsense", '{"a":1}}', "\xff", deep, '{"ttl_ms":"x"}', "7",
                         '{"then":[[]]}'):
                with self.subTest(route=route, body=body[:20]):
                    answer = self.member.post(route, body.encode("latin-1"),
                                              content_type="application/json")
                    self.assertIn(answer.status, (400, 422), str(answer))
        self.member.put(self.tree, "{}")
        answer = self.member.patch(self.tree, deep, content_type="application/merge-patch+json")
        self.assertIn(answer.status, (400, 422))

    def test_chunked_uploads_and_expect_continue_work(self):
        chunked = (f"PUT {self.tree} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                   "Connection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").encode()
        self.assertEqual(status_of(self.member.raw(chunked, 3)), 201)
        self.assertEqual(self.member.get(self.tree).body, b"abcde")
        with socket.create_connection(("127.0.0.1", self.member.port), 5) as link:
            link.sendall(f"PUT {self.tree} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                         "Expect: 100-continue\r\nConnection: close\r\n\r\n".encode())
            self.assertTrue(link.recv(1000).startswith(b"HTTP/1.1 100 "))
            link.sendall(b"new")
            self.assertEqual(status_of(link.recv(65536)), 200)

    def test_pipelined_requests_are_answered_in_order(self):
        self.member.put(self.tree, "")
        requests = b"".join(
            f"PUT {self.tree}/{i} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n{i}"
            f"GET {self.tree}/{i} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            for i in range(8))
        requests += f"GET {self.tree}/7 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        received = self.member.raw(requests, 5)
        answers = [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]
        self.assertEqual(answers, [201, 200] * 8 + [200], received[:500])

    def test_a_client_that_sends_its_head_slowly_is_closed_in_time(self):
        with socket.create_connection(("127.0.0.1", self.member.port), 5) as link:
            link.sendall(b"GET /v1/tree/a HTT")
            link.settimeout(60 * SLOW)
            received = link.recv(65536)  # The member ends it: b"" or a 408.
            self.assertIn(status_of(received), (None, 408))

    def test_connections_that_send_nothing_cost_little_and_end(self):
        count = 2000
        before = memory_kib(self.member.process.pid)
        links = []
        try:
            for _ in range(count):
                links.append(socket.create_connection(("127.0.0.1", self.member.port), 5))
            self.expect(self.member.put(self.tree, "x"), 201)
            during = memory_kib(self.member.process.pid)
        finally:
            for link in links:
                link.close()
        if SLOW == 1:
            self.assertLess(during - before, count * 64, "more than 64 KiB a silent connection")
        descriptors = f"/proc/{self.member.process.pid}/fd"
        wait_until(lambda: len(os.listdir(descriptors)) < 100, 10, "the connections' end")

    def test_no_answer_is_a_bare_500(self):
        for method in ("GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"):
            for path in ("/v1/tree/a?x", "/v1/watch", "/v1/sessions/x", "/v1/sessions/x/keepalive",
                         "/v1/acl/none", "/v1/quotas/none", "/v1/history/none", "/v1/walk/none",
                         "/v1/changes?from=x", "/v1/txn", "/v1/locks/" + quote("a b")):
                answer = self.member.request(method, path, b"[]" if method != "GET" else None)
                with self.subTest(method=method, path=path):
                    self.assertLess(answer.status, 500, str(answer))
                    if answer.status >= 400 and method != "HEAD":
                        self.assertEqual(answer.json["status"], answer.status)


class LaggingReader(MemberTest):
    """A client that asks on before it has read everything: what it has read costs nothing more."""

    zookeeper = free_port()
    flags = ("--zookeeper", f"127.0.0.1:{zookeeper}")
    COUNT, AHEAD, VALUE = 4000, 400, b"v" * 100_000  # 400 MB; 40 MB are always on their way.

    def setUp(self):
        super().setUp()
        self.assertIn(self.member.put("/v1/tree/lagging", self.VALUE).status, (200, 201))

    def read_all(self, port, hello, request, size):
        """Asks COUNT times, AHEAD of them before the first answer is taken; each takes `size`."""
        before = memory_kib(self.member.process.pid)
        most = 0
        with socket.socket() as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            link.settimeout(60 * SLOW)
            link.connect(("127.0.0.1", port))
            hello(link)
            for i in range(self.AHEAD):
                link.sendall(request(i))
            for i in range(self.COUNT):
                left = size
                while left > 0:
                    piece = link.recv(min(left, 65536))
                    self.assertTrue(piece, "the member ended the connection")
                    left -= len(piece)
                if i + self.AHEAD < self.COUNT:
                    link.sendall(request(i + self.AHEAD))
                if i % 100 == 0:
                    most = max(most, memory_kib(self.member.process.pid))
        if SLOW == 1:
            self.assertLess(most - before, 64 * 1024, "what was sent is kept")

    def test_over_http(self):
        request = b"GET /v1/tree/lagging HTTP/1.1\r\nHost: x\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.member.port), 20) as link:
            link.sendall(request)
            received = b""
            while b"\r\n\r\n" not in received:
                received += link.recv(4096)
        size = received.index(b"\r\n\r\n") + 4 + len(self.VALUE)
        self.read_all(self.member.port, lambda link: None, lambda i: request, size)

    def test_over_zookeepers_protocol(self):
        path = zkwire.buffer("/lagging")

        def hello(link):
            body = (zkwire.i32(0) + zkwire.i64(0) + zkwire.i32(30000) + zkwire.i64(0) +
                    zkwire.buffer(bytes(16)) + b"\0")
            link.sendall(zkwire.buffer(body))
            self.assertEqual(len(link.recv(41)), 41)

        def request(i):
            return zkwire.buffer(zkwire.i32(i + 1) + zkwire.i32(zkwire.GET) + path + b"\0")

        self.read_all(self.zookeeper, hello, request, 4 + 16 + 4 + len(self.VALUE) + 68)
