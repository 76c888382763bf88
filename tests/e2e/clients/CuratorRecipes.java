// Curator's recipes, framework and discovery against one connect string: each scenario prints a line
// "ok NAME" or "failed NAME" with what was not as expected. Compiled by test_zk_curator.py with
// Debian's jars.
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import org.apache.curator.framework.*;
import org.apache.curator.framework.api.CuratorEvent;
import org.apache.curator.framework.api.transaction.*;
import org.apache.curator.framework.recipes.atomic.*;
import org.apache.curator.framework.recipes.barriers.*;
import org.apache.curator.framework.recipes.cache.*;
import org.apache.curator.framework.recipes.leader.*;
import org.apache.curator.framework.recipes.locks.*;
import org.apache.curator.framework.recipes.nodes.*;
import org.apache.curator.framework.recipes.queue.*;
import org.apache.curator.framework.recipes.shared.*;
import org.apache.curator.framework.recipes.watch.PersistentWatcher;
import org.apache.curator.framework.state.*;
import org.apache.curator.retry.*;
import org.apache.curator.x.discovery.*;
import org.apache.zookeeper.*;
import org.apache.zookeeper.data.*;

public class CuratorRecipes {
  interface Scenario {
    void run(CuratorFramework one, CuratorFramework other, String root) throws Exception;
  }
  interface Condition {
    boolean holds() throws Exception;
  }

  static String hosts;

  static void check(boolean condition, String what) {
    if (!condition) throw new AssertionError(what);
  }
  static void same(Object want, Object got) {
    if (!Objects.equals(want, got)) throw new AssertionError("got " + got + ", not " + want);
  }
  static void until(String what, Condition condition) throws Exception {
    long end = System.nanoTime() + 60_000_000_000L;
    while (!condition.holds()) {
      if (System.nanoTime() > end) throw new AssertionError("never: " + what);
      Thread.sleep(5);
    }
  }
  static byte[] bytes(String text) { return text.getBytes(StandardCharsets.UTF_8); }
  static String text(byte[] data) { return new String(data, StandardCharsets.UTF_8); }

  static CuratorFramework connect() throws Exception {
    CuratorFramework client = CuratorFrameworkFactory.builder().connectString(hosts)
        .sessionTimeoutMs(15_000).connectionTimeoutMs(10_000)
        .retryPolicy(new RetryNTimes(200, 100)).build();
    client.start();
    check(client.blockUntilConnected(60, TimeUnit.SECONDS), "connected");
    return client;
  }

  static final Map<String, Scenario> scenarios = new LinkedHashMap<>();
  static {
    scenarios.put("framework", CuratorRecipes::framework);
    scenarios.put("transactions", CuratorRecipes::transactions);
    scenarios.put("mutex", CuratorRecipes::mutex);
    scenarios.put("read-write-lock", CuratorRecipes::readWriteLock);
    scenarios.put("multi-lock", CuratorRecipes::multiLock);
    scenarios.put("semaphore", CuratorRecipes::semaphore);
    scenarios.put("leader-latch", CuratorRecipes::leaderLatch);
    scenarios.put("leader-selector", CuratorRecipes::leaderSelector);
    scenarios.put("barriers", CuratorRecipes::barriers);
    scenarios.put("queues", CuratorRecipes::queues);
    scenarios.put("counters", CuratorRecipes::counters);
    scenarios.put("shared-count", CuratorRecipes::sharedCount);
    scenarios.put("path-children-cache", CuratorRecipes::pathChildrenCache);
    scenarios.put("tree-cache", CuratorRecipes::treeCache);
    scenarios.put("curator-cache", CuratorRecipes::curatorCache);
    scenarios.put("node-cache", CuratorRecipes::nodeCache);
    scenarios.put("persistent-nodes", CuratorRecipes::persistentNodes);
    scenarios.put("group-member", CuratorRecipes::groupMember);
    scenarios.put("persistent-watcher", CuratorRecipes::persistentWatcher);
    scenarios.put("discovery", CuratorRecipes::discovery);
  }

