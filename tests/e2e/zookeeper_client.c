/* What ZooKeeper's own C client does with a member: compiled and run by test_zookeeper_c.py.
 *     zookeeper_client HOST:PORT[,HOST:PORT...]
 * Every check ends the program with its line when it fails. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);         \
      exit(1);                                                                \
    }                                                                         \
  } while (0)

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int connected, events, last_type, completions;
static char last_path[256];

static void note(int *what, int value) {
  pthread_mutex_lock(&mutex);
  *what = value;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
}

static void wait_for(int *what, int value) {
  struct timespec end;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += 30;
  pthread_mutex_lock(&mutex);
  while (*what < value) CHECK(pthread_cond_timedwait(&changed, &mutex, &end) == 0);
  pthread_mutex_unlock(&mutex);
}

static void on_session(zhandle_t *zh, int type, int state, const char *path, void *context) {
  (void)zh, (void)path, (void)context;
  if (type == ZOO_SESSION_EVENT) note(&connected, state == ZOO_CONNECTED_STATE);
}

static void on_watch(zhandle_t *zh, int type, int state, const char *path, void *context) {
  (void)zh, (void)state, (void)context;
  if (type == ZOO_SESSION_EVENT) return;
  pthread_mutex_lock(&mutex);
  last_type = type;
  snprintf(last_path, sizeof last_path, "%s", path);
  ++events;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
}

static void on_value(int rc, const char *value, int size, const struct Stat *stat,
                     const void *context) {
  (void)value, (void)size;
  CHECK(rc == ZOK);
  CHECK(stat->version == (int)(long)context); /* Of the write before it. */
  note(&completions, completions + 1);
}

static void on_stat(int rc, const struct Stat *stat, const void *context) {
  CHECK(rc == ZOK && stat->version == (int)(long)context);
  note(&completions, completions + 1);
}

static void on_string(int rc, const char *value, const void *context) {
  (void)context;
  CHECK(rc == ZOK && strcmp(value, "/c") == 0);
  note(&completions, completions + 1);
}

static void on_auth(int rc, const void *context) {
  (void)context;
  CHECK(rc == ZOK);
  note(&completions, completions + 1);
}

static zhandle_t *client(const char *hosts, const clientid_t *id) {
  connected = 0;
  zhandle_t *zh = zookeeper_init(hosts, on_session, 10000, id, NULL, 0);
  CHECK(zh != NULL);
  wait_for(&connected, 1);
  return zh;
}

static void nodes(zhandle_t *zh) {
  char path[256], value[64];
  int size = sizeof value;
  struct Stat stat;
  struct String_vector names;
  CHECK(zoo_create(zh, "/c", "v", 1, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path) == ZOK);
  CHECK(strcmp(path, "/c") == 0);
  CHECK(zoo_create(zh, "/c", "v", 1, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path) == ZNODEEXISTS);
  CHECK(zoo_get(zh, "/c", 0, value, &size, &stat) == ZOK && size == 1 && stat.version == 0);
  CHECK(zoo_set2(zh, "/c", "ww", 2, 0, &stat) == ZOK && stat.version == 1);
  CHECK(zoo_set(zh, "/c", "x", 1, 9) == ZBADVERSION);
  CHECK(zoo_create(zh, "/c/null", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path) == ZOK);
  size = sizeof value;
  CHECK(zoo_get(zh, "/c/null", 0, value, &size, &stat) == ZOK && size == -1);
  CHECK(zoo_create2(zh, "/c/s-", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, path, sizeof path,
                    &stat) == ZOK);
  CHECK(strcmp(path, "/c/s-0000000001") == 0);
  CHECK(zoo_create2_ttl(zh, "/c/ttl", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, 60000,
                        path, sizeof path, &stat) == ZOK);
  CHECK(stat.ephemeralOwner == 0);
  CHECK(zoo_create(zh, "/c/box", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_CONTAINER, path, sizeof path) ==
        ZOK);
  CHECK(zoo_get_children2(zh, "/c", 0, &names, &stat) == ZOK);
  CHECK(names.count == 4 && stat.numChildren == 4 && stat.cversion == 4);
  deallocate_String_vector(&names);
  CHECK(zoo_exists(zh, "/none", 0, &stat) == ZNONODE);
  CHECK(zoo_delete(zh, "/c", -1) == ZNOTEMPTY);
  CHECK(zoo_delete(zh, "/c/box", -1) == ZOK);
}

