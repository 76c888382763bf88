"""Starts and ends real members, and speaks HTTP to them. Standard library only.

Every process that is started here is ended here, by its pid. Nothing waits by sleeping for a fixed
time: `wait_until` polls a condition up to a deadline.
"""

import base64
import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build" / os.environ.get("COORD_BUILD", "release")
COORDD = BUILD / "coord/coordd"
COORDCTL = BUILD / "cli/coordctl"
SLOW = 4 if BUILD.name in ("asan", "tsan", "debug") else 1  # Sanitizers cost time.
# How much longer than usual a machine that others use as well may take. Costs nothing where a
# condition comes true; what is promised to come within a time is measured, not waited for.
PATIENCE = 4


def wait_until(condition, seconds=10.0, what="condition"):
    """Polls until `condition()` is true and returns its value; fails after `seconds` of a quiet
    machine."""
    limit = seconds * SLOW * PATIENCE
    deadline = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {limit:g} s")
        time.sleep(0.005)


# Below the ports that the kernel gives to outgoing connections: one of those may take a port between
# its choice and the start of its server. Each test process has a hundred of its own.
PORTS = itertools.cycle(range(10000 + os.getpid() % 220 * 100, 10100 + os.getpid() % 220 * 100))


def free_port():
    for port in itertools.islice(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("a hundred ports are all in use")


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def revision(self):
        return int(self.headers["Coord-Revision"])

    @property
    def code(self):
        """The stable word of a problem document."""
        return self.json["code"]

    def __getitem__(self, name):
        return self.headers[name]

    def __str__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:2000]!r}"


class Member:
    """One coordd on 127.0.0.1 with data in a directory of its own."""

    def __init__(self, data=None, flags=(), environment=None):
        self.own = None if data else tempfile.mkdtemp(prefix="coord-e2e-")
        self.data = Path(data or os.path.join(self.own, "data"))
        self.flags = list(flags)
        # Without a flag coordd takes 2181 if that is free: not a port that a test chose.
        self.environment = {"COORD_ZOOKEEPER": "off", **(environment or {})}
        self.port = free_port()
        self.process = None
        self.log_path = tempfile.mktemp(prefix="coord-e2e-", suffix=".log")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self):
        return Path(self.log_path).read_text(errors="replace")

    def spawn(self):
        assert COORDD.exists(), f"{COORDD} is not built"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [str(COORDD), "--http", f"127.0.0.1:{self.port}", "--data", str(self.data),
                 *self.flags], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment})
        return self

    def start(self, seconds=20):
        self.spawn()

        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"coordd ended with {self.process.returncode}:\n{self.log}")
            try:
                return self.request("GET", "/readyz", timeout=2).status == 200
            except (OSError, http.client.HTTPException):
                return False

        wait_until(ready, seconds, "readyz")
        return self

    def kill(self):
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds=10):
        """SIGTERM; returns the exit code."""
        if self.process is None or self.process.poll() is not None:
            return self.process and self.process.returncode
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds * SLOW * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"coordd did not stop within {seconds} s:\n{self.log[-2000:]}")

    def close(self):
        """Ends the process however it is, and removes what it left."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        if self.own:
            shutil.rmtree(self.own, ignore_errors=True)
        Path(self.log_path).unlink(missing_ok=True)

    def request(self, method, path, body=None, headers=None, timeout=15):
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * SLOW)
        try:
            if isinstance(body, str):
                body = body.encode()
            elif isinstance(body, (dict, list)):
                body = json.dumps(body).encode()
                headers = {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path, headers=dashed(headers))

    def put(self, path, body=b"", **headers):
        return self.request("PUT", path, body, dashed(headers))

    def post(self, path, body=b"", **headers):
        return self.request("POST", path, body, dashed(headers))

    def patch(self, path, body=b"", **headers):
        return self.request("PATCH", path, body, dashed(headers))

    def delete(self, path, **headers):
        return self.request("DELETE", path, headers=dashed(headers))

    def raw(self, data, seconds=10, then_close=False):
        """Sends bytes as they are; returns all that comes until the member closes, or a silence."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds * SLOW) as link:
            link.sendall(data)
            if then_close:
                link.shutdown(socket.SHUT_WR)
            received = b""
            try:
                while chunk := link.recv(65536):
                    received += chunk
            except TimeoutError:
                pass
            except ConnectionResetError:
                pass
            return received

    def status(self):
        return self.get("/v1/status").json

    def digest(self):
        return self.status()["digest"]

    def open_session(self, ttl_ms=15000, **fields):
        answer = self.post("/v1/sessions", {"ttl_ms": ttl_ms, **fields})
        assert answer.status in (200, 201), answer
        return answer.json


