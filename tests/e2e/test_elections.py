"""Elections: candidates, their leader, its epoch as a fence; over HTTP and with coordctl."""

import json
import os
import subprocess
import threading

from harness import BUILD, COORDCTL, SLOW, MemberTest, Stream, ctl, wait_until


class ElectionTest(MemberTest):
    def setUp(self):
        super().setUp()
        self.name = self.id().rpartition(".")[2][:200]
        self.election = "/v1/elections/" + self.name

    def stand(self, session=None, **fields):
        headers = {"coord_session": session} if session else {}
        return self.member.post(self.election, fields, **headers)

    def shown(self):
        return self.expect(self.member.get(self.election), 200).json

    def session(self, **fields):
        return self.member.open_session(**fields)["session"]


class Elections(ElectionTest):
    def test_the_first_leads_and_its_epoch_is_a_fence(self):
        answer = self.expect(self.stand(value="host-1"), 201)
        body = answer.json
        self.assertEqual((body["role"], body["position"]), ("leader", 0))
        self.assertEqual(answer["Coord-Fence"], f"election:{self.name}={body['epoch']}")
        self.assertEqual(answer["Coord-Session"], body["session"])
        second = self.expect(self.stand(value="host-2"), 201).json
        self.assertEqual((second["role"], second["epoch"], second["position"]),
                         ("candidate", None, 1))
        self.assertEqual(second["leader"]["value"], "host-1")
        fence = {"coord_fence": answer["Coord-Fence"]}
        self.expect(self.member.put(self.tree, "x", **fence), 201)
        self.expect(self.member.delete(f"{self.election}/mine", coord_session=body["session"]), 204)
        self.expect(self.member.put(self.tree, "y", **fence), 409, "fence-stale")
        shown = self.shown()
        self.assertEqual(shown["leader"]["value"], "host-2")
        self.assertGreater(shown["epoch"], body["epoch"])
        self.assertEqual(shown["leader"]["epoch"], shown["epoch"])

    def test_the_highest_priority_leads_next_and_puts_nobody_down(self):
        first = self.expect(self.stand(value="a"), 201).json
        for value, priority in (("b", 1), ("c", 5), ("d", 5)):
            self.assertEqual(self.stand(value=value, priority=priority).json["role"], "candidate")
        self.assertEqual([c["value"] for c in self.shown()["candidates"]], ["a", "c", "d", "b"])
        self.assertEqual([c["position"] for c in self.shown()["candidates"]], [0, 1, 2, 3])
        self.member.delete(f"{self.election}/mine", coord_session=first["session"])
        self.assertEqual(self.shown()["leader"]["value"], "c")

    def test_a_dead_leader_is_followed_within_its_ttl(self):
        self.expect(self.stand(ttl="1s", value="a"), 201)
        second = self.expect(self.stand(wait="20s", value="b"), 201).json
        self.assertEqual(second["role"], "leader")

    def test_waiting_that_runs_out_leaves_a_candidate(self):
        self.expect(self.stand(value="a"), 201)
        second = self.expect(self.stand(wait="200ms", value="b"), 201).json
        self.assertEqual(second["role"], "candidate")
        self.assertEqual(self.shown()["candidate_count"], 2)

    def test_a_session_stands_once_and_changes_what_it_posts(self):
        session = self.session()
        first = self.expect(self.stand(session, value="a"), 201).json
        again = self.expect(self.stand(session, value="b"), 200).json
        self.assertEqual((again["candidate"], again["value"]), (first["candidate"], "a"))
        posted = self.member.put(f"{self.election}/mine", {"value": "c"}, coord_session=session)
        self.assertEqual(self.expect(posted, 200).json["value"], "c")
        self.assertEqual(posted.json["epoch"], first["epoch"])
        self.assertEqual(self.shown()["leader"]["value"], "c")

    def test_leadership_is_handed_over(self):
        a, b, c = (self.session() for _ in range(3))
        first = self.expect(self.stand(a, value="a"), 201).json
        second = self.expect(self.stand(b, value="b"), 201).json
        self.expect(self.stand(c, value="c", priority=9), 201)
        transfer = f"{self.election}/transfer"
        self.expect(self.member.post(transfer, {}, coord_session=a), 400, "bad-request")
        self.expect(self.member.post(transfer, {"to": "nobody"}, coord_session=a), 404, "not-found")
        moved = self.expect(self.member.post(transfer, {"to": second["candidate"]},
                                             coord_session=a), 200).json
        self.assertEqual((moved["role"], moved["value"]), ("leader", "b"))
        self.assertGreater(moved["epoch"], first["epoch"])
        mine = self.member.get(f"{self.election}/mine", coord_session=a).json
        self.assertEqual(mine["role"], "candidate")
        self.expect(self.member.put(self.tree, "x", coord_fence=
                                    f"election:{self.name}={first['epoch']}"), 409, "fence-stale")

    def test_observers_see_each_leader(self):
        a, b = self.session(), self.session()
        self.expect(self.stand(a, value="a"), 201)
        stream = Stream(self.member, self.election)
        self.addCleanup(stream.close)
        stream.wait_for(1)
        etag = self.member.get(self.election)["ETag"]
        self.expect(self.member.get(self.election, if_none_match=etag), 304)
        polled = []
        thread = threading.Thread(target=lambda: polled.append(
            self.member.get(self.election + "?wait=20s", if_none_match=etag)))
        thread.start()
        self.addCleanup(thread.join)
        self.expect(self.stand(b, value="b"), 201)
        self.assertEqual(wait_until(lambda: polled, 10, "the poll")[0].json["candidate_count"], 2)
        self.member.delete("/v1/sessions/mine", coord_session=a)
        wait_until(lambda: stream.events[-1].data["leader"]["value"] == "b", 10, "the next leader")
        self.assertEqual(stream.events[-1].event, "election")
        epochs = [e.data["epoch"] for e in stream.of()]
        self.assertEqual(epochs, sorted(epochs))

    def test_misuse_gets_a_clear_answer(self):
        leader = self.expect(self.stand(value="a"), 201).json
        other = self.session()
        candidate = f"{self.election}/{leader['candidate']}"
        self.expect(self.member.delete(candidate, coord_session=other), 403, "not-owner")
        self.expect(self.member.put(candidate, {"value": "x"}, coord_session=other), 403,
                    "not-owner")
        self.expect(self.member.put(candidate, {}, coord_session=leader["session"]), 400,
                    "bad-request")
        self.expect(self.member.get(f"{self.election}/mine"), 400, "session-required")
        self.expect(self.member.get(f"{self.election}/mine", coord_session=other), 404, "not-found")
        self.expect(self.member.get("/v1/elections/never-seen"), 404, "not-found")
        self.expect(self.member.post("/v1/elections/never-seen/transfer", {"to": "x"}), 404,
                    "not-found")
        self.expect(self.stand(priority=-1), 400, "bad-request")
        self.expect(self.stand(value="x" * 5000), 400, "bad-request")
        self.expect(self.member.delete(candidate + "?break=true"), 204)
        self.assertIn(self.name, self.member.get("/v1/elections").text)


