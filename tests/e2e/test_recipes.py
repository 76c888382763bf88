"""Barriers, counters, queues, decisions and transactions over HTTP: one member, and three of which
the leader is killed while clients work."""

import http.client
import random
import threading
import time
import unittest
import uuid

from cluster import Cluster
from harness import SLOW, MemberTest, Stream, dashed, in_background, wait_until


class Counters(MemberTest):
    def test_numbers_and_blocks(self):
        at = "/v1/counters/visits"
        self.expect(self.member.get(at), 404, "not-found")
        self.assertEqual(self.member.post(at + "?add=5").json["value"], "5")
        self.assertEqual(self.member.post(at).json["value"], "6")
        self.assertEqual(self.member.post(at, {"add": -10}).json["value"], "-4")
        block = self.member.post(at + "?block=100").json
        self.assertEqual((block["first"], block["last"]), ("-3", "96"))
        answer = self.member.get(at)
        self.assertEqual(answer.json["value"], "96")
        self.assertEqual(self.member.get(at, if_none_match=answer["ETag"]).status, 304)
        self.assertIn({"name": "visits", "value": "96"}, self.member.get("/v1/counters").json["counters"])
        self.assertEqual(self.member.get("/v1/tree/.coord/counters/visits").text, "96")
        self.assertEqual(self.member.delete(at).status, 204)
        self.expect(self.member.delete(at), 404, "not-found")

    def test_misuse(self):
        at = "/v1/counters/misused"
        for target, body, status, code in [
                ("?add=x", b"", 400, "bad-request"),
                ("?add=1&block=1", b"", 400, "bad-request"),
                ("?block=0", b"", 400, "bad-request"),
                ("?ad=1", b"", 400, "bad-request"),
                ("", {"add": "1"}, 400, "bad-request"),
                ("", {"ad": 1}, 400, "bad-request"),
                ("", b"[1]", 400, "bad-request"),
                ("?add=9223372036854775808", b"", 400, "bad-request")]:
            self.expect(self.member.post(at + target, body), status, code)
        self.expect(self.member.post("/v1/counters/a%20b"), 400, "bad-request")
        self.expect(self.member.post("/v1/counters/mine"), 400, "bad-request")
        self.member.post(at + "?add=9223372036854775807")
        self.expect(self.member.post(at), 422, "invalid")
        self.expect(self.member.put(at, b"1"), 405, "method-not-allowed")

    def test_lists_in_pages(self):
        for i in range(5):
            self.member.post(f"/v1/counters/page-{i}")
        names, cursor = [], ""
        while True:
            page = self.member.get("/v1/counters?limit=2" + (f"&cursor={cursor}" if cursor else "")).json
            names += [c["name"] for c in page["counters"]]
            cursor = page.get("cursor")
            if not cursor:
                break
        self.assertEqual([n for n in names if n.startswith("page-")], [f"page-{i}" for i in range(5)])

    def test_a_long_poll_and_a_stream_see_the_next_value(self):
        at = "/v1/counters/watched"
        self.member.post(at)
        self.wait_for_watches(0)
        stream = Stream(self.member, at)
        self.addCleanup(stream.close)
        stream.wait_for(1)
        polled = in_background(lambda: self.member.get(at + "?wait=10s"))
        self.wait_for_watches(2)
        self.member.post(at)
        self.assertEqual(polled().json["value"], "2")
        self.assertEqual([e.data["value"] for e in stream.wait_for(2)], ["1", "2"])
        self.assertEqual(self.member.get(at + "?wait=200ms").status, 304)


