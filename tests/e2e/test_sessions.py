"""Sessions: their ttl is kept exactly, every end has a reason, secrets stay secret."""

import time

from harness import SLOW, MemberTest, Stream, wait_until


class Sessions(MemberTest):
    def test_a_session_opens_with_its_token_and_shows_without_its_secret(self):
        opened = self.member.open_session(10000, name="web-1")
        identity, _, secret = opened["session"].partition(".")
        self.assertEqual(identity, opened["id"])
        self.assertEqual(opened["ttl_ms"], 10000)
        shown = self.member.get("/v1/sessions/" + identity)
        self.expect(shown, 200)
        self.assertNotIn(secret, shown.text)
        self.assertEqual(shown.json["name"], "web-1")
        self.assertLessEqual(shown.json["remaining_ms"], 10000)
        listed = self.expect(self.member.get("/v1/sessions"), 200)
        self.assertIn(identity, listed.text)
        self.assertNotIn(secret, listed.text)

    def test_a_ttl_outside_the_bounds_is_422(self):
        for ttl in (999, 24 * 3600 * 1000 + 1):
            with self.subTest(ttl=ttl):
                self.expect(self.member.post("/v1/sessions", {"ttl_ms": ttl}), 422, "invalid")

    def test_the_default_ttl_is_15_seconds(self):
        answer = self.member.post("/v1/sessions")
        self.assertEqual(answer.json["ttl_ms"], 15000)

    def test_a_keepalive_promises_a_new_deadline(self):
        opened = self.member.open_session(10000)
        for name in ("mine", opened["id"], opened["session"]):
            answer = self.member.post(f"/v1/sessions/{name}/keepalive",
                                      coord_session=opened["session"])
            self.expect(answer, 200)
            self.assertLessEqual(answer.json["remaining_ms"], 10000)
            self.assertGreater(answer.json["remaining_ms"], 8000)

    def test_a_wrong_secret_is_403_and_an_id_never_given_404(self):
        opened = self.member.open_session()
        secret = opened["session"].partition(".")[2]
        forged = ("0" if secret[0] != "0" else "1") + secret[1:]
        wrong = {"coord_session": f'{opened["id"]}.{forged}'}
        self.expect(self.member.put(self.tree + "?mode=ephemeral", "", **wrong), 403,
                    "bad-session-secret")
        self.expect(self.member.post("/v1/sessions/mine/keepalive", **wrong), 403,
                    "bad-session-secret")
        self.expect(self.member.get("/v1/sessions/999999999"), 404, "not-found")

    def test_a_session_expires_within_a_second_of_its_ttl_and_never_before(self):
        for renewal in ("none", "keepalive"):
            # Early never; late only if the machine was busy elsewhere all three times.
            self.assertLess(min(self.lived(renewal, i) for i in range(3)), 2.2 * SLOW, renewal)

    def lived(self, renewal, i):
        """How long a session of one second lived after its last renewal was answered."""
        opened = self.member.open_session(1000)
        token = opened["session"]
        path = f"{self.tree}{renewal}{i}"
        asked = time.monotonic()
        self.member.put(path + "?mode=ephemeral", "", coord_session=token)
        if renewal == "keepalive":
            asked = time.monotonic()
            answer = self.member.post("/v1/sessions/mine/keepalive", coord_session=token)
            if answer.status == 410:  # This process was held up for longer than the session.
                return float("inf")
        # Renewed not before it was asked, and not later than now.
        renewed = time.monotonic()
        wait_until(lambda: self.member.get(path).status == 404, 10, "expiry")
        ended = time.monotonic()
        self.assertGreater(ended - asked, 0.98, renewal)
        late = self.member.post("/v1/sessions/mine/keepalive", coord_session=token)
        self.expect(late, 410, "session-expired")
        self.assertEqual(late.json["reason"], "expired")
        return ended - renewed

    def test_a_closed_session_says_closed(self):
        opened = self.member.open_session()
        self.expect(self.member.delete("/v1/sessions/mine", coord_session=opened["session"]), 204)
        late = self.member.put(self.tree + "?mode=ephemeral", "", coord_session=opened["session"])
        self.expect(late, 410, "session-expired")
        self.assertEqual(late.json["reason"], "closed")

    def test_an_operator_kills_a_session_and_it_says_killed(self):
        opened = self.member.open_session()
        self.expect(self.member.delete("/v1/sessions/" + opened["id"]), 204)
        late = self.member.post("/v1/sessions/mine/keepalive", coord_session=opened["session"])
        self.expect(late, 410, "session-expired")
        self.assertEqual(late.json["reason"], "killed")

    def test_any_request_that_carries_it_renews_it(self):
        opened = self.member.open_session(2000)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            self.expect(self.member.get("/v1/tree/", coord_session=opened["session"]), 200)
            time.sleep(0.1)
        self.expect(self.member.post("/v1/sessions/mine/keepalive",
                                     coord_session=opened["session"]), 200)

    def test_an_open_stream_keeps_it_and_its_end_does_not_close_it(self):
        opened = self.member.open_session(3000)
        token = opened["session"]
        self.member.put(self.tree + "?mode=ephemeral", "", coord_session=token)
        stream = Stream(self.member, f"/v1/watch?path={self.base}",
                        headers={"Coord-Session": token})
        self.addCleanup(stream.close)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            self.assertEqual(self.member.get(self.tree).status, 200)
            time.sleep(0.1)
        stream.close()
        self.assertEqual(self.member.get(self.tree).status, 200)
        wait_until(lambda: self.member.get(self.tree).status == 404, 10, "expiry after the stream")

    def test_a_session_lives_over_kill_and_restart(self):
        opened = self.member.open_session(10000)
        token = opened["session"]
        self.member.put(self.tree + "?mode=ephemeral", "", coord_session=token)
        self.member.kill()
        self.member.start()
        self.expect(self.member.get(self.tree), 200)
        self.expect(self.member.post("/v1/sessions/mine/keepalive", coord_session=token), 200)
        self.assertIn(self.base, self.member.get("/v1/sessions/" + opened["id"]).text)

    def test_a_killed_member_gives_every_session_a_full_ttl(self):
        opened = self.member.open_session(3000)
        token = opened["session"]
        self.member.put(self.tree + "?mode=ephemeral", "", coord_session=token)
        self.member.kill()
        time.sleep(3.5)  # Time passes while nobody could renew: it must not be held against it.
        self.member.start()
        self.expect(self.member.get(self.tree), 200)
        self.expect(self.member.post("/v1/sessions/mine/keepalive", coord_session=token), 200)
