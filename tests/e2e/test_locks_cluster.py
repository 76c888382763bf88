"""Locks over three members: a paused holder, the kill of the leader, hand-overs on any member, and
never two holders whose fenced writes both succeed."""

import http.client
import json
import os
import random
import signal
import subprocess
import threading
import time
import unittest

from cluster import Cluster
from harness import COORDCTL, SLOW, wait_until


class LockCluster(unittest.TestCase):
    def cluster(self, **options):
        cluster = Cluster(**options)
        self.addCleanup(cluster.close)
        return cluster.start()

    def take(self, member, name, session=None, timeout=60, **fields):
        headers = {"Coord-Session": session} if session else {}
        return member.request("POST", "/v1/locks/" + name, fields, headers, timeout=timeout)


class Fencing(LockCluster):
    def test_a_paused_holder_wakes_too_late_and_a_watch_survives_the_leader(self):
        cluster = self.cluster()
        leader = cluster.leader()
        follower = cluster.followers()[0]
        seen, resumed = [], []
        is_over = threading.Event()

        def watch():
            """curl -N, from the leader first; when it is cut, on from the last id elsewhere."""
            last, members = "", [leader, *cluster.followers()]
            while not is_over.is_set():
                member = members[len(resumed) % len(members)]
                headers = ["-H", f"Last-Event-ID: {last}"] if last else []
                curl = subprocess.Popen(
                    ["curl", "-sN", *headers, f"{member.url}/v1/watch?path=/w&values=true"],
                    stdout=subprocess.PIPE, text=True)
                resumed.append(member.id)
                kind, identity = "", ""
                for line in curl.stdout:
                    name, _, value = line.strip().partition(": ")
                    if name == "event":
                        kind = value
                    elif name == "id":
                        last = identity = value
                    elif name == "data" and kind == "changed":
                        seen.append(json.loads(value)["value"])
                    if is_over.is_set():
                        break
                curl.kill()
                curl.wait()
                curl.stdout.close()

        follower.put("/v1/tree/w", "0")
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        wait_until(lambda: resumed, 10, "the watch")
        # The holder is a process of its own; what it runs writes when it is told to.
        script = (f"echo held; read go; curl -s -o /dev/null -w '%{{http_code}}\\n' "
                  f"-X PUT -H \"Coord-Session: $COORD_SESSION\" -H \"Coord-Fence: $COORD_FENCE\" "
                  f"-d late {follower.url}/v1/tree/report; sleep 60")
        holder = subprocess.Popen(
            [str(COORDCTL), "--endpoint", follower.url, "lock", "report", "--ttl", "2s", "--",
             "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True)

        def end_holder():
            if holder.poll() is None:
                os.killpg(holder.pid, signal.SIGKILL)
            holder.wait()
            for pipe in (holder.stdin, holder.stdout, holder.stderr):
                pipe.close()
        self.addCleanup(end_holder)
        self.assertEqual(holder.stdout.readline(), "held\n")
        os.killpg(holder.pid, signal.SIGSTOP)
        next_holder = self.take(follower, "report", wait="60s")
        self.assertEqual(next_holder.status, 201, next_holder)
        follower.put("/v1/tree/w", "1")
        leader.kill()
        self.assertEqual(wait_until(lambda: self.put(follower, "/v1/tree/w", "2"), 20, "a leader"),
                         200)
        held = {"Coord-Session": next_holder["Coord-Session"],
                "Coord-Fence": next_holder["Coord-Fence"]}
        self.assertEqual(follower.request("PUT", "/v1/tree/report", "second", held).status, 201)
        # Only the command is woken: coordctl would end it at once.
        children = subprocess.run(["pgrep", "-P", str(holder.pid)], capture_output=True, text=True)
        for child in children.stdout.split():
            os.kill(int(child), signal.SIGCONT)
        holder.stdin.write("go\n")
        holder.stdin.flush()
        self.assertEqual(holder.stdout.readline(), "409\n")
        self.assertEqual(follower.get("/v1/tree/report").text, "second")
        os.killpg(holder.pid, signal.SIGCONT)
        self.assertEqual(holder.wait(30 * SLOW), 125)
        self.assertEqual(self.put(follower, "/v1/tree/w", "3"), 200)
        wait_until(lambda: len(seen) >= 3, 20, "the watch")
        is_over.set()
        self.put(follower, "/v1/tree/w", "4")
        watcher.join(20)
        self.assertEqual(seen[:3], ["1", "2", "3"])
        self.assertGreater(len(resumed), 1)

    def put(self, member, path, value):
        answer = member.put(path, value)
        return answer.status if answer.status in (200, 201) else None


class HandOver(LockCluster):
    def test_waiters_on_every_member_are_served_in_order_over_the_kill_of_the_leader(self):
        cluster = self.cluster()
        leader = cluster.leader()
        one, two = cluster.followers()
        first = self.take(one, "jobs")
        self.assertEqual(first.status, 201)
        order = []
        threads = []
        for i, member in enumerate([one, two, one, two]):
            def wait(member=member, i=i):
                order.append((i, self.take(member, "jobs", wait="120s", timeout=150)))
            threads.append(threading.Thread(target=wait, daemon=True))
            threads[-1].start()
            wait_until(lambda: one.get("/v1/locks/jobs").json.get("queue_length") == i + 1, 10, "queue")
        leader.kill()
        wait_until(lambda: one.get("/v1/locks/jobs").status == 200, 20, "a leader")
        session, token = first["Coord-Session"], first.json["token"]
        for i in range(4):
            answer = one.delete("/v1/locks/jobs/mine", coord_session=session)
            self.assertEqual(answer.status, 204, answer)
            wait_until(lambda: len(order) == i + 1, 20, f"waiter {i}")
            number, held = order[i]
            self.assertEqual((number, held.status), (i, 201), held)
            self.assertGreater(held.json["token"], token)
            session, token = held["Coord-Session"], held.json["token"]
        for thread in threads:
            thread.join(10)

    def test_a_dead_holders_lock_passes_on_within_its_ttl_and_an_election(self):
        cluster = self.cluster()
        follower = cluster.followers()[0]
        self.assertEqual(self.take(follower, "jobs", ttl="2s").status, 201)
        cluster.leader().kill()
        began = time.monotonic()
        answer = wait_until(lambda: self.granted(follower), 30, "the lock")
        self.assertEqual(answer.status, 201)
        self.assertLess(time.monotonic() - began, 9 * SLOW)

    def granted(self, member):
        answer = self.take(member, "jobs", wait="30s")
        return answer if answer.status == 201 else None


class Exclusion(LockCluster):
    """Clients take one lock, count up under it with their fence, and let go, while members die."""

    def test_no_count_is_lost_while_leaders_are_killed(self):
        cluster = self.cluster()
        cluster.leader().put("/v1/tree/count", "0")
        is_over = threading.Event()
        done, tokens, wrong = [], [], []

        def work(seed):
            random_ = random.Random(seed)
            while not is_over.is_set():
                member = random_.choice(list(cluster))
                try:
                    held = self.take(member, "counter", wait="5s", ttl="2s", timeout=8)
                    if held.status != 201:
                        continue
                    headers = {"Coord-Session": held["Coord-Session"],
                               "Coord-Fence": held["Coord-Fence"]}
                    seen = member.request("GET", "/v1/tree/count", timeout=8)
                    if random_.random() < 0.05:
                        time.sleep(2.5)  # Longer than its session lives: the write comes too late.
                    put = member.request("PUT", "/v1/tree/count", str(int(seen.text) + 1), headers,
                                         timeout=8)
                    if put.status == 200:
                        done.append(held.json["token"])
                    elif put.status not in (409, 410, 503, 504):
                        wrong.append(str(put))
                    tokens.append(held.json["token"])
                    member.delete("/v1/locks/counter/mine",
                                  coord_session=held["Coord-Session"])
                except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
                    pass  # A member that died: its lock ends with its session.

        workers = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(6)]
        for worker in workers:
            worker.start()
        for _ in range(3):
            wait_until(lambda before=len(done): len(done) >= before + 15, 60, "progress")
            leader = cluster.leader()
            leader.kill()
            wait_until(lambda before=len(done): len(done) >= before + 15, 60, "progress")
            leader.spawn()
            cluster.wait_ready(leader)
        is_over.set()
        for worker in workers:
            worker.join(60)
        self.assertEqual(wrong, [])
        self.assertEqual(len(set(tokens)), len(tokens), "each token is given once")
        # Every count that was answered is there; one whose answer was lost may be too.
        count = int(cluster.leader().get("/v1/tree/count").text)
        history = cluster.leader().get("/v1/history/count?limit=10000").json["history"]
        values = [int(entry["value"]) for entry in reversed(history)]
        self.assertEqual(values, list(range(count + 1)), "no two wrote the same count")
        self.assertGreaterEqual(count, len(done))
        cluster.wait_same_digest()


