"""Clients of a cluster under faults: what they did and saw, for the checkers. Standard library only.

Clients write and read at random members and record each operation with its outcome. A Subscriber
follows the tree and resumes on other members. A Keeper keeps sessions alive. Clients of one request
at a time each, as threads: the members are the slow part.
"""

import http.client
import json
import random
import threading
import time

from harness import wait_until
from linearizability import Operation, check

TOP = "/load"


class Connection:
    """Keeps one connection to one member, and opens it again when it broke."""

    def __init__(self, timeout):
        self.timeout = timeout
        self.member = None
        self.link = None

    def request(self, member, method, path, body=None, headers=None):
        """(status, headers, body). OSError with `.is_sent` telling whether it may have arrived."""
        is_sent = False
        try:
            if member is not self.member or self.link is None:
                self.close()
                self.member = member
                self.link = http.client.HTTPConnection("127.0.0.1", member.port,
                                                       timeout=self.timeout)
                self.link.connect()
            is_sent = True
            self.link.request(method, path, body, headers or {})
            response = self.link.getresponse()
            return response.status, response.headers, response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            lost = OSError(str(error))
            lost.is_sent = is_sent
            raise lost from None

    def close(self):
        if self.link is not None:
            self.link.close()
        self.link = None


class Client(threading.Thread):
    """Draws operations until it is told to stop; the history tells what came of them."""

    def __init__(self, load, number, seed):
        super().__init__(daemon=True)
        self.load = load
        self.number = number
        self.random = random.Random(seed)
        self.connection = Connection(load.timeout)
        self.history = []
        self.known = {}  # By key: the mzxid seen last, for guards.
        self.sequence = 0
        self.problem = None

    def run(self):
        try:
            while not self.load.is_stopped.is_set():
                self.step()
        except Exception as problem:  # Whatever it is, the test must not take silence for success.
            self.problem = problem
        finally:
            self.connection.close()

    def step(self):
        draw = self.random.random()
        if draw < 0.3:
            return self.add(f"n{self.random.randrange(self.load.keys)}")
        key = f"k{self.random.randrange(self.load.keys)}"
        if draw < 0.6:
            return self.get(self.random.choice((key, f"n{self.random.randrange(self.load.keys)}")))
        self.sequence += 1
        value = f"{self.number}.{self.sequence}"
        if draw < 0.8 and key in self.known:
            return self.write("cas", key, value)
        self.write("put", key, value)

    def attempt(self, operation, method, query, body=None, headers=None):
        """One request of the operation at a random member: "answered", "refused" or "unknown"."""
        members = self.load.targets
        member = self.random.choice(members)
        operation.member = member.id
        timeout = f"timeout={round(self.load.timeout * 700)}ms"
        path = f"/v1/tree{TOP}/{operation.key}?{query}{'&' if query else ''}{timeout}"
        try:
            status, found, text = self.connection.request(member, method, path, body, headers)
        except OSError as error:
            self.load.note("lost" if error.is_sent else "unreachable")
            if not error.is_sent:
                self.load.is_stopped.wait(0.01)  # The member is down: no client spins on that.
            return "unknown" if error.is_sent else "refused"
        if status >= 500 or status == 429:
            problem = json.loads(text)
            self.load.note(f"{status} {problem['code']}")
            if status in (503, 429):
                self.load.is_stopped.wait(0.01)  # Retry-After, of a hurried client.
            outcome = problem.get("outcome", "not-applied" if method == "GET" else None)
            if outcome not in ("not-applied", "unknown"):
                raise AssertionError(f"a failed write without an outcome: {status} {text!r}")
            return "refused" if outcome == "not-applied" else "unknown"
        operation.returned = time.monotonic()
        self.load.note("answered")
        return status, found, text

    def get(self, key):
        operation = Operation("get", key, time.monotonic(), client=self.number)
        answer = self.attempt(operation, "GET", "")
        if isinstance(answer, str):
            return
        status, headers, body = answer
        if status not in (200, 404):
            raise AssertionError(f"GET {key}: {status} {body!r}")
        if headers["Coord-Consistency"] != "linearizable":
            raise AssertionError(f"GET {key}: {headers['Coord-Consistency']}")
        operation.revision = int(headers["Coord-Revision"])
        if status == 200:
            operation.seen = (body.decode(), etag(headers))
            self.known[key] = operation.seen[1]
        self.history.append(operation)

    def write(self, kind, key, value):
        """Half of them are sent again under one key until they are answered: those happen once."""
        operation = Operation(kind, key, time.monotonic(), value=value, client=self.number)
        headers = {}
        if kind == "cas":
            operation.expected = self.known[key]
            headers["If-Match"] = f'"{operation.expected}"'
        answer = self.attempts(operation, "PUT", "", value, headers)
        if isinstance(answer, str):
            return
        status, found, body = answer
        if status == 412 and kind == "cas":
            operation.failed = True
            operation.seen_mzxid = etag(found)
        elif status not in (200, 201):
            raise AssertionError(f"{kind} {key}: {status} {body!r}")
        operation.revision = int(found["Coord-Revision"])
        if etag(found) is not None:
            self.known[key] = etag(found)
        self.history.append(operation)

    def add(self, key):
        operation = Operation("add", key, time.monotonic(), delta=1, client=self.number)
        answer = self.attempts(operation, "PATCH", "add=1", None, {})
        if isinstance(answer, str):
            return
        status, found, body = answer
        if status != 200:
            raise AssertionError(f"add {key}: {status} {body!r}")
        operation.value = int(body)
        operation.revision = int(found["Coord-Revision"])
        self.history.append(operation)

    def attempts(self, operation, method, query, body, headers):
        if self.random.random() < 0.5:
            answer = self.attempt(operation, method, query, body, headers)
            if answer == "unknown":
                self.history.append(operation)
            return answer
        self.sequence += 1
        headers = {**headers, "Idempotency-Key": f"{self.load.name}-{self.number}-{self.sequence}"}
        may_be_done = False
        while True:
            answer = self.attempt(operation, method, query, body, headers)
            if not isinstance(answer, str):
                return answer
            may_be_done = may_be_done or answer == "unknown"
            if self.load.is_stopped.is_set():
                if may_be_done:
                    self.history.append(operation)
                return answer