  static void framework(CuratorFramework one, CuratorFramework other, String root)
      throws Exception {
    Stat stat = new Stat();
    String made = one.create().storingStatIn(stat).creatingParentContainersIfNeeded()
        .forPath(root + "/a/b/c", bytes("deep"));
    same(root + "/a/b/c", made);
    same(0, stat.getVersion());
    same("deep", text(other.getData().storingStatIn(stat).forPath(made)));
    same(1, other.setData().withVersion(0).forPath(made, bytes("new")).getVersion());
    try {
      one.setData().withVersion(0).forPath(made, bytes("late"));
      check(false, "a wrong version is refused");
    } catch (KeeperException.BadVersionException expected) {
    }
    String protectedPath = one.create().withProtection()
        .withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath(root + "/p-");
    check(protectedPath.contains("_c_"), "protected");
    same(one.getZookeeperClient().getZooKeeper().getSessionId(),
         other.checkExists().forPath(protectedPath).getEphemeralOwner());
    same(null, one.checkExists().forPath(root + "/none"));
    same(List.of("c"), one.getChildren().forPath(root + "/a/b"));
    BlockingQueue<CuratorEvent> events = new LinkedBlockingQueue<>();
    one.getData().inBackground((client, event) -> events.add(event)).forPath(made);
    same("new", text(events.poll(30, TimeUnit.SECONDS).getData()));
    one.sync().forPath(root);
    one.create().withTtl(3_600_000).withMode(CreateMode.PERSISTENT_WITH_TTL)
        .forPath(root + "/brief", bytes("t"));
    BlockingQueue<WatchedEvent> watched = new LinkedBlockingQueue<>();
    one.checkExists().usingWatcher((Watcher) watched::add).forPath(root + "/later");
    other.create().forPath(root + "/later");
    same(Watcher.Event.EventType.NodeCreated, watched.poll(30, TimeUnit.SECONDS).getType());
    one.getACL().forPath(made);
    one.setACL().withACL(ZooDefs.Ids.READ_ACL_UNSAFE).forPath(made);
    try {
      one.setData().forPath(made, bytes("x"));
      check(false, "an ACL without WRITE is kept");
    } catch (KeeperException.NoAuthException expected) {
    }
    one.delete().guaranteed().deletingChildrenIfNeeded().forPath(root + "/a");
    same(null, other.checkExists().forPath(root + "/a"));
    same(3, one.getZookeeperClient().getZooKeeper().getAllChildrenNumber(root));
    same(List.of(protectedPath), one.getZookeeperClient().getZooKeeper().getEphemerals(root));
    one.getConfig().forEnsemble();
  }

  static void transactions(CuratorFramework one, CuratorFramework other, String root)
      throws Exception {
    one.create().forPath(root);
    List<CuratorTransactionResult> results = one.transaction().forOperations(
        one.transactionOp().create().forPath(root + "/a", bytes("1")),
        one.transactionOp().setData().withVersion(0).forPath(root + "/a", bytes("2")),
        one.transactionOp().check().withVersion(1).forPath(root + "/a"),
        one.transactionOp().create().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath(root + "/s-"),
        one.transactionOp().create().withMode(CreateMode.PERSISTENT).forPath(root + "/b"),
        one.transactionOp().delete().forPath(root + "/b"));
    same(6, results.size());
    same(root + "/s-0000000001", results.get(3).getResultPath());
    same(1, results.get(1).getResultStat().getVersion());
    try {
      one.transaction().forOperations(
          one.transactionOp().create().forPath(root + "/c"),
          one.transactionOp().check().withVersion(7).forPath(root + "/a"),
          one.transactionOp().delete().forPath(root + "/a"));
      check(false, "a failing check fails all");
    } catch (KeeperException.BadVersionException expected) {
      List<OpResult> each = expected.getResults();
      same(3, each.size());
      same(KeeperException.Code.BADVERSION.intValue(), ((OpResult.ErrorResult) each.get(1)).getErr());
      same(KeeperException.Code.RUNTIMEINCONSISTENCY.intValue(),
           ((OpResult.ErrorResult) each.get(2)).getErr());
    }
    same(null, other.checkExists().forPath(root + "/c"));
    List<OpResult> read = one.getZookeeperClient().getZooKeeper().multi(
        List.of(Op.getData(root + "/a"), Op.getChildren(root), Op.getData(root + "/none")));
    same("2", text(((OpResult.GetDataResult) read.get(0)).getData()));
    same(KeeperException.Code.NONODE.intValue(), ((OpResult.ErrorResult) read.get(2)).getErr());
  }

