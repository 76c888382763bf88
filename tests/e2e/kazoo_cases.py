"""What kazoo, a client library of ZooKeeper, does with a member: one case for each recipe.

Run by test_zookeeper_kazoo.py with an interpreter that has Debian's python3-kazoo:
    kazoo_cases.py CASE HOST:PORT[,HOST:PORT...]
"""

import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import (BadVersionError, InvalidACLError, NoAuthError, NodeExistsError,
                              NoNodeError, NotEmptyError, NotReadOnlyCallError, RolledBackError,
                              RuntimeInconsistency)
from kazoo.recipe.barrier import Barrier, DoubleBarrier
from kazoo.recipe.cache import TreeCache, TreeEvent
from kazoo.protocol.states import KeeperState
from kazoo.retry import KazooRetry
from kazoo.security import make_acl, make_digest_acl

HOSTS = ""
CLIENTS = []


def client(**options):
    one = KazooClient(hosts=HOSTS, timeout=options.pop("timeout", 10.0),
                      randomize_hosts=options.pop("randomize_hosts", False),
                      connection_retry=KazooRetry(max_tries=-1, delay=0.05, max_delay=0.5),
                      command_retry=KazooRetry(max_tries=-1, delay=0.05, max_delay=0.5),
                      **options)
    CLIENTS.append(one)
    one.start(timeout=30)
    return one


