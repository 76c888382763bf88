"""Is a history of real clients linearizable? Two checkers that do not trust each other's ground.

`check_keys` searches, for each key by itself, an order of the operations that explains every answer
and respects real time (Wing and Gong, with the memory of Lowe): a write without a known outcome may
take effect at any time after it was sent, or never. It believes nothing but answers.

`check_revisions` believes Coord-Revision, and is strict over all keys at once: what was sent after
an answer has a later revision than it, and a read at revision R saw the last write up to R.
"""

import math
from dataclasses import dataclass
from typing import Any, Optional

UNSEEN = object()  # The mzxid of a write whose answer nobody got.
GIVEN_UP = 2_000_000  # Steps for one key; a legal history takes about one for each operation.


@dataclass
class Operation:
    """kind `get`, `put`, `cas` (a put with If-Match: `expected`) or `add` (`delta`).

    `seen` is what a get answered: (value, mzxid), or None for a missing node. A `cas` that failed
    has `failed` and `seen_mzxid`, the ETag of its 412. `returned` is infinity without an answer.
    """
    kind: str
    key: str
    called: float
    returned: float = math.inf
    value: Any = None
    expected: Optional[int] = None
    delta: int = 0
    seen: Any = None
    failed: bool = False
    seen_mzxid: Optional[int] = None
    revision: Optional[int] = None
    client: int = 0
    member: int = 0

    @property
    def is_unknown(self):
        return self.returned == math.inf

    @property
    def is_write(self):
        return self.kind != "get" and not self.failed


def same(one, other):
    return one is UNSEEN or other is UNSEEN or one == other


def step(state, operation):
    """The state after it, or False if its answer is impossible here. A state is (value, mzxid), or
    None for a missing node."""
    if operation.kind == "get":
        if operation.seen is None or state is None:
            return state if operation.seen is state else False
        if state[0] != operation.seen[0] or not same(state[1], operation.seen[1]):
            return False
        return operation.seen
    if operation.failed:  # A guard that did not match: the node is another than it expected.
        if state is None:
            return state if operation.seen_mzxid is None else False
        if not same(state[1], operation.seen_mzxid) or state[1] == operation.expected:
            return False
        return (state[0], operation.seen_mzxid)
    own = UNSEEN if operation.revision is None else operation.revision
    if operation.kind == "add":
        if state is None:
            return False  # An addition does not create.
        number = int(state[0]) + operation.delta
        if not operation.is_unknown and number != operation.value:
            return False
        return (str(number), own)
    if operation.kind == "cas" and (state is None or not same(state[1], operation.expected)):
        return False
    return (operation.value, own)


def find_order(operations, state=None):
    """True: an order exists; False: none; None: given up."""
    operations = resolved(sorted(operations, key=lambda o: o.called))
    wanted = 0  # The operations that must take effect.
    for i, operation in enumerate(operations):
        wanted |= (not operation.is_unknown) << i
    seen_before = set()
    steps = 0
    stack = [(0, state, candidates(operations, 0, 0))]
    first = [0]  # For each depth: all before it are done.
    while stack:
        done, state, tries = stack[-1]
        if done & wanted == wanted:
            return True
        for i in tries:
            steps += 1
            after = step(state, operations[i])
            key = (done | 1 << i, after)
            if after is False or key in seen_before:
                continue
            seen_before.add(key)
            low = first[-1]
            while key[0] >> low & 1:
                low += 1
            first.append(low)
            stack.append((*key, candidates(operations, key[0], low)))
            break
        else:
            stack.pop()
            first.pop()
        if steps > GIVEN_UP:
            return None
    return False


def candidates(operations, done, low):
    """What may come next: called before everything that is not done has returned. The likeliest
    first: by revision, and those without an outcome last, of those with one effect the oldest."""
    found = []
    unknown = {}
    until = math.inf
    for i in range(low, len(operations)):
        operation = operations[i]
        if operation.called > until:
            break
        if done >> i & 1:
            continue
        until = min(until, operation.returned)
        if not operation.is_unknown or operation.revision is not None or operation.kind == "cas":
            found.append(i)
        else:
            unknown.setdefault((operation.kind, operation.delta, operation.value), i)
    found = [i for i in found if operations[i].called <= until]
    found.sort(key=lambda i: (operations[i].revision is None, operations[i].revision or 0,
                              operations[i].is_write is False))
    return iter(found + [i for i in unknown.values() if operations[i].called <= until])


def resolved(operations):
    """Values of puts are unique: who read one tells the revision of a write without an answer. All
    values that nobody read are one."""
    read = {o.seen[0]: o.seen[1] for o in operations if o.kind == "get" and o.seen}
    result = []
    for operation in operations:
        if operation.is_unknown and operation.kind in ("put", "cas"):
            values = vars(operation).copy()
            if operation.value in read:
                values["revision"] = read[operation.value]
            elif operation.kind == "put":
                values["value"] = None
            operation = Operation(**values)
        result.append(operation)
    return result


def check_keys(history):
    """The problems, as text."""
    keys = {}
    for operation in history:
        if not (operation.is_unknown and operation.kind == "get"):
            keys.setdefault(operation.key, []).append(operation)
    problems = []
    for key, operations in sorted(keys.items()):
        verdict = find_order(operations)
        if verdict is not True:
            word = "no order explains" if verdict is False else "undecided:"
            problems.append(f"{key}: {word} its {len(operations)} operations")
    return problems


def check_revisions(history):
    """The problems, as text."""
    answered = [o for o in history if not o.is_unknown and o.revision is not None]
    problems = backward(answered)
    writes = {}
    for operation in answered:
        if not operation.is_write:
            continue
        before = writes.setdefault(operation.key, {}).setdefault(operation.revision, operation)
        if before is not operation:
            problems.append(f"two writes at one revision: {before} and {operation}")
    for operation in answered:
        if operation.kind != "get" or operation.seen is None:
            continue
        value, mzxid = operation.seen
        of_key = writes.get(operation.key, {})
        later = [r for r in of_key if mzxid < r <= operation.revision]
        if later or mzxid > operation.revision:
            problems.append(f"a read that missed the writes at {later[:3]}: {operation}")
        writer = of_key.get(mzxid)
        if writer is not None and str(writer.value) != value:
            problems.append(f"a read of another value than was written there: {operation}, {writer}")
    return problems


def backward(answered):
    """What was called after an answer must not be before it."""
    problems = []
    ends = sorted(answered, key=lambda o: o.returned)
    highest, at = None, 0
    for operation in sorted(answered, key=lambda o: o.called):
        while at < len(ends) and ends[at].returned < operation.called:
            if highest is None or ends[at].revision > highest.revision:
                highest = ends[at]
            at += 1
        if highest is None:
            continue
        if operation.revision < highest.revision or (
                operation.is_write and operation.revision == highest.revision):
            problems.append(f"after {highest} came {operation}")
    return problems


def check(history):
    return check_keys(history) + check_revisions(history)