class Coordctl(ElectionTest):
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

    def test_the_command_runs_only_while_it_leads(self):
        lead = 'echo "$COORD_FENCE $COORD_ELECTION"; exec sleep 60'
        first = self.start("elect", self.name, "--value", "a", "--ttl", "1s", "--", "sh", "-c", lead)
        fence, name = first.stdout.readline().split()
        self.assertEqual(name, self.name)
        self.assertTrue(fence.startswith(f"election:{self.name}="))
        second = self.start("elect", self.name, "--value", "b", "--", "sh", "-c", lead)
        wait_until(lambda: self.shown()["candidate_count"] == 2, 10, "the second")
        listed = ctl(self.member, "elect", "ls", self.name).stdout.decode().splitlines()
        self.assertTrue(listed[1].startswith("leader") and " a " in listed[1], listed)
        to = [c for c in self.shown()["candidates"] if c["value"] == "b"][0]["candidate"]
        self.expect(self.member.post(f"{self.election}/transfer", {"to": to}), 200)
        self.assertIn(self.name, second.stdout.readline())
        self.assertEqual(first.wait(20 * SLOW), 125)
        every = json.loads(ctl(self.member, "--output", "json", "elect", "ls").stdout)
        self.assertIn(self.name, [e["election"] for e in every["elections"]])

    def test_its_code_comes_back_and_the_next_leads(self):
        done = ctl(self.member, "elect", self.name, "--", "sh", "-c", "exit 3")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(ctl(self.member, "elect", self.name, "--", "true").returncode, 0)
