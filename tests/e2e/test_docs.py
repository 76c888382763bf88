"""Runs the sh blocks of the pages under docs/, each page in order against a fresh member.

A page opts in by naming this file. Its lines stand as a reader types them: curl and coordctl against
localhost:7070, which is replaced here. Any command that fails, fails the page.
"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

from harness import BUILD, ROOT, SLOW, Member


def pages():
    return sorted(path for path in (ROOT / "docs").glob("*.md")
                  if "tests/e2e/test_docs.py" in path.read_text())


def script_of(text, port):
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    script = "\n".join(blocks).replace("localhost:7070", f"localhost:{port}")
    return re.sub(r"\bcurl ", "curl -sSf ", script)


class Pages(unittest.TestCase):
    def test_there_are_pages(self):
        self.assertIn("recipes.md", [page.name for page in pages()])


def page_test(page):
    def test(self):
        member = Member()
        self.addCleanup(member.close)
        member.start()
        own = tempfile.mkdtemp(prefix="coord-docs-")
        self.addCleanup(shutil.rmtree, own, ignore_errors=True)
        script = script_of(page.read_text(), member.port)
        self.assertGreater(len(script.splitlines()), 3)
        environment = {**os.environ, "PATH": f"{BUILD}/cli:{os.environ['PATH']}",
                       "COORD_ENDPOINT": member.url, "HOME": own}
        done = subprocess.run(["bash", "-euo", "pipefail", "-x", "-c", script], text=True,
                              capture_output=True, timeout=120 * SLOW, env=environment, cwd=own)
        self.assertEqual(done.returncode, 0, f"{done.stdout}\n{done.stderr}")
    return test


for _page in pages():
    _name = re.sub(r"\W", "_", _page.stem)
    setattr(Pages, f"test_{_name}_does_what_it_says", page_test(_page))
