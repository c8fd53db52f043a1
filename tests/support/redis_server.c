/* redis_server: see redis_server.h.
 *
 * Guarantees: a private server per call, reachable only through its socket (port 0), gone when the test is gone. Fails: with a
 * line on stderr, within a minute. Does not: share a server between tests; each starts from nothing. */
#include "tests/support/redis_server.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS = 60000, ARGS_MAX = 64 };

static void sleep_ms(long ms) {
    struct timespec wait = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&wait, NULL);
}

static int write_config(const struct redis_server *server, const char *extra) {
    FILE *file = fopen(server->config, "w");
    if (file == NULL) {
        return -1;
    }
    (void)fprintf(file,
                  "port 0\nunixsocket %s\nunixsocketperm 700\ndir %s\ndaemonize no\nsave \"\"\nappendonly yes\n"
                  "appendfsync everysec\nmaxmemory-policy noeviction\nlogfile %s/log\n%s\n",
                  server->socket, server->dir, server->dir, extra == NULL ? "" : extra);
    return fclose(file);
}

static void drop_connection(struct redis_server *server) {
    if (server->connection != NULL) {
        redisFree(server->connection);
        server->connection = NULL;
    }
}

static int connect_once(struct redis_server *server) {
    struct timeval wait = {.tv_sec = 10, .tv_usec = 0};
    if (server->connection == NULL) {
        redisContext *redis = redisConnectUnixWithTimeout(server->socket, wait);
        if (redis != NULL && redis->err != 0) {
            redisFree(redis);
            redis = NULL;
        }
        if (redis != NULL) {
            (void)redisSetTimeout(redis, wait);
        }
        server->connection = redis;
    }
    return server->connection == NULL ? -1 : 0;
}

static int wait_for_it(struct redis_server *server) {
    for (int waited = 0; waited < WAIT_MS; waited += 5) {
        const char *answer = redis_server_ask(server, "PING", NULL);
        if (answer != NULL && (strcmp(answer, "PONG") == 0 || strncmp(answer, "NOAUTH", 6) == 0)) {
            return 0;
        }
        int status;
        if (waitpid(server->pid, &status, WNOHANG) == server->pid) {
            (void)fprintf(stderr, "redis-server ended by itself; see its log in %s\n", server->dir);
            server->pid = 0;
            return -1;
        }
        sleep_ms(5);
    }
    (void)fprintf(stderr, "redis-server does not answer\n");
    return -1;
}

int redis_server_again(struct redis_server *server, bool wait) {
    pid_t parent = getpid();
    drop_connection(server);
    (void)unlink(server->socket);
    pid_t pid = fork();
    if (pid < 0) {
        return -1;
    }
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (getppid() == parent && null >= 0 && dup2(null, 1) >= 0) {
            (void)execlp("redis-server", "redis-server", server->config, (char *)NULL);
        }
        _exit(127);
    }
    server->pid = pid;
    return wait ? wait_for_it(server) : 0;
}

int redis_server_start(struct redis_server *server, const char *extra) {
    *server = (struct redis_server){0};
    (void)snprintf(server->dir, sizeof server->dir, "/tmp/reach-redis-XXXXXX");
    if (mkdtemp(server->dir) == NULL) {
        (void)fprintf(stderr, "mkdtemp: %s\n", strerror(errno));
        server->dir[0] = '\0';
        return -1;
    }
    (void)snprintf(server->socket, sizeof server->socket, "%s/redis.sock", server->dir);
    (void)snprintf(server->address, sizeof server->address, "unix:%s", server->socket);
    (void)snprintf(server->config, sizeof server->config, "%s/redis.conf", server->dir);
    if (write_config(server, extra) != 0 || redis_server_again(server, true) < 0) {
        redis_server_stop(server);
        return -1;
    }
    return 0;
}

static void end(struct redis_server *server, int how) {
    drop_connection(server);
    if (server->pid > 0) {
        int status;
        (void)kill(server->pid, how);
        (void)kill(server->pid, SIGCONT);
        (void)waitpid(server->pid, &status, 0);
        server->pid = 0;
    }
}

void redis_server_kill(struct redis_server *server) {
    end(server, SIGKILL);
}

void redis_server_shut(struct redis_server *server) {
    end(server, SIGTERM);
}

/* Its directory is of our own making and holds nothing but Redis' files. */
static void remove_dir(const char *dir) {
    pid_t pid = fork();
    if (pid == 0) {
        (void)execlp("rm", "rm", "-rf", dir, (char *)NULL);
        _exit(127);
    }
    if (pid > 0) {
        int status;
        (void)waitpid(pid, &status, 0);
    }
}

void redis_server_stop(struct redis_server *server) {
    end(server, SIGKILL);
    free(server->answer);
    server->answer = NULL;
    if (server->dir[0] != '\0') {
        remove_dir(server->dir);
        server->dir[0] = '\0';
    }
}

static void put_reply(struct buf *out, const redisReply *reply) {
    switch (reply->type) {
    case REDIS_REPLY_INTEGER: buf_put_i64(out, reply->integer); break;
    case REDIS_REPLY_NIL: buf_puts(out, "(nil)"); break;
    case REDIS_REPLY_ARRAY:
        for (size_t i = 0; i < reply->elements; i++) {
            if (i > 0) {
                buf_putc(out, '\n');
            }
            put_reply(out, reply->element[i]);
        }
        break;
    default: buf_put(out, reply->str, (size_t)reply->len); break;
    }
}

static const char *ask(struct redis_server *server, va_list args) {
    const char *argv[ARGS_MAX];
    int argc = 0;
    for (const char *arg = va_arg(args, const char *); arg != NULL && argc < ARGS_MAX; arg = va_arg(args, const char *)) {
        argv[argc++] = arg;
    }
    if (connect_once(server) < 0) {
        return NULL;
    }
    redisReply *reply = redisCommandArgv(server->connection, argc, argv, NULL);
    if (reply == NULL) {
        drop_connection(server);
        return NULL;
    }
    struct buf text = BUF_INIT;
    put_reply(&text, reply);
    freeReplyObject(reply);
    free(server->answer);
    server->answer = buf_take(&text);
    return server->answer;
}

const char *redis_server_ask(struct redis_server *server, ...) {
    va_list args;
    va_start(args, server);
    const char *answer = ask(server, args);
    va_end(args);
    return answer;
}

long long redis_server_number(struct redis_server *server, ...) {
    va_list args;
    va_start(args, server);
    const char *answer = ask(server, args);
    va_end(args);
    char *rest = NULL;
    long long number = answer == NULL ? -1 : strtoll(answer, &rest, 10);
    return answer == NULL || rest == answer || *rest != '\0' ? -1 : number;
}