static void watches(zhandle_t *zh) {
  char value[64];
  int size = sizeof value;
  struct Stat stat;
  struct String_vector names;
  CHECK(zoo_wget(zh, "/c", on_watch, NULL, value, &size, &stat) == ZOK);
  CHECK(zoo_set(zh, "/c", "1", 1, -1) == ZOK);
  wait_for(&events, 1);
  CHECK(last_type == ZOO_CHANGED_EVENT && strcmp(last_path, "/c") == 0);
  CHECK(zoo_wexists(zh, "/c/new", on_watch, NULL, &stat) == ZNONODE);
  CHECK(zoo_create(zh, "/c/new", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, value, sizeof value) == ZOK);
  wait_for(&events, 2);
  CHECK(last_type == ZOO_CREATED_EVENT && strcmp(last_path, "/c/new") == 0);
  CHECK(zoo_wget_children(zh, "/c", on_watch, NULL, &names) == ZOK);
  deallocate_String_vector(&names);
  CHECK(zoo_delete(zh, "/c/new", -1) == ZOK);
  wait_for(&events, 3);
  CHECK(last_type == ZOO_CHILD_EVENT && strcmp(last_path, "/c") == 0);
  size = sizeof value;
  CHECK(zoo_wget(zh, "/c", on_watch, NULL, value, &size, &stat) == ZOK);
  CHECK(zoo_remove_watches(zh, "/c", ZWATCHTYPE_DATA, on_watch, NULL, 0) == ZOK);
  /* That only forgot it here: the server is asked whether it has such a watch, and keeps it. */
  CHECK(zoo_remove_all_watches(zh, "/c", ZWATCHTYPE_ANY, 0) == ZOK);
  CHECK(zoo_remove_all_watches(zh, "/c", ZWATCHTYPE_ANY, 0) == ZNOWATCHER);
}

static void order(zhandle_t *zh) {
  struct Stat stat;
  CHECK(zoo_exists(zh, "/c", 0, &stat) == ZOK);
  const long first = stat.version;
  completions = 0;
  for (long i = 1; i <= 100; ++i) {
    CHECK(zoo_aset(zh, "/c", "x", 1, -1, on_stat, (void *)(first + i)) == ZOK);
    CHECK(zoo_aget(zh, "/c", 0, on_value, (void *)(first + i)) == ZOK);
  }
  wait_for(&completions, 200);
  completions = 0;
  CHECK(zoo_async(zh, "/c", on_string, NULL) == ZOK);
  wait_for(&completions, 1);
}

static void transactions(zhandle_t *zh) {
  char path[64];
  struct Stat stat;
  zoo_op_t ops[4];
  zoo_op_result_t results[4];
  zoo_create_op_init(&ops[0], "/c/m", "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path);
  zoo_set_op_init(&ops[1], "/c/m", "2", 1, 0, &stat);
  zoo_check_op_init(&ops[2], "/c/m", 1);
  zoo_delete_op_init(&ops[3], "/c/m", 1);
  CHECK(zoo_multi(zh, 4, ops, results) == ZOK);
  CHECK(strcmp(path, "/c/m") == 0 && stat.version == 1);
  zoo_check_op_init(&ops[1], "/c/m", 7);
  CHECK(zoo_multi(zh, 3, ops, results) == ZBADVERSION);
  CHECK(results[0].err == ZOK && results[1].err == ZBADVERSION &&
        results[2].err == ZRUNTIMEINCONSISTENCY);
}

static void acls(zhandle_t *zh, const char *hosts) {
  struct ACL_vector acl;
  struct Stat stat;
  char value[64];
  int size = sizeof value;
  completions = 0;
  CHECK(zoo_add_auth(zh, "digest", "joe:secret", 10, on_auth, NULL) == ZOK);
  wait_for(&completions, 1);
  CHECK(zoo_create(zh, "/c/mine", "v", 1, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0) == ZOK);
  CHECK(zoo_get_acl(zh, "/c/mine", &acl, &stat) == ZOK && acl.count == 1);
  CHECK(strcmp(acl.data[0].id.scheme, "digest") == 0);
  deallocate_ACL_vector(&acl);
  zhandle_t *other = client(hosts, NULL);
  CHECK(zoo_get(other, "/c/mine", 0, value, &size, &stat) == ZNOAUTH);
  CHECK(zoo_set_acl(other, "/c/mine", -1, &ZOO_OPEN_ACL_UNSAFE) == ZNOAUTH);
  CHECK(zoo_set_acl(zh, "/c/mine", 0, &ZOO_OPEN_ACL_UNSAFE) == ZOK);
  size = sizeof value;
  CHECK(zoo_get(other, "/c/mine", 0, value, &size, &stat) == ZOK && stat.aversion == 1);
  CHECK(zookeeper_close(other) == ZOK);
}

static void sessions(zhandle_t *zh, const char *hosts) {
  struct Stat stat;
  CHECK(zoo_create(zh, "/c/e", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0) == ZOK);
  CHECK(zoo_exists(zh, "/c/e", 0, &stat) == ZOK);
  CHECK(stat.ephemeralOwner == zoo_client_id(zh)->client_id);
  CHECK(zoo_create(zh, "/c/e/child", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0) ==
        ZNOCHILDRENFOREPHEMERALS);
  zhandle_t *other = client(hosts, NULL);
  CHECK(zoo_wexists(other, "/c/e", on_watch, NULL, &stat) == ZOK);
  const int before = events;
  CHECK(zookeeper_close(zh) == ZOK);
  wait_for(&events, before + 1);
  CHECK(last_type == ZOO_DELETED_EVENT && strcmp(last_path, "/c/e") == 0);
  CHECK(zookeeper_close(other) == ZOK);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
  zhandle_t *zh = client(argv[1], NULL);
  CHECK(zoo_recv_timeout(zh) == 10000);
  nodes(zh);
  watches(zh);
  order(zh);
  transactions(zh);
  acls(zh, argv[1]);
  sessions(zh, argv[1]);
  puts("passed");
  return 0;
}
