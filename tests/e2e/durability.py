"""The durability campaign: kill -9 at random instants under concurrent writers.

    python3 tests/e2e/durability.py --rounds 200 --writers 32 [--seed N]

Each round: the writers write keys and counters of their own (sets, creations, deletions, additions,
and guarded writes that must be refused) while one watcher follows the whole subtree; the member is
killed at a random instant, in one round of five again while it starts. Then

  * every acknowledged write is there, and nothing else but what was in flight when it died;
  * no write that was refused is there;
  * the watch, resumed from its last id, brought every acknowledged revision exactly once, in
    order, and what it told adds up to the state that is read;
  * the digest before and after a clean restart is the same.

The seed draws the instants and the operations; the interleaving is the machine's.
"""

import argparse
import http.client
import json
import random
import sys
import threading
import time

from harness import Member, Stream, wait_until

TOP = "/durability"
KEYS_OF_A_WRITER = 8
REFUSED = "this-write-was-refused"


class Problem(AssertionError):
    pass


class Writer(threading.Thread):
    """One client with its own nodes, and what it knows of them.

    `known[path]` is the value last acknowledged (None: deleted or never made). `in_doubt` is the one
    write without an answer: (path, value), if the member died under it.
    """

    def __init__(self, member, number, known, seed, sequence):
        super().__init__(daemon=True)
        self.member = member
        self.number = number
        self.known = known
        self.random = random.Random(seed)
        self.sequence = sequence
        self.in_doubt = None
        self.acknowledged = []  # (revision, path)
        self.refused = 0
        self.problem = None

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.member.port, timeout=30)
        try:
            while True:
                self.step(connection)
        except (OSError, http.client.HTTPException):
            pass  # The member died: that is what ends a writer.
        except Problem as problem:
            self.problem = problem
        finally:
            connection.close()

    def step(self, connection):
        if self.random.random() < 0.2:
            return self.add(connection)
        path = f"{TOP}/w{self.number}-k{self.random.randrange(KEYS_OF_A_WRITER)}"
        draw = self.random.random()
        if draw < 0.1:
            return self.be_refused(connection, path)
        if draw < 0.25:
            return self.write(connection, "DELETE", path, None,
                              (204,) if self.known.get(path) is not None else (404,))
        self.sequence += 1
        size = self.random.choice((0, 100, 100, 2000))
        value = f"{self.number}:{self.sequence}:" + "x" * size
        self.write(connection, "PUT", path, value,
                   (201,) if self.known.get(path) is None else (200,))

    def add(self, connection):
        path = f"{TOP}/w{self.number}-n"
        value = str(int(self.known.get(path) or 0) + 1)
        self.write(connection, "PATCH", path, value, (200, 201), "?add=1")

    def be_refused(self, connection, path):
        connection.request("PUT", f"/v1/tree{path}", REFUSED, {"If-Match": '"1"'})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 412:
            raise Problem(f"{path}: a wrong guard was answered {answer.status}")
        self.refused += 1

    def write(self, connection, method, path, value, wanted, query=""):
        body = value if method == "PUT" else None
        # What is not sent whole cannot be applied; from here on the outcome is in doubt.
        connection.connect() if connection.sock is None else None
        self.in_doubt = (path, value)
        connection.request(method, f"/v1/tree{path}{query}", body)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 500:
            raise OSError(f"{answer.status}")  # Dying: refused or unknown, the check allows both.
        if answer.status not in wanted:
            raise Problem(f"{method} {path}: {answer.status} {text!r}, not {wanted}")
        self.in_doubt = None
        if answer.status != 404:
            self.known[path] = value
            self.acknowledged.append((int(answer.headers["Coord-Revision"]), path))


class Watcher:
    """Follows the subtree over restarts; keeps every event that a promised id covers."""

    def __init__(self):
        self.last_id = ""
        self.events = []
        self.stream = None

    def connect(self, member):
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        self.stream = Stream(member, f"/v1/watch?path={TOP}&depth=all&values=true", headers)
        if self.stream.status != 200:
            raise Problem(f"the watch cannot resume from {self.last_id}: {self.stream.body!r}")

    def disconnect(self):
        """Takes over what the stream brought, up to its last id."""
        self.stream.ended.wait(10)
        self.stream.close()
        pending = []
        for event in self.stream.events:
            if event.event != "bookmark":
                pending.append(event.data)
            if event.id:
                self.last_id = event.id
                self.events += pending
                pending = []

    def wait_for(self, revision):
        wait_until(lambda: any(int(e.id or 0) >= revision for e in reversed(self.stream.events[-50:])),
                   20, f"the watch reaches revision {revision}")