  /** Threads of two clients, each adding to what only one may touch at a time. */
  static void contend(List<InterProcessLock> locks, int rounds) throws Exception {
    AtomicInteger inside = new AtomicInteger();
    int[] count = {0};
    ExecutorService pool = Executors.newCachedThreadPool();
    List<Future<?>> all = new ArrayList<>();
    for (InterProcessLock lock : locks) {
      all.add(pool.submit(() -> {
        for (int i = 0; i < rounds; ++i) {
          check(lock.acquire(60, TimeUnit.SECONDS), "the lock in time");
          check(inside.incrementAndGet() == 1, "one holder at a time");
          ++count[0];
          inside.decrementAndGet();
          lock.release();
        }
        return null;
      }));
    }
    for (Future<?> each : all) each.get(120, TimeUnit.SECONDS);
    pool.shutdown();
    same(locks.size() * rounds, count[0]);
  }

  static void mutex(CuratorFramework one, CuratorFramework other, String root) throws Exception {
    InterProcessMutex mutex = new InterProcessMutex(one, root + "/m");
    mutex.acquire();
    mutex.acquire();  // Again by the same thread.
    InterProcessMutex theirs = new InterProcessMutex(other, root + "/m");
    check(!theirs.acquire(200, TimeUnit.MILLISECONDS), "held by another");
    mutex.release();
    check(!theirs.acquire(200, TimeUnit.MILLISECONDS), "still held");
    mutex.release();
    check(theirs.acquire(30, TimeUnit.SECONDS), "free");
    theirs.release();
    contend(List.of(mutex, theirs, new InterProcessMutex(one, root + "/m"),
                    new InterProcessMutex(other, root + "/m")), 10);
    contend(List.of(new InterProcessSemaphoreMutex(one, root + "/sm"),
                    new InterProcessSemaphoreMutex(other, root + "/sm")), 10);
    mutex.acquire();
    mutex.makeRevocable(held -> { });
    until("the other member shows it", () -> theirs.getParticipantNodes().size() == 1);
    mutex.release();
  }

  static void readWriteLock(CuratorFramework one, CuratorFramework other, String root)
      throws Exception {
    InterProcessReadWriteLock mine = new InterProcessReadWriteLock(one, root + "/rw");
    InterProcessReadWriteLock theirs = new InterProcessReadWriteLock(other, root + "/rw");
    mine.readLock().acquire();
    check(theirs.readLock().acquire(30, TimeUnit.SECONDS), "readers share");
    check(!theirs.writeLock().acquire(200, TimeUnit.MILLISECONDS), "no writer beside readers");
    theirs.readLock().release();
    mine.readLock().release();
    mine.writeLock().acquire();
    mine.readLock().acquire();  // Down from writer to reader.
    check(!theirs.readLock().acquire(200, TimeUnit.MILLISECONDS), "no reader beside a writer");
    mine.writeLock().release();
    check(theirs.readLock().acquire(30, TimeUnit.SECONDS), "readers again");
    theirs.readLock().release();
    mine.readLock().release();
    contend(List.of(mine.writeLock(), theirs.writeLock()), 10);
  }