class Queues(MemberTest):
    def take(self, name, lease="30s", wait="0s"):
        answer = self.member.post(f"/v1/queues/{name}/take?lease={lease}&wait={wait}")
        self.assertIn(answer.status, (200, 204), answer)
        return answer.json if answer.status == 200 else None

    def test_a_retry_of_a_wait_that_broke_off_waits_anew(self):
        def taken_back():
            return not self.member.get("/v1/sessions").json["sessions"]
        wait_until(taken_back, what="the sessions of earlier tests are closed")
        for path, missing, give, there in (
                ("/v1/queues/broken/take", 204, "/v1/queues/broken", 200),
                ("/v1/barriers/broken?count=2", 409, None, None)):
            key = {"idempotency_key": uuid.uuid4().hex}
            for _ in range(2):  # Each time the client goes away, and what it waited for with it.
                connection = http.client.HTTPConnection("127.0.0.1", self.member.port, timeout=30)
                sign = "&" if "?" in path else "?"
                connection.request("POST", f"{path}{sign}wait=2s", headers=dashed(key))
                wait_until(lambda: not taken_back(), what="it waits")
                connection.close()
                wait_until(taken_back, what="its session is closed")
            again = self.member.post(f"{path}{sign}wait=2s", **key)
            self.assertEqual(again.status, missing, again)
            if give is None:
                continue
            key = {"idempotency_key": uuid.uuid4().hex}
            waits = in_background(lambda: self.member.post(f"{path}{sign}wait=2s", **key))
            self.member.post(give, "one")
            self.assertEqual(waits().status, there)

    def test_put_take_acknowledge(self):
        at = "/v1/queues/jobs"
        self.assertIsNone(self.take("jobs"))
        first = self.expect_item(self.member.post(at, "one"))
        second = self.expect_item(self.member.post(at, b"\xff\x00", content_type="image/png"))
        taken = self.take("jobs")
        self.assertEqual((taken["item"], taken["value"], taken["encoding"], taken["deliveries"]),
                         (first, "one", "utf8", 1))
        raw = self.take("jobs")
        self.assertEqual((raw["item"], raw["value"], raw["encoding"], raw["content_type"]),
                         (second, "/wA=", "base64", "image/png"))
        state = self.member.get(at).json
        self.assertEqual((state["length"], state["ready"], state["leased"], state["bytes"]),
                         (2, 0, 2, 5))
        self.assertEqual(self.member.delete(f"{at}/{first}?lease={taken['lease']}").status, 204)
        self.expect(self.member.delete(f"{at}/{first}?lease={taken['lease']}"), 404, "not-found")
        self.expect(self.member.delete(f"{at}/{second}?lease=1"), 409, "conflict")
        self.expect(self.member.delete(at), 409, "not-empty")
        self.assertEqual(self.member.delete(at + "?recursive=true").status, 204)
        self.expect(self.member.get(at), 404, "not-found")

    def expect_item(self, answer):
        self.assertEqual(answer.status, 201, answer)
        return answer.json["item"]

    def test_a_lease_that_runs_out_brings_the_item_back(self):
        at = "/v1/queues/redelivered"
        item = self.expect_item(self.member.post(at, "job"))
        old = self.take("redelivered", lease="300ms")
        again = self.take("redelivered", wait="20s")
        self.assertEqual((again["item"], again["deliveries"]), (item, 2))
        self.expect(self.member.delete(f"{at}/{item}?lease={old['lease']}"), 409, "conflict")
        self.assertEqual(self.member.put(f"{at}/{item}?lease={again['lease']}&for=1h").status, 204)
        self.assertEqual(self.member.put(f"{at}/{item}?lease={again['lease']}&for=0s").status, 204)
        self.assertEqual(self.take("redelivered")["deliveries"], 3)

    def test_what_is_delivered_too_often_is_put_aside(self):
        at = "/v1/queues/poison"
        self.assertEqual(self.member.put(at, {"max_deliveries": 1}).status, 204)
        item = self.expect_item(self.member.post(at, "bad"))
        taken = self.take("poison", lease="200ms")
        self.assertEqual(taken["item"], item)
        wait_until(lambda: self.member.get(at).json["dead"] == 1, what="the item is dead")
        self.assertIsNone(self.take("poison"))
        listed = self.member.get(at + "/items?values=true").json["items"]
        self.assertEqual([(i["item"], i["state"], i["value"]) for i in listed], [(item, "dead", "bad")])
        self.assertEqual(self.member.put(f"{at}/{item}").status, 204)  # Ready again.
        self.assertEqual(self.take("poison", lease="200ms")["deliveries"], 1)
        wait_until(lambda: self.member.get(at).json["dead"] == 1, what="the item is dead again")
        self.assertEqual(self.member.delete(f"{at}/{item}").status, 204)

    def test_takers_wait_in_line(self):
        at = "/v1/queues/line"
        takers = []
        for i in range(4):
            takers.append(in_background(lambda: self.take("line", wait="30s")))
            wait_until(lambda: self.exists_with(at, "waiting", i + 1), what=f"taker {i} waits")
        items = [self.expect_item(self.member.post(at, str(i))) for i in range(4)]
        self.assertEqual([taker()["item"] for taker in takers], items)
        self.assertEqual(self.member.get(at).json["waiting"], 0)
        self.assertFalse([s for s in self.member.get("/v1/sessions").json["sessions"]
                          if s["name"] == "taker of queue line"])

    def exists_with(self, at, field, value):
        answer = self.member.get(at)
        return answer.status == 200 and answer.json[field] == value

    def test_a_taker_that_breaks_off_leaves_the_line_at_once(self):
        at = "/v1/queues/broken"
        connection = http.client.HTTPConnection("127.0.0.1", self.member.port)
        connection.request("POST", at + "/take?wait=60s")
        wait_until(lambda: self.exists_with(at, "waiting", 1), what="it waits")
        connection.close()
        wait_until(lambda: self.exists_with(at, "waiting", 0), what="it has left")
        self.member.post(at, "job")
        self.assertEqual(self.take("broken")["deliveries"], 1)

    def test_a_wait_that_runs_out_is_204(self):
        started = time.monotonic()
        answer = self.member.post("/v1/queues/empty/take?wait=300ms")
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertGreaterEqual(time.monotonic() - started, 0.29)
        self.assertEqual(self.member.get("/v1/queues/empty").json["waiting"], 0)

    def test_misuse(self):
        at = "/v1/queues/misused"
        self.member.post(at, "x")
        for method, target, body, status, code in [
                ("POST", "/take?lease=1ms", b"", 422, "invalid"),
                ("POST", "/take?lease=x", b"", 400, "bad-request"),
                ("POST", "/take?wait=9h", b"", 400, "bad-request"),
                ("POST", "/take", b'{"lese":"3s"}', 400, "bad-request"),
                ("PUT", "", b"", 400, "bad-request"),
                ("PUT", "?max_deliveries=-1", b"", 400, "bad-request"),
                ("PUT", "/1?lease=5&for=x", b"", 400, "bad-request"),
                ("DELETE", "/x?lease=5", None, 400, "bad-request"),
                ("DELETE", "/007?lease=5", None, 400, "bad-request"),
                ("DELETE", "/99999?lease=5", None, 404, "not-found"),
                ("GET", "/items?cursor=abc", None, 400, "bad-request")]:
            answer = self.member.request(method, at + target, body)
            self.expect(answer, status, code)
        self.expect(self.member.get("/v1/queues/none"), 404, "not-found")
        self.expect(self.member.post("/v1/queues/misused", b"x" * (1 << 20) + b"y"), 413, "too-large")

    def test_a_retry_with_the_same_key_takes_the_same_item(self):
        at = "/v1/queues/retried"
        self.member.post(at, "a")
        self.member.post(at, "b")
        one = self.member.post(at + "/take", idempotency_key="k1").json
        two = self.member.post(at + "/take", idempotency_key="k1").json
        self.assertEqual((one["item"], one["lease"]), (two["item"], two["lease"]))
        self.assertEqual(self.member.get(at).json["leased"], 1)


