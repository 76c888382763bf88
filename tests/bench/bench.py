"""./dev bench: measures a coordd, for speed beside Debian's etcd-server. See README.md here.

    ./dev bench [--only speed,paced,watch,events,size,listing,checkpoint] [--runs 3] [--seconds 5]
                [--json FILE]
"""

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from servers import LOADGEN, ROOT, Coord, Etcd

sys.path.insert(0, str(ROOT / "tests/e2e"))
SCENARIOS = ("floors", "speed", "paced", "watch", "events", "size", "listing", "checkpoint")


def median(results, field):
    return statistics.median(result[field] for result in results)


def ms(microseconds):
    return f"{microseconds / 1000:.2f}"

# Bounds that no run reaches.
NO_CHECKPOINT = ["--checkpoint-bytes", "64GiB", "--checkpoint-records", "1000000000",
                 "--checkpoint-interval-ms", "1000000000"]


class Bench:
    def __init__(self, options):
        self.options = options
        self.folder = Path(options.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        kind = subprocess.run(["stat", "-f", "-c", "%T", str(self.folder)], capture_output=True,
                              text=True).stdout.strip()
        if kind in ("tmpfs", "ramfs"):
            raise SystemExit(f"{self.folder} is on {kind}, where a sync costs nothing")
        self.figures = {}

    def note(self, scenario, **figures):
        self.figures[scenario] = figures
        shown = "  ".join(f"{name} {value:.2f}" if isinstance(value, float) else f"{name} {value}"
                          for name, value in figures.items())
        print(f"{scenario:24} {shown}", flush=True)

    # ---- one scenario each

    def floors(self):
        floor = {}
        for op, extra in (("floor-sync", ["--folder", str(self.folder)]), ("floor-loopback", [])):
            runs = [json.loads(subprocess.run([str(LOADGEN), "--op", op, *extra], check=True,
                                              capture_output=True, text=True).stdout)
                    for _ in range(self.options.runs)]
            floor[op] = median(runs, "p50_us")
        self.note("floors", sync_p50_us=floor["floor-sync"],
                  loopback_p50_us=floor["floor-loopback"])

    def speed(self):
        """Closed loops, the subjects alternating; both run all the time, one at work."""
        servers = self.start_pair()
        self.peak = {}
        for name, op, connections in (("W1", "put", 1), ("W64", "put", 64), ("R1", "get", 1),
                                      ("R64", "get", 64)):
            self.alternate(servers, name, op, connections=connections,
                           seconds=self.options.seconds)
        for server in servers:
            server.end()

    def paced(self):
        """The same offered load for both: half of etcd's peak."""
        if not getattr(self, "peak", None):
            self.speed()
        servers = self.start_pair()
        for name, op in (("W64", "put"), ("R64", "get")):
            self.alternate(servers, f"{name}-paced", op, connections=64,
                           rate=round(self.peak[name] / 2), seconds=self.options.seconds)
        for server in servers:
            server.end()

    def start_pair(self):
        servers = [Coord(self.folder), Etcd(self.folder)]
        for server in servers:
            server.start()
            server.load("fill", keys=10_000, batch=100)
            for op in ("put", "get"):  # Warm.
                server.load(op, connections=64, seconds=2)
        return servers

    def alternate(self, servers, name, op, **options):
        results = {server.name: [] for server in servers}
        for _ in range(self.options.runs):
            for server in servers:
                results[server.name].append(server.load(op, **options))
        ours, theirs = results["coord"], results["etcd"]
        self.peak[name] = median(theirs, "per_second")
        for subject, runs in results.items():
            self.note(f"{name} {subject}", per_s=median(runs, "per_second"),
                      p50_ms=ms(median(runs, "p50_us")), p99_ms=ms(median(runs, "p99_us")),
                      p999_ms=ms(median(runs, "p999_us")),
                      cpu_us=median(runs, "server_cpu_us"),
                      errors=sum(run["errors"] for run in runs),
                      foreign_percent=median(runs, "foreign_percent"))
        self.note(f"{name} ratio", throughput=median(ours, "per_second") / self.peak[name],
                  p99=median(ours, "p99_us") / median(theirs, "p99_us"))

    def watch(self):
        for kind in (Coord, Etcd):
            server = kind(self.folder)
            server.start()
            server.load("fill", keys=10, batch=10)
            results = [server.load("watch", connections=1000, count=20)
                       for _ in range(self.options.runs)]
            self.note(f"watch-1000 {server.name}", after_answer_p50_ms=ms(median(results, "p50_us")),
                      max_ms=ms(max(result["max_us"] for result in results)))
            server.end()

    def events(self):
        """100,000 events to one watcher of a subtree: none lost, none twice, in order."""
        from harness import Stream, wait_until
        server = Coord(self.folder)
        server.start()
        server.call("PUT", "/v1/tree/top", "")
        stream = Stream(server, "/v1/watch?path=/top&depth=all")
        started = time.monotonic()
        wanted = []
        for page in range(100):
            ops = [{"op": "create", "path": f"/top/{page}-{i}", "value": ""} for i in range(1000)]
            status, body = server.call("POST", "/v1/txn", json.dumps({"then": ops}))
            assert status == 200, body
            revision = json.loads(body)["revision"]
            wanted += [(revision, op["path"]) for op in ops]
        written = time.monotonic() - started
        wait_until(lambda: len(stream.events) > 100_000, 60, "100,000 events and a bookmark")
        seconds = time.monotonic() - started
        is_right = [(e.data["revision"], e.data["path"]) for e in stream.of()] == wanted
        self.note("events-100000", is_right=is_right, written_s=written, received_s=seconds)
        stream.close()
        server.end()

    def size(self):
        server = Coord(self.folder)
        server.start()
        time.sleep(2)
        empty = server.anonymous_bytes()
        filled = server.load("fill", keys=1_000_000, parents=1000)
        peak = server.anonymous_bytes()
        self.settle(server)
        full = server.anonymous_bytes()
        starts = []
        for _ in range(self.options.runs):
            server.end(signal.SIGKILL)
            starts.append(server.start())
        restarted = server.anonymous_bytes()
        server.end()
        clean = server.start()
        self.note("size", idle_mib=empty / 2**20, bytes_per_node=(full - empty) / 1e6,
                  bytes_per_node_at_peak=(peak - empty) / 1e6,
                  bytes_per_node_after_restart=(restarted - empty) / 1e6,
                  fill_per_s=1e6 / filled["seconds"], start_after_kill_s=statistics.median(starts),
                  start_after_stop_s=clean)
        server.end()

    def settle(self, server, seconds=60):
        """Waits until the checkpoint has stopped moving."""
        deadline = time.monotonic() + seconds
        before = None
        while time.monotonic() < deadline:
            now = server.status()["checkpointed"]
            if now == before:
                return
            before = now
            time.sleep(3)

    def listing(self):
        """A directory of a million children is listed by pages beside 1,000 small reads a second."""
        server = Coord(self.folder)
        server.start()
        server.load("fill", keys=1_000_000, parents=1)
        self.settle(server)
        probe = {"connections": 16, "rate": 1000, "seconds": 10, "parents": 1, "keys": 1_000_000}
        quiet, busy, pages = [], [], []
        for _ in range(self.options.runs):
            quiet.append(server.load("get", **probe))
            lister = subprocess.Popen(
                [str(LOADGEN), "--port", str(server.port), "--op", "list", "--batch", "1000",
                 "--seconds", "10"], stdout=subprocess.PIPE, text=True)
            busy.append(server.load("get", **probe))
            pages.append(json.loads(lister.communicate()[0]))
        self.note("listing", quiet_p999_ms=ms(median(quiet, "p999_us")),
                  busy_p999_ms=ms(median(busy, "p999_us")),
                  rise_ms=ms(median(busy, "p999_us") - median(quiet, "p999_us")),
                  pages_per_s=median(pages, "per_second"))
        server.end()

    def checkpoint(self):
        """Random updates over a million nodes: with the default checkpoints, and with none."""
        server = Coord(self.folder)
        server.start()
        server.load("fill", keys=1_000_000, parents=1000)
        self.settle(server)
        options = {"connections": 16, "rate": self.options.update_rate, "parents": 1000,
                   "keys": 1_000_000}
        quiet, busy = [], []
        for _ in range(self.options.runs):
            for runs, flags in ((quiet, NO_CHECKPOINT), (busy, [])):
                self.settle(server)
                server.end()
                server.flags = flags
                server.start()
                server.load("put", seconds=5, **options)  # The kernel writes back what came before.
                before = server.status()["checkpointed"]
                run = server.load("put", seconds=15, **options)
                run["checkpoints"] = server.status()["checkpointed"] != before
                runs.append(run)
        if any(run["checkpoints"] for run in quiet) or not all(run["checkpoints"] for run in busy):
            self.note("checkpoint", measured="no: a quiet run had a checkpoint, or a busy one had none")
            server.end()
            return
        self.note("checkpoint", rate=self.options.update_rate, quiet_p99_ms=ms(median(quiet, "p99_us")),
                  busy_p99_ms=ms(median(busy, "p99_us")),
                  ratio=median(busy, "p99_us") / median(quiet, "p99_us"))
        server.end()


def main():
    parser = argparse.ArgumentParser(prog="./dev bench")
    parser.add_argument("--only", default=",".join(SCENARIOS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--update-rate", type=int, default=5000)
    parser.add_argument("--folder", default=str(ROOT / "build/bench"))
    parser.add_argument("--json", help="keep the figures in this file")
    options = parser.parse_args()
    bench = Bench(options)
    for scenario in options.only.split(","):
        if scenario not in SCENARIOS:
            parser.error(f"no scenario is named {scenario}")
        getattr(bench, scenario)()
    if options.json:
        Path(options.json).write_text(json.dumps(bench.figures, indent=1) + "\n")
    shutil.rmtree(bench.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
