"""Breaks each rule of tidy once, in a repository made for it: a check that cannot fail is none."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import tidy

GOOD = "#pragma once\n\n#include <cstdint>\n"
# name -> (file, its content, the check, a piece of the problem that it must report; None: no problem)
BROKEN = {
    "a good header passes": ("znode/a.hpp", GOOD, tidy.check_words, None),
    "base may not include the tree": (
        "coord/base/a.hpp", '#include "znode/tree.hpp"\n', tidy.check_includes, "may not"),
    "siblings may not include each other": (
        "session/a.cpp", '#include "watch/hub.hpp"\n', tidy.check_includes, "may not"),
    "watch may include a change": (
        "watch/a.cpp", '#include "znode/change.hpp"\n', tidy.check_includes, None),
    "watch may not include the tree": (
        "watch/a.cpp", '#include "znode/tree.hpp"\n', tidy.check_includes, "may not"),
    "the api may not include the node": (
        "api/a.cpp", '#include "coord/core/node.hpp"\n', tidy.check_includes, "may not"),
    "the disk may include an entry": (
        "coord/disk/a.cpp", '#include "election/entry.hpp"\n', tidy.check_includes, None),
    "the shell may not include the server": (
        "cli/a.cpp", '#include "coord/server/runner.hpp"\n', tidy.check_includes, "may not"),
    "the server may not include tests": (
        "coord/server/a.cpp", '#include "tests/sim/a.hpp"\n', tidy.check_includes, "may not"),
    "pure folders start no thread": (
        "znode/a.cpp", "#include <thread>\n", tidy.check_includes, "pure"),
    "pure folders use no system header": (
        "election/a.cpp", "#include <unistd.h>\n", tidy.check_includes, "pure"),
    "pure folders use no Asio": (
        "coord/core/a.cpp", "#include <boost/asio.hpp>\n", tidy.check_includes, "asio"),
    "the disk writes no log lines": (
        "coord/disk/a.cpp", "#include <spdlog/spdlog.h>\n", tidy.check_includes, "spdlog"),
    "pure folders do not throw": (
        "znode/a.cpp", "void f() { throw 1; }\n", tidy.check_pure_names, "throw"),
    "a throw in a comment or a string is none": (
        "znode/a.cpp", '// throw\nconst char* f = "throw";\n', tidy.check_pure_names, None),
    "pure folders use no floating point": (
        "watch/a.cpp", "double x = 0;\n", tidy.check_pure_names, "floating"),
    "pure folders have no mutable statics": (
        "watch/a.cpp", "static int x = 0;\n", tidy.check_pure_names, "statics"),
    "a header without a guard fails": ("znode/a.hpp", "int x;\n", tidy.check_words, "pragma"),
    "using namespace fails": (
        "cli/a.cpp", "using namespace std;\n", tidy.check_words, "using namespace"),
    "what is left for later fails": ("cli/a.cpp", "// TO" + "DO: later\n", tidy.check_words, "TO"),
    "a long file fails": ("cli/a.cpp", "\n" * 701, tidy.check_length, "lines"),
    "bad format fails": ("cli/a.cpp", "int   x ;\n", tidy.check_format, "formatted"),
    "a header that misses an include fails": (
        "znode/a.hpp", "#pragma once\nstd::string f();\n", tidy.check_alone, "alone"),
    "a document that names a missing file fails": (
        "docs/a.md", "See `znode/gone.hpp`.\n", None, "no such file"),
    "a document with a dead link fails": ("docs/a.md", "[x](gone.md)\n", None, "no such file"),
    "a document that names what exists passes": (
        "docs/a.md", "See `docs/a.md` and [x](a.md).\n", None, None),
}


def problems(file, content, check):
    with tempfile.TemporaryDirectory() as folder:
        tidy.ROOT = Path(folder)
        subprocess.run(["git", "init", "-q", folder], check=True)
        (tidy.ROOT / ".clang-format").write_text("BasedOnStyle: Google\nColumnLimit: 100\n")
        (tidy.ROOT / file).parent.mkdir(parents=True)
        (tidy.ROOT / file).write_text(content)
        if check is None:
            files = set(tidy.repository_files())
            folders = {str(parent) for name in files for parent in Path(name).parents}
            return list(tidy.check_document(file, files, folders))
        return list(check(file))


def main():
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    failed = False
    for name, (file, content, check, wanted) in BROKEN.items():
        if part not in "tidy: rule: " + name:
            continue
        found = problems(file, content, check)
        is_right = not found if wanted is None else any(wanted in problem for problem in found)
        failed = failed or not is_right
        print(json.dumps({"case": f"rule: {name}", "result": "passed" if is_right else "failed",
                          "detail": f"found {found}", "repeat": "python3 tests/tidy/selftest.py"}))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