class Barriers(MemberTest):
    def enter(self, name, count, wait="30s", **headers):
        return self.member.post(f"/v1/barriers/{name}?count={count}&wait={wait}", **headers)

    def test_all_go_on_together_and_leave_together(self):
        at = "/v1/barriers/start"
        waiting = [in_background(lambda: self.enter("start", 3)) for _ in range(2)]
        wait_until(lambda: self.present(at) == 2, what="two wait")
        self.assertEqual(self.member.get(at).json["state"], "gathering")
        answers = [self.enter("start", 3)] + [w() for w in waiting]
        for answer in answers:
            self.assertEqual((answer.status, answer.json["state"]), (201, "released"), answer)
            self.assertEqual(answer["Coord-Session"], answer.json["session"])
        self.assertEqual(len({a.json["round"] for a in answers}), 1)
        self.assertEqual(self.member.get(at).json["state"], "open")

        def leave(answer):
            return self.member.delete(f"{at}/{answer.json['ticket']}?wait=30s",
                                      coord_session=answer.json["session"])

        leaving = [in_background(lambda a=a: leave(a)) for a in answers[:2]]
        wait_until(lambda: [p["state"] for p in self.member.get(at).json["participants"]]
                   .count("leaving") == 2, what="two leave")
        self.assertEqual(leave(answers[2]).status, 204)
        self.assertEqual([w().status for w in leaving], [204, 204])
        self.expect(self.member.get(at), 404, "not-found")
        self.assertFalse([s for s in self.member.get("/v1/sessions").json["sessions"]
                          if s["name"] == "barrier start"])

    def present(self, at):
        answer = self.member.get(at)
        return len(answer.json["participants"]) if answer.status == 200 else 0

    def test_a_wait_that_runs_out_leaves(self):
        answer = self.enter("lonely", 2, wait="200ms")
        self.expect(answer, 409, "conflict")
        self.assertEqual((answer.json["waiting"], answer.json["count"]), (1, 2))
        self.expect(self.member.get("/v1/barriers/lonely"), 404, "not-found")

    def test_entering_without_waiting_and_asking_later(self):
        one = self.enter("async", 2, wait="0s")
        self.assertEqual((one.status, one.json["state"]), (202, "waiting"), one)
        own = f"/v1/barriers/async/{one.json['ticket']}"
        woken = in_background(lambda: self.member.get(own + "?wait=30s"))
        self.assertEqual(self.enter("async", 2, wait="0s").json["state"], "released")
        self.assertEqual(woken().json["state"], "released")
        # Once released a long poll does not wait any more.
        self.assertEqual(self.member.get(own + "?wait=30s").json["state"], "released")

    def test_a_session_that_ends_leaves(self):
        session = self.member.open_session()["session"]
        self.assertEqual(self.enter("ends", 2, wait="0s", coord_session=session).status, 202)
        again = self.enter("ends", 2, wait="0s", coord_session=session)
        self.assertEqual(self.present("/v1/barriers/ends"), 1, again)
        mine = self.member.get("/v1/barriers/ends/mine", coord_session=session)
        self.assertEqual(mine.json["state"], "waiting")
        self.member.delete("/v1/sessions/mine", coord_session=session)
        self.expect(self.member.get("/v1/barriers/ends"), 404, "not-found")

    def test_misuse(self):
        at = "/v1/barriers/misused"
        session = self.member.open_session()["session"]
        entered = self.enter("misused", 3, wait="0s", coord_session=session)
        ticket = entered.json["ticket"]
        self.expect(self.enter("misused", 2), 409, "permits-mismatch")
        self.expect(self.member.post(at), 400, "bad-request")
        self.expect(self.member.post(at + "?count=0"), 422, "invalid")
        self.expect(self.member.post(at + "?count=2&ttl=1ms"), 422, "invalid")
        self.expect(self.member.get(at + "/mine"), 400, "session-required")
        self.expect(self.member.get(at + "/x"), 400, "bad-request")
        self.expect(self.member.delete(at + "/99999"), 404, "not-found")
        other = self.member.open_session()["session"]
        self.expect(self.member.delete(at + "/mine", coord_session=other), 404, "not-found")
        self.expect(self.member.post(at + "?count=3", coord_session="1.00"), 400, "bad-request")
        self.assertEqual(self.member.delete(f"{at}/{ticket}", coord_session=session).status, 204)