  static void multiLock(CuratorFramework one, CuratorFramework other, String root)
      throws Exception {
    InterProcessMultiLock both = new InterProcessMultiLock(one, List.of(root + "/x", root + "/y"));
    both.acquire();
    InterProcessMutex single = new InterProcessMutex(other, root + "/y");
    check(!single.acquire(200, TimeUnit.MILLISECONDS), "both are held");
    both.release();
    check(single.acquire(30, TimeUnit.SECONDS), "both are free");
    check(!both.acquire(300, TimeUnit.MILLISECONDS), "one of both is held");
    single.release();
  }

  static void semaphore(CuratorFramework one, CuratorFramework other, String root)
      throws Exception {
    InterProcessSemaphoreV2 mine = new InterProcessSemaphoreV2(one, root + "/s", 2);
    InterProcessSemaphoreV2 theirs = new InterProcessSemaphoreV2(other, root + "/s", 2);
    Lease first = mine.acquire();
    Lease second = theirs.acquire(30, TimeUnit.SECONDS);
    check(second != null, "two leases");
    same(null, mine.acquire(200, TimeUnit.MILLISECONDS));
    mine.returnLease(first);
    Lease third = theirs.acquire(30, TimeUnit.SECONDS);
    check(third != null, "the returned one");
    until("the other's is shown", () -> mine.getParticipantNodes().size() == 2);
    theirs.returnAll(List.of(second, third));
  }

  static void leaderLatch(CuratorFramework one, CuratorFramework other, String root)
      throws Exception {
    AtomicInteger led = new AtomicInteger();
    LeaderLatch a = new LeaderLatch(one, root + "/latch", "a");
    LeaderLatch b = new LeaderLatch(other, root + "/latch", "b");
    a.addListener(new LeaderLatchListener() {
      @Override public void isLeader() { led.incrementAndGet(); }
      @Override public void notLeader() { led.decrementAndGet(); }
    });
    a.start();
    check(a.await(30, TimeUnit.SECONDS), "the first leads");
    b.start();
    until("both take part", () -> a.getParticipants().size() == 2);
    check(!b.hasLeadership(), "one leader");
    same("a", b.getLeader().getId());
    until("the listener", () -> led.get() == 1);
    a.close(LeaderLatch.CloseMode.NOTIFY_LEADER);
    check(b.await(30, TimeUnit.SECONDS), "the second takes over");
    until("the listener again", () -> led.get() == 0);
    b.close();
  }

  static void leaderSelector(CuratorFramework one, CuratorFramework other, String root)
      throws Exception {
    AtomicInteger inside = new AtomicInteger();
    ConcurrentHashMap<String, AtomicInteger> turns = new ConcurrentHashMap<>();
    AtomicReference<String> wrong = new AtomicReference<>();
    List<LeaderSelector> all = new ArrayList<>();
    for (String id : List.of("a", "b", "c")) {
      LeaderSelector selector = new LeaderSelector(id.equals("b") ? other : one, root + "/sel",
          new LeaderSelectorListenerAdapter() {
            @Override public void takeLeadership(CuratorFramework client) {
              if (inside.incrementAndGet() != 1) wrong.set("two leaders");
              turns.computeIfAbsent(id, k -> new AtomicInteger()).incrementAndGet();
              inside.decrementAndGet();
            }
          });
      selector.setId(id);
      selector.autoRequeue();
      selector.start();
      all.add(selector);
    }
    until("everybody led twice", () ->
        turns.size() == 3 && turns.values().stream().allMatch(n -> n.get() >= 2));
    for (LeaderSelector selector : all) selector.close();
    same(null, wrong.get());
  }

