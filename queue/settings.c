/* settings: section `redis` of the configuration (queue_table) and what follows from it.
 *
 * Fails: at start, naming the key. Does not: connect. */
#include "queue/dial.h"
#include "queue/queue.h"

#include <string.h>

#define DEFAULT_ADDRESS "127.0.0.1:6379"

static const struct conf_key keys[] = {
    {.name = "address",
     .type = CONF_STRING,
     .offset = offsetof(struct queue_settings, address),
     .initial = DEFAULT_ADDRESS,
     .min = 3,
     .max = 400,
     .help = "where Redis is: host:port or unix:/path/to/socket"},
    {.name = "sentinels",
     .type = CONF_STRINGS,
     .offset = offsetof(struct queue_settings, sentinels),
     .min = 3,
     .max = 400,
     .help = "Redis Sentinels to ask for the master, host:port each; then `address` is not used"},
    {.name = "master",
     .type = CONF_STRING,
     .offset = offsetof(struct queue_settings, master),
     .min = 1,
     .max = 128,
     .help = "the name under which the sentinels know the master"},
    {.name = "sentinel_password_file",
     .type = CONF_PATH,
     .offset = offsetof(struct queue_settings, sentinel_password_file),
     .help = "file with the sentinels' own password, where they ask for one"},
    {.name = "tls",
     .type = CONF_BOOL,
     .offset = offsetof(struct queue_settings, tls),
     .initial = "false",
     .help = "only false: TLS is carried by a local stunnel, as deploy/stunnel-redis.conf and docs/redis.md show"},
    {.name = "username",
     .type = CONF_STRING,
     .offset = offsetof(struct queue_settings, username),
     .min = 1,
     .max = 128,
     .help = "ACL user; without it the password is that of the default user"},
    {.name = "password_file",
     .type = CONF_PATH,
     .offset = offsetof(struct queue_settings, password_file),
     .help = "file with the password in its first line, readable by reachd only"},
    {.name = "prefix",
     .type = CONF_STRING,
     .offset = offsetof(struct queue_settings, prefix),
     .initial = "reach:",
     .min = 1,
     .max = 64,
     .help = "what all keys begin with"},
    {.name = "group",
     .type = CONF_STRING,
     .offset = offsetof(struct queue_settings, group),
     .initial = "reachd",
     .min = 1,
     .max = 64,
     .help = "consumer group of all reachd processes"},
    {.name = "consumer",
     .type = CONF_STRING,
     .offset = offsetof(struct queue_settings, consumer),
     .min = 1,
     .max = 64,
     .help = "stable name of this reachd in the group, different for each process; the host's name by default"},
    {.name = "allow_unsafe",
     .type = CONF_BOOL,
     .offset = offsetof(struct queue_settings, allow_unsafe),
     .initial = "false",
     .help = "start although Redis may lose what it has acknowledged (no AOF, an eviction policy)"},
    {.name = "batch",
     .type = CONF_INT,
     .offset = offsetof(struct queue_settings, batch),
     .initial = "512",
     .min = 1,
     .max = 10000,
     .help = "entries per read"},
    {.name = "lease",
     .type = CONF_DURATION,
     .offset = offsetof(struct queue_settings, lease_ms),
     .initial = "60s",
     .min = 100,
     .max = 86400000,
     .help = "how long a worker owns what it took before another may take it over"},
    {.name = "connect_timeout",
     .type = CONF_DURATION,
     .offset = offsetof(struct queue_settings, connect_timeout_ms),
     .initial = "5s",
     .min = 10,
     .max = 600000,
     .help = "how long connecting, and the first answer, may take"},
    {.name = "answer_timeout",
     .type = CONF_DURATION,
     .offset = offsetof(struct queue_settings, answer_timeout_ms),
     .initial = "30s",
     .min = 100,
     .max = 3600000,
     .help = "a Redis that says nothing for so long is given up and connected to anew"},
    {.name = "retention",
     .type = CONF_DURATION,
     .offset = offsetof(struct queue_settings, retention_ms),
     .initial = "30d",
     .min = 0,
     .max = INT64_C(315360000000),
     .help = "how long a finished notice stays in Redis at least, where there is an archive to take it; 0s: for ever"},
    {.name = "remember_ids",
     .type = CONF_DURATION,
     .offset = offsetof(struct queue_settings, remember_ms),
     .initial = "30d",
     .min = 0,
     .max = INT64_C(315360000000),
     .help = "how long after a notice has left for the archive its id is still known, so that the same job is a duplicate; 0s: not at all"},
    {.name = "audit_interval",
     .type = CONF_DURATION,
     .offset = offsetof(struct queue_settings, audit_interval_ms),
     .initial = "5m",
     .min = 0,
     .max = 86400000,
     .help = "how often the counters are compared with the records, by number and state by state; a difference raises an alarm with the "
             "ids. 0s: never"},
    {.name = "events_max",
     .type = CONF_INT,
     .offset = offsetof(struct queue_settings, events_max),
     .initial = "100000",
     .min = 1000,
     .max = 1000000000,
     .help = "approximate number of entries (batches) kept in the events stream"},
};

static int check_sentinels(const struct queue_settings *settings, struct err *err) {
    struct err why;
    if (settings->master == NULL) {
        return err_member(err, "sentinels", "needs redis.master, the name under which they know the master");
    }
    if (strcspn(settings->master, " \t") != strlen(settings->master)) {
        return err_member(err, "master", "holds a blank");
    }
    if (strcmp(settings->address, DEFAULT_ADDRESS) != 0) {
        return err_member(err, "address", "and redis.sentinels exclude each other: the sentinels name the address");
    }
    for (size_t i = 0; i < settings->sentinels.n; i++) {
        if (dial_check(settings->sentinels.items[i], &why) < 0) {
            return err_member(err, "sentinels", "\"%.64s\" %s", settings->sentinels.items[i], why.text);
        }
    }
    return 0;
}

static int check(void *object, struct err *err) {
    const struct queue_settings *settings = object;
    struct err why;
    if (settings->tls) {
        return err_member(
            err, "tls",
            "the Redis library of this build speaks no TLS: run a local stunnel as deploy/stunnel-redis.conf shows, and point "
            "redis.address at its socket");
    }
    if (settings->sentinels.n > 0) {
        return check_sentinels(settings, err);
    }
    if (settings->master != NULL || settings->sentinel_password_file != NULL) {
        return err_member(err, settings->master != NULL ? "master" : "sentinel_password_file", "needs redis.sentinels");
    }
    return dial_check(settings->address, &why) == 0 ? 0 : err_member(err, "address", "%s", why.text);
}

const struct conf_table queue_table = {
    .name = "redis",
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
    .size = sizeof(struct queue_settings),
    .where_offset = offsetof(struct queue_settings, where),
    .check = check,
};