class Decisions(MemberTest):
    def test_the_first_proposal_is_chosen(self):
        at = "/v1/decisions/colour"
        self.expect(self.member.get(at), 404, "not-found")
        self.wait_for_watches(0)
        waiting = in_background(lambda: self.member.get(at + "?wait=10s"))
        self.wait_for_watches(1)
        one = self.member.post(at, "blue", content_type="text/plain")
        self.assertEqual((one.status, one.json["value"], one.json["chosen_by_me"]), (201, "blue", True))
        two = self.member.post(at, "red")
        self.assertEqual((two.status, two.json["value"], two.json["chosen_by_me"]), (200, "blue", False))
        self.assertEqual(waiting().json["value"], "blue")
        self.assertEqual(self.member.get(at + "?wait=30s").json["value"], "blue")  # At once.
        self.assertEqual(self.member.delete(at).status, 204)

    def test_a_retry_stays_its_own(self):
        session = self.member.open_session()["session"]
        for headers, query in [({"coord_session": session}, ""), ({"idempotency_key": "d1"}, ""),
                               ({}, "?proposer=host-1")]:
            at = "/v1/decisions/own-" + uuid.uuid4().hex
            for _ in range(2):
                answer = self.member.post(at + query, "mine", **headers)
                self.assertTrue(answer.json["chosen_by_me"], answer)

    def test_bytes_and_misuse(self):
        answer = self.member.post("/v1/decisions/bytes", b"\xff")
        self.assertEqual((answer.json["value"], answer.json["encoding"]), ("/w==", "base64"))
        self.expect(self.member.post("/v1/decisions/a%2Fb/c", "x"), 404, "no-route")
        self.expect(self.member.post("/v1/decisions/x?proposer=a%20b", "x"), 400, "bad-request")
        self.expect(self.member.delete("/v1/decisions/none"), 404, "not-found")


