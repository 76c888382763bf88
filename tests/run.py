"""Runs the whole of CI: `./dev test`. Counts every case; the last line is the sum.

Stages, in this order: tidy (with the format check), build, programs (unit, scenario, simulator: all
that meson knows as a test), end to end, and the programs of the pure folders and the decoders under
sanitizers; a unit test that runs there runs only there. Each program has a time-out; what fails is
listed with the command that repeats it.
"""

import argparse
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The programs that run under sanitizers in a plain `./dev test`: the unit tests only so (to compile
# them twice would take minutes), the others once more.
SANITIZED = re.compile(
    r"^(unit_(base|znode|session|watch|election|recipes|core|disk|api)|property|contract|scenario|fuzz_replay|sim).*")
# The unit tests among them. Not unit_api: it counts allocations, which sanitizers do otherwise.
SANITIZED_ONLY = re.compile(r"^unit_(base|znode|session|watch|election|recipes|core|disk)$")
# Programs that take so long that their cases are spread over all processors.
SPREAD = ("sim",)
PROGRAM_SECONDS = 300
E2E_SECONDS = 900
SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": "abort_on_error=0:exitcode=99:detect_stack_use_after_return=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    "TSAN_OPTIONS": f"halt_on_error=1:exitcode=99:suppressions={ROOT}/.ci/tsan.supp",
}


@dataclass
class Case:
    name: str
    result: str  # passed, failed, skipped
    detail: str = ""
    repeat: str = ""


def run_command(command, seconds, environment=None, cwd=ROOT):
    """Returns (exit code or None at a time-out, output). Ends the whole group that it started."""
    process = subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", start_new_session=True, env={**os.environ, **(environment or {})})
    try:
        output, _ = process.communicate(timeout=seconds)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return None, output


def tail(text, lines=40):
    return "\n".join(text.rstrip().splitlines()[-lines:])


def shown(command):
    return " ".join(str(part).replace(str(ROOT) + "/", "") for part in command)


# ---- programs that meson knows