  static void barriers(CuratorFramework one, CuratorFramework other, String root)
      throws Exception {
    DistributedBarrier barrier = new DistributedBarrier(one, root + "/b");
    barrier.setBarrier();
    DistributedBarrier waiting = new DistributedBarrier(other, root + "/b");
    check(!waiting.waitOnBarrier(200, TimeUnit.MILLISECONDS), "it stands");
    ExecutorService pool = Executors.newCachedThreadPool();
    Future<Boolean> passed = pool.submit(() -> waiting.waitOnBarrier(60, TimeUnit.SECONDS));
    barrier.removeBarrier();
    check(passed.get(60, TimeUnit.SECONDS), "passed");
    List<Future<Boolean>> all = new ArrayList<>();
    AtomicInteger entered = new AtomicInteger();
    for (int i = 0; i < 3; ++i) {
      CuratorFramework client = i == 1 ? other : one;
      all.add(pool.submit(() -> {
        DistributedDoubleBarrier both = new DistributedDoubleBarrier(client, root + "/d", 3);
        check(both.enter(60, TimeUnit.SECONDS), "entered");
        entered.incrementAndGet();
        return both.leave(60, TimeUnit.SECONDS);
      }));
    }
    for (Future<Boolean> each : all) check(each.get(120, TimeUnit.SECONDS), "left");
    same(3, entered.get());
    pool.shutdown();
  }

  static final QueueSerializer<String> strings = new QueueSerializer<>() {
    @Override public byte[] serialize(String item) { return bytes(item); }
    @Override public String deserialize(byte[] data) { return text(data); }
  };
  static QueueConsumer<String> into(BlockingQueue<String> taken) {
    return new QueueConsumer<>() {
      @Override public void consumeMessage(String message) { taken.add(message); }
      @Override public void stateChanged(CuratorFramework client, ConnectionState state) { }
    };
  }

  static void queues(CuratorFramework one, CuratorFramework other, String root) throws Exception {
    BlockingQueue<String> taken = new LinkedBlockingQueue<>();
    DistributedQueue<String> put = QueueBuilder.builder(one, null, strings, root + "/q").buildQueue();
    DistributedQueue<String> take = QueueBuilder.builder(other, into(taken), strings, root + "/q")
        .lockPath(root + "/q-locks").buildQueue();
    put.start();
    for (int i = 0; i < 20; ++i) put.put("item " + i);
    take.start();
    for (int i = 0; i < 20; ++i) same("item " + i, taken.poll(60, TimeUnit.SECONDS));
    take.close();
    put.close();
    BlockingQueue<String> urgent = new LinkedBlockingQueue<>();
    DistributedPriorityQueue<String> in =
        QueueBuilder.builder(one, null, strings, root + "/pq").buildPriorityQueue(0);
    in.start();
    in.put("later", 5);
    in.put("first", 1);
    in.flushPuts(30, TimeUnit.SECONDS);
    DistributedPriorityQueue<String> out =
        QueueBuilder.builder(other, into(urgent), strings, root + "/pq").buildPriorityQueue(0);
    out.start();
    same("first", urgent.poll(60, TimeUnit.SECONDS));
    same("later", urgent.poll(60, TimeUnit.SECONDS));
    out.close();
    in.close();
    SimpleDistributedQueue simple = new SimpleDistributedQueue(one, root + "/sq");
    simple.offer(bytes("s"));
    same("s", text(new SimpleDistributedQueue(other, root + "/sq").poll(30, TimeUnit.SECONDS)));
  }