def until(condition, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def raises(error, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except error:
        return
    raise AssertionError(f"{call} did not raise {error.__name__}")


def in_thread(function, *arguments):
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


# ---------------------------------------------------------------- nodes, sessions, ACLs

def case_nodes():
    zk = client()
    assert zk.create("/kazoo/a/b", b"v", makepath=True) == "/kazoo/a/b"
    value, stat = zk.get("/kazoo/a/b")
    assert (value, stat.version, stat.data_length, stat.numChildren) == (b"v", 0, 1, 0)
    assert zk.set("/kazoo/a/b", b"w").version == 1
    raises(BadVersionError, zk.set, "/kazoo/a/b", b"", version=7)
    raises(NodeExistsError, zk.create, "/kazoo/a/b")
    raises(NotEmptyError, zk.delete, "/kazoo/a")
    raises(NoNodeError, zk.get, "/kazoo/none")
    assert zk.exists("/kazoo/none") is None
    assert zk.create("/kazoo/s-", b"", sequence=True) == "/kazoo/s-0000000001"
    path, stat = zk.create("/kazoo/c2", b"xy", include_data=True)
    assert (path, stat.data_length) == ("/kazoo/c2", 2)
    children, stat = zk.get_children("/kazoo", include_data=True)
    assert sorted(children) == ["a", "c2", "s-0000000001"] and stat.numChildren == 3
    assert "zookeeper" in zk.get_children("/")
    assert zk.sync("/kazoo") == "/kazoo"
    zk.delete("/kazoo", recursive=True)
    assert zk.exists("/kazoo") is None
    assert zk.server_version()[0] == 3
    assert zk.command(b"ruok") == "imok"


def case_sessions():
    first, second = client(), client()
    first.create("/sessions", b"")
    first.create("/sessions/e", b"", ephemeral=True)
    assert second.get("/sessions/e")[1].ephemeralOwner == first.client_id[0]
    states = []
    second.add_listener(states.append)
    gone = threading.Event()
    second.exists("/sessions/e", watch=lambda event: gone.set())
    first.stop()
    assert gone.wait(10) and second.exists("/sessions/e") is None
    # The same session over a new connection.
    third = client()
    third.create("/sessions/kept", b"", ephemeral=True)
    identity = third.client_id
    third._connection._socket.shutdown(2)
    until(lambda: third.connected and third.client_id == identity, "the session again")
    assert third.retry(third.exists, "/sessions/kept").ephemeralOwner == identity[0]


def case_acls():
    joe, other = client(auth_data=[("digest", "joe:secret")]), client()
    acl = make_digest_acl("joe", "secret", all=True)
    joe.create("/acls", b"v", acl=[acl])
    assert joe.get("/acls")[0] == b"v"
    raises(NoAuthError, other.get, "/acls")
    assert other.exists("/acls")
    other.add_auth("digest", "joe:secret")
    assert other.get("/acls")[0] == b"v"
    assert joe.get_acls("/acls")[0] == [acl]
    joe.set_acls("/acls", [make_acl("world", "anyone", all=True)])
    assert joe.get_acls("/acls")[1].aversion == 1
    raises(InvalidACLError, joe.create, "/acls/x", b"", acl=[make_acl("nonsense", "x", all=True)])


def case_transactions():
    zk = client()
    zk.create("/txn", b"")
    transaction = zk.transaction()
    transaction.create("/txn/a", b"1")
    transaction.set_data("/txn", b"2")
    transaction.check("/txn", 1)
    transaction.create("/txn/b", b"")
    transaction.delete("/txn/b")
    results = transaction.commit()
    assert results[0] == "/txn/a" and results[1].version == 1 and results[2:] == [
        True, "/txn/b", True], results
    transaction = zk.transaction()
    transaction.create("/txn/c", b"")
    transaction.check("/txn", 9)
    transaction.create("/txn/d", b"")
    results = transaction.commit()
    assert [type(result) for result in results] == [
        RolledBackError, BadVersionError, RuntimeInconsistency], results
    assert zk.get_children("/txn") == ["a"]


# ---------------------------------------------------------------- recipes

def case_lock():
    first, second = client(), client()
    lock = first.Lock("/lock", "one")
    assert lock.acquire()
    other = second.Lock("/lock", "two")
    assert not other.acquire(blocking=False)
    got = threading.Event()
    in_thread(lambda: other.acquire() and got.set())
    until(lambda: other.contenders() == ["one", "two"], "both wait")
    assert not got.is_set()
    lock.release()
    assert got.wait(10)
    other.release()
    total = []

    def work(zk):
        for _ in range(20):
            with zk.Lock("/lock"):
                total.append(len(total))
    threads = [in_thread(work, client()) for _ in range(4)]
    for thread in threads:
        thread.join(60)
    assert total == list(range(80)), total


def case_read_write_lock():
    first, second, third = client(), client(), client()
    readers = [first.ReadLock("/rw"), second.ReadLock("/rw")]
    assert all(reader.acquire(timeout=10) for reader in readers)
    writer = third.WriteLock("/rw")
    assert not writer.acquire(blocking=False)
    for reader in readers:
        reader.release()
    assert writer.acquire(timeout=10)
    assert not first.ReadLock("/rw").acquire(blocking=False)
    writer.release()


def case_semaphore():
    clients = [client() for _ in range(3)]
    held = [zk.Semaphore("/semaphore", max_leases=2) for zk in clients]
    assert held[0].acquire(timeout=10) and held[1].acquire(timeout=10)
    assert not held[2].acquire(blocking=False)
    got = threading.Event()
    in_thread(lambda: held[2].acquire() and got.set())
    held[0].release()
    assert got.wait(10)


def case_election():
    first, second = client(), client()
    led, let_go = [], threading.Event()

    def lead(name):
        led.append(name)
        let_go.wait(30)
    threads = [in_thread(first.Election("/election", "a").run, lead, "a")]
    until(lambda: led == ["a"], "the first leads")
    election = second.Election("/election", "b")
    threads.append(in_thread(election.run, lead, "b"))
    until(lambda: election.contenders() == ["a", "b"], "the second waits")
    let_go.set()
    until(lambda: led == ["a", "b"], "the second leads")


def case_barrier():
    first, second = client(), client()
    barrier = Barrier(first, "/barrier")
    barrier.create()
    passed = threading.Event()
    in_thread(lambda: Barrier(second, "/barrier").wait(20) and passed.set())
    assert not passed.wait(0.1)
    barrier.remove()
    assert passed.wait(10)


def case_double_barrier():
    clients, log = [client(), client(), client()], []

    def work(zk, number):
        barrier = DoubleBarrier(zk, "/double", 3, str(number))
        barrier.enter()
        log.append("in")
        barrier.leave()
        log.append("out")
    threads = [in_thread(work, zk, number) for number, zk in enumerate(clients)]
    for thread in threads:
        thread.join(30)
    assert log == ["in"] * 3 + ["out"] * 3, log


def case_queue():
    zk, queue = client(), client().Queue("/queue")
    for value, priority in ((b"low", 200), (b"high", 1), (b"mid", 100)):
        zk.Queue("/queue").put(value, priority=priority)
    assert len(queue) == 3
    assert [queue.get() for _ in range(4)] == [b"high", b"mid", b"low", None]


def case_locking_queue():
    first, second = client().LockingQueue("/locking"), client().LockingQueue("/locking")
    first.put(b"one")
    first.put_all([b"two", b"three"])
    assert first.get(10) == b"one"
    assert second.get(10) == b"two"
    assert first.consume() and second.consume()
    assert second.get(10) == b"three" and second.holds_lock()
    second.release()
    assert first.get(10) == b"three" and first.consume()


def case_counter():
    def work(zk):
        counter = zk.Counter("/counter")
        for _ in range(25):
            counter += 1
    threads = [in_thread(work, client()) for _ in range(3)]
    for thread in threads:
        thread.join(60)
    zk = client()
    counter = zk.Counter("/counter")
    assert counter.value == 75
    counter -= 5
    assert counter.value == 70
    real = zk.Counter("/real", default=1.5)
    real += 2.0
    assert real.value == 3.5


def case_party():
    first, second = client(), client()
    party = first.Party("/party", "one")
    party.join()
    second.Party("/party", "two").join()
    until(lambda: sorted(party) == ["one", "two"], "both are there")
    second.stop()
    until(lambda: list(party) == ["one"], "one is left")
    shallow = first.ShallowParty("/shallow", "s")
    shallow.join()
    assert len(shallow) == 1
    shallow.leave()


def case_watchers():
    zk, other = client(), client()
    other.create("/watched", b"0")
    values, lists = [], []

    @zk.DataWatch("/watched")
    def on_data(data, stat):
        values.append(data)

    @zk.ChildrenWatch("/watched")
    def on_children(children):
        lists.append(sorted(children))
    for number in range(1, 4):
        other.set("/watched", str(number).encode())
        until(lambda: values[-1] == str(number).encode(), "the value is told")
    for name in "abc":
        other.create(f"/watched/{name}")
    until(lambda: lists[-1] == ["a", "b", "c"], "the children are told")
    other.delete("/watched", recursive=True)
    until(lambda: values[-1] is None, "the end is told")


def case_tree_cache():
    zk, other = client(), client()
    other.create("/tree/a/b", b"1", makepath=True)
    events = []
    cache = TreeCache(zk, "/tree")
    cache.listen(lambda event: events.append(event.event_type))
    cache.start()
    until(lambda: TreeEvent.INITIALIZED in events, "the cache is there")
    assert cache.get_data("/tree/a/b").data == b"1"
    other.set("/tree/a/b", b"2")
    until(lambda: cache.get_data("/tree/a/b").data == b"2", "the change")
    other.create("/tree/a/c", b"3")
    until(lambda: cache.get_children("/tree/a") == {"b", "c"}, "the new one")
    other.delete("/tree/a/b")
    until(lambda: cache.get_data("/tree/a/b") is None, "the deletion")
    cache.close()


def case_partitioner():
    parts = ["p1", "p2", "p3", "p4"]
    first, second = client(), client()
    partitioners = []

    def hold(zk, name):
        one = zk.SetPartitioner("/parts", set=parts, identifier=name, time_boundary=0.5)
        partitioners.append(one)
        while not one.failed and not stop.is_set():
            if one.release:
                one.release_set()
            elif one.allocating:
                one.wait_for_acquire(timeout=1)
            else:
                time.sleep(0.05)
    stop = threading.Event()
    threads = [in_thread(hold, first, "1"), in_thread(hold, second, "2")]

    def is_shared():
        held = [sorted(one) for one in list(partitioners) if one.acquired]
        return len(held) == 2 and sorted(sum(held, [])) == parts and all(len(h) == 2 for h in held)
    until(is_shared, "the parts are shared")
    stop.set()
    for thread in threads:
        thread.join(20)


def case_lease():
    from datetime import timedelta
    first, second = client(), client()
    lease = first.NonBlockingLease("/lease", timedelta(seconds=60), identifier="one")
    assert lease
    assert not second.NonBlockingLease("/lease", timedelta(seconds=60), identifier="two")
    assert first.NonBlockingLease("/lease", timedelta(seconds=60), identifier="one")
    many = [zk.MultiNonBlockingLease(2, "/leases", timedelta(seconds=60), identifier=name)
            for zk, name in ((first, "a"), (second, "b"), (first, "c"))]
    assert [bool(one) for one in many] == [True, True, False]


# ---------------------------------------------------------------- while the leader is killed

def case_failover():
    """The harness kills the leader when it reads `ready`, and lets go on with a line."""
    clients = [client(randomize_hosts=True) for _ in range(4)]
    zk = clients[0]
    zk.create("/failover", b"0")
    zk.create("/failover/e", b"", ephemeral=True)
    done, stop = [[] for _ in clients], threading.Event()

    def write(one, log):
        while not stop.is_set():
            with one.Lock("/failover-lock"):
                value, stat = one.retry(one.get, "/failover")
                number = int(value) + 1
                try:
                    one.set("/failover", str(number).encode(), version=stat.version)
                except Exception:  # Its fate is not known.
                    continue
                log.append(number)
    owner = zk.client_id[0]
    threads = [in_thread(write, one, log) for one, log in zip(clients, done)]
    until(lambda: sum(map(len, done)) > 10, "writes before")
    print("ready", flush=True)
    sys.stdin.readline()
    before = sum(map(len, done))
    until(lambda: sum(map(len, done)) > before + 20, "writes after", 60)
    stop.set()
    for thread in threads:
        thread.join(60)
    numbers = sum(done, [])
    assert len(numbers) == len(set(numbers)), "a number was given twice"
    value, _ = zk.retry(zk.get, "/failover")
    assert int(value) >= max(numbers)
    assert zk.retry(zk.exists, "/failover/e").ephemeralOwner == owner


def case_read_only():
    """Begins at a member that has no leader; it is there again after `ready`."""
    zk = client(read_only=True)
    assert zk.client_state == KeeperState.CONNECTED_RO, zk.client_state
    assert zk.get("/kept")[0] == b"v"
    raises(NotReadOnlyCallError, zk.set, "/kept", b"w")
    print("ready", flush=True)
    sys.stdin.readline()
    until(lambda: zk.client_state == KeeperState.CONNECTED, "a leader again", 60)
    zk.retry(zk.set, "/kept", b"w")


def main():
    global HOSTS
    name, HOSTS = sys.argv[1:]
    try:
        globals()["case_" + name]()
    finally:
        for one in CLIENTS:
            try:
                one.stop()
                one.close()
            except Exception:
                pass
    print("passed", flush=True)


if __name__ == "__main__":
    main()
