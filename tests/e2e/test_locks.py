"""Locks, semaphores and who waits for whom: over HTTP, by curl alone, and with coordctl."""

import http.client
import json
import os
import signal
import subprocess
import threading
import time

from harness import BUILD, COORDCTL, SLOW, MemberTest, Stream, ctl, wait_until


class LockTest(MemberTest):
    def setUp(self):
        super().setUp()
        self.name = self.id().rpartition(".")[2][:200]
        self.lock = "/v1/locks/" + self.name

    def session(self, **fields):
        return self.member.open_session(**fields)["session"]

    def take(self, name=None, session=None, **fields):
        headers = {"coord_session": session} if session else {}
        return self.member.post("/v1/locks/" + (name or self.name), fields, **headers)

    def shown(self, name=None):
        return self.expect(self.member.get("/v1/locks/" + (name or self.name)), 200).json

    def in_background(self, function):
        """Runs it in a thread; the answer is in the list that comes back once it is there."""
        answers = []
        thread = threading.Thread(target=lambda: answers.append(function()), daemon=True)
        thread.start()
        self.addCleanup(thread.join, 30)
        return answers

    def wait_for_queue(self, length, name=None):
        wait_until(lambda: self.shown(name)["queue_length"] == length, 10, "the queue")


class Locks(LockTest):
    def test_one_curl_has_the_lock_and_its_fence_guards_writes(self):
        answer = self.expect(self.take(), 201)
        body = answer.json
        self.assertEqual(body["lock"], self.name)
        self.assertEqual(body["state"], "held")
        self.assertEqual(body["position"], 0)
        self.assertEqual(body["holders"][0]["ticket"], body["ticket"])
        self.assertEqual(answer["Coord-Session"], body["session"])
        self.assertEqual(answer["Coord-Fence"], f"{self.name}={body['token']}")
        held = {"coord_session": body["session"], "coord_fence": answer["Coord-Fence"]}
        self.expect(self.member.put(self.tree, "mine", **held), 201)
        txn = {"compare": [{"fence": answer["Coord-Fence"]}],
               "then": [{"op": "set", "path": self.base, "value": "in a transaction"}]}
        self.assertTrue(self.member.post("/v1/txn", txn).json["succeeded"])
        self.expect(self.take(), 409, "lock-held")
        self.expect(self.member.delete(f"{self.lock}/mine", coord_session=body["session"]), 204)
        stale = self.expect(self.member.put(self.tree, "late", coord_fence=answer["Coord-Fence"]),
                            409, "fence-stale")
        self.assertEqual(stale.json["outcome"], "not-applied")
        self.assertFalse(self.member.post("/v1/txn", txn).json["succeeded"])
        self.assertEqual(self.member.get(self.tree).text, "in a transaction")
        # The session was the lock's own: it has gone with it.
        late = self.member.post("/v1/sessions/mine/keepalive", coord_session=body["session"])
        self.expect(late, 410, "session-expired")

    def test_a_refusal_names_the_holders(self):
        session = self.session(name="worker")
        held = self.expect(self.take(session=session, data="host-1"), 201)
        self.assertIsNone(held["Coord-Session"])
        self.assertNotIn("session", held.json)
        problem = self.expect(self.take(), 409, "lock-held").json
        self.assertEqual(problem["holders"][0]["session"], session.split(".")[0])
        self.assertEqual(problem["holders"][0]["data"], "host-1")
        self.assertEqual(problem["holders"][0]["token"], held.json["token"])

    def test_waiters_get_it_in_the_order_in_which_they_came(self):
        first = self.expect(self.take(), 201).json
        waiting = []
        for i in range(3):
            waiting.append(self.in_background(lambda: self.take(wait="30s", data="w")))
            self.wait_for_queue(i + 1)
        queue = self.shown()["queue"]
        self.assertEqual([t["position"] for t in queue], [1, 2, 3])
        self.assertGreaterEqual(queue[0]["waiting_ms"], queue[2]["waiting_ms"])
        session, last = first["session"], first["token"]
        for i, answers in enumerate(waiting):
            self.assertEqual(answers, [])
            self.expect(self.member.delete(f"{self.lock}/mine", coord_session=session), 204)
            held = wait_until(lambda: answers, 10, f"waiter {i}")[0]
            self.expect(held, 201)
            self.assertEqual(held.json["ticket"], queue[i]["ticket"])
            self.assertGreater(held.json["token"], last)
            self.assertEqual(held["Coord-Session"], held.json["session"])
            session, last = held.json["session"], held.json["token"]

    def test_a_wait_that_runs_out_leaves_the_queue(self):
        self.expect(self.take(), 201)
        began = time.monotonic()
        self.expect(self.take(wait="300ms"), 409, "lock-held")
        self.assertGreater(time.monotonic() - began, 0.29)
        self.assertEqual(self.shown()["queue_length"], 0)
        sessions = self.member.get("/v1/sessions?limit=10000").json["sessions"]
        mine = [s for s in sessions if s["name"] == f"lock {self.name}"]
        self.assertEqual(len(mine), 1, "the waiter's own session has gone")

    def test_a_broken_connection_leaves_the_queue_and_ends_its_session(self):
        self.expect(self.take(), 201)
        link = http.client.HTTPConnection("127.0.0.1", self.member.port)
        link.request("POST", self.lock + "?wait=60s")
        self.wait_for_queue(1)
        waiter = self.shown()["queue"][0]["session"]
        link.close()
        self.wait_for_queue(0)
        self.expect(self.member.get(f"/v1/sessions/{waiter}"), 410, "session-expired")

    def test_the_open_request_is_the_heartbeat_of_who_waits(self):
        held = self.session(ttl_ms=60000)
        self.expect(self.take(session=held), 201)
        answers = self.in_background(lambda: self.take(wait="30s", ttl_ms=1000))
        self.wait_for_queue(1)
        until = time.monotonic() + 2.5
        wait_until(lambda: time.monotonic() > until, 10, "more than two ttls")
        self.assertEqual(self.shown()["queue_length"], 1)
        self.member.delete(f"{self.lock}/mine", coord_session=held)
        self.expect(wait_until(lambda: answers, 10, "the lock")[0], 201)

    def test_a_dead_holders_lock_passes_on_within_its_ttl(self):
        took = []
        while len(took) < 3 and min(took, default=99) >= 2.2 * SLOW:  # A busy machine may be late.
            self.expect(self.take(ttl="1s"), 201)
            began = time.monotonic()
            second = self.expect(self.take(wait="20s"), 201)
            took.append(time.monotonic() - began)
            self.member.delete(f"{self.lock}/mine", coord_session=second["Coord-Session"])
        self.assertLess(min(took), 2.2 * SLOW, took)

    def test_queue_gives_a_place_that_outlives_the_request(self):
        held = self.session()
        self.expect(self.take(session=held), 201)
        session = self.session()
        queued = self.expect(self.take(session=session, queue=True), 202)
        self.assertEqual(queued.json["state"], "queued")
        self.assertIsNone(queued.json["token"])
        ticket = queued["Location"]
        self.assertTrue(ticket.endswith(queued.json["ticket"]))
        self.expect(self.member.get(f"{self.lock}/mine?wait=200ms", coord_session=session), 304)
        answers = self.in_background(
            lambda: self.member.get(f"{ticket}?wait=30s&since={queued.revision}"))
        other = self.in_background(
            lambda: self.member.get(f"{self.lock}/mine?wait=30s&since={queued.revision}",
                                    coord_session=session))
        self.expect(self.member.delete(f"{self.lock}/mine", coord_session=held), 204)
        for one in (answers, other):
            answer = self.expect(wait_until(lambda: one, 10, "the grant")[0], 200)
            self.assertEqual(answer.json["state"], "held")
        self.assertEqual(other[0]["Coord-Fence"], f"{self.name}={other[0].json['token']}")

    def test_readers_share_and_a_writer_is_not_overtaken(self):
        readers = [self.expect(self.take(mode="shared"), 201).json for _ in range(2)]
        self.assertNotEqual(readers[0]["token"], readers[1]["token"])
        writer = self.in_background(lambda: self.take(wait="30s"))
        self.wait_for_queue(1)
        self.expect(self.take(mode="shared"), 409, "lock-held")
        fence = {"coord_fence": f"{self.name}={readers[0]['token']}"}
        self.expect(self.member.put(self.tree, "x", **fence), 201)
        for reader in readers:
            self.assertEqual(writer, [])
            self.member.delete(f"{self.lock}/mine", coord_session=reader["session"])
        self.expect(wait_until(lambda: writer, 10, "the writer")[0], 201)
        self.expect(self.member.put(self.tree, "x", **fence), 409, "fence-stale")

    def test_a_semaphore_never_exceeds_its_permits(self):
        first = self.expect(self.take(permits=3, take=2), 201)
        self.assertEqual(first.json["permits"], 3)
        self.expect(self.take(permits=3, take=2), 409, "lock-held")
        self.expect(self.take(permits=3), 201)
        self.expect(self.take(permits=3), 409, "lock-held")
        self.expect(self.take(permits=4), 409, "permits-mismatch")
        self.expect(self.take(), 409, "permits-mismatch")
        self.expect(self.take(permits=3, take=4), 400, "bad-request")
        self.assertEqual(self.shown()["holder_count"], 2)

    def test_an_owner_may_take_it_again_and_gives_it_back_as_often(self):
        session = self.session()
        first = self.expect(self.take(session=session, owner="t1"), 201).json
        again = self.expect(self.take(session=session, owner="t1"), 200).json
        self.assertEqual((again["count"], again["token"]), (2, first["token"]))
        self.expect(self.take(session=session, owner="t2"), 409, "lock-held")
        mine = f"{self.lock}/mine?owner=t1"
        for count in (1, 0):
            self.expect(self.member.delete(mine, coord_session=session), 204)
            self.assertEqual(self.shown()["holder_count"], 1 if count else 0)
        self.expect(self.member.delete(mine, coord_session=session), 404, "not-found")

    def test_a_lock_delay_follows_a_loss(self):
        lost = self.session()
        self.expect(self.take(session=lost, lock_delay="1s"), 201)
        self.expect(self.member.delete("/v1/sessions/mine", coord_session=lost), 204)
        began = time.monotonic()
        self.expect(self.take(), 409, "lock-held")
        self.expect(self.take(wait="20s"), 201)
        self.assertGreater(time.monotonic() - began, 0.8)

    def test_misuse_gets_a_clear_answer(self):
        held = self.expect(self.take(), 201).json
        other = self.session()
        ticket = f"{self.lock}/{held['ticket']}"
        self.expect(self.member.delete(ticket, coord_session=other), 403, "not-owner")
        self.expect(self.member.delete(ticket), 403, "not-owner")
        self.expect(self.member.delete(f"{self.lock}/mine"), 400, "session-required")
        self.expect(self.member.get(f"{self.lock}/mine"), 400, "session-required")
        self.expect(self.member.delete(f"{self.lock}/mine", coord_session=other), 404, "not-found")
        self.expect(self.member.delete(f"{self.lock}/nonsense"), 404, "not-found")
        self.expect(self.member.get(f"{self.lock}/nonsense"), 404, "not-found")
        self.expect(self.member.get("/v1/locks/never-seen"), 404, "not-found")
        self.expect(self.take(name="a%20b"), 400, "bad-request")
        self.expect(self.take(name="mine"), 400, "bad-request")
        self.expect(self.take(name="x1", mode="both"), 400, "bad-request")
        self.expect(self.take(name="x1", ttl_ms=10), 422, "invalid")
        self.expect(self.take(name="x1", permits=0), 400, "bad-request")
        self.expect(self.take(name="x1", mode="shared", permits=2), 400, "bad-request")
        self.expect(self.take(name="x1", wait="1y"), 400, "bad-request")
        self.expect(self.take(name="x1", pemits=2), 400, "bad-request")
        self.expect(self.member.post("/v1/locks/x1", "[1]"), 400, "bad-request")
        self.expect(self.member.put(self.tree, "x", coord_fence="jobs"), 400, "bad-request")
        self.expect(self.member.put(self.tree, "x", coord_fence=f"{self.name}=1"), 409,
                    "fence-stale")
        gone = self.session()
        self.member.delete("/v1/sessions/mine", coord_session=gone)
        self.expect(self.take(session=gone), 410, "session-expired")
        self.expect(self.member.put(f"/v1/tree/.coord/locks/{self.name}/x", "x"), 403, "forbidden")
        self.expect(self.member.delete(ticket + "?break=true"), 204)

    def test_who_lost_session_and_lock_is_told_that_its_fence_is_stale(self):
        held = self.expect(self.take(), 201)
        other = self.expect(self.take(self.name + "-other"), 201)
        headers = {"coord_session": held["Coord-Session"], "coord_fence": held["Coord-Fence"]}
        self.expect(self.member.delete("/v1/sessions/mine", coord_session=held["Coord-Session"]),
                    204)
        self.expect(self.member.put(self.tree, "x", **headers), 409, "fence-stale")
        self.expect(self.member.put(self.tree, "x", idempotency_key=self.name, **headers), 409,
                    "fence-stale")
        headers["coord_fence"] = other["Coord-Fence"]  # Held, but not by this session.
        self.expect(self.member.put(self.tree, "x", **headers), 410, "session-expired")
        self.expect(self.member.get(self.tree), 404)

    def test_a_long_poll_of_a_ticket_that_has_gone_is_answered_at_once(self):
        session = self.session()
        ticket = self.expect(self.take(session=session), 201)["Location"]
        answers = self.in_background(lambda: self.member.get(ticket + "?wait=30s"))
        self.member.delete(f"{self.lock}/mine", coord_session=session)
        self.expect(wait_until(lambda: answers, 10, "the poll")[0], 404, "not-found")
        self.expect(self.member.get(ticket + "?wait=30s"), 404, "not-found")
        self.expect(self.member.get(f"{self.lock}/mine?wait=30s", coord_session=session), 404,
                    "not-found")

    def test_a_circle_is_refused_and_shown(self):
        a, b, c = (self.session() for _ in range(3))
        for session, one in ((a, "x"), (b, "y"), (c, "z")):
            self.expect(self.take(self.name + one, session), 201)
        self.expect(self.take(self.name + "y", a, queue=True), 202)
        waiting = self.in_background(lambda: self.take(self.name + "z", b, wait="30s"))
        self.wait_for_queue(1, self.name + "z")
        self.expect(self.take(self.name + "x", c), 409, "lock-held")
        problem = self.expect(self.take(self.name + "x", c, wait="30s"), 409, "deadlock").json
        circle = [(m["session"], m["waits_for"]) for m in problem["circle"]]
        ids = [s.split(".")[0] for s in (c, a, b)]
        self.assertEqual(circle, list(zip(ids, (self.name + "x", self.name + "y", self.name + "z"))))
        graph = self.member.get("/v1/lock-graph").json["waits"]
        mine = {w["waiter"]["session"]: w["waits_for"][0]["session"] for w in graph
                if w["lock"].startswith(self.name)}
        self.assertEqual(mine, {ids[1]: ids[2], ids[2]: ids[0]})
        self.member.delete("/v1/sessions/mine", coord_session=c)
        self.expect(wait_until(lambda: waiting, 10, "the lock")[0], 201)

    def test_a_retry_with_its_key_is_one_ticket(self):
        session = self.session()
        headers = {"coord_session": session, "idempotency_key": self.name}
        first = self.expect(self.member.post(self.lock, **headers), 201)
        again = self.expect(self.member.post(self.lock, **headers), 201)
        self.assertEqual(first.json["token"], again.json["token"])
        self.assertEqual(self.shown()["holders"][0]["count"], 1)

    def test_a_stream_shows_holders_as_they_change(self):
        session = self.session()
        self.expect(self.take(session=session), 201)
        stream = Stream(self.member, self.lock)
        self.addCleanup(stream.close)
        stream.wait_for(1)
        self.member.delete(f"{self.lock}/mine", coord_session=session)
        events = stream.wait_for(2)
        self.assertEqual(events[0].event, "lock")
        self.assertEqual([len(e.data["holders"]) for e in events], [1, 0])

    def test_the_listing_comes_in_pages(self):
        names = [f"{self.name}-{i}" for i in range(5)]
        for name in names:
            self.expect(self.take(name), 201)
        seen, cursor = [], ""
        while True:
            page = self.member.get("/v1/locks?limit=2" + (f"&cursor={cursor}" if cursor else ""))
            seen += [lock["lock"] for lock in self.expect(page, 200).json["locks"]]
            cursor = page.json.get("cursor")
            if not cursor:
                break
        self.assertEqual([n for n in seen if n.startswith(self.name)], names)

    def test_curl_dumps_what_curl_sends(self):
        head, held = f"{self.member.own}/head", f"{self.member.own}/held"
        script = f"""set -e
        cd {self.member.own}
        curl -sS -D head -d '' '{self.member.url}{self.lock}?ttl=60s' >/dev/null
        grep -i '^coord-[fs]' head > held
        curl -sS -o /dev/null -w '%{{http_code}}' -X PUT -H @held -d done {self.member.url}{self.tree}
        """
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30)
        self.assertEqual((done.returncode, done.stdout), (0, "201"), done.stderr)
        self.assertEqual(len(open(held).readlines()), 2, open(head).read())


