"""The table of who may include whom; DEVELOPERS.md shows the same in prose."""

import re
from dataclasses import dataclass, field

BASE = "coord/base/"


@dataclass(frozen=True)
class Rule:
    """Beside itself, a folder may include these project files (a trailing / means a whole folder)
    and these libraries."""
    may: tuple = ()
    libraries: frozenset = field(default_factory=frozenset)

    def allows(self, target):
        return any(target.startswith(m) if m.endswith("/") else target == m for m in self.may)


# What the edges may name of the pure world: values, no machines.
VALUES = ("coord/core/request.hpp", "session/session.hpp", "znode/path.hpp", "znode/stat.hpp",
          "znode/acl.hpp", "znode/change.hpp", "watch/filter.hpp")
SIBLINGS = ("znode/", "session/", "watch/", "election/")
EVERYTHING_BELOW = (BASE, *SIBLINGS, "coord/recipes/", "coord/core/", "coord/disk/", "api/")

FOLDERS = {
    "coord/base": Rule(libraries=frozenset({"outcome"})),
    "znode": Rule((BASE,)),
    "session": Rule((BASE,)),
    "election": Rule((BASE,)),
    "watch": Rule((BASE, "znode/path.hpp", "znode/change.hpp")),
    "coord/recipes": Rule((BASE, "znode/", "session/")),
    "coord/core": Rule((BASE, *SIBLINGS, "coord/recipes/")),
    "coord/disk": Rule((BASE, "election/entry.hpp", "coord/core/checkpoint.hpp",
                        "coord/core/changes.hpp"),
                       frozenset({"lmdb"})),
    "api": Rule((BASE, *VALUES, "coord/recipes/"),
                frozenset({"asio", "beast", "json", "openssl", "schema", "zlib"})),
    "coord/server": Rule(EVERYTHING_BELOW,
                         frozenset({"asio", "beast", "json", "openssl", "cli11", "spdlog",
                                    "prometheus"})),
    "coord": Rule((*EVERYTHING_BELOW, "coord/server/"),
                  frozenset({"asio", "json", "cli11", "spdlog", "prometheus"})),
    "cli": Rule((BASE, "coord/core/request.hpp", "api/json.hpp",
                 "coord/disk/snapshot_stream.hpp"),
                frozenset({"asio", "beast", "json", "cli11", "edit", "outcome"})),
}

# Single-threaded, deterministic, without the world.
PURE = ("znode", "session", "watch", "election", "coord/core", "coord/recipes")

# Libraries that only some folders may use. "pure" names the .h files that pure folders may.
LIBRARIES = {
    "pure": re.compile(r"(fmt/|xxhash\.h|absl/)"),
    "outcome": re.compile(r"boost/outcome"),
    "beast": re.compile(r"boost/beast"),
    "asio": re.compile(r"boost/asio"),
    "json": re.compile(r"nlohmann/"),
    "schema": re.compile(r"(valijson|re2)/"),
    "lmdb": re.compile(r"lmdb\.h"),
    "openssl": re.compile(r"openssl/"),
    "zlib": re.compile(r"zlib\.h"),
    "spdlog": re.compile(r"spdlog/"),
    "prometheus": re.compile(r"prometheus/"),
    "cli11": re.compile(r"CLI/"),
    "edit": re.compile(r"(histedit|editline)"),
}

BANNED_HEADERS = frozenset("""
    thread mutex shared_mutex condition_variable future atomic semaphore latch barrier stop_token
    coroutine chrono ctime random iostream istream ostream fstream sstream iomanip filesystem
    locale regex cstdio exception stdexcept
""".split())

PURE_NAMES = (
    (re.compile(r"\b(float|double)\b"), "no floating point in pure folders"),
    (re.compile(r"\b(throw|try|catch)\b(?!_)"), "pure folders neither throw nor catch"),
    (re.compile(r"\b(s?rand|getenv|time|clock|printf|fprintf)\s*\((?=[^)]*\)\s*;)"),
     "the world belongs to the shell"),
    (re.compile(r"\bstd::(unordered_\w+|thread|mutex|atomic\w*|async)\b"),
     "hidden nondeterminism or threads"),
    (re.compile(r"\bstatic\s+(?!const|constexpr|inline|_?assert|_cast)\w[\w:<>, ]*\s+\w+\s*(=|;|\{)"),
     "no mutable statics"),
    (re.compile(r"\bco_(await|return|yield)\b"), "coroutines belong to the shell"),
)


def folder_of(name):
    """The folder of the table that a file belongs to, or None (tests and the like)."""
    if name.startswith("coord/"):
        parts = name.split("/")
        inner = "/".join(parts[:2])
        return inner if len(parts) > 2 and inner in FOLDERS else "coord"
    top = name.split("/")[0]
    return top if top in FOLDERS else None