class Transactions(MemberTest):
    def begin(self, *participants, timeout_ms=30000):
        answer = self.member.post("/v1/transactions",
                                  {"participants": list(participants), "timeout_ms": timeout_ms})
        self.assertEqual((answer.status, answer.json["state"]), (201, "preparing"), answer)
        return "/v1/transactions/" + answer.json["id"]

    def vote(self, at, who, vote):
        return self.member.put(f"{at}/votes/{who}", {"vote": vote})

    def test_commits_when_all_say_yes(self):
        at = self.begin("stock", "bank")
        waiting = in_background(lambda: self.wait_outcome(at))
        self.assertEqual(self.vote(at, "stock", "yes").json["votes"], {"bank": None, "stock": "yes"})
        self.assertEqual(self.vote(at, "stock", "yes").status, 200)
        self.expect(self.vote(at, "stock", "no"), 409, "conflict")
        self.assertEqual(self.vote(at, "bank", "yes").json["state"], "committed")
        self.assertEqual(waiting(), "committed")
        self.assertEqual(self.member.get(at + "?wait=30s").json["state"], "committed")
        refused = self.member.delete(at)
        self.expect(refused, 409, "conflict")
        self.assertEqual(refused.json["state"], "committed")

    def wait_outcome(self, at):
        answer = self.member.get(at + "?wait=20s")
        while answer.status == 200 and answer.json["state"] == "preparing":
            answer = self.member.get(at + "?wait=20s", if_none_match=answer["ETag"])
        return answer.json["state"]

    def test_aborts_with_a_no_or_in_time(self):
        at = self.begin("a", "b")
        self.assertEqual(self.vote(at, "b", "no").json["state"], "aborted")
        late = self.vote(at, "a", "yes")
        self.expect(late, 409, "conflict")
        self.assertEqual(late.json["state"], "aborted")
        at = self.begin("a", "b", timeout_ms=300)
        self.vote(at, "a", "yes")
        self.assertEqual(self.wait_outcome(at), "aborted")
        self.assertIn("time", self.member.get(at).json["reason"])
        at = self.begin("a")
        self.assertEqual(self.member.delete(at).json["state"], "aborted")

    def test_misuse(self):
        at = self.begin("a")
        for body in [{}, {"participants": []}, {"participants": ["a", "a"]},
                     {"participants": "a"}, {"participants": ["a b"]}, {"participant": ["a"]}]:
            self.expect(self.member.post("/v1/transactions", body), 400, "bad-request")
        self.expect(self.member.post("/v1/transactions", {"participants": ["a"], "timeout_ms": 1}),
                    422, "invalid")
        self.expect(self.member.put(at + "/votes/a", {"vote": "maybe"}), 400, "bad-request")
        self.expect(self.member.put(at + "/votes/a"), 400, "bad-request")
        self.expect(self.vote(at, "b", "yes"), 404, "not-found")
        self.expect(self.member.get("/v1/transactions/999999"), 404, "not-found")
        self.expect(self.member.get("/v1/transactions/x"), 400, "bad-request")