class Coordctl(LockTest):
    def ctl(self, *words, **options):
        return ctl(self.member, *words, **options)

    def start(self, *words):
        process = subprocess.Popen([str(COORDCTL), "--endpoint", self.member.url, *words],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env={**os.environ, "PATH": f"{BUILD}/cli:{os.environ['PATH']}"})

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
        self.addCleanup(end)
        return process

    def holder(self):
        answer = self.member.get(self.lock)
        return answer.json["holders"] if answer.status == 200 else []

    def test_the_command_runs_while_it_holds_the_lock_and_its_code_comes_back(self):
        done = self.ctl("lock", self.name, "--", "sh", "-c",
                        'echo "$COORD_FENCE|$COORD_TOKEN|$COORD_LOCK"; exit 7')
        self.assertEqual(done.returncode, 7, done.stderr)
        fence, token, name = done.stdout.decode().strip().split("|")
        self.assertEqual((fence, name), (f"{self.name}={token}", self.name))
        self.assertEqual(self.holder(), [])
        self.assertEqual(self.ctl("lock", self.name, "--", "true").returncode, 0)
        self.assertEqual(self.ctl("lock", self.name, "--", "/no/such").returncode, 127)

    def test_writes_of_the_command_are_fenced(self):
        environment = {"PATH": f"{BUILD}/cli:{os.environ['PATH']}"}
        script = f"coordctl set {self.base} first && coordctl lock break {self.name} && " \
                 f"coordctl set {self.base} second"
        done = self.ctl("lock", self.name, "--", "sh", "-c", script, environment=environment)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn(b"fence-stale", done.stderr)
        self.assertEqual(self.member.get(self.tree).text, "first")

    def test_the_next_waits_for_the_first(self):
        self.start("lock", self.name, "--", "sleep", "60")
        wait_until(self.holder, 10, "the first")
        self.assertEqual(self.ctl("lock", self.name, "--wait", "0s", "--", "true").returncode, 4)
        timed_out = self.ctl("lock", self.name, "--wait", "300ms", "--", "true")
        self.assertEqual(timed_out.returncode, 124, timed_out.stderr)
        self.assertEqual(self.shown()["queue_length"], 0)

    def test_signals_are_passed_on(self):
        process = self.start("lock", self.name, "--", "sh", "-c",
                             "trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.05; done")
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 9)
        self.assertEqual(process.stdout.read(), "got\n")
        self.assertEqual(self.holder(), [])

    def test_a_lost_session_ends_the_command_with_125(self):
        process = self.start("lock", self.name, "--ttl", "1s", "--", "sh", "-c",
                             "echo ready; exec sleep 60")
        self.assertEqual(process.stdout.readline(), "ready\n")
        session = wait_until(self.holder, 10, "the lock")[0]["session"]
        self.expect(self.member.delete("/v1/sessions/" + session), 204)
        self.assertEqual(process.wait(20), 125)

    def test_a_broken_lock_ends_the_command_with_125(self):
        process = self.start("lock", self.name, "--ttl", "1s", "--", "sh", "-c",
                             "trap '' TERM; echo ready; while :; do sleep 0.05; done")
        self.assertEqual(process.stdout.readline(), "ready\n")
        self.assertEqual(self.ctl("lock", "break", self.name).returncode, 0)
        self.assertEqual(process.wait(20), 125)

    def test_a_killed_coordctl_takes_its_command_along(self):
        process = self.start("lock", self.name, "--ttl", "1s", "--", "sh", "-c",
                             "echo $$; exec sleep 60")
        child = int(process.stdout.readline())
        process.kill()
        process.wait()

        def is_gone():
            try:
                return open(f"/proc/{child}/stat").read().split(") ")[1][0] == "Z"
            except FileNotFoundError:
                return True
        wait_until(is_gone, 10, "the command")
        self.expect(self.take(wait="20s"), 201)

    def test_ls_graph_and_break(self):
        a, b = self.session(), self.session()
        self.expect(self.take(session=a, owner="web"), 201)
        self.expect(self.take(session=b, queue=True), 202)
        listed = self.ctl("lock", "ls", self.name).stdout.decode()
        self.assertIn("held", listed)
        self.assertIn("queued 1", listed)
        self.assertIn(a.split(".")[0] + " web", listed)
        self.assertIn("1 waiting", self.ctl("lock", "ls").stdout.decode())
        graph = json.loads(self.ctl("--output", "json", "lock", "graph").stdout)
        self.assertIn(self.name, [w["lock"] for w in graph["waits"]])
        self.assertEqual(self.ctl("lock", "break", self.name).returncode, 0)
        self.assertEqual(self.holder()[0]["session"], b.split(".")[0])

    def test_usage(self):
        self.assertEqual(self.ctl("lock").returncode, 2)
        self.assertEqual(self.ctl("lock", self.name).returncode, 2)
        self.assertEqual(self.ctl("lock", "a b", "--", "true").returncode, 1)