def gtest_cases(program, command, seconds, environment, label):
    """Runs a GoogleTest program; one Case for each of its tests, and one more if it died."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        code, output = run_command(
            [*command, f"--gtest_output=json:{report.name}"], seconds, environment)
        text = Path(report.name).read_text(errors="replace")
    cases = []

    def add(name, result, detail=""):
        repeat = f"{shown(command)} --gtest_filter={name}"
        cases.append(Case(f"{label}{program}: {name}", result, detail, repeat))

    if text:
        for suite in json.loads(text).get("testsuites", []):
            for test in suite.get("testsuite", []):
                name = f'{suite["name"]}.{test["name"]}'
                if test.get("failures"):
                    add(name, "failed", "\n".join(f["failure"] for f in test["failures"]))
                elif test.get("result") == "SKIPPED":
                    reason = re.search(r"RUN      \] " + re.escape(name) + r"\n(.*?)\[  SKIPPED",
                                       output, re.S)
                    add(name, "skipped", reason.group(1).strip() if reason else "no reason given")
                elif test.get("result") == "COMPLETED":
                    add(name, "passed")
    else:  # It died on the way: its output tells how far it came.
        for name in re.findall(r"^\[       OK \] (\S+)", output, re.M):
            add(name, "passed")
        for name in re.findall(r"^\[  FAILED  \] (\S+) \(", output, re.M):
            add(name, "failed")
    if code != 0 and not any(case.result == "failed" for case in cases):
        last = re.findall(r"^\[ RUN      \] (\S+)", output, re.M)[-1:] or ["*"]
        how = f"no end within {seconds} s" if code is None else f"died with {code}"
        add(last[0], "failed", f"{how}\n{tail(output)}")
    return cases


def program_cases(test, label, wanted, shard=(0, 1)):
    """Runs one test that meson knows, or of its cases those of the shard (number, of how many)."""
    command, name = test["cmd"], test["name"]
    environment = {**SANITIZER_ENVIRONMENT, **test.get("env", {}),
                   "GTEST_SHARD_INDEX": str(shard[0]), "GTEST_TOTAL_SHARDS": str(shard[1])}
    seconds = max(PROGRAM_SECONDS, int(test.get("timeout") or 0))
    if test["protocol"] == "gtest":
        if wanted and wanted not in name:
            command = [*command, f"--gtest_filter=*{wanted}*"]
        return gtest_cases(name, command, seconds, environment, label)
    if wanted and wanted not in name:
        return []
    code, output = run_command(command, seconds, environment)
    if code == 0:
        return [Case(f"{label}{name}", "passed")]
    how = f"no end within {seconds} s" if code is None else f"exit code {code}"
    return [Case(f"{label}{name}", "failed", f"{how}\n{tail(output)}", shown(command))]


def configure(kind):
    subprocess.run([str(ROOT / "dev"), "build", f"--{kind}", "build.ninja"], check=True,
                   stdout=subprocess.DEVNULL)


def known_tests(build):
    out = subprocess.run(["meson", "introspect", "--tests", str(build)], check=True,
                         capture_output=True, text=True).stdout
    return json.loads(out)


def known_targets(build):
    out = subprocess.run(["meson", "introspect", "--targets", str(build)], check=True,
                         capture_output=True, text=True).stdout
    return json.loads(out)


def targets_of(tests, build):
    """The files that the tests need: their programs, and the programs that those start."""
    files = {target["id"]: target["filename"] for target in known_targets(build)}
    wanted = {file for test in tests for target in test["depends"] for file in files[target]}
    return sorted(os.path.relpath(file, build) for file in wanted)


def programs_but(tests, build):
    """All programs, but not those of the tests."""
    unwanted = {target for test in tests for target in test["depends"]}
    return sorted(os.path.relpath(file, build) for target in known_targets(build)
                  if target["type"] == "executable" and target["id"] not in unwanted
                  for file in target["filename"])


# ---- Python tests: tidy and end to end; both print one JSON object a line and case


def line_cases(command, seconds, environment, label):
    code, output = run_command(command, seconds, environment)
    cases = []
    noise = []
    for line in output.splitlines():
        if line.startswith('{"case":'):
            fields = json.loads(line)
            cases.append(Case(label + fields["case"], fields["result"], fields.get("detail", ""),
                              fields.get("repeat", "")))
        else:
            noise.append(line)
    if code != 0 and not any(case.result == "failed" for case in cases):
        how = f"no end within {seconds} s" if code is None else f"died with {code}"
        cases.append(Case(f"{label}{shown(command[1:])}", "failed",
                          f"{how}\n{tail(chr(10).join(noise))}", shown(command)))
    return cases


# ---- the run


class Run:
    def __init__(self, options):
        self.options = options
        self.cases = []
        self.workers = max(1, os.cpu_count() or 1)
        self.started = time.monotonic()

    def say(self, text):
        print(f"[{time.monotonic() - self.started:5.0f} s] {text}", flush=True)

    def add(self, cases):
        for case in cases:
            self.cases.append(case)
            if case.result == "failed":
                print(f"FAILED  {case.name}", flush=True)

    def build(self, kind, targets=()):
        self.say(f"build/{kind}")
        command = [str(ROOT / "dev"), "build", f"--{kind}", *targets]
        code, output = run_command(command, 3600)
        if code == 0:
            return True
        self.add([Case(f"build/{kind}", "failed", tail(output, 60), shown(command))])
        return False

    def tidy(self):
        self.say("tidy and format")
        part = [self.options.filter] if self.options.filter else []
        for script in (["selftest.py"], ["tidy.py", "--json"]):
            command = [sys.executable, str(ROOT / "tests/tidy" / script[0]), *script[1:], *part]
            self.add(line_cases(command, 900, None, "tidy: "))

    def in_parallel(self, jobs):
        with concurrent.futures.ThreadPoolExecutor(self.workers) as pool:
            for cases in pool.map(lambda job: job(), jobs):
                self.add(cases)

    def programs(self, kind, tests, label=""):
        self.say(f"{len(tests)} programs of build/{kind}")
        wanted = self.options.filter
        jobs = []
        for test in sorted(tests, key=lambda test: test["name"] not in SPREAD):
            shards = self.workers if test["name"] in SPREAD else 1
            jobs += [lambda t=test, s=(i, shards): program_cases(t, label, wanted, s)
                     for i in range(shards)]
        self.in_parallel(jobs)

    def end_to_end(self, kind):
        modules = sorted(path.stem for path in (ROOT / "tests/e2e").glob("test_*.py"))
        self.say(f"{len(modules)} modules end to end against build/{kind}")
        environment = {**SANITIZER_ENVIRONMENT, "COORD_BUILD": kind}
        base = [sys.executable, str(ROOT / "tests/e2e/main.py"), "--json"]
        wanted = [self.options.filter] if self.options.filter else []
        self.in_parallel([
            lambda m=m: line_cases([*base, m, *wanted], E2E_SECONDS, environment, "e2e: ")
            for m in modules])

    def sanitized(self):
        """The pure folders and the decoders, under ASan and UBSan."""
        configure("asan")
        build = ROOT / "build/asan"
        tests = [test for test in known_tests(build) if SANITIZED.match(test["name"])]
        if self.build("asan", targets_of(tests, build)):
            self.programs("asan", tests, "asan: ")

    def everything(self):
        kind = self.options.kind
        self.tidy()
        configure(kind)
        build = ROOT / f"build/{kind}"
        tests = known_tests(build)
        is_sanitized_too = kind == "release" and not self.options.quick
        targets = ()
        if is_sanitized_too:
            not_here = [test for test in tests if SANITIZED_ONLY.match(test["name"])]
            tests = [test for test in tests if test not in not_here]
            targets = programs_but(not_here, build)
        if self.build(kind, targets):
            self.programs(kind, tests)
            if not self.options.quick:
                self.end_to_end(kind)
        if is_sanitized_too:
            self.sanitized()

    def report(self):
        count = {"passed": 0, "failed": 0, "skipped": 0}
        for case in self.cases:
            count[case.result] += 1
        for case in self.cases:
            if case.result == "skipped":
                print(f"skipped {case.name}: {case.detail}")
        for case in self.cases:
            if case.result == "failed":
                print(f"\nFAILED  {case.name}\n{case.detail}\n  repeat: {case.repeat}")
        self.say("done")
        skipped = f', {count["skipped"]} skipped' if count["skipped"] else ""
        print(f'{count["passed"]} passed, {count["failed"]} failed{skipped}')
        return 1 if count["failed"] or not count["passed"] else 0


def main():
    parser = argparse.ArgumentParser(prog="./dev test")
    for kind in ("release", "debug", "asan", "tsan"):
        parser.add_argument(f"--{kind}", dest="kind", action="store_const", const=kind)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("filter", nargs="?", default="")
    parser.set_defaults(kind="release")
    run = Run(parser.parse_args())
    run.everything()
    sys.exit(run.report())


if __name__ == "__main__":
    main()
