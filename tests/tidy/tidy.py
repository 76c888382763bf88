"""Rules about the source, as tests. `./dev test` runs it; by hand: python3 tests/tidy/tidy.py [PART]

Prints one line for each case; with --json one JSON object for each. PART: only cases whose name
contains it. Only files that belong to the repository (git knows them, or could add them) count.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from rules import BANNED_HEADERS, FOLDERS, LIBRARIES, PURE, PURE_NAMES, folder_of

ROOT = Path(__file__).resolve().parent.parent.parent
LINES_MAX = 700
TOP_LEVEL = ("coord", "znode", "session", "watch", "election", "api", "cli", "tests", "docker",
             "docs", ".ci")


def repository_files():
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT,
                         check=True, capture_output=True, text=True).stdout
    return sorted(name for name in out.split("\0") if name and (ROOT / name).is_file())


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def without_comments_and_strings(text):
    """Keeps the lines, so that line numbers stay true."""
    token = re.compile(
        r'R"(?P<tag>[^(\s]*)\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\''
        r"|//[^\n]*|/\*.*?\*/", re.S)
    # A quote between digits is a separator (10'000), not a character.
    text = re.sub(r"(?<=\d)'(?=\d)", "", text)
    return token.sub(lambda m: "\n" * m.group().count("\n"), text)


INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)


def includes(name):
    """(line, is_project, target) of each direct include."""
    text = read(name)
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match.group(1) == '"', match.group(2)


# ---- the checks: each takes a file's name and gives the problems found in it


def check_includes(name):
    folder = folder_of(name)
    if folder is None:
        return
    rule = FOLDERS[folder]
    for line, is_project, target in includes(name):
        where = f"{name}:{line}: includes {target}"
        if is_project:
            if folder_of(target) == folder or rule.allows(target):
                continue
            yield f"{where}, which {folder} may not"
        elif folder in PURE and target in BANNED_HEADERS:
            yield f"{where}: pure folders may not name it"
        elif folder in PURE and target.endswith(".h") and not LIBRARIES["pure"].match(target):
            yield f"{where}: pure folders use no system header"
        else:
            for library, pattern in LIBRARIES.items():
                if library != "pure" and pattern.match(target) and library not in rule.libraries:
                    yield f"{where}: {folder} may not use {library}"


def check_pure_names(name):
    if folder_of(name) not in PURE:
        return
    text = without_comments_and_strings(read(name))
    for pattern, why in PURE_NAMES:
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{name}:{line}: {match.group().strip()}: {why}"


def check_length(name):
    lines = read(name).count("\n")
    limit = LINES_MAX
    if lines > limit:
        yield f"{name}: {lines} lines, more than {limit}: split it"


def check_words(name):
    text = read(name)
    code = without_comments_and_strings(text) if name.endswith((".hpp", ".cpp")) else ""
    for match in re.finditer(r"\busing namespace\b", code):
        yield f"{name}:{code.count(chr(10), 0, match.start()) + 1}: using namespace"
    for match in re.finditer(r"\b(TODO|FIXME|XXX|HACK)\b", text):
        yield f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()}: do it or drop it"
    # A precompiled header is the main file of its compilation, where the guard is a warning.
    is_main = name.endswith("_pch.hpp")
    if name.endswith(".hpp") and not is_main and "\n#pragma once\n" not in "\n" + text:
        yield f"{name}: no #pragma once"


def check_format(name):
    done = subprocess.run(["clang-format-14", "--dry-run", "-Werror", name], cwd=ROOT,
                          capture_output=True, text=True)
    if done.returncode != 0:
        yield f"{name}: not formatted, run ./dev format"


def check_alone(name):
    """The header compiles when nothing stands before it. ccache makes the second time cheap."""
    folder = ROOT / "build/tidy"
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / (name.replace("/", "__") + ".cpp")
    source.write_text(f'#include "{name}"\n')
    done = subprocess.run(
        ["ccache", "g++", "-std=c++20", "-Wall", "-Wextra", "-I.", "-DBOOST_ASIO_NO_DEPRECATED",
         "-DBOOST_ASIO_DISABLE_BOOST_COROUTINE", '-DCOORD_VERSION="tidy"', "-c",
         str(source.relative_to(ROOT)), "-o", str(source.with_suffix(".o").relative_to(ROOT))],
        cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        yield f"{name} does not compile alone:\n" + "\n".join(done.stderr.splitlines()[:12])


def check_document(name, files, folders):
    """Every path that a document names exists."""
    text = read(name)
    here = os.path.dirname(name)
    prose = re.sub(r"^```.*?^```", lambda m: "\n" * m.group().count("\n"), text, flags=re.M | re.S)

    def exists(path):
        path = path.rstrip("/")
        candidates = {os.path.normpath(path), os.path.normpath(os.path.join(here, path))}
        return bool(candidates & (files | folders))

    for match in re.finditer(r"\]\(([^)\s#]+)(#[^)]*)?\)", prose):
        target = match.group(1)
        if not re.match(r"[a-z]+:", target) and not exists(target):
            yield f"{name}:{text.count(chr(10), 0, match.start()) + 1}: link to {target}: no such file"
    basenames = {os.path.basename(file) for file in files}
    for match in re.finditer(r"`([^`\n]+)`", prose):
        word = match.group(1).removeprefix("./")
        line = prose.count("\n", 0, match.start()) + 1
        if re.fullmatch(r"[\w.-]+\.(hpp|cpp|py|md)", word):
            if word not in basenames:
                yield f"{name}:{line}: {word}: no such file"
        elif re.fullmatch(r"[\w./-]+", word) and word.split("/")[0] in TOP_LEVEL and "/" in word:
            if not exists(word):
                yield f"{name}:{line}: {word}: no such file"


# ---- the run


def cases():
    """(name, function without arguments that gives the problems) of each case."""
    files = repository_files()
    folders = {str(parent) for file in files for parent in Path(file).parents}
    sources = [file for file in files if file.endswith((".hpp", ".cpp"))]
    headers = [file for file in sources if file.endswith(".hpp")]
    texts = [file for file in files
             if file.endswith((".hpp", ".cpp", ".py", ".md", ".build")) and not
             file.startswith("tests/tidy/")]
    for file in sources:
        yield f"format {file}", lambda f=file: check_format(f)
    for file in sources:
        yield f"includes {file}", lambda f=file: check_includes(f)
    for file in sources:
        if folder_of(file) in PURE:
            yield f"purity {file}", lambda f=file: check_pure_names(f)
    for file in texts:
        if not file.endswith(".md"):
            yield f"length {file}", lambda f=file: check_length(f)
        yield f"words {file}", lambda f=file: check_words(f)
    for file in files:
        if file.endswith(".md"):
            yield f"document {file}", lambda f=file: check_document(f, set(files), folders)
    for file in headers:
        if not file.startswith("tests/"):
            yield f"alone {file}", lambda f=file: check_alone(f)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("part", nargs="?", default="")
    options = parser.parse_args()
    failed = False
    todo = [case for case in cases() if options.part in "tidy: " + case[0]]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = pool.map(lambda case: list(case[1]()), todo)
        for (name, _), problems in zip(todo, found):
            failed = failed or bool(problems)
            if options.json:
                print(json.dumps({"case": name, "result": "failed" if problems else "passed",
                                  "detail": "\n".join(problems),
                                  "repeat": f"python3 tests/tidy/tidy.py '{name}'"}))
            elif problems:
                print("\n".join(problems))
    if not options.json:
        print(f"{len(todo)} cases, {'some' if failed else 'none'} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