  static void counters(CuratorFramework one, CuratorFramework other, String root)
      throws Exception {
    ExecutorService pool = Executors.newCachedThreadPool();
    List<Future<?>> all = new ArrayList<>();
    for (CuratorFramework client : List.of(one, other)) {
      all.add(pool.submit(() -> {
        DistributedAtomicLong counter = new DistributedAtomicLong(client, root + "/long",
            new RetryNTimes(200, 5));
        for (int i = 0; i < 25; ++i) check(counter.increment().succeeded(), "counted");
        return null;
      }));
    }
    for (Future<?> each : all) each.get(120, TimeUnit.SECONDS);
    pool.shutdown();
    same(50L, new DistributedAtomicLong(one, root + "/long", new RetryOneTime(1)).get().postValue());
    DistributedAtomicInteger number =
        new DistributedAtomicInteger(one, root + "/int", new RetryNTimes(10, 5));
    check(number.trySet(7).succeeded() && number.compareAndSet(7, 8).succeeded(), "set");
    check(!number.compareAndSet(7, 9).succeeded(), "compared");
  }

  static void sharedCount(CuratorFramework one, CuratorFramework other, String root)
      throws Exception {
    SharedCount mine = new SharedCount(one, root + "/count", 3);
    SharedCount theirs = new SharedCount(other, root + "/count", 3);
    mine.start();
    theirs.start();
    same(3, theirs.getCount());
    VersionedValue<Integer> before = mine.getVersionedValue();
    mine.setCount(4);
    until("the other sees it", () -> theirs.getCount() == 4);
    check(!mine.trySetCount(before, 9), "an old version is refused");
    check(theirs.trySetCount(theirs.getVersionedValue(), 5), "the present one is taken");
    until("back", () -> mine.getCount() == 5);
    mine.close();
    theirs.close();
  }

  static void pathChildrenCache(CuratorFramework one, CuratorFramework other, String root)
      throws Exception {
    one.create().forPath(root);
    one.create().forPath(root + "/a", bytes("1"));
    PathChildrenCache cache = new PathChildrenCache(other, root, true);
    BlockingQueue<String> events = new LinkedBlockingQueue<>();
    cache.getListenable().addListener((client, event) -> {
      if (event.getData() != null) events.add(event.getType() + " " + event.getData().getPath());
    });
    cache.start(PathChildrenCache.StartMode.BUILD_INITIAL_CACHE);
    same("1", text(cache.getCurrentData(root + "/a").getData()));
    one.create().forPath(root + "/b", bytes("2"));
    same("CHILD_ADDED " + root + "/b", events.poll(60, TimeUnit.SECONDS));
    one.setData().forPath(root + "/a", bytes("3"));
    same("CHILD_UPDATED " + root + "/a", events.poll(60, TimeUnit.SECONDS));
    one.delete().forPath(root + "/b");
    same("CHILD_REMOVED " + root + "/b", events.poll(60, TimeUnit.SECONDS));
    same("3", text(cache.getCurrentData(root + "/a").getData()));
    cache.close();
  }

  static void treeCache(CuratorFramework one, CuratorFramework other, String root)
      throws Exception {
    one.create().creatingParentsIfNeeded().forPath(root + "/a/b", bytes("1"));
    TreeCache cache = TreeCache.newBuilder(other, root).build();
    CountDownLatch ready = new CountDownLatch(1);
    cache.getListenable().addListener((client, event) -> {
      if (event.getType() == TreeCacheEvent.Type.INITIALIZED) ready.countDown();
    });
    cache.start();
    check(ready.await(60, TimeUnit.SECONDS), "initialized");
    same("1", text(cache.getCurrentData(root + "/a/b").getData()));
    one.create().forPath(root + "/a/b/c", bytes("2"));
    one.setData().forPath(root + "/a/b", bytes("3"));
    until("the new one", () -> cache.getCurrentData(root + "/a/b/c") != null
        && text(cache.getCurrentData(root + "/a/b").getData()).equals("3"));
    one.delete().deletingChildrenIfNeeded().forPath(root + "/a/b");
    until("gone", () -> cache.getCurrentChildren(root + "/a").isEmpty());
    cache.close();
  }

