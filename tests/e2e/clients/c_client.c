/* What ZooKeeper's C client offers, against one server: c_client HOSTS ROOT SCENARIO.
 *
 * Prints "ok" at the end; anything that is not as expected ends it with a line that says so. Compiled
 * by test_zk_c.py with -DTHREADED and linked with Debian's libzookeeper_mt. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);  \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)
#define EXPECT(got, want)                                                      \
  do {                                                                         \
    int got_ = (got), want_ = (want);                                          \
    if (got_ != want_) {                                                       \
      fprintf(stderr, "%s:%d: %s gives %d (%s), not %d\n", __FILE__, __LINE__, \
              #got, got_, zerror(got_), want_);                                \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)

static const char *hosts;
static const char *root;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* What watchers heard: one line for each event, "CONTEXT TYPE PATH". */
static char heard[1 << 16];
static int session_state;
static int session_events;

static void note(const char *form, ...) {
  va_list list;
  va_start(list, form);
  pthread_mutex_lock(&lock);
  size_t used = strlen(heard);
  vsnprintf(heard + used, sizeof heard - used, form, list);
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  va_end(list);
}

static void on_session(zhandle_t *zh, int type, int state, const char *path, void *context) {
  (void)zh;
  (void)context;
  if (type != ZOO_SESSION_EVENT) {
    note("default %d %s\n", type, path);
    return;
  }
  pthread_mutex_lock(&lock);
  session_state = state;
  ++session_events;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

static void on_event(zhandle_t *zh, int type, int state, const char *path, void *context) {
  (void)zh;
  (void)state;
  if (type == ZOO_SESSION_EVENT) return;
  note("%s %d %s\n", context ? (const char *)context : "watch", type, path);
}

static int wait_for(int (*is_so)(const void *), const void *what, int seconds) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += seconds;
  pthread_mutex_lock(&lock);
  int result = 0;
  while (!is_so(what) && result == 0) result = pthread_cond_timedwait(&changed, &lock, &until);
  result = is_so(what);
  pthread_mutex_unlock(&lock);
  return result;
}

static int was_heard(const void *line) { return strstr(heard, line) != NULL; }
static int is_in_state(const void *state) { return session_state == *(const int *)state; }

static void expect_heard(const char *form, ...) {
  char line[1024];
  va_list list;
  va_start(list, form);
  vsnprintf(line, sizeof line, form, list);
  va_end(list);
  if (wait_for(was_heard, line, 30)) return;
  fprintf(stderr, "never heard: %snot in:\n%s", line, heard);
  exit(1);
}

static void forget(void) {
  pthread_mutex_lock(&lock);
  heard[0] = 0;
  pthread_mutex_unlock(&lock);
}

static zhandle_t *connect_as(const clientid_t *id) {
  zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
  pthread_mutex_lock(&lock);
  session_state = 0;
  pthread_mutex_unlock(&lock);
  zhandle_t *zh = zookeeper_init(hosts, on_session, 10000, id, NULL, 0);
  CHECK(zh != NULL);
  CHECK(wait_for(is_in_state, &ZOO_CONNECTED_STATE, 30));
  return zh;
}

static const char *at(const char *name) {
  static char paths[16][512];
  static int next;
  char *path = paths[next++ % 16];
  snprintf(path, sizeof paths[0], "%s%s", root, name);
  return path;
}

static void make(zhandle_t *zh, const char *path, const char *value) {
  EXPECT(zoo_create(zh, path, value, value ? (int)strlen(value) : -1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0),
         ZOK);
}

/* ---- the synchronous calls */

