"""Discovery: registering, heartbeats that write nothing, health checks, streams, DNS, coordctl."""

import http.server
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

from cluster import Cluster
from dnsclient import ask, exchange_udp, question
from harness import (BUILD, COORDCTL, ROOT, SLOW, Member, MemberTest, Stream, ctl, free_port,
                     wait_until)


class Target:
    """What is checked: an HTTP server that can be told to fail, and counts who asks."""

    def __init__(self):
        self.status, self.hits = 200, 0
        target = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                target.hits += 1
                self.send_response(target.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class ServiceTest(MemberTest):
    def setUp(self):
        super().setUp()
        self.name = self.id().rsplit(".", 1)[-1][-60:]
        self.url = f"/v1/services/{self.name}"

    def register(self, instance="i1", session=None, status=201, **fields):
        if session is None:
            fields.setdefault("ttl_ms", 60000)
        headers = {"coord_session": session} if session else {}
        body = {"address": "10.0.0.1", "port": 80, **fields}
        return self.expect(self.member.put(f"{self.url}/{instance}", body, **headers), status)

    def instances(self, query=""):
        answer = self.expect(self.member.get(self.url + query), 200)
        self.assertEqual(answer.json["service"], self.name)
        return answer.json["instances"]

    def stream(self, query="", headers=None):
        stream = Stream(self.member, self.url + query, headers=headers)
        self.addCleanup(stream.close)
        return stream


class Registering(ServiceTest):
    def test_an_instance_is_listed_with_all_that_was_said_of_it(self):
        answer = self.register(tags=["blue", "new"], meta={"zone": "eu"}, weight=5)
        self.assertEqual(answer.json["id"], "i1")
        [one] = self.instances()
        self.assertEqual({key: one[key] for key in ("id", "address", "port", "healthy", "tags",
                                                    "meta", "weight", "ttl_ms")},
                         {"id": "i1", "address": "10.0.0.1", "port": 80, "healthy": True,
                          "tags": ["blue", "new"], "meta": {"zone": "eu"}, "weight": 5,
                          "ttl_ms": 60000})
        listed = self.expect(self.member.get("/v1/services"), 200).json["services"]
        self.assertIn({"service": self.name, "instances": 1, "healthy": 1, "tags": ["blue", "new"]},
                      listed)

    def test_one_line_of_curl_registers_and_the_address_is_the_callers(self):
        self.expect(self.member.put(self.url + "/i1?port=80&ttl=60s&meta.zone=eu&tags=a,b"), 201)
        [one] = self.instances("?meta.zone=eu&tag=a,b&healthy=true")
        self.assertEqual((one["address"], one["port"]), ("127.0.0.1", 80))
        self.assertEqual(self.instances("?meta.zone=us"), [])
        self.assertEqual(self.instances("?tag=c"), [])

    def test_the_same_again_is_a_heartbeat_and_makes_no_revision(self):
        self.register()
        before = self.member.status()["last"]
        for _ in range(5):
            answer = self.register(status=200)
            self.assertEqual(answer.revision, before)
            self.expect(self.member.post(self.url + "/i1/heartbeat"), 204)
        self.assertEqual(self.member.status()["last"], before)
        self.register(status=200, port=81)
        self.assertEqual(self.member.status()["last"], before + 1)
        self.assertEqual([i["port"] for i in self.instances()], [81])

    def test_without_heartbeats_it_goes_and_with_them_it_stays(self):
        self.register("quiet", ttl_ms=1000)
        self.register("alive", ttl_ms=1000)

        def only_alive():
            self.expect(self.member.post(self.url + "/alive/heartbeat"), 204)
            return [i["id"] for i in self.instances()] == ["alive"]
        wait_until(only_alive, 10, "the end of the quiet one")
        self.expect(self.member.post(self.url + "/quiet/heartbeat"), 404, "not-found")
        wait_until(lambda: self.instances() == [], 10, "the end of both")

    def test_it_hangs_on_a_session(self):
        session = self.member.open_session(60000)["session"]
        self.register(session=session)
        self.register(session=session, status=200)
        self.expect(self.member.post(self.url + "/i1/heartbeat", coord_session=session), 204)
        self.expect(self.member.post(self.url + "/i1/heartbeat"), 409, "instance-held")
        self.expect(self.member.delete("/v1/sessions/mine", coord_session=session), 204)
        self.assertEqual(self.instances(), [])
        self.expect(self.member.put(self.url + "/i1", {"port": 1}, coord_session=session), 410,
                    "session-expired")

    def test_what_another_session_holds_is_taken_over_only_when_asked_for(self):
        mine = self.member.open_session(60000)
        other = self.member.open_session(60000)["session"]
        self.register(session=mine["session"])
        refused = self.register(session=other, status=409)
        self.assertEqual((refused.code, refused.json["owner"]), ("instance-held", mine["id"]))
        self.register(status=409)
        self.expect(self.member.delete(self.url + "/i1", coord_session=other), 409, "instance-held")
        self.register(session=other, takeover=True)
        self.expect(self.member.delete(self.url + "/i1", coord_session=other), 204)
        self.expect(self.member.delete(self.url + "/i1", coord_session=other), 404, "not-found")

    def test_deregistering_leaves_no_session_behind(self):
        before = self.member.status()["sessions"]
        self.register()
        self.assertEqual(self.member.status()["sessions"], before + 1)
        self.expect(self.member.delete(self.url + "/i1"), 204)
        self.assertEqual(self.member.status()["sessions"], before)

    def test_a_retry_with_its_key_gets_the_first_answer_and_renews(self):
        first = self.expect(self.member.put(self.url + "/i1?port=1&ttl=60s",
                                            idempotency_key=self.name), 201)
        again = self.expect(self.member.put(self.url + "/i1?port=1&ttl=60s",
                                            idempotency_key=self.name), 201)
        self.assertEqual(first.body, again.body)

    def test_misuse_gets_a_clear_answer(self):
        url = self.url + "/i1"
        self.expect(self.member.put(url, {"port": 80}), 400, "session-required")
        for body, status, code in [
                ("{", 400, "bad-request"), ({"prot": 80}, 400, "bad-request"),
                ({"port": "80"}, 400, "bad-request"), ({"port": 65536}, 422, "invalid"),
                ({"address": "a b"}, 422, "invalid"), ({"weight": 70000}, 422, "invalid"),
                ({"tags": "a"}, 400, "bad-request"), ({"tags": ["a\n"]}, 422, "invalid"),
                ({"meta": {"a": 1}}, 400, "bad-request"), ({"meta": {"a b": ""}}, 422, "invalid"),
                ({"ttl_ms": 1}, 422, "invalid"), ({"ttl_ms": 2000, "ttl": "2s"}, 400, "bad-request"),
                ({"checks": [{}]}, 400, "bad-request"),
                ({"checks": [{"http": "https://h/"}]}, 422, "invalid"),
                ({"checks": [{"tcp": "h:1", "interval_ms": 1}]}, 422, "invalid"),
                ({"checks": [{"tcp": "h:1", "every": 1}]}, 400, "bad-request")]:
            if isinstance(body, dict):
                body.setdefault("ttl_ms", 60000)
            self.expect(self.member.put(url, body), status, code)
        self.expect(self.member.put("/v1/services/a%20b/i1?ttl=9s"), 400, "bad-request")
        self.expect(self.member.put(self.url + "/mine?ttl=9s"), 400, "bad-request")
        self.expect(self.member.put(url + "?ttl=9s&meta=x"), 400, "bad-request")
        self.expect(self.member.get(self.url), 404, "not-found")
        self.expect(self.member.post(url + "/heartbeat"), 404, "not-found")
        self.expect(self.member.put(url + "/maintenance"), 404, "not-found")
        self.expect(self.member.get(self.url + "?healthy=perhaps"), 400, "bad-request")
        self.expect(self.member.post(url), 405, "method-not-allowed")

    def test_maintenance_takes_it_out_of_use_and_says_why(self):
        self.register()
        self.expect(self.member.put(self.url + "/i1/maintenance?reason=disk"), 204)
        [one] = self.instances()
        self.assertEqual((one["healthy"], one["maintenance"]), (False, "disk"))
        self.assertEqual(self.instances("?healthy=true"), [])
        self.register(status=200, port=81)
        self.assertEqual(self.instances()[0]["maintenance"], "disk")
        self.expect(self.member.delete(self.url + "/i1/maintenance"), 204)
        self.assertEqual(len(self.instances("?healthy=true")), 1)

    def test_services_come_in_pages(self):
        for letter in "abc":
            self.expect(self.member.put(f"{self.url}-{letter}/i?ttl=60s&tags={self.name}"), 201)
        found, cursor = [], ""
        while cursor is not None:
            page = self.member.get(f"/v1/services?limit=2&tag={self.name}" +
                                   (f"&cursor={cursor}" if cursor else "")).json
            found += [one["service"][-1] for one in page["services"]]
            cursor = page.get("cursor")
        self.assertEqual(found, ["a", "b", "c"])


class Watching(ServiceTest):
    def test_a_stream_brings_the_state_then_each_change(self):
        self.register("a")
        stream = self.stream()
        [first] = stream.wait_for(1)
        self.assertEqual(first.event, "service")
        self.assertEqual([i["id"] for i in first.data["instances"]], ["a"])
        self.register("b")
        self.register("b", status=200, port=81)
        self.expect(self.member.delete(self.url + "/b"), 204)
        events = stream.wait_for(4)[1:]
        self.assertEqual([(e.event, e.data["id"]) for e in events],
                         [("up", "b"), ("changed", "b"), ("down", "b")])
        self.assertEqual(events[1].data["port"], 81)
        self.assertEqual(events[1].id, str(events[1].data["revision"]))

    def test_it_resumes_without_loss_or_repetition(self):
        self.register("a")
        stream = self.stream()
        stream.wait_for(1)
        self.register("b")
        last = stream.wait_for(2)[1].id
        stream.close()
        self.register("c")
        self.expect(self.member.delete(self.url + "/a"), 204)
        again = self.stream(headers={"Last-Event-ID": last})
        self.assertEqual([(e.event, e.data["id"]) for e in again.wait_for(2)],
                         [("up", "c"), ("down", "a")])

    def test_under_a_filter_health_is_coming_and_going(self):
        self.register("a")
        stream = self.stream("?healthy=true")
        stream.wait_for(1)
        self.expect(self.member.put(self.url + "/a/maintenance"), 204)
        self.register("a", status=200, port=81)  # Not seen: it is in maintenance.
        self.expect(self.member.delete(self.url + "/a/maintenance"), 204)
        self.assertEqual([(e.event, e.data["id"]) for e in stream.wait_for(3)[1:]],
                         [("down", "a"), ("up", "a")])

    def test_a_takeover_is_one_change(self):
        self.register("a")
        stream = self.stream()
        stream.wait_for(1)
        session = self.member.open_session(60000)["session"]
        self.register("a", session=session, takeover=True)
        self.assertEqual(stream.wait_for(2)[1].event, "changed")

    def test_a_stream_waits_for_a_service_that_is_not_there_yet(self):
        stream = self.stream()
        self.assertEqual(stream.wait_for(1)[0].data["instances"], [])
        self.register("a")
        self.assertEqual(stream.wait_for(2)[1].event, "up")

    def test_all_services_in_one_stream(self):
        stream = Stream(self.member, f"/v1/services?tag={self.name}")
        self.addCleanup(stream.close)
        self.assertEqual(stream.wait_for(1)[0].event, "services")
        self.register("a", tags=[self.name])
        event = stream.wait_for(2)[1]
        self.assertEqual((event.event, event.data["service"]), ("up", self.name))

    def test_a_long_poll_ends_with_a_change_and_not_without(self):
        self.register("a")
        etag = self.expect(self.member.get(self.url + "?healthy=true"), 200)["ETag"]
        self.expect(self.member.request("GET", self.url + "?healthy=true",
                                        headers={"If-None-Match": etag}), 304)
        answers = []

        def poll():
            answers.append(self.member.request("GET", self.url + "?healthy=true&wait=20s",
                                               headers={"If-None-Match": etag}, timeout=30))
        self.wait_for_watches(0)
        thread = threading.Thread(target=poll)
        thread.start()
        self.wait_for_watches(1)
        # Registered but not healthy: not a change of what is asked for.
        body = {"port": 1, "ttl_ms": 60000}
        session = self.member.open_session(60000)["session"]
        self.expect(self.member.put("/v1/services/other/x", body, coord_session=session), 201)
        self.assertEqual(answers, [])
        self.expect(self.member.put(self.url + "/a/maintenance"), 204)
        thread.join(30)
        self.assertEqual(answers[0].status, 200, str(answers[0]))
        self.assertEqual(answers[0].json["instances"], [])
        self.assertNotEqual(answers[0]["ETag"], etag)
        # What the filter hides does not wake.
        hidden = self.member.request("GET", self.url + "?healthy=true&wait=300ms",
                                     headers={"If-None-Match": answers[0]["ETag"]})
        self.expect(hidden, 304)


class Checks(ServiceTest):
    def setUp(self):
        super().setUp()
        self.target = Target()
        self.addCleanup(self.target.close)
        self.addCleanup(self.leave)

    def leave(self):
        answer = self.member.get(self.url)
        for one in answer.json["instances"] if answer.status == 200 else []:
            self.member.delete(f"{self.url}/{one['id']}")

    def healthy(self):
        return [i["healthy"] for i in self.instances()]

    def test_http_and_tcp_checks_decide_about_health(self):
        gone = free_port()
        self.register("http", checks=[{"http": f"http://127.0.0.1:{self.target.port}/health",
                                       "interval_ms": 100}])
        self.register("tcp", checks=[{"tcp": f"127.0.0.1:{gone}", "interval_ms": 100}])
        wait_until(lambda: self.healthy() == [True, False], 10, "the failing tcp check")
        [check] = self.instances()[1]["checks"]
        self.assertEqual(check["status"], "failing")
        self.assertIn("refused", check["output"])
        self.assertEqual(self.instances()[1]["checked_by"], 1)
        self.target.status = 503
        wait_until(lambda: self.healthy() == [False, False], 10, "the failing http check")
        self.assertEqual(self.instances()[0]["checks"][0]["output"], "status 503")
        self.target.status = 204
        with socket.create_server(("127.0.0.1", gone)):
            wait_until(lambda: self.healthy() == [True, True], 10, "health")

    def test_results_that_change_nothing_are_not_written(self):
        self.register(checks=[{"http": f"http://127.0.0.1:{self.target.port}/", "interval_ms": 100}])
        wait_until(lambda: self.target.hits >= 2, 10, "the first checks")
        before = self.member.status()["last"]
        hits = self.target.hits
        wait_until(lambda: self.target.hits >= hits + 5, 10, "more checks")
        self.assertEqual(self.member.status()["last"], before)

    def test_no_check_runs_any_more_when_the_instance_is_gone(self):
        sessions = self.member.status()["sessions"]
        self.register(checks=[{"http": f"http://127.0.0.1:{self.target.port}/", "interval_ms": 100}])
        wait_until(lambda: self.target.hits >= 1, 10, "the first check")
        self.expect(self.member.delete(self.url + "/i1"), 204)
        wait_until(lambda: self.member.status()["sessions"] == sessions, 10,
                   "the end of the checker's session")
        hits = self.target.hits
        self.register("other", checks=[{"tcp": f"127.0.0.1:{self.target.port}", "interval_ms": 100}])
        self.assertLessEqual(self.target.hits, hits + 1)

    def test_where_checks_must_not_go(self):
        self.register(checks=[{"tcp": "169.254.169.254:80", "interval_ms": 100}])
        wait_until(lambda: self.healthy() == [False], 10, "the refusal")
        self.assertIn("none that this member may check", self.instances()[0]["checks"][0]["output"])


class ChecksAreOff(MemberTest):
    flags = ("--health-checks", "off")

    def test_a_registration_with_checks_is_refused(self):
        body = {"port": 1, "ttl_ms": 9000, "checks": [{"tcp": "127.0.0.1:1"}]}
        self.expect(self.member.put("/v1/services/web/i1", body), 422, "invalid")


class Three(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)
        self.cluster.start()

    def test_heartbeats_through_any_member_write_nothing(self):
        body = {"port": 80, "ttl_ms": 3000}
        members = list(self.cluster)
        answer = members[0].put("/v1/services/web/i1", body)
        self.assertEqual(answer.status, 201, str(answer))
        self.cluster.wait_applied(answer.revision)
        before = self.cluster.leader().status()["last"]
        beats = []
        until = time.monotonic() + 4

        def beat():  # Longer than its ttl.
            member = members[len(beats) % 3]
            if len(beats) % 2:
                answer = member.post("/v1/services/web/i1/heartbeat")
            else:
                answer = member.put("/v1/services/web/i1", body)
            if answer.status == 503:  # Not confirmed by a majority in time: it is asked again.
                return False
            self.assertIn(answer.status, (200, 204), str(answer))
            beats.append(answer)
            threading.Event().wait(0.1)
            return len(beats) >= 30 and time.monotonic() > until
        wait_until(beat, 30, "thirty heartbeats")
        self.assertEqual(self.cluster.leader().status()["last"], before)

    def test_a_lost_members_checks_move(self):
        targets = [Target() for _ in range(6)]
        for target in targets:
            self.addCleanup(target.close)
        member = self.cluster[1]
        for number, target in enumerate(targets):
            at = f"/v1/services/web/i{number}"
            body = {"port": 1, "ttl_ms": 600000,
                    "checks": [{"http": f"http://127.0.0.1:{target.port}/", "interval_ms": 200}]}
            wait_until(lambda at=at, body=body: member.put(at, body).status in (200, 201), 10, at)

        def checkers(among):
            answer = among.get("/v1/services/web?consistency=local")
            return [one.get("checked_by") for one in answer.json["instances"]]
        wait_until(lambda: len(set(checkers(member)) - {None}) >= 2, 20, "shares of the members")
        wait_until(lambda: all(t.hits >= 2 for t in targets), 20, "checks of all")
        lost = self.cluster[checkers(member)[0]]
        lost.kill()
        others = [m for m in self.cluster if m is not lost]
        wait_until(lambda: lost.id not in checkers(others[0]), 10, "the move")
        seen = [t.hits for t in targets]
        wait_until(lambda: all(t.hits > s + 1 for t, s in zip(targets, seen)), 20, "checks of all")
        targets[0].status = 500

        def fails():
            answer = others[1].get("/v1/services/web")
            return answer.status == 200 and not answer.json["instances"][0]["healthy"]
        wait_until(fails, 20, "a failing check")

    def test_the_end_of_an_instance_reaches_a_stream_at_another_member(self):
        leader = self.cluster.leader()
        follower = self.cluster.followers()[0]
        stream = Stream(follower, "/v1/services/web")
        self.addCleanup(stream.close)
        stream.wait_for(1)
        self.assertEqual(leader.put("/v1/services/web/i1?ttl=1s&port=1").status, 201)
        self.assertEqual([e.event for e in stream.wait_for(3)[1:]], ["up", "down"])


class Dns(MemberTest):
    @classmethod
    def setUpClass(cls):
        cls.dns = free_port()
        cls.flags = ("--dns", f"127.0.0.1:{cls.dns}", "--dns-ttl", "5")
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.name = "s" + self.id().rsplit(".", 1)[-1][-40:].replace("_", "-")

    def register(self, instance, **fields):
        body = {"ttl_ms": 60000, "port": 80, **fields}
        self.expect(self.member.put(f"/v1/services/{self.name}/{instance}", body), 201)

    def ask(self, kind, prefix="", **options):
        return ask(self.dns, f"{prefix}{self.name}.service.coord", kind, **options)

    def test_addresses_and_ports_of_healthy_instances(self):
        self.register("a", address="10.0.0.1", weight=7, tags=["blue"])
        self.register("b", address="10.0.0.2", port=81)
        self.register("c", address="fd00::1", port=82)
        self.register("d", address="10.0.0.9")
        self.expect(self.member.put(f"/v1/services/{self.name}/d/maintenance"), 204)
        for tcp in (False, True):
            self.assertEqual(sorted(self.ask("A", tcp=tcp).values), ["10.0.0.1", "10.0.0.2"])
            self.assertEqual(self.ask("AAAA", tcp=tcp).values, ["fd00::1"])
            self.assertEqual(self.ask("A", "blue.", tcp=tcp).values, ["10.0.0.1"])
            self.assertEqual(self.ask("A", "red.", tcp=tcp).values, [])
        services = sorted(self.ask("SRV").values)
        self.assertEqual([value[1:3] for value in services], [(1, 81), (1, 82), (7, 80)])
        self.assertEqual(ask(self.dns, services[2][3]).values, ["10.0.0.1"])
        self.assertEqual({ttl for _, ttl, _ in self.ask("A").records}, {5})
        rfc = ask(self.dns, f"_{self.name}._tcp.service.coord", "SRV")
        self.assertEqual(len(rfc.records), 3)
        loud = ask(self.dns, f"{self.name}.service.coord".upper())
        self.assertEqual(len(loud.records), 2)

    def test_names_that_are_not_there_and_types_that_are_not_there(self):
        self.register("a", address="10.0.0.1")
        self.assertEqual(self.ask("AAAA").rcode, 0)
        self.assertTrue(self.ask("AAAA").soa)
        missing = ask(self.dns, "nobody.service.coord")
        self.assertEqual((missing.rcode, missing.soa), (3, True))
        self.assertEqual(ask(self.dns, "x.coord").rcode, 3)
        self.assertEqual(ask(self.dns, "example.org").rcode, 5)
        self.assertEqual(len(ask(self.dns, "coord", "SOA").records), 1)

    def test_a_long_answer_is_cut_over_udp_and_whole_over_tcp(self):
        for number in range(100):
            self.register(f"i{number}", address=f"10.0.1.{number}")
        short = self.ask("A")
        self.assertTrue(short.is_cut)
        self.assertLessEqual(short.size, 512)
        longer = self.ask("A", edns=1232)
        self.assertLessEqual(longer.size, 1232)
        self.assertGreater(len(longer.records), len(short.records))
        whole = self.ask("A", tcp=True)
        self.assertEqual((len(whole.records), whole.is_cut), (100, False))
        self.assertNotEqual(whole.values, self.ask("A", tcp=True).values, "a random order")

    def test_malformed_questions_harm_nobody(self):
        good = question("web.service.coord", "A")
        for size in range(12, len(good)):
            answer = exchange_udp(self.dns, good[:size])
            self.assertEqual(answer[3] & 15, 1, size)
        for bad in (good[:12] + b"\xc0\x0c" + good[14:], good[:5] + b"\x09" + good[6:]):
            self.assertEqual(exchange_udp(self.dns, bad)[3] & 15, 1)
        self.assertIsNone(exchange_udp(self.dns, good[:11], seconds=0.2))
        with socket.create_connection(("127.0.0.1", self.dns), timeout=5) as link:
            link.sendall(struct.pack(">H", 3) + b"abc")
            self.assertEqual(link.recv(10), b"")
        self.register("a", address="10.0.0.1")
        self.assertEqual(self.ask("A").values, ["10.0.0.1"])


class Ctl(ServiceTest):
    def spawn(self, *arguments):
        process = subprocess.Popen(
            [str(COORDCTL), "--endpoint", self.member.url, "service", "register", self.name,
             "--id", "i1", "--port", "80", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)

        def end():
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.addCleanup(end)
        return process

    def is_there(self):
        answer = self.member.get(self.url)
        return answer.status == 200 and len(answer.json["instances"]) == 1

    def test_the_registration_lasts_as_long_as_the_command(self):
        process = self.spawn("--ttl", "2s", "--tag", "blue", "--meta", "zone=eu", "--", "sh", "-c",
                             "echo $COORD_SERVICE $COORD_INSTANCE; exec sleep 60")
        wait_until(self.is_there, 10, "the registration")
        [one] = self.instances()
        self.assertEqual((one["tags"], one["meta"], one["ttl_ms"]),
                         (["blue"], {"zone": "eu"}, 2000))
        # It is registered before the command starts: a signal before that is not the case here.
        self.assertEqual(process.stdout.readline().decode().split(), [self.name, "i1"])
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20 * SLOW), 128 + signal.SIGTERM)
        self.assertEqual(self.instances(), [])

    def test_the_commands_exit_code_is_passed_on(self):
        self.assertEqual(self.spawn("--", "sh", "-c", "exit 7").wait(20 * SLOW), 7)
        self.assertEqual(self.spawn("--", "true").wait(20 * SLOW), 0)
        self.assertEqual(self.spawn("--", "/no/such/command").wait(20 * SLOW), 127)
        self.assertEqual(self.instances(), [])

    def test_heartbeats_keep_it_and_a_lost_registration_comes_back(self):
        self.spawn("--ttl", "1s", "--", "sleep", "60")
        wait_until(self.is_there, 10, "the registration")
        first = self.instances()[0]["changed"]
        self.expect(self.member.delete(self.url + "/i1"), 204)
        wait_until(lambda: self.is_there() and self.instances()[0]["changed"] > first, 10,
                   "its return")

    def test_listings_and_maintenance(self):
        self.register(tags=["blue"])
        done = ctl(self.member, "service", "ls")
        self.assertIn(self.name.encode(), done.stdout)
        done = ctl(self.member, "service", "get", self.name)
        self.assertEqual(done.stdout.split()[:7],
                         [b"ID", b"ADDRESS", b"HEALTHY", b"WEIGHT", b"TAGS", b"META", b"WHY"])
        self.assertIn(b"10.0.0.1:80", done.stdout)
        done = ctl(self.member, "service", "maintenance", self.name, "i1", "--reason", "disk")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"maintenance: disk", ctl(self.member, "service", "get", self.name).stdout)
        raw = ctl(self.member, "--output", "raw", "service", "get", self.name, "--healthy")
        self.assertEqual(raw.stdout, b"")
        ctl(self.member, "service", "maintenance", self.name, "i1", "--off")
        raw = ctl(self.member, "--output", "raw", "service", "get", self.name, "--healthy")
        self.assertEqual(raw.stdout, b"10.0.0.1:80\n")
        self.assertEqual(ctl(self.member, "service", "deregister", self.name, "i1").returncode, 0)
        self.assertEqual(ctl(self.member, "service", "deregister", self.name, "i1").returncode, 3)
        self.assertEqual(ctl(self.member, "service", "get", "nobody").returncode, 3)


class Page(unittest.TestCase):
    """docs/discovery.md runs as it stands, but for the ports."""

    def test_its_commands_run(self):
        text = (ROOT / "docs/discovery.md").read_text()
        blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
        self.assertGreater(len(blocks), 5)
        dns = free_port()
        member = Member(flags=("--dns", f"127.0.0.1:{dns}"))
        self.addCleanup(member.close)
        member.start()
        script = "set -eu\n" + "\n".join(blocks)
        script = script.replace("localhost:7070", f"127.0.0.1:{member.port}")
        script = script.replace("-p 7053", f"-p {dns}").replace("curl ", "curl -sSf ")
        environment = {**os.environ, "PATH": f"{BUILD}/cli:{os.environ['PATH']}",
                       "COORD_ENDPOINT": member.url}
        done = subprocess.run(["bash", "-c", script], text=True, capture_output=True,
                              timeout=60 * SLOW, env=environment, cwd=member.own)
        self.assertEqual(done.returncode, 0, f"{done.stdout}\n{done.stderr}\n{script}")
        for expected in ('"healthy":true', "event: service", "event: down", "\n127.0.0.1\n",
                         "1 2 8081 7f000001.addr.coord.", "maintenance: new disk"):
            self.assertIn(expected, done.stdout)