class Campaign:
    def __init__(self, writers=32, seed=None, flags=()):
        self.seed = random.SystemRandom().randrange(2**32) if seed is None else seed
        self.random = random.Random(self.seed)
        self.flags = list(flags)
        self.member = Member(flags=self.drawn_flags())
        self.writers = writers
        self.known = {}  # By writer: what it knows of its nodes.
        self.sequence = 0
        self.watcher = Watcher()
        self.checked_events = 0
        self.totals = {"rounds": 0, "acknowledged": 0, "in_doubt": 0, "refused": 0, "events": 0,
                       "killed_while_starting": 0, "restart_ms_max": 0}

    def run(self, rounds):
        try:
            self.member.start()
            answer = self.member.put(f"/v1/tree{TOP}", "")
            if answer.status != 201:
                raise Problem(f"{TOP}: {answer}")
            self.state = {TOP: ""}
            self.watcher.connect(self.member)
            for _ in range(rounds):
                self.round()
                self.totals["rounds"] += 1
        finally:
            self.member.close()
        return self.totals

    def round(self):
        writers = [Writer(self.member, i, self.known.setdefault(i, {}), self.random.random(),
                          self.sequence) for i in range(self.writers)]
        for writer in writers:
            writer.start()
        time.sleep(self.random.uniform(0.02, 1.0))  # The random instant itself.
        self.member.kill()
        for writer in writers:
            writer.join(60)
            if writer.problem:
                raise writer.problem
            self.sequence = max(self.sequence, writer.sequence)
        self.watcher.disconnect()
        self.restart()
        self.check_state(writers)
        self.check_watch(writers)
        self.check_digest()

    def drawn_flags(self):
        """Often tiny checkpoints and segments, so that few writes reach every corner."""
        if self.random.random() < 0.3:
            return self.flags
        return [*self.flags, "--wal-segment", "1MiB",
                "--checkpoint-records", str(self.random.choice((50, 500, 5000))),
                "--checkpoint-interval-ms", str(self.random.choice((20, 100, 1000)))]

    def restart(self):
        self.member.flags = self.drawn_flags()
        if self.random.random() < 0.2:
            self.member.spawn()
            time.sleep(self.random.uniform(0, 0.3))  # The random instant itself.
            self.member.kill()
            self.totals["killed_while_starting"] += 1
        started = time.monotonic()
        self.member.start()
        self.totals["restart_ms_max"] = max(self.totals["restart_ms_max"],
                                            round((time.monotonic() - started) * 1000))

    def read_state(self):
        answer = self.member.get(f"/v1/walk{TOP}?values=true")
        if answer.status != 200:
            raise Problem(f"walk: {answer}")
        nodes = [json.loads(line) for line in answer.text.splitlines()]
        return {node["path"]: node["value"] for node in nodes}, answer.revision

    def check_state(self, writers):
        state, _ = self.read_state()
        for path, value in state.items():
            if value == REFUSED:
                raise Problem(f"{path}: a refused write is there")
        owned = {TOP}
        for writer in writers:
            paths = [f"{TOP}/w{writer.number}-k{k}" for k in range(KEYS_OF_A_WRITER)]
            paths.append(f"{TOP}/w{writer.number}-n")
            owned.update(paths)
            for path in paths:
                allowed = [writer.known.get(path)]
                if writer.in_doubt and writer.in_doubt[0] == path:
                    allowed.append(writer.in_doubt[1])
                if state.get(path) not in allowed:
                    raise Problem(f"{path}: is {state.get(path)!r:.80}, acknowledged is "
                                  f"{allowed[0]!r:.80}, in doubt {allowed[1:]!r:.80}")
                writer.known[path] = state.get(path)
            self.totals["acknowledged"] += len(writer.acknowledged)
            self.totals["in_doubt"] += writer.in_doubt is not None
            self.totals["refused"] += writer.refused
        if set(state) - owned:
            raise Problem(f"nodes that nobody wrote: {sorted(set(state) - owned)[:5]}")

    def check_watch(self, writers):
        """Resumes over the restart; what it told must be complete, unique and add up."""
        self.watcher.connect(self.member)
        marker = self.member.put(f"/v1/tree{TOP}", str(self.totals["rounds"]))
        if marker.status != 200:
            raise Problem(f"marker: {marker}")
        self.watcher.wait_for(marker.revision)
        state, revision = self.read_state()
        digest = self.member.digest()
        # A clean restart: the stream ends, and goes on after it.
        if self.member.stop() != 0:
            raise Problem(f"SIGTERM: exit code {self.member.process.returncode}\n{self.member.log[-2000:]}")
        self.watcher.disconnect()
        self.member.start()
        if self.member.digest()["value"] != digest["value"]:
            raise Problem(f"digest {digest} before a clean restart, {self.member.digest()} after")
        events = self.watcher.events[self.checked_events:]
        self.checked_events = len(self.watcher.events)
        self.totals["events"] += len(events)
        revisions = [event["revision"] for event in events]
        for earlier, later in zip(revisions, revisions[1:]):
            if later <= earlier:
                raise Problem(f"the watch brought revision {later} after {earlier}")
        told = {(event["revision"], event["path"]) for event in events}
        for writer in writers:
            for acknowledged in writer.acknowledged:
                if acknowledged not in told:
                    raise Problem(f"the watch missed {acknowledged}")
        for event in events:
            if event["type"] == "deleted":
                self.state.pop(event["path"], None)
            else:
                self.state[event["path"]] = event["value"]
        if self.state != state:
            wrong = [p for p in {*self.state, *state} if self.state.get(p) != state.get(p)]
            raise Problem(f"what the watch told does not add up to the state at {revision}: "
                          f"{wrong[:5]}")
        self.watcher.connect(self.member)

    def check_digest(self):
        """The state after the clean restart is the same, byte for byte."""
        state, _ = self.read_state()
        if state != self.state:
            raise Problem("the state after a clean restart differs")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--writers", type=int, default=32)
    parser.add_argument("--seed", type=int)
    options, flags = parser.parse_known_args()
    campaign = Campaign(options.writers, options.seed, flags)
    started = time.monotonic()
    try:
        totals = campaign.run(options.rounds)
    except AssertionError as problem:
        print(f"FAILED in round {campaign.totals['rounds']}, seed {campaign.seed}: {problem}")
        print(json.dumps(campaign.totals))
        sys.exit(1)
    print(json.dumps({**totals, "seed": campaign.seed,
                      "seconds": round(time.monotonic() - started)}))


if __name__ == "__main__":
    main()
