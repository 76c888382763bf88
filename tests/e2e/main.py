"""Runs end-to-end modules: python3 tests/e2e/main.py [MODULE] [PART-OF-A-NAME]

With --json one JSON object for each test, for tests/run.py. COORD_BUILD names the build that is
tested (release).
"""

import argparse
import json
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


class LineResult(unittest.TestResult):
    """Prints each case as it ends."""

    def __init__(self, as_json):
        super().__init__()
        self.as_json = as_json
        self.done = {}

    def startTest(self, test):
        super().startTest(test)
        self.done[test] = ("passed", "")

    def addError(self, test, err):
        self._note(test, err)

    def addFailure(self, test, err):
        self._note(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._note(test, err, str(subtest.params) + "\n")

    def _note(self, test, err, before=""):
        detail = before + self._exc_info_to_string(err, test)
        earlier = self.done.get(test, ("", ""))[1]
        self.done[test] = ("failed", (earlier + "\n" + detail).strip())
        self.failures.append((test, detail))
        if not isinstance(test, unittest.TestCase):  # A setUpClass that failed.
            self._print(test, *self.done[test])

    def addSkip(self, test, reason):
        self.done[test] = ("skipped", reason)
        if not isinstance(test, unittest.TestCase):
            self._print(test, "skipped", reason)

    def addExpectedFailure(self, test, err):
        self._note(test, err)

    def stopTest(self, test):
        super().stopTest(test)
        self._print(test, *self.done[test])

    def _print(self, test, result, detail):
        name = test.id() if hasattr(test, "id") else str(test)
        if self.as_json:
            module, _, case = name.partition(".")
            print("\n" + json.dumps({
                "case": name, "result": result, "detail": detail,
                "repeat": f"python3 tests/e2e/main.py {module} {case.split('.')[-1]}"}),
                flush=True)
        else:
            print(f"{result:8} {name}" + (f"\n{detail}" if detail else ""), flush=True)


def pick(suite, part):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from pick(test, part)
        elif part in "e2e: " + test.id():
            yield test


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("module", nargs="?")
    parser.add_argument("part", nargs="?", default="")
    options = parser.parse_args()
    names = [options.module] if options.module else sorted(p.stem for p in HERE.glob("test_*.py"))
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    result = LineResult(options.json)
    unittest.TestSuite(pick(suite, options.part)).run(result)
    sys.exit(0 if result.wasSuccessful() else 1)


if __name__ == "__main__":
    main()
