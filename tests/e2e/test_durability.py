"""The short form of the durability campaign (see durability.py)."""

import unittest

from durability import Campaign


class Durability(unittest.TestCase):
    def test_acknowledged_writes_survive_kill_9_and_a_watch_resumes_over_it(self):
        campaign = Campaign(writers=32)
        try:
            totals = campaign.run(5)
        except AssertionError as problem:
            raise AssertionError(f"seed {campaign.seed}: {problem}") from None
        self.assertGreater(totals["acknowledged"], 500)
        self.assertGreater(totals["refused"], 10)
