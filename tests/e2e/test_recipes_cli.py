"""coordctl counter, queue, barrier, decide, transaction: output forms and exit codes."""

import json
import signal
import subprocess
import threading

from harness import COORDCTL, MemberTest, ctl, wait_until


class Verbs(MemberTest):
    def run_ok(self, *arguments, **options):
        done = ctl(self.member, *arguments, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()

    def run_fails(self, code, *arguments, **options):
        done = ctl(self.member, *arguments, **options)
        self.assertEqual(done.returncode, code, f"{done.stdout}{done.stderr}")
        return done.stderr.decode()

    def test_counter(self):
        self.assertEqual(self.run_ok("counter", "add", "c"), "1\n")
        self.assertEqual(self.run_ok("counter", "add", "c", "41"), "42\n")
        self.assertEqual(self.run_ok("counter", "add", "c", "--", "-2"), "40\n")
        self.assertEqual(self.run_ok("counter", "add", "c", "--block", "10"), "41 50\n")
        self.assertEqual(self.run_ok("counter", "get", "c"), "50\n")
        self.assertEqual(json.loads(self.run_ok("--output", "json", "counter", "get", "c"))["value"], "50")
        self.assertIn("c     50", self.run_ok("counter", "ls"))
        self.run_ok("counter", "rm", "c")
        self.run_fails(3, "counter", "get", "c")
        self.run_fails(2, "counter", "add")
        self.run_fails(2, "counter", "add", "c", "x")

    def test_queue_by_hand(self):
        item = self.run_ok("queue", "put", "q", "job").strip()
        self.assertEqual(self.run_ok("--output", "raw", "queue", "take", "q"), "job")
        self.run_fails(3, "queue", "take", "q")
        self.run_fails(124, "queue", "take", "q", "--wait", "100ms")
        taken = json.loads(self.run_ok("--output", "json", "queue", "ls", "q"))["items"]
        self.assertEqual((taken[0]["item"], taken[0]["state"]), (item, "leased"))
        self.run_fails(4, "queue", "ack", "q", item, "1")
        second = self.run_ok("queue", "put", "q", "-", input=b"from stdin").strip()
        taken = json.loads(self.run_ok("--output", "json", "queue", "take", "q", "--lease", "1h"))
        self.assertEqual((taken["item"], taken["value"]), (second, "from stdin"))
        self.run_ok("queue", "renew", "q", second, taken["lease"], "--for", "2h")
        self.run_ok("queue", "ack", "q", second, taken["lease"])
        self.run_fails(3, "queue", "ack", "q", second, taken["lease"])
        self.assertIn("q", self.run_ok("queue", "ls"))
        self.run_fails(4, "queue", "rm", "q")
        self.run_ok("queue", "rm", "q", "-r")

    def test_queue_worker(self):
        self.run_ok("queue", "put", "w", "hello")
        out = self.run_ok("queue", "take", "w", "--", "sh", "-c", 'cat; echo " $COORD_DELIVERIES"')
        self.assertEqual(out, "hello 1\n")
        self.assertEqual(self.member.get("/v1/queues/w").json["length"], 0)
        self.run_ok("queue", "put", "w", "bad")
        self.run_fails(9, "queue", "take", "w", "--", "sh", "-c", "exit 9")
        state = self.member.get("/v1/queues/w").json
        self.assertEqual((state["ready"], state["leased"]), (1, 0))  # Given back.
        self.run_fails(127, "queue", "take", "w", "--", "no-such-command-here")

    def test_a_worker_renews_its_lease_and_passes_signals_on(self):
        self.run_ok("queue", "put", "long", "job")
        process = subprocess.Popen(
            [str(COORDCTL), "--endpoint", self.member.url, "queue", "take", "long", "--lease",
             "600ms", "--", "sh", "-c", 'trap "exit 7" TERM; echo up; while :; do sleep 0.05; done'],
            stdout=subprocess.PIPE, text=True)
        try:
            self.assertEqual(process.stdout.readline(), "up\n")
            first = self.member.get("/v1/queues/long/items").json["items"][0]
            until = self.member.get("/v1/queues/long").revision + 3
            wait_until(lambda: self.member.get("/v1/queues/long").revision >= until,
                       what="it was renewed three times")
            again = self.member.get("/v1/queues/long/items").json["items"][0]
            self.assertEqual((first["deliveries"], again["deliveries"], again["state"]),
                             (1, 1, "leased"))
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(20), 7)
            self.assertEqual(self.member.get("/v1/queues/long").json["ready"], 1)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdout.close()

    def test_barrier(self):
        outputs = []

        def enter(i):
            outputs.append(self.run_ok("barrier", "enter", "b", "--count", "3", "--", "sh", "-c",
                                       f"echo {i} $COORD_ROUND"))

        threads = [threading.Thread(target=enter, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(sorted(line.split()[0] for line in outputs), ["0", "1", "2"])
        self.assertEqual(len({line.split()[1] for line in outputs}), 1)
        self.assertEqual(self.run_ok("--output", "raw", "barrier", "ls"), "")
        self.run_fails(4, "barrier", "enter", "b", "--count", "2", "--wait", "100ms")
        self.run_fails(2, "barrier", "enter", "b")
        self.run_fails(3, "barrier", "ls", "b")

    def test_barrier_by_hand(self):
        token = self.run_ok("--output", "raw", "session", "open").strip()
        self.assertEqual(self.run_ok("--session", token, "barrier", "enter", "h", "--count", "1"),
                         "released\n")
        self.assertIn("released", self.run_ok("barrier", "ls", "h"))
        self.run_ok("--session", token, "barrier", "leave", "h")
        self.run_fails(3, "--session", token, "barrier", "leave", "h")

    def test_decide(self):
        self.run_fails(3, "decide", "d")
        self.run_fails(124, "decide", "d", "--wait", "100ms")
        self.assertEqual(self.run_ok("decide", "d", "blue"), "blue\n")
        self.assertEqual(self.run_ok("--output", "raw", "decide", "d", "red"), "blue")
        self.assertEqual(self.run_ok("decide", "d", "--wait", "10s"), "blue\n")
        told = json.loads(self.run_ok("--output", "json", "decide", "d", "red"))
        self.assertEqual((told["value"], told["chosen_by_me"]), ("blue", False))

    def test_transaction(self):
        identity = self.run_ok("transaction", "begin", "a", "b", "--within", "1m").strip()
        self.run_fails(124, "transaction", "get", identity, "--wait", "100ms")
        raw = ("--output", "raw", "transaction")
        self.assertEqual(self.run_ok(*raw, "vote", identity, "a", "yes"), "preparing\n")
        self.run_fails(4, *raw, "vote", identity, "a", "no")
        self.assertEqual(self.run_ok(*raw, "vote", identity, "b", "yes"), "committed\n")
        self.assertEqual(self.run_ok(*raw, "get", identity, "--wait", "10s"), "committed\n")
        self.run_fails(4, "transaction", "abort", identity)
        self.assertIn("b            yes", self.run_ok("transaction", "get", identity))
        other = self.run_ok("transaction", "begin", "a").strip()
        self.assertEqual(self.run_ok(*raw, "abort", other), "aborted\n")
        self.assertIn("aborted", self.run_ok("transaction", "ls"))
        self.run_fails(3, "transaction", "get", "999999")
        self.run_fails(2, "transaction", "vote", identity, "a", "perhaps")