static void scenario_sync(void) {
  zhandle_t *zh = connect_as(NULL);
  char buffer[1024];
  struct Stat stat, other;
  int length;
  make(zh, root, "top");
  EXPECT(zoo_create(zh, root, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZNODEEXISTS);
  EXPECT(zoo_create(zh, at("/x/y"), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZNONODE);
  EXPECT(zoo_create2(zh, at("/a"), "one", 3, &ZOO_OPEN_ACL_UNSAFE, 0, buffer, sizeof buffer, &stat), ZOK);
  CHECK(strcmp(buffer, at("/a")) == 0 && stat.version == 0 && stat.dataLength == 3);
  CHECK(stat.czxid == stat.mzxid && stat.czxid == stat.pzxid && stat.czxid > 0);
  EXPECT(zoo_exists(zh, at("/a"), 0, &other), ZOK);
  CHECK(stat.czxid == other.czxid && stat.mzxid == other.mzxid && stat.pzxid == other.pzxid);
  CHECK(stat.ctime == other.ctime && stat.mtime == other.mtime && stat.ctime == stat.mtime);
  CHECK(other.cversion == 0 && other.aversion == 0 && other.numChildren == 0);
  EXPECT(zoo_exists(zh, at("/none"), 0, &other), ZNONODE);
  length = sizeof buffer;
  EXPECT(zoo_get(zh, at("/a"), 0, buffer, &length, &other), ZOK);
  CHECK(length == 3 && memcmp(buffer, "one", 3) == 0);
  EXPECT(zoo_set(zh, at("/a"), "two", 3, 0), ZOK);
  EXPECT(zoo_set(zh, at("/a"), "two", 3, 0), ZBADVERSION);
  EXPECT(zoo_set2(zh, at("/a"), "three", 5, 1, &stat), ZOK);
  CHECK(stat.version == 2 && stat.dataLength == 5 && stat.mzxid > stat.czxid);
  EXPECT(zoo_set(zh, at("/none"), "x", 1, -1), ZNONODE);
  /* Null and empty data are two things. */
  make(zh, at("/null"), NULL);
  length = sizeof buffer;
  EXPECT(zoo_get(zh, at("/null"), 0, buffer, &length, &stat), ZOK);
  CHECK(length == -1 && stat.dataLength == 0);
  make(zh, at("/empty"), "");
  length = sizeof buffer;
  EXPECT(zoo_get(zh, at("/empty"), 0, buffer, &length, &stat), ZOK);
  CHECK(length == 0);
  /* Sequences and ephemerals. */
  EXPECT(zoo_create(zh, at("/s-"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, buffer, sizeof buffer), ZOK);
  CHECK(strcmp(buffer, at("/s-0000000003")) == 0);
  EXPECT(zoo_create(zh, at("/e-"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE | ZOO_EPHEMERAL, buffer,
                    sizeof buffer), ZOK);
  CHECK(strcmp(buffer, at("/e-0000000004")) == 0);
  EXPECT(zoo_exists(zh, buffer, 0, &stat), ZOK);
  CHECK(stat.ephemeralOwner == zoo_client_id(zh)->client_id && stat.ephemeralOwner != 0);
  EXPECT(zoo_create(zh, at("/e-0000000004/x"), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0),
         ZNOCHILDRENFOREPHEMERALS);
  struct String_vector names;
  EXPECT(zoo_get_children(zh, root, 0, &names), ZOK);
  CHECK(names.count == 5);
  deallocate_String_vector(&names);
  EXPECT(zoo_get_children2(zh, root, 0, &names, &stat), ZOK);
  CHECK(names.count == 5 && stat.numChildren == 5 && stat.cversion == 5);
  deallocate_String_vector(&names);
  EXPECT(zoo_delete(zh, root, -1), ZNOTEMPTY);
  EXPECT(zoo_delete(zh, at("/a"), 0), ZBADVERSION);
  EXPECT(zoo_delete(zh, at("/a"), 2), ZOK);
  EXPECT(zoo_delete(zh, at("/a"), -1), ZNONODE);
  EXPECT(zoo_get_children2(zh, root, 0, &names, &stat), ZOK);
  CHECK(stat.numChildren == 4 && stat.cversion == 6);
  deallocate_String_vector(&names);
  /* Containers. */
  EXPECT(zoo_create(zh, at("/box"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_CONTAINER, buffer, sizeof buffer), ZOK);
  EXPECT(zoo_exists(zh, at("/box"), 0, &stat), ZOK);
  CHECK(stat.ephemeralOwner == 0);
  EXPECT(zoo_create2_ttl(zh, at("/brief"), "t", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL,
                         3600000, buffer, sizeof buffer, &stat), ZOK);
  CHECK(stat.ephemeralOwner == 0 && stat.dataLength == 1);
  EXPECT(zoo_create_ttl(zh, at("/brief-"), "t", 1, &ZOO_OPEN_ACL_UNSAFE,
                        ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL, 3600000, buffer, sizeof buffer), ZOK);
  CHECK(strcmp(buffer, at("/brief-0000000007")) == 0);
  /* The ensemble as a node. */
  length = sizeof buffer;
  EXPECT(zoo_getconfig(zh, 0, buffer, &length, &stat), ZOK);
  EXPECT(zoo_recv_timeout(zh), 10000);
  CHECK(zookeeper_get_connected_host(zh, (struct sockaddr *)buffer, &(socklen_t){sizeof buffer}) != NULL);
  EXPECT(zookeeper_close(zh), ZOK);
}

/* ---- the asynchronous calls */

static int answers;
static int have_answers(const void *want) { return answers >= *(const int *)want; }
static void answered(void) {
  pthread_mutex_lock(&lock);
  ++answers;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}
static void expect_answers(int want) { CHECK(wait_for(have_answers, &want, 30)); }

static void got_string(int rc, const char *value, const void *want) {
  EXPECT(rc, ZOK);
  CHECK(strcmp(value, want) == 0);
  answered();
}
static void got_string_stat(int rc, const char *value, const struct Stat *stat, const void *want) {
  CHECK(rc == ZOK && stat->version == 0);
  got_string(rc, value, want);
}
static void got_void(int rc, const void *want) {
  EXPECT(rc, *(const int *)want);
  answered();
}
static void got_stat(int rc, const struct Stat *stat, const void *want) {
  EXPECT(rc, *(const int *)want);
  CHECK(rc != ZOK || stat != NULL);
  answered();
}
static void got_data(int rc, const char *value, int length, const struct Stat *stat, const void *want) {
  EXPECT(rc, ZOK);
  CHECK(length == (int)strlen(want) && memcmp(value, want, (size_t)length) == 0 && stat->version == 1);
  answered();
}
static void got_strings(int rc, const struct String_vector *names, const void *want) {
  EXPECT(rc, ZOK);
  EXPECT(names->count, *(const int *)want);
  answered();
}
static void got_strings_stat(int rc, const struct String_vector *names, const struct Stat *stat,
                             const void *want) {
  CHECK(rc == ZOK && stat->numChildren == names->count);
  got_strings(rc, names, want);
}
static void got_acl(int rc, struct ACL_vector *acl, struct Stat *stat, const void *want) {
  (void)want;
  CHECK(rc == ZOK && acl->count == 1 && acl->data[0].perms == ZOO_PERM_ALL && stat->aversion == 0);
  answered();
}

/* All in flight at once: the answers come in the order of the requests, reads among writes. */
static void scenario_async(void) {
  static const int ok = ZOK, no_node = ZNONODE, one = 1, bad_version = ZBADVERSION;
  zhandle_t *zh = connect_as(NULL);
  char a[512], b[512];
  snprintf(a, sizeof a, "%s/a", root);
  snprintf(b, sizeof b, "%s/b", root);
  EXPECT(zoo_acreate(zh, root, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, got_string, root), ZOK);
  EXPECT(zoo_acreate2(zh, a, "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, got_string_stat, a), ZOK);
  EXPECT(zoo_aexists(zh, a, 0, got_stat, &ok), ZOK);
  EXPECT(zoo_aexists(zh, b, 0, got_stat, &no_node), ZOK);
  EXPECT(zoo_aset(zh, a, "22", 2, 0, got_stat, &ok), ZOK);
  EXPECT(zoo_aset(zh, a, "3", 1, 0, got_stat, &bad_version), ZOK);
  EXPECT(zoo_aget(zh, a, 0, got_data, "22"), ZOK);
  EXPECT(zoo_aget_children(zh, root, 0, got_strings, &one), ZOK);
  EXPECT(zoo_aget_children2(zh, root, 0, got_strings_stat, &one), ZOK);
  EXPECT(zoo_aget_acl(zh, a, got_acl, NULL), ZOK);
  EXPECT(zoo_async(zh, root, got_string, root), ZOK);
  EXPECT(zoo_adelete(zh, a, -1, got_void, &ok), ZOK);
  EXPECT(zoo_adelete(zh, a, -1, got_void, &no_node), ZOK);
  EXPECT(zoo_acreate_ttl(zh, b, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, 3600000, got_string, b),
         ZOK);
  EXPECT(zoo_aset_acl(zh, b, -1, &ZOO_READ_ACL_UNSAFE, got_void, &ok), ZOK);
  expect_answers(15);
  /* A thousand in flight. */
  answers = 0;
  for (int i = 0; i < 1000; ++i) {
    EXPECT(zoo_aset(zh, root, "x", 1, i, got_stat, &ok), ZOK);
    EXPECT(zoo_aexists(zh, root, 0, got_stat, &ok), ZOK);
  }
  expect_answers(2000);
  EXPECT(zookeeper_close(zh), ZOK);
}

/* ---- watches */

static void scenario_watches(void) {
  zhandle_t *zh = connect_as(NULL);
  zhandle_t *writer = connect_as(NULL);
  struct Stat stat;
  struct String_vector names;
  char buffer[64];
  int length = sizeof buffer;
  make(zh, root, "");
  EXPECT(zoo_wexists(zh, at("/a"), on_event, "exists", &stat), ZNONODE);
  EXPECT(zoo_wget_children(zh, root, on_event, "children", &names), ZOK);
  deallocate_String_vector(&names);
  make(writer, at("/a"), "1");
  expect_heard("exists %d %s\n", ZOO_CREATED_EVENT, at("/a"));
  expect_heard("children %d %s\n", ZOO_CHILD_EVENT, root);
  EXPECT(zoo_wget(zh, at("/a"), on_event, "get", buffer, &length, &stat), ZOK);
  EXPECT(zoo_wexists(zh, at("/a"), on_event, "exists", &stat), ZOK);
  EXPECT(zoo_set(writer, at("/a"), "2", 1, -1), ZOK);
  expect_heard("get %d %s\n", ZOO_CHANGED_EVENT, at("/a"));
  expect_heard("exists %d %s\n", ZOO_CHANGED_EVENT, at("/a"));
  /* A watch is good for one event. */
  forget();
  EXPECT(zoo_set(writer, at("/a"), "3", 1, -1), ZOK);
  EXPECT(zoo_wget_children2(zh, root, on_event, "children", &names, &stat), ZOK);
  deallocate_String_vector(&names);
  length = sizeof buffer;
  EXPECT(zoo_wget(zh, at("/a"), on_event, "get", buffer, &length, &stat), ZOK);
  CHECK(heard[0] == 0);
  EXPECT(zoo_delete(writer, at("/a"), -1), ZOK);
  expect_heard("get %d %s\n", ZOO_DELETED_EVENT, at("/a"));
  expect_heard("children %d %s\n", ZOO_CHILD_EVENT, root);
  /* The default watcher. */
  EXPECT(zoo_exists(zh, at("/b"), 1, &stat), ZNONODE);
  make(writer, at("/b"), "");
  expect_heard("default %d %s\n", ZOO_CREATED_EVENT, at("/b"));
  /* One's own write: the event comes before its answer. */
  forget();
  EXPECT(zoo_wexists(zh, at("/b"), on_event, "own", &stat), ZOK);
  EXPECT(zoo_set(zh, at("/b"), "x", 1, -1), ZOK);
  expect_heard("own %d %s\n", ZOO_CHANGED_EVENT, at("/b"));
  /* Taken back, one and all. */
  forget();
  EXPECT(zoo_wexists(zh, at("/b"), on_event, "gone", &stat), ZOK);
  EXPECT(zoo_remove_watches(zh, at("/b"), ZWATCHTYPE_DATA, on_event, "gone", 0), ZOK);
  EXPECT(zoo_remove_watches(zh, at("/b"), ZWATCHTYPE_DATA, on_event, "gone", 0), ZNOWATCHER);
  EXPECT(zoo_wget_children(zh, root, on_event, "gone", &names), ZOK);
  deallocate_String_vector(&names);
  EXPECT(zoo_remove_all_watches(zh, root, ZWATCHTYPE_CHILD, 0), ZOK);
  make(writer, at("/c"), "");
  EXPECT(zoo_exists(zh, at("/c"), 0, &stat), ZOK);
  CHECK(strstr(heard, "gone 4") == NULL && strstr(heard, "gone 3") == NULL);
  EXPECT(zookeeper_close(writer), ZOK);
  EXPECT(zookeeper_close(zh), ZOK);
}

/* ---- multi */

static void scenario_multi(void) {
  zhandle_t *zh = connect_as(NULL);
  char made[512], made2[512];
  struct Stat set_stat, stat;
  zoo_op_t ops[5];
  zoo_op_result_t results[5];
  make(zh, root, "");
  zoo_create_op_init(&ops[0], at("/a"), "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, made, sizeof made);
  zoo_create_op_init(&ops[1], at("/a/s-"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, made2, sizeof made2);
  zoo_set_op_init(&ops[2], at("/a"), "2", 1, 0, &set_stat);
  zoo_check_op_init(&ops[3], at("/a"), 1);
  zoo_delete_op_init(&ops[4], at("/a/s-0000000000"), 0);
  EXPECT(zoo_multi(zh, 5, ops, results), ZOK);
  for (int i = 0; i < 5; ++i) EXPECT(results[i].err, ZOK);
  CHECK(strcmp(made, at("/a")) == 0 && strcmp(made2, at("/a/s-0000000000")) == 0);
  CHECK(set_stat.version == 1 && set_stat.czxid == set_stat.mzxid);
  /* One that fails undoes all, and every operation says what became of it. */
  zoo_set_op_init(&ops[0], at("/a"), "3", 1, 1, &set_stat);
  zoo_create_op_init(&ops[1], at("/new"), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, made, sizeof made);
  zoo_check_op_init(&ops[2], at("/a"), 77);
  zoo_delete_op_init(&ops[3], at("/a"), -1);
  EXPECT(zoo_multi(zh, 4, ops, results), ZBADVERSION);
  EXPECT(results[0].err, ZOK);
  EXPECT(results[1].err, ZOK);
  EXPECT(results[2].err, ZBADVERSION);
  EXPECT(results[3].err, ZRUNTIMEINCONSISTENCY);
  EXPECT(zoo_exists(zh, at("/new"), 0, &stat), ZNONODE);
  EXPECT(zoo_exists(zh, at("/a"), 0, &stat), ZOK);
  CHECK(stat.version == 1);
  static const int ok = ZOK;
  zoo_delete_op_init(&ops[0], at("/a"), 1);
  EXPECT(zoo_amulti(zh, 1, ops, results, got_void, &ok), ZOK);
  expect_answers(1);
  EXPECT(zoo_exists(zh, at("/a"), 0, &stat), ZNONODE);
  EXPECT(zookeeper_close(zh), ZOK);
}

/* ---- ACLs */

static int authed;
static int is_authed(const void *unused) { (void)unused; return authed; }
static void got_auth(int rc, const void *unused) {
  (void)unused;
  EXPECT(rc, ZOK);
  pthread_mutex_lock(&lock);
  authed = 1;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

static void scenario_acls(void) {
  zhandle_t *zh = connect_as(NULL);
  zhandle_t *other = connect_as(NULL);
  char buffer[64];
  int length = sizeof buffer;
  struct Stat stat;
  struct ACL_vector acl;
  make(zh, root, "");
  EXPECT(zoo_create(zh, at("/auth"), "", 0, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0), ZINVALIDACL);
  EXPECT(zoo_add_auth(zh, "digest", "ann:secret", 10, got_auth, NULL), ZOK);
  CHECK(wait_for(is_authed, NULL, 30));
  EXPECT(zoo_create(zh, at("/mine"), "m", 1, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0), ZOK);
  EXPECT(zoo_get_acl(zh, at("/mine"), &acl, &stat), ZOK);
  CHECK(acl.count == 1 && strcmp(acl.data[0].id.scheme, "digest") == 0);
  CHECK(strncmp(acl.data[0].id.id, "ann:", 4) == 0 && strlen(acl.data[0].id.id) == 4 + 28);
  deallocate_ACL_vector(&acl);
  EXPECT(zoo_get(other, at("/mine"), 0, buffer, &length, &stat), ZNOAUTH);
  EXPECT(zoo_set(other, at("/mine"), "x", 1, -1), ZNOAUTH);
  EXPECT(zoo_exists(other, at("/mine"), 0, &stat), ZOK);
  EXPECT(zoo_create(other, at("/mine/x"), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZNOAUTH);
  EXPECT(zoo_set_acl(zh, at("/mine"), 0, &ZOO_READ_ACL_UNSAFE), ZOK);
  EXPECT(zoo_set_acl(zh, at("/mine"), 0, &ZOO_OPEN_ACL_UNSAFE), ZNOAUTH);
  length = sizeof buffer;
  EXPECT(zoo_get(other, at("/mine"), 0, buffer, &length, &stat), ZOK);
  CHECK(stat.aversion == 1 && stat.version == 0);
  EXPECT(zoo_set(other, at("/mine"), "x", 1, -1), ZNOAUTH);
  /* Deleting asks the parent. */
  EXPECT(zoo_delete(other, at("/mine"), -1), ZOK);
  struct ACL entries[1] = {{ZOO_PERM_ALL, {"nobody", "x"}}};
  struct ACL_vector wrong = {1, entries};
  EXPECT(zoo_create(zh, at("/wrong"), "", 0, &wrong, 0, NULL, 0), ZINVALIDACL);
  EXPECT(zookeeper_close(other), ZOK);
  EXPECT(zookeeper_close(zh), ZOK);
}

/* ---- sessions */

/* A client that dies: its session is left open, with an ephemeral. */
static clientid_t abandoned_session(void) {
  clientid_t id;
  int ends[2];
  CHECK(pipe(ends) == 0);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    zhandle_t *zh = connect_as(NULL);
    make(zh, root, "");
    EXPECT(zoo_create(zh, at("/e"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0), ZOK);
    CHECK(write(ends[1], zoo_client_id(zh), sizeof id) == sizeof id);
    _exit(0);
  }
  CHECK(read(ends[0], &id, sizeof id) == sizeof id);
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  return id;
}

static void scenario_sessions(void) {
  struct Stat stat;
  clientid_t id = abandoned_session();
  /* The same session from another connection: the ephemeral stays its own. */
  zhandle_t *again = connect_as(&id);
  CHECK(zoo_client_id(again)->client_id == id.client_id);
  EXPECT(zoo_exists(again, at("/e"), 0, &stat), ZOK);
  CHECK(stat.ephemeralOwner == id.client_id);
  EXPECT(zookeeper_close(again), ZOK);
  zhandle_t *third = connect_as(NULL);
  EXPECT(zoo_exists(third, at("/e"), 0, &stat), ZNONODE);
  /* A session that has ended, and one with a wrong password, are refused for good. */
  session_state = 0;
  zhandle_t *late = zookeeper_init(hosts, on_session, 10000, &id, NULL, 0);
  CHECK(wait_for(is_in_state, &ZOO_EXPIRED_SESSION_STATE, 30));
  CHECK(is_unrecoverable(late) != ZOK);
  zookeeper_close(late);
  clientid_t wrong = *zoo_client_id(third);
  wrong.passwd[3] ^= 1;
  session_state = 0;
  late = zookeeper_init(hosts, on_session, 10000, &wrong, NULL, 0);
  CHECK(wait_for(is_in_state, &ZOO_EXPIRED_SESSION_STATE, 30));
  zookeeper_close(late);
  /* Whoever tries a wrong password harms the session of nobody (3.8 cuts its connection). */
  int rc;
  while ((rc = zoo_exists(third, root, 0, &stat)) == ZCONNECTIONLOSS) usleep(10000);
  EXPECT(rc, ZOK);
  EXPECT(zookeeper_close(third), ZOK);
}

/* ---- while servers come and go: sets counters until stdin says enough */

static int set_until_done(zhandle_t *zh, const char *path) {
  int version = 0;
  int unknown = 0;
  for (;;) {
    fd_set in;
    struct timeval no_wait = {0, 0};
    FD_ZERO(&in);
    FD_SET(0, &in);
    if (select(1, &in, NULL, NULL, &no_wait) > 0) break;
    char value[32];
    int length = snprintf(value, sizeof value, "%d", version + 1);
    int rc = zoo_set(zh, path, value, length, version);
    if (rc == ZOK) {
      ++version;
    } else if (rc == ZCONNECTIONLOSS || rc == ZOPERATIONTIMEOUT) {
      unknown = 1;
      usleep(10000);
    } else if (rc == ZBADVERSION && unknown) {
      ++version; /* It had been done. */
      unknown = 0;
    } else {
      EXPECT(rc, ZOK);
    }
    if (rc == ZOK) unknown = 0;
  }
  return version;
}

static void scenario_reconnect(void) {
  zhandle_t *zh = connect_as(NULL);
  struct Stat stat;
  char buffer[64];
  int length;
  long long id = zoo_client_id(zh)->client_id;
  make(zh, root, "");
  make(zh, at("/counter"), "0");
  EXPECT(zoo_create(zh, at("/e"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0), ZOK);
  EXPECT(zoo_wexists(zh, at("/later"), on_event, "kept", &stat), ZNONODE);
  printf("ready\n");
  fflush(stdout);
  int version = set_until_done(zh, at("/counter"));
  /* The session, its ephemeral and its watch came along. */
  int rc;
  do {
    length = sizeof buffer;
    rc = zoo_get(zh, at("/counter"), 0, buffer, &length, &stat);
    if (rc == ZCONNECTIONLOSS) usleep(10000);
  } while (rc == ZCONNECTIONLOSS);
  EXPECT(rc, ZOK);
  CHECK(zoo_client_id(zh)->client_id == id);
  CHECK(stat.version == version || stat.version == version + 1);
  CHECK(atoi(buffer) == stat.version);
  EXPECT(zoo_exists(zh, at("/e"), 0, &stat), ZOK);
  CHECK(stat.ephemeralOwner == id);
  CHECK(strstr(heard, "kept") == NULL);
  make(zh, at("/later"), "");
  expect_heard("kept %d %s\n", ZOO_CREATED_EVENT, at("/later"));
  CHECK(version > 20);
  EXPECT(zookeeper_close(zh), ZOK);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } scenarios[] = {{"sync", scenario_sync},         {"async", scenario_async},
                   {"watches", scenario_watches},   {"multi", scenario_multi},
                   {"acls", scenario_acls},         {"sessions", scenario_sessions},
                   {"reconnect", scenario_reconnect}};
  if (argc != 4) return 2;
  hosts = argv[1];
  root = argv[2];
  for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; ++i) {
    if (strcmp(scenarios[i].name, argv[3]) != 0) continue;
    scenarios[i].run();
    printf("ok\n");
    return 0;
  }
  return 2;
}
