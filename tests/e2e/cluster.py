"""Starts clusters of real members on 127.0.0.1, and does to them what the world does: kill -9,
SIGSTOP, cut links one way or both. Standard library only.

With `proxies=True` members dial each other through small proxies, so that a test can cut links. As
two members have a link for each direction, cutting A to B loses what A says to B and nothing else.
"""

import selectors
import shutil
import signal
import socket
import tempfile
import threading
from pathlib import Path

from harness import Member, free_port, wait_until


# Where the id of the member that dials stands in what it says first: behind the frame's header
# (12), magic and version (8), no refusal (1), no text (1) and one flag (1).
GREETING_ID_AT = 23


class Proxy:
    """What the others dial instead of one member. It reads in the greeting who dials, so that a
    test can cut each direction: what is cut is lost in silence, as in a network."""

    def __init__(self, target_port):
        self.target_port = target_port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.cut_off = set()  # Dialers that are not let through.
        self.is_closed = False
        self.pairs = []  # (dialer, near, far)
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.is_closed:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        far = None
        try:
            near.settimeout(5)
            first = b""
            while len(first) <= GREETING_ID_AT:
                piece = near.recv(65536)
                if not piece:
                    return
                first += piece
            dialer = first[GREETING_ID_AT]
            near.settimeout(None)
            with self.lock:
                if dialer in self.cut_off:
                    far = None
                else:
                    far = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
                    far.settimeout(None)
                self.pairs.append((dialer, near, far))
            if far is None:
                near.recv(1)  # Nobody answers; the dialer gives up, or heal() ends it.
                return
            far.sendall(first)
            self._pass(dialer, near, far)
        except OSError:
            pass
        finally:
            near.close()
            if far is not None:
                far.close()

    def _pass(self, dialer, near, far):
        other = {near: far, far: near}
        with selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ)
            selector.register(far, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    data = key.fileobj.recv(65536)
                    if not data and dialer not in self.cut_off:
                        return
                    if not data:  # Also the end of a link is not seen through a cut.
                        selector.unregister(key.fileobj)
                    elif dialer not in self.cut_off:
                        other[key.fileobj].sendall(data)

    def cut(self, dialer):
        with self.lock:
            self.cut_off.add(dialer)

    def heal(self):
        """Links that were cut end, and new ones are let through: what was lost stays lost."""
        with self.lock:
            ended = [p for p in self.pairs if p[0] in self.cut_off]
            self.pairs = [p for p in self.pairs if p[0] not in self.cut_off]
            self.cut_off = set()
        shut(ended)

    def close(self):
        self.is_closed = True
        shut([(0, self.listener, None), *self.pairs])
        self.listener.close()


def shut(pairs):
    for _, *ends in pairs:
        for end in ends:
            try:
                if end is not None:
                    end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # It has ended already.


class Cluster:
    """Members 1..voters, then the observers; each a harness.Member with `.id` and `.peer_port`."""

    def __init__(self, voters=3, observers=0, proxies=False, flags=()):
        self.directory = tempfile.mkdtemp(prefix="coord-cluster-")
        self.flags = list(flags)
        self.members = {}
        self.proxies = {}  # By the member behind.
        ids = range(1, voters + observers + 1)
        self.roles = {i: "" if i <= voters else "/observer" for i in ids}
        self.peer_ports = {i: free_port() for i in ids}
        if proxies:
            self.proxies = {i: Proxy(port) for i, port in self.peer_ports.items()}
        for i in ids:
            self.members[i] = self.make(i)

    @property
    def listed(self):
        """--members."""
        ports = {i: self.proxies[i].port if self.proxies else port
                 for i, port in self.peer_ports.items()}
        return ",".join(f"{i}=127.0.0.1:{port}{self.roles[i]}" for i, port in ports.items())

    def make(self, i):
        member = Member(data=Path(self.directory) / str(i),
                        flags=["--id", str(i), "--members", self.listed,
                               "--peer", f"127.0.0.1:{self.peer_ports[i]}", *self.flags])
        member.id = i
        return member

    def __getitem__(self, i):
        return self.members[i]

    def __iter__(self):
        return iter(self.members.values())

    def start(self, seconds=20):
        for member in self:
            member.spawn()
        for member in self:
            self.wait_ready(member, seconds)
        return self

    def wait_ready(self, member, seconds=20):
        def ready():
            if member.process.poll() is not None:
                raise AssertionError(
                    f"member {member.id} ended with {member.process.returncode}:\n{member.log}")
            return is_ready(member)
        try:
            wait_until(ready, seconds, f"member {member.id} is ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{member.log[-3000:]}") from None

    def leader(self, among=None, seconds=10):
        """The leader that a majority of the running members agrees on."""
        def agreed():
            running = [m for m in (among or self) if m.process and m.process.poll() is None]
            ids = {m.id for m in running}
            votes = [s["leader"] for s in map(status_of, running) if s and s.get("leader")]
            for i in set(votes):
                leads = i in ids and status_of(self.members[i])
                if votes.count(i) * 2 > len(running) and leads and leads["role"] == "leader":
                    return self.members[i]
            return None
        return wait_until(agreed, seconds, "a leader")

    def transfer(self, to):
        """Until it leads: an election in between may make the first try fail."""
        def leads():
            if self.leader() is to:
                return True
            try:
                answer = to.post("/v1/cluster/transfer-leader", {"to": to.id})
            except OSError:
                return False
            if answer.status not in (200, 202, 204, 409, 503, 504):
                raise AssertionError(str(answer))
            return self.leader() is to
        wait_until(leads, 10, f"member {to.id} leads")

    def followers(self):
        leader = self.leader()
        return [m for m in self if m is not leader]

    def wait_applied(self, revision, members=None, seconds=10):
        def all_there():
            found = [status_of(m) for m in (members or self)]
            return all(s and s["applied"] >= revision for s in found)
        wait_until(all_there, seconds, f"revision {revision} everywhere")

    def wait_same_digest(self, members=None, seconds=10):
        """Every member at the same revision, with the same digest of all replicated state."""
        found = []

        def same():
            found[:] = [status_of(m) for m in (members or self)]
            return all(found) and len({(s["applied"], s["digest"]["value"]) for s in found}) == 1
        try:
            wait_until(same, seconds, "the same digest everywhere")
        except AssertionError as error:
            logs = "\n".join(f"member {m.id}:\n{m.log[-2000:]}" for m in (members or self))
            raise AssertionError(f"{error}\n{found}\n{logs}") from None

    def pause(self, member):
        member.process.send_signal(signal.SIGSTOP)

    def resume(self, member):
        member.process.send_signal(signal.SIGCONT)

    def cut(self, a, b):
        """Loses what a says to b."""
        self.proxies[b.id].cut(a.id)

    def isolate(self, member):
        for other in self:
            if other is not member:
                self.cut(member, other)
                self.cut(other, member)

    def heal(self):
        for proxy in self.proxies.values():
            proxy.heal()

    def close(self):
        for member in self:
            if member.process is not None and member.process.poll() is None:
                member.process.send_signal(signal.SIGCONT)
            member.close()
        for proxy in self.proxies.values():
            proxy.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def write(member, path, value, seconds=10):
    """Retries until the write is acknowledged; returns its revision."""
    def acknowledged():
        try:
            answer = member.request("PUT", "/v1/tree" + path, value, timeout=10)
        except OSError:
            return None
        return answer.revision if answer.status in (200, 201) else None
    return wait_until(acknowledged, seconds, f"a write of {path}")


def status_of(member):
    try:
        answer = member.request("GET", "/v1/status", timeout=2)
        return answer.json if answer.status == 200 else None
    except (OSError, ValueError):
        return None
    except Exception as error:  # http.client's own, when the member ends in between.
        if type(error).__module__ == "http.client":
            return None
        raise


def status(member):
    """Of one that surely answers, be it late."""
    return wait_until(lambda: status_of(member), 10, f"member {member.id} answers")


def is_ready(member):
    try:
        return member.request("GET", "/readyz", timeout=2).status == 200
    except Exception as error:
        if isinstance(error, OSError) or type(error).__module__ == "http.client":
            return False
        raise
