"""The subjects of the measurement: one coordd, one etcd, each on data of its own."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
COORDD = ROOT / "build/release/coord/coordd"
LOADGEN = ROOT / "build/release/tests/bench/loadgen"
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    name = ""

    def __init__(self, folder, flags=()):
        self.folder = Path(folder) / self.name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.port = free_port()
        self.flags = list(flags)
        self.process = None

    def start(self):
        """Returns the seconds until the first read was answered."""
        started = time.monotonic()
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        while not self.answers():
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended:\n{(self.folder / 'log').read_text()[-3000:]}")
            if time.monotonic() - started > 120:
                raise SystemExit(f"{self.name} does not answer")
            time.sleep(0.002)
        return time.monotonic() - started

    def answers(self):
        try:
            return self.read_once()
        except (OSError, http.client.HTTPException):
            return False

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def end(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)

    def anonymous_bytes(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no RssAnon")

    def cpu_seconds(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def load(self, op, **options):
        """Runs loadgen against this server; its result, with the CPU that others used beside."""
        flags = [item for key, value in options.items()
                 for item in (f"--{key.replace('_', '-')}", str(value))]
        busy, own, started = busy_seconds(), self.cpu_seconds(), time.monotonic()
        process = subprocess.Popen(
            [str(LOADGEN), "--server", self.name, "--port", str(self.port), "--op", op, *flags],
            stdout=subprocess.PIPE, text=True)
        out = process.stdout.read()
        _, code, usage = os.wait4(process.pid, 0)
        process.returncode = code
        if code != 0:
            raise SystemExit(f"loadgen {op} against {self.name} failed")
        result = json.loads(out)
        client = usage.ru_utime + usage.ru_stime
        server = self.cpu_seconds() - own
        elapsed = time.monotonic() - started
        foreign = max(0.0, busy_seconds() - busy - server - client)
        result["server_cpu_us"] = server * 1e6 / max(1, result["ops"])
        result["foreign_percent"] = 100 * foreign / elapsed / os.cpu_count()
        return result


class Coord(Server):
    name = "coord"

    def command(self):
        return [str(COORDD), "--http", f"127.0.0.1:{self.port}", "--data", str(self.folder / "data"),
                *self.flags]

    def read_once(self):
        return self.call("GET", "/v1/tree/")[0] == 200

    def status(self):
        return json.loads(self.call("GET", "/v1/status")[1])


class Etcd(Server):
    name = "etcd"

    def command(self):
        client, peer = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{free_port()}"
        return ["etcd", "--data-dir", str(self.folder / "data"), "--listen-client-urls", client,
                "--advertise-client-urls", client, "--listen-peer-urls", peer,
                "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
                "--quota-backend-bytes", str(8 << 30), "--log-level", "warn",
                "--logger", "zap"]

    def read_once(self):
        status, _ = self.call("POST", "/v3/kv/range", '{"key":"Zm9v"}')
        return status == 200


def busy_seconds():
    """Seconds that all cores together were busy since the start of the machine."""
    fields = [int(field) for field in open("/proc/stat").readline().split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / TICKS