  static void curatorCache(CuratorFramework one, CuratorFramework other, String root)
      throws Exception {
    one.create().creatingParentsIfNeeded().forPath(root + "/a/b", bytes("1"));
    CuratorCache cache = CuratorCache.build(other, root);
    CountDownLatch ready = new CountDownLatch(1);
    BlockingQueue<String> events = new LinkedBlockingQueue<>();
    cache.listenable().addListener(CuratorCacheListener.builder().afterInitialized()
        .forAll((type, before, after) ->
            events.add(type + " " + (after == null ? before : after).getPath())).build());
    cache.listenable().addListener(
        CuratorCacheListener.builder().forInitialized(ready::countDown).build());
    cache.start();
    check(ready.await(60, TimeUnit.SECONDS), "initialized");
    same(3, cache.size());
    one.create().forPath(root + "/a/b/c", bytes("2"));
    same("NODE_CREATED " + root + "/a/b/c", events.poll(60, TimeUnit.SECONDS));
    one.setData().forPath(root + "/a/b/c", bytes("3"));
    same("NODE_CHANGED " + root + "/a/b/c", events.poll(60, TimeUnit.SECONDS));
    one.delete().forPath(root + "/a/b/c");
    same("NODE_DELETED " + root + "/a/b/c", events.poll(60, TimeUnit.SECONDS));
    for (int i = 0; i < 100; ++i) one.create().forPath(root + "/a/n" + i, bytes("" + i));
    until("all of them", () -> cache.size() == 103);
    cache.close();
  }

  static void nodeCache(CuratorFramework one, CuratorFramework other, String root)
      throws Exception {
    NodeCache cache = new NodeCache(other, root + "/n");
    AtomicInteger changes = new AtomicInteger();
    cache.getListenable().addListener(changes::incrementAndGet);
    cache.start(true);
    same(null, cache.getCurrentData());
    one.create().creatingParentsIfNeeded().forPath(root + "/n", bytes("1"));
    until("made", () -> cache.getCurrentData() != null);
    one.setData().forPath(root + "/n", bytes("2"));
    until("set", () -> text(cache.getCurrentData().getData()).equals("2"));
    one.delete().forPath(root + "/n");
    until("gone", () -> cache.getCurrentData() == null);
    until("told of each", () -> changes.get() >= 3);  // The cache changes first.
    cache.close();
  }

  static void persistentNodes(CuratorFramework one, CuratorFramework other, String root)
      throws Exception {
    PersistentNode node =
        new PersistentNode(one, CreateMode.EPHEMERAL, false, root + "/p", bytes("1"));
    node.start();
    check(node.waitForInitialCreate(60, TimeUnit.SECONDS), "made");
    same("1", text(other.getData().forPath(root + "/p")));
    other.delete().forPath(root + "/p");
    until("made again", () -> other.checkExists().forPath(root + "/p") != null);
    node.setData(bytes("2"));
    until("set", () -> text(other.getData().forPath(root + "/p")).equals("2"));
    node.close();
    until("gone", () -> other.checkExists().forPath(root + "/p") == null);
    PersistentTtlNode brief = new PersistentTtlNode(one, root + "/t", 60_000, bytes("t"));
    brief.start();
    check(brief.waitForInitialCreate(60, TimeUnit.SECONDS), "made with a ttl");
    brief.close();
  }

  static void groupMember(CuratorFramework one, CuratorFramework other, String root)
      throws Exception {
    GroupMember a = new GroupMember(one, root + "/g", "a", bytes("at a"));
    GroupMember b = new GroupMember(other, root + "/g", "b", bytes("at b"));
    a.start();
    b.start();
    until("both see both",
          () -> a.getCurrentMembers().size() == 2 && b.getCurrentMembers().size() == 2);
    same("at b", text(a.getCurrentMembers().get("b")));
    b.close();
    until("one is left", () -> a.getCurrentMembers().size() == 1);
    a.close();
  }