class Worker:
    """Speaks to any member and retries with the same key until it has an answer."""

    def __init__(self, cluster, seed):
        self.cluster = cluster
        self.random = random.Random(seed)

    def call(self, method, path, body=None, headers=None, seconds=40):
        headers = {"Idempotency-Key": uuid.uuid4().hex, **(headers or {})}
        until = time.monotonic() + seconds * SLOW
        while True:
            member = self.cluster[self.random.randint(1, 3)]
            try:
                answer = member.request(method, path, body, headers, timeout=5)
                if answer.status not in (503, 504, 408):
                    return answer
            except (OSError, http.client.HTTPException):
                pass
            if time.monotonic() > until:
                raise AssertionError(f"{method} {path}: no answer")
            time.sleep(0.02)


class ThreeMembers(unittest.TestCase):
    """Clients work through all members while the leader is killed, twice."""

    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)
        self.cluster.start()
        self.cluster.leader()

    def run_under_kills(self, jobs, kills=2):
        """Every job (a function of a Worker) in a thread of its own; what they returned."""
        results, errors = [None] * len(jobs), []

        def run(i):
            try:
                results[i] = jobs[i](Worker(self.cluster, i))
            except Exception as error:  # The test fails with it below.
                errors.append(error)

        threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(len(jobs))]
        for thread in threads:
            thread.start()
        for _ in range(kills):
            time.sleep(0.7)  # Some of the work is done before, some after.
            leader = self.cluster.leader(seconds=30)
            leader.kill()
            self.cluster.leader(among=[m for m in self.cluster if m is not leader], seconds=30)
            leader.spawn()
            self.cluster.wait_ready(leader, seconds=60)
        for thread in threads:
            thread.join(120 * SLOW)
            self.assertFalse(thread.is_alive(), "a client hangs")
        self.assertEqual(errors, [])
        self.cluster.wait_same_digest(seconds=30)
        return results

    def test_a_queue_loses_nothing_and_no_lease_has_two_holders(self):
        count, lease_s = 60, 3.0
        done, spans, lock = set(), {}, threading.Lock()

        def produce(worker):
            items = []
            for i in range(count // 2):
                answer = worker.call("POST", "/v1/queues/tasks", f"{i}")
                assert answer.status == 201, answer
                items.append(answer.json["item"])
                time.sleep(0.04)
            return items

        def consume(worker):
            idle_until = time.monotonic() + 60 * SLOW
            while time.monotonic() < idle_until:
                with lock:
                    if len(done) == count:
                        return None
                asked = time.monotonic()
                answer = worker.call("POST", f"/v1/queues/tasks/take?lease={int(lease_s)}s&wait=1s")
                if answer.status == 204:
                    continue
                assert answer.status == 200, answer
                taken, got = answer.json, time.monotonic()
                # It has been this taker's since some time after it asked, so for certain from the
                # answer until a whole lease after it asked, unless it acknowledges before.
                released = asked + lease_s
                if worker.random.random() < 0.8:
                    before = time.monotonic()
                    answer = worker.call(
                        "DELETE", f"/v1/queues/tasks/{taken['item']}?lease={taken['lease']}")
                    released = min(released, before)
                    if answer.status == 204:
                        with lock:
                            assert taken["item"] not in done, "acknowledged twice"
                            done.add(taken["item"])
                with lock:
                    spans.setdefault(taken["item"], []).append((got, released))
            raise AssertionError(f"only {len(done)} of {count} were done")

        results = self.run_under_kills([produce, produce, consume, consume, consume])
        self.assertEqual(done, set(results[0]) | set(results[1]))
        for item, held in spans.items():
            held.sort()
            for (_, end), (start, _) in zip(held, held[1:]):
                self.assertGreaterEqual(start, end - 0.001, f"item {item}: {held}")
        state = self.cluster.leader().get("/v1/queues/tasks").json
        self.assertEqual((state["length"], state["dead"], state["bytes"]), (0, 0, 0))

    def test_all_proposers_learn_one_value_and_all_participants_one_outcome(self):
        rounds, proposers = 25, 4
        begun = [Worker(self.cluster, 99).call("POST", "/v1/transactions", {
            "participants": [f"p{i}" for i in range(proposers)], "timeout_ms": 60000}).json["id"]
                 for _ in range(rounds)]

        def take_part(me):
            def work(worker):
                learned = []
                for i in range(rounds):
                    decision = worker.call("POST", f"/v1/decisions/d{i}", f"of {me}").json
                    vote = "no" if (i + me) % 11 == 0 else "yes"
                    voted = worker.call("PUT", f"/v1/transactions/{begun[i]}/votes/p{me}",
                                        {"vote": vote})
                    assert voted.status in (200, 409), voted
                    learned.append((decision["value"], decision["chosen_by_me"], vote,
                                    voted.json["state"]))
                    time.sleep(0.05)
                outcomes = []
                for identity in begun:
                    answer = worker.call("GET", f"/v1/transactions/{identity}?wait=20s")
                    while answer.json["state"] == "preparing":
                        answer = worker.call("GET", f"/v1/transactions/{identity}?wait=4s")
                        while answer.status == 304:
                            answer = worker.call("GET", f"/v1/transactions/{identity}")
                    outcomes.append(answer.json["state"])
                return learned, outcomes
            return work

        results = self.run_under_kills([take_part(me) for me in range(proposers)])
        for i in range(rounds):
            learned = [result[0][i] for result in results]
            self.assertEqual(len({value for value, *_ in learned}), 1, learned)
            self.assertEqual([mine for _, mine, *_ in learned].count(True), 1, learned)
            outcomes = {result[1][i] for result in results}
            self.assertEqual(len(outcomes), 1, outcomes)
            are_all_yes = all(vote == "yes" for _, _, vote, _ in learned)
            self.assertEqual(outcomes, {"committed" if are_all_yes else "aborted"}, learned)
            for _, _, _, told in learned:
                self.assertIn(told, outcomes | {"preparing"})

    def test_blocks_never_overlap_and_barriers_let_nobody_through_alone(self):
        count, rounds = 3, 6
        inside, lock = {}, threading.Lock()

        def take_part(worker):
            blocks = []
            session = worker.call("POST", "/v1/sessions", {"ttl_ms": 60000}).json["session"]
            own = {"Coord-Session": session}
            for i in range(rounds):
                block = worker.call("POST", "/v1/counters/ids?block=10").json
                blocks.append((int(block["first"]), int(block["last"])))
                entered = worker.call("POST", f"/v1/barriers/b?count={count}", headers=own)
                assert entered.status in (200, 201, 202), entered
                ticket = entered.json["ticket"]
                while entered.json["state"] != "released":
                    entered = worker.call("GET", f"/v1/barriers/b/{ticket}", headers=own)
                    assert entered.status == 200, entered
                with lock:
                    inside.setdefault(entered.json["round"], []).append(i)
                until = time.monotonic() + 30 * SLOW
                while True:  # Gone already, or this one has left and others have not.
                    left = worker.call("DELETE", f"/v1/barriers/b/{ticket}?wait=4s", headers=own)
                    if left.status in (204, 404, 409):
                        break
                    raise AssertionError(left)
                assert time.monotonic() < until
            return blocks

        results = self.run_under_kills([take_part] * count)
        ids = sorted(block for blocks in results for block in blocks)
        for (_, last), (first, _) in zip(ids, ids[1:]):
            self.assertLess(last, first)
        self.assertEqual(len(inside), rounds)
        for i, entered in enumerate(inside[r] for r in sorted(inside, key=int)):
            self.assertEqual(entered, [i] * count)