def etag(headers):
    return int(headers["ETag"].strip('"')) if headers["ETag"] else None


class Load:
    """Clients on all members of a cluster (or those in `targets`, which may change at any time)."""

    def __init__(self, cluster, clients=6, keys=4, seed=1, timeout=2.0):
        self.cluster = cluster
        self.targets = list(cluster)
        self.keys = keys
        self.timeout = timeout
        self.name = f"s{seed}"
        self.is_stopped = threading.Event()
        self.lock = threading.Lock()
        self.counts = {}
        self.history = []
        self.clients = [Client(self, i, f"{seed}/{i}") for i in range(clients)]

    def note(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def start(self):
        leader = self.cluster.leader()
        leader.put(f"/v1/tree{TOP}", "")
        for i in range(self.keys):
            operation = Operation("put", f"n{i}", time.monotonic(), value="0", client=-1)
            answer = leader.put(f"/v1/tree{TOP}/n{i}", "0")
            if answer.status != 201:
                raise AssertionError(str(answer))
            operation.returned = time.monotonic()
            operation.revision = answer.revision
            self.history.append(operation)
        for client in self.clients:
            client.start()
        return self

    def done(self):
        return self.counts.get("answered", 0)

    def wait_for_more(self, count=200, seconds=20):
        """Until so many further requests were answered."""
        wanted = self.done() + count
        wait_until(lambda: self.done() >= wanted or self.failed(), seconds,
                   f"{count} more answers ({self.counts})")

    def failed(self):
        return next((c.problem for c in self.clients if c.problem), None)

    def stop(self):
        """Ends the clients; returns the history, with a last read of every key."""
        self.is_stopped.set()
        for client in self.clients:
            client.join(30)
            if client.is_alive():
                raise AssertionError(f"client {client.number} does not end")
        if self.failed():
            raise self.failed()
        for client in self.clients:
            self.history += client.history
        reader = Client(self, len(self.clients), "last")
        keys = sorted({o.key for o in self.history})
        for key in keys:
            count = len(reader.history)

            def read():
                reader.get(key)
                return len(reader.history) > count
            wait_until(read, 10, f"a last read of {key}")
        self.history += reader.history
        reader.connection.close()
        return self.history

    def check(self):
        """Stops, and raises what the checkers found."""
        problems = check(self.stop())
        if problems:
            raise AssertionError("\n".join(problems[:5]))

    def gap(self, since):
        """The longest time without an acknowledged write from then on, in ms."""
        ends = sorted(o.returned for c in self.clients for o in list(c.history)
                      if o.is_write and not o.is_unknown and o.returned >= since)
        return round(1000 * max((b - a for a, b in zip([since, *ends], ends)), default=0))


class Subscriber(threading.Thread):
    """Watches everything below TOP, and goes on at another member when a stream ends, is silent, or
    at random; keeps what a promised id covers."""

    def __init__(self, cluster, seed=1, start=0):
        super().__init__(daemon=True)
        self.targets = list(cluster)
        self.random = random.Random(seed)
        self.start_revision = start
        self.last_id = str(start)
        self.events = []
        self.resumes = 0
        self.is_stopped = threading.Event()
        self.problem = None

    def run(self):
        try:
            while not self.is_stopped.is_set():
                self.follow(self.random.choice(self.targets), self.random.uniform(0.05, 1.0))
        except Exception as problem:  # Told to the test by stop().
            self.problem = problem

    def follow(self, member, seconds):
        link = http.client.HTTPConnection("127.0.0.1", member.port, timeout=0.5)
        try:
            link.request("GET", f"/v1/watch?path={TOP}&depth=all&values=true",
                         headers={"Accept": "text/event-stream", "Last-Event-ID": self.last_id})
            response = link.getresponse()
            if response.status != 200:
                text = response.read()
                if response.status < 500:
                    raise AssertionError(f"resume from {self.last_id}: {response.status} {text!r}")
                self.is_stopped.wait(0.02)
                return
            self.resumes += 1
            self.take(response, time.monotonic() + seconds)
        except (OSError, http.client.HTTPException):
            self.is_stopped.wait(0.02)
        finally:
            link.close()

    def take(self, response, until):
        pending, identity, data, rest = [], "", "", b""
        while time.monotonic() < until and not self.is_stopped.is_set():
            piece = response.read1(65536)
            if not piece:
                return
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                line = line.decode().rstrip("\r")
                name, _, value = line.partition(": ")
                if name == "id":
                    identity = value
                elif name == "data":
                    data = value
                elif not line and data:
                    event = json.loads(data)
                    if "type" in event and event["type"] != "bookmark":
                        pending.append(event)
                    if identity:
                        self.events += pending
                        self.last_id = identity
                        pending = []
                    identity, data = "", ""

    def stop(self, revision, seconds=15):
        """Waits until it has heard of the revision; then raises what is wrong with what it told."""
        wait_until(lambda: int(self.last_id) >= revision or self.problem, seconds,
                   f"the subscriber hears of {revision}, it is at {self.last_id}")
        self.is_stopped.set()
        self.join(10)
        if self.problem:
            raise self.problem

    def check(self, member):
        """What it told is what the member's list of changes says, once each and in order."""
        head = member.get("/v1/changes?limit=1&from=" + str(self.start_revision)).revision
        self.stop(min(head, self.last_change(member)))
        told = [(e["revision"], e["type"], e["path"]) for e in self.events]
        there = [(c["revision"], c["type"], c["path"]) for c in self.changes(member)
                 if c["path"].startswith(TOP) and c["revision"] <= int(self.last_id)]
        if told != there:
            at = next((i for i, (a, b) in enumerate(zip(told, there)) if a != b),
                      min(len(told), len(there)))
            raise AssertionError(f"the watch told {len(told)} events, there are {len(there)}: "
                                 f"at {at} {told[at:at + 3]}, not {there[at:at + 3]}")
        return len(told)

    def changes(self, member):
        at, found = self.start_revision, []
        while True:
            answer = member.get(f"/v1/changes?from={at}&limit=1000")
            if answer.status != 200:
                raise AssertionError(str(answer))
            page = answer.json["changes"]
            found += page
            if not page:
                return found
            at = page[-1]["revision"]

    def last_change(self, member):
        return max((c["revision"] for c in self.changes(member) if c["path"].startswith(TOP)),
                   default=self.start_revision)


class Keeper:
    """Keeps sessions alive through random members: each is renewed every third of its ttl, and
    again at once elsewhere if that fails, as a good client does. `lost` says which ended all the
    same, `early` which of them within their ttl of the last confirmed renewal."""

    def __init__(self, cluster, sessions, ttl_ms, seed=1, threads=10):
        self.targets = list(cluster)
        self.ttl = ttl_ms / 1000
        self.lost = []
        self.early = []
        self.is_stopped = threading.Event()
        tokens = [s["session"] for s in sessions]
        self.threads = [threading.Thread(target=self.run, daemon=True,
                                         args=(tokens[i::threads], random.Random(f"{seed}/{i}")))
                        for i in range(threads)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def run(self, tokens, draw):
        connections = {m.id: Connection(0.3) for m in self.targets}
        avoided = {}  # By member: until when, as it did not answer.
        now = time.monotonic()
        due = [(now, now, token) for token in tokens]  # (when, the last confirmed, token)
        while not self.is_stopped.is_set() and due:
            due.sort()
            at, confirmed, token = due.pop(0)
            self.is_stopped.wait(max(0, at - time.monotonic()))
            sent = self.renew(token, confirmed, draw, connections, avoided)
            if sent is not None:
                due.append((sent + self.ttl / 3, sent, token))
        for connection in connections.values():
            connection.close()

    def renew(self, token, confirmed, draw, connections, avoided):
        while not self.is_stopped.is_set():
            sent = time.monotonic()
            good = [m for m in self.targets if avoided.get(m.id, 0) < sent] or self.targets
            member = draw.choice(good)
            try:
                status, _, text = connections[member.id].request(
                    member, "POST", "/v1/sessions/mine/keepalive?timeout=250ms",
                    headers={"Coord-Session": token})
            except OSError:
                avoided[member.id] = time.monotonic() + 1
                self.is_stopped.wait(0.005)
                continue
            if status == 200:
                return sent
            if status < 500:
                heard = time.monotonic() - confirmed
                self.lost.append(f"{round(heard * 1000)} ms after a renewal: {status} {text!r}")
                if heard < self.ttl:
                    self.early.append(self.lost[-1])
                return None
            self.is_stopped.wait(0.005)
        return None

    def stop(self):
        self.is_stopped.set()
        for thread in self.threads:
            thread.join(10)


class Steady(threading.Thread):
    """One client that retries as it should: each write is sent again under its own key, at the next
    member, until it is acknowledged; it fails only after `patience` seconds. Tells the gaps."""

    def __init__(self, members, patience=8.0, seed=1):
        super().__init__(daemon=True)
        self.targets = list(members)
        self.patience = patience
        self.name_of_keys = f"steady-{seed}"
        self.acknowledged = []  # (when, number)
        self.retries = 0
        self.failed = []
        self.problem = None
        self.is_stopped = threading.Event()

    def run(self):
        connection = Connection(0.4)
        try:
            self.write_on(connection)
        except AssertionError as problem:
            self.problem = problem
        finally:
            connection.close()

    def write_on(self, connection):
        at = number = 0
        while not self.is_stopped.is_set():
            number += 1
            began = time.monotonic()
            why = None
            while time.monotonic() < began + self.patience:
                member = self.targets[at % len(self.targets)]
                why = self.write(connection, member, number)
                if why is None:
                    break
                self.retries += 1
                at += 1
                self.is_stopped.wait(0.002)
            if why is None:
                self.acknowledged.append((time.monotonic(), number))
            elif not self.is_stopped.is_set():
                self.failed.append(f"{number}: {why}")

    def write(self, connection, member, number):
        try:
            status, _, text = connection.request(
                member, "PATCH", f"/v1/tree{TOP}/steady?add=1&timeout=350ms",
                headers={"Idempotency-Key": f"{self.name_of_keys}-{number}"})
        except OSError as error:
            return str(error)
        if status != 200:
            return f"{status} {text!r}"
        if int(text) != number:
            raise AssertionError(f"addition {number} gave {text!r}: one was lost or applied twice")
        return None

    def wait_for_more(self, count=50, seconds=10):
        wanted = len(self.acknowledged) + count
        wait_until(lambda: len(self.acknowledged) >= wanted or not self.is_alive(), seconds,
                   f"{count} more writes")
        if self.problem:
            raise self.problem

    def gap(self, since):
        """The longest time between two acknowledged writes from then on, in ms."""
        ends = [t for t, _ in self.acknowledged if t >= since]
        return round(1000 * max((b - a for a, b in zip([since, *ends], ends)), default=0))

    def stop(self):
        self.is_stopped.set()
        self.join(10)
        if self.problem:
            raise self.problem


def start_steady(cluster, **options):
    leader = cluster.leader()
    leader.put(f"/v1/tree{TOP}", "")
    answer = leader.put(f"/v1/tree{TOP}/steady", "0")
    if answer.status not in (200, 201):
        raise AssertionError(str(answer))
    steady = Steady(cluster, **options)
    steady.start()
    steady.wait_for_more(50)
    return steady