  static void persistentWatcher(CuratorFramework one, CuratorFramework other, String root)
      throws Exception {
    one.create().forPath(root);
    BlockingQueue<String> events = new LinkedBlockingQueue<>();
    PersistentWatcher watcher = new PersistentWatcher(other, root, true);
    CountDownLatch set = new CountDownLatch(1);
    watcher.getResetListenable().addListener(set::countDown);
    watcher.getListenable().addListener(e -> {
      if (e.getType() != Watcher.Event.EventType.None) events.add(e.getType() + " " + e.getPath());
    });
    watcher.start();
    check(set.await(60, TimeUnit.SECONDS), "set");
    one.create().forPath(root + "/a");
    one.setData().forPath(root + "/a", bytes("1"));
    one.create().forPath(root + "/a/b");
    one.delete().forPath(root + "/a/b");
    for (String want : List.of("NodeCreated " + root + "/a", "NodeDataChanged " + root + "/a",
                               "NodeCreated " + root + "/a/b", "NodeDeleted " + root + "/a/b")) {
      same(want, events.poll(60, TimeUnit.SECONDS));
    }
    watcher.close();
    BlockingQueue<WatchedEvent> plain = new LinkedBlockingQueue<>();
    one.watchers().add().withMode(AddWatchMode.PERSISTENT)
        .usingWatcher((Watcher) plain::add).forPath(root);
    other.create().forPath(root + "/c");
    same(Watcher.Event.EventType.NodeChildrenChanged, plain.poll(60, TimeUnit.SECONDS).getType());
    one.watchers().removeAll().forPath(root);
  }

  static void discovery(CuratorFramework one, CuratorFramework other, String root)
      throws Exception {
    ServiceInstance<Void> instance = ServiceInstance.<Void>builder().name("web").id("i1")
        .address("10.0.0.1").port(80).build();
    ServiceDiscovery<Void> mine = ServiceDiscoveryBuilder.builder(Void.class).client(one)
        .basePath(root).thisInstance(instance).build();
    ServiceDiscovery<Void> theirs =
        ServiceDiscoveryBuilder.builder(Void.class).client(other).basePath(root).build();
    mine.start();
    theirs.start();
    until("found", () -> theirs.queryForInstances("web").size() == 1);
    same(80, theirs.queryForInstance("web", "i1").getPort());
    ServiceProvider<Void> provider = theirs.serviceProviderBuilder().serviceName("web").build();
    provider.start();
    until("provided", () -> provider.getInstance() != null);
    ServiceCache<Void> cache = theirs.serviceCacheBuilder().name("web").build();
    cache.start();
    same(1, cache.getInstances().size());
    ServiceInstance<Void> second = ServiceInstance.<Void>builder().name("web").id("i2")
        .address("10.0.0.2").port(81).build();
    mine.registerService(second);
    until("two", () -> cache.getInstances().size() == 2);
    mine.unregisterService(second);
    until("one", () -> cache.getInstances().size() == 1);
    provider.close();
    cache.close();
    mine.close();
    until("none", () -> theirs.queryForInstances("web").isEmpty());
    theirs.close();
  }

  public static void main(String[] arguments) throws Exception {
    hosts = arguments[0];
    String base = arguments[1];
    List<String> wanted = List.of(arguments).subList(2, arguments.length);
    boolean isFine = true;
    CuratorFramework one = connect();
    CuratorFramework other = connect();
    if (one.checkExists().forPath(base) == null) one.create().forPath(base);
    for (Map.Entry<String, Scenario> each : scenarios.entrySet()) {
      if (!wanted.isEmpty() && !wanted.contains(each.getKey())) continue;
      try {
        each.getValue().run(one, other, base + "/" + each.getKey());
        System.out.println("ok " + each.getKey());
      } catch (Throwable trouble) {
        isFine = false;
        System.out.println("failed " + each.getKey());
        trouble.printStackTrace();
      }
      System.out.flush();
    }
    one.close();
    other.close();
    System.exit(isFine ? 0 : 1);
  }
}