def in_background(work):
    """Runs `work` in a thread; call the result for what it returned or raised."""
    box = {}

    def run():
        try:
            box["value"] = work()
        except Exception as error:  # Whoever asks for the value gets it.
            box["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def join(seconds=30):
        thread.join(seconds * SLOW)
        if thread.is_alive():
            raise AssertionError("it has not come back")
        if "error" in box:
            raise box["error"]
        return box["value"]

    return join


def dashed(headers):
    """if_match='"7"' -> {'If-Match': '"7"'}"""
    return {name.replace("_", "-").title(): value for name, value in headers.items()}


@dataclass
class StreamEvent:
    event: str
    id: str
    data: dict


class Stream:
    """An SSE (or NDJSON) watch, read by a thread; events arrive in `events` in order."""

    def __init__(self, member, query, headers=None, ndjson=False):
        self.events = []
        self.comments = 0
        self.ended = threading.Event()
        self.connection = http.client.HTTPConnection("127.0.0.1", member.port, timeout=60)
        accept = "application/x-ndjson" if ndjson else "text/event-stream"
        self.connection.request("GET", query, headers={"Accept": accept, **(headers or {})})
        self.socket = self.connection.sock  # An answer that ends by closing takes it away.
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.headers = self.response.headers
        self.body = self.response.read() if self.status != 200 else b""
        self.ndjson = ndjson
        self.reader = threading.Thread(target=self._read, daemon=True)
        if self.status == 200:
            self.reader.start()

    def _read(self):
        try:
            if self.ndjson:
                for line in self._lines():
                    if line:
                        data = json.loads(line)
                        self.events.append(StreamEvent(data.get("type", ""), "", data))
            else:
                self._read_sse()
        except (OSError, ValueError, http.client.HTTPException, AttributeError):
            pass  # Closed, on one side or the other.
        self.ended.set()

    def _lines(self):
        rest = b""
        while piece := self.response.read1(65536):  # readline() takes chunks apart too slowly.
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield line.decode().rstrip("\r")

    def _read_sse(self):
        event, identity, data = "", "", []
        for line in self._lines():
            if not line:
                if data:
                    self.events.append(StreamEvent(event, identity, json.loads("\n".join(data))))
                event, identity, data = "", "", []
            elif line.startswith(":"):
                self.comments += 1
            else:
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if field == "event":
                    event = value
                elif field == "id":
                    identity = value
                elif field == "data":
                    data.append(value)

    def wait_for(self, count, seconds=10, kinds=None):
        """The first `count` events of the kinds (all but bookmarks)."""
        def there():
            found = self.of(kinds)
            return found[:count] if len(found) >= count else None
        try:
            return wait_until(there, seconds, f"{count} events")
        except AssertionError as error:
            raise AssertionError(f"{error}; there are {self.of(kinds)}") from None

    def of(self, kinds=None):
        return [e for e in list(self.events)
                if (e.event in kinds if kinds else e.event != "bookmark")]

    @property
    def last_id(self):
        """The resume point: the last id that was seen."""
        return next((e.id for e in reversed(self.events) if e.id), "")

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        if self.reader.ident:
            self.reader.join(10)
        self.response.close()
        self.connection.close()


class MemberTest(unittest.TestCase):
    """One member for all tests of a class; each test works under a node of its own."""

    flags = ()
    environment = None

    @classmethod
    def setUpClass(cls):
        cls.member = Member(flags=cls.flags, environment=cls.environment)
        cls.addClassCleanup(cls.member.close)
        cls.member.start()

    def setUp(self):
        self.base = "/" + self.id().replace(".", "-")
        self.tree = "/v1/tree" + self.base

    def watch(self, query, **options):
        stream = Stream(self.member, "/v1/watch?" + query, **options)
        self.addCleanup(stream.close)
        return stream

    def wait_for_watches(self, count):
        """Until the member has `count` watches. A poll without `since` misses a change that comes
        before it, so whoever counts on one waits for it first; and begins with 0, since what an
        earlier test closed may not be noticed yet."""
        wait_until(lambda: self.member.status()["watches"] == count, what=f"{count} watches")

    def expect(self, answer, status, code=None):
        self.assertEqual(answer.status, status, str(answer))
        if code is not None:
            self.assertEqual(answer["Content-Type"].split(";")[0], "application/problem+json")
            problem = answer.json
            self.assertEqual(problem["code"], code, str(answer))
            self.assertEqual(problem["status"], status)
            for field in ("type", "title", "detail", "retryable"):
                self.assertIn(field, problem)
        return answer


def ctl(member, *arguments, input=None, seconds=30, environment=None):
    """Runs coordctl against the member."""
    return subprocess.run(
        [str(COORDCTL), "--endpoint", member.url, *arguments], input=input, timeout=seconds * SLOW,
        capture_output=True, env={**os.environ, **(environment or {})},
        stdin=None if input is not None else subprocess.DEVNULL)


def b64(data):
    return base64.b64encode(data).decode()
