"""The checker of histories itself: known legal and illegal ones."""

import math
import random
import unittest

from linearizability import Operation, check, check_keys, check_revisions


def put(called, returned, value, revision=None, key="k"):
    return Operation("put", key, called, returned, value=value, revision=revision)


def get(called, returned, seen, revision=None, key="k"):
    return Operation("get", key, called, returned, seen=seen, revision=revision)


def cas(called, returned, expected, value, revision=None):
    return Operation("cas", "k", called, returned, value=value, expected=expected,
                     revision=revision)


def refused(called, returned, expected, seen, revision=None):
    return Operation("cas", "k", called, returned, expected=expected, failed=True, seen_mzxid=seen,
                     revision=revision)


def add(called, returned, value, revision=None):
    return Operation("add", "k", called, returned, value=value, delta=1, revision=revision)


NEVER = math.inf
ZERO = put(-2, -1, "0", 1)

LEGAL = [
    ("nothing", []),
    ("a read of a missing node", [get(0, 1, None, 5)]),
    ("a read beside a write sees either", [put(0, 4, "a", 7), get(1, 2, None, 6)]),
    ("a read beside a write sees either", [put(0, 4, "a", 7), get(1, 2, ("a", 7), 7)]),
    ("a write without an answer took effect",
     [put(0, 1, "a", 7), put(2, NEVER, "b"), get(3, 4, ("b", 8), 8)]),
    ("a write without an answer took effect late",
     [put(0, 1, "a", 7), put(2, NEVER, "b"), get(3, 4, ("a", 7), 8), get(5, 6, ("b", 9), 9)]),
    ("a write without an answer never took effect",
     [put(0, 1, "a", 7), put(2, NEVER, "b"), get(3, 4, ("a", 7), 9)]),
    ("a guard that fails because of a write that nobody saw",
     [put(0, 1, "a", 7), put(2, NEVER, "b"), refused(3, 4, 7, 8, 9)]),
    ("a guarded write without an answer took effect",
     [put(0, 1, "a", 7), cas(2, NEVER, 7, "b"), get(3, 4, ("b", 8), 8)]),
    ("guarded writes one after another",
     [put(0, 1, "a", 7), cas(2, 3, 7, "b", 8), cas(4, 5, 8, "c", 9), get(6, 7, ("c", 9), 9)]),
    ("additions of which one has no answer",
     [ZERO, add(0, 1, 1, 7), add(2, NEVER, None), add(3, 4, 3, 9), get(5, 6, ("3", 9), 9)]),
    ("many additions without an answer, of which some took effect",
     [ZERO, *(add(i, NEVER, None) for i in range(40)), add(41, 42, 21, 99),
      get(43, 44, ("21", 99), 99)]),
]

# (name, history, found by the search, found by revisions)
ILLEGAL = [
    ("a stale read", [put(0, 1, "a", 7), put(2, 3, "b", 8), get(4, 5, ("a", 7), 7)], True, True),
    ("a stale read at a revision that pretends to be new",
     [put(0, 1, "a", 7), put(2, 3, "b", 8), get(4, 5, ("a", 7), 9)], True, True),
    ("a lost write", [put(0, 1, "a", 7), get(2, 3, None, 7)], True, False),
    ("a read of what nobody wrote", [put(0, 1, "a", 7), get(2, 3, ("b", 8), 8)], True, False),
    ("a write that was refused and is there", [get(0, 1, ("refused", 3), 3)], True, False),
    ("back and forth",
     [put(0, 1, "a", 7), put(2, 9, "b", 8), get(3, 4, ("b", 8), 8), get(5, 6, ("a", 7), 8)],
     True, True),
    ("a write without an answer taken back",
     [put(0, 1, "a", 7), put(2, NEVER, "b"), get(3, 4, ("b", 8), 8), get(5, 6, ("a", 7), 9)],
     True, False),
    ("two guarded writes on one version",
     [put(0, 1, "a", 7), cas(2, 4, 7, "b", 8), cas(2, 4, 7, "c", 9)], True, False),
    ("a guard that failed although it held",
     [put(0, 1, "a", 7), refused(2, 3, 7, 7, 8)], True, False),
    ("an addition acknowledged once and applied twice",
     [ZERO, add(0, 1, 1, 7), get(2, 3, ("2", 8), 8)], True, False),
    ("two additions that were answered one number",
     [ZERO, add(0, 3, 1, 7), add(1, 2, 1, 8)], True, False),
    ("writes in the wrong order", [put(0, 1, "a", 8), put(2, 3, "b", 7)], False, True),
    ("two writes with one revision", [put(0, 3, "a", 8), put(1, 2, "b", 8)], False, True),
    ("a read in the past of another key",
     [put(0, 1, "a", 8, key="other"), get(2, 3, None, 7)], False, True),
]


class Checker(unittest.TestCase):
    def test_legal_histories_pass(self):
        for name, history in LEGAL:
            with self.subTest(name):
                self.assertEqual(check(history), [])

    def test_illegal_histories_are_found(self):
        for name, history, by_search, by_revisions in ILLEGAL:
            with self.subTest(name):
                self.assertEqual(bool(check_keys(history)), by_search)
                self.assertEqual(bool(check_revisions(history)), by_revisions)

    def test_the_order_of_the_list_means_nothing(self):
        for seed in range(20):
            for name, history, by_search, _ in ILLEGAL:
                with self.subTest(name, seed=seed):
                    mixed = random.Random(seed).sample(history, len(history))
                    self.assertEqual(bool(check_keys(mixed)), by_search)

    def random_history(self, seed, count=400, clients=8):
        """Of a true register: operations take effect at an instant between call and answer."""
        draw = random.Random(seed)
        free = [0.0] * clients
        spans = []
        for n in range(count):
            client = draw.randrange(clients)
            called = free[client] + draw.random()
            effect = called + draw.random()
            free[client] = effect + draw.random()
            spans.append((effect, called, free[client], n))
        state, revision, history = None, 0, []
        for effect, called, returned, n in sorted(spans):
            if draw.random() < 0.5:
                history.append(get(called, returned, state, revision))
                continue
            is_lost = draw.random() < 0.1
            if is_lost and draw.random() < 0.5:
                history.append(put(called, NEVER, f"v{n}"))
                continue
            revision += 1
            state = (f"v{n}", revision)
            history.append(put(called, NEVER if is_lost else returned, f"v{n}",
                               None if is_lost else revision))
        return history

    def test_random_histories_of_a_true_register_pass(self):
        for seed in range(30):
            with self.subTest(seed=seed):
                self.assertEqual(check(self.random_history(seed)), [])

    def test_one_stale_read_in_a_random_history_is_found(self):
        found = 0
        for seed in range(30):  # Short ones: to show that no order exists takes trying them all.
            history = self.random_history(seed, count=60, clients=3)
            reads = [o for o in history if o.kind == "get" and o.seen]
            late, early = reads[-1], reads[len(reads) // 2]
            self.assertNotEqual(late.seen, early.seen)
            late.seen = early.seen
            found += bool(check_keys(history))
        self.assertEqual(found, 30)


if __name__ == "__main__":
    unittest.main()
