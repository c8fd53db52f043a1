/* standalone: see standalone.h.
 *
 * The server is a child that is told everything on its standard input, listens on no port, and gets SIGTERM from the kernel when
 * reachd dies in whatever way (PR_SET_PDEATHSIG). The lock of the directory is a file that the server keeps open too, so
 * the lock lasts until the last process that writes there is gone; the next reachd waits for that.
 *
 * Guarantees: two reachd never run two servers on one directory; appendonly is on. Fails: with the last lines' place (redis.log)
 * in the error. Does not: run as a cluster, or listen on the network. */
#include "dispatcher/standalone.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "mend_aof.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { POLL_MS = 20, RESTART_MS = 500 };

struct standalone {
    char dir[PATH_MAX];
    char address[PATH_MAX + 32];
    pid_t pid; /* 0: not running */
    int lock_fd;
    bool stopping;
    struct event *on_child;
    struct event *restart;
};

static void sleep_ms(int ms) {
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000L};
    while (nanosleep(&ts, &ts) < 0 && errno == EINTR) {
    }
}

static const char *socket_path(const struct standalone *s) {
    return s->address + strlen("unix:");
}

/* ---- directory ----------------------------------------------------------------------------------------------------- */

static int make_dir(struct standalone *s, const char *dir, struct err *err) {
    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        return err_set(err, ERR_SYSTEM, "%s: %s", dir, strerror(errno));
    }
    if (realpath(dir, s->dir) == NULL) {
        return err_set(err, ERR_SYSTEM, "%s: %s", dir, strerror(errno));
    }
    (void)snprintf(s->address, sizeof s->address, "unix:%s/redis.sock", s->dir);
    struct sockaddr_un name;
    if (strlen(socket_path(s)) >= sizeof name.sun_path) {
        return err_set(err, ERR_LIMIT, "%s: too long for a socket (%zu bytes at most); choose a shorter directory", s->dir,
                       sizeof name.sun_path - strlen("/redis.sock") - 1);
    }
    return 0;
}

static int take_lock(struct standalone *s, int64_t wait_ms, struct err *err) {
    char path[PATH_MAX + 16];
    (void)snprintf(path, sizeof path, "%s/lock", s->dir);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0) {
        return err_set(err, ERR_SYSTEM, "%s: %s", path, strerror(errno));
    }
    int64_t until_ms = clock_mono_ms(&clock_system) + wait_ms;
    while (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (clock_mono_ms(&clock_system) > until_ms) {
            return err_set(err, ERR_CONFLICT, "%s: another reachd or its redis-server is running there; stop it first", s->dir);
        }
        sleep_ms(POLL_MS);
    }
    return 0;
}

/* ---- the child ----------------------------------------------------------------------------------------------------- */

static int write_config(const struct standalone *s, int fd, struct err *err) {
    struct buf text = BUF_INIT;
    buf_putf(&text,
             "port 0\nunixsocket \"%s\"\nunixsocketperm 700\ndir \"%s\"\nlogfile \"%s/redis.log\"\ndaemonize no\nsupervised no\n"
             "appendonly yes\nappendfsync everysec\nsave \"\"\nmaxmemory-policy noeviction\nstream-node-max-bytes 16kb\n"
             "set-proc-title no\n",
             socket_path(s), s->dir, s->dir);
    ssize_t written = text.failed ? -1 : write(fd, text.data, text.len);
    bool ok = written == (ssize_t)text.len;
    buf_fini(&text);
    return ok ? 0 : err_set(err, ERR_SYSTEM, "redis-server did not take its configuration");
}

/* A transaction whose end was torn off when the server was killed is cut off first (deploy/redis-mend-aof.sh, whose text is $2):
 * redis-server itself would carry out half of it at the start after next. */
static const char server_command[] = "sh -c \"$2\" redis-mend-aof \"$1/appendonlydir\" >>\"$1/redis.log\" 2>&1 </dev/null\n"
                                     "exec redis-server -";

static void run_child(const struct standalone *s, int config_fd, pid_t parent) {
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(1);
    }
    (void)fcntl(s->lock_fd, F_SETFD, 0);
    int null_fd = open("/dev/null", O_WRONLY);
    if (dup2(config_fd, STDIN_FILENO) >= 0 && null_fd >= 0 && dup2(null_fd, STDOUT_FILENO) >= 0) {
        (void)setpgid(0, 0); /* an interrupt at the terminal is for reachd, which then stops the server in order */
        execlp("sh", "sh", "-c", server_command, "sh", s->dir, mend_aof, (char *)NULL);
    }
    _exit(127);
}

static int spawn(struct standalone *s, struct err *err) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return err_system(err, "pipe");
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        run_child(s, ends[0], parent);
    }
    (void)close(ends[0]);
    int result = pid < 0 ? err_system(err, "fork") : write_config(s, ends[1], err);
    (void)close(ends[1]);
    s->pid = pid > 0 ? pid : 0;
    return result;
}

static bool answers(const struct standalone *s) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    (void)snprintf(name.sun_path, sizeof name.sun_path, "%s", socket_path(s));
    bool ok = connect(fd, (struct sockaddr *)&name, sizeof name) == 0;
    (void)close(fd);
    return ok;
}

static int wait_until_it_answers(struct standalone *s, int64_t wait_ms, struct err *err) {
    int64_t until_ms = clock_mono_ms(&clock_system) + wait_ms;
    while (!answers(s)) {
        int status = 0;
        if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
            s->pid = 0;
            if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
                return err_set(err, ERR_SYSTEM, "redis-server cannot be started: install it (deploy/bootstrap.sh)");
            }
            return err_set(err, ERR_REDIS, "redis-server ended at once; %s/redis.log says why", s->dir);
        }
        if (clock_mono_ms(&clock_system) > until_ms) {
            return err_set(err, ERR_REDIS, "redis-server did not answer in time; see %s/redis.log", s->dir);
        }
        sleep_ms(POLL_MS);
    }
    return 0;
}

/* ---- supervision --------------------------------------------------------------------------------------------------- */

static void on_restart(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct standalone *s = ctx;
    struct err err;
    struct timeval later = {.tv_usec = RESTART_MS * 1000};
    if (s->stopping || s->pid != 0) {
        return;
    }
    if (spawn(s, &err) < 0) {
        log_error("%s; trying again", err.text);
        (void)evtimer_add(s->restart, &later);
    }
}

static void on_child(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct standalone *s = ctx;
    int status = 0;
    if (s->pid == 0 || waitpid(s->pid, &status, WNOHANG) != s->pid) {
        return;
    }
    s->pid = 0;
    if (!s->stopping) {
        log_error("redis-server ended by itself; starting it again (%s/redis.log says more)", s->dir);
        struct timeval later = {.tv_usec = RESTART_MS * 1000};
        (void)evtimer_add(s->restart, &later);
    }
}

struct standalone *standalone_start(struct event_base *base, const char *dir, int64_t wait_ms, struct err *err) {
    struct standalone *s = calloc(1, sizeof *s);
    if (s == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    s->lock_fd = -1;
    if (make_dir(s, dir, err) < 0 || take_lock(s, wait_ms, err) < 0 || spawn(s, err) < 0 || wait_until_it_answers(s, wait_ms, err) < 0) {
        standalone_stop(s);
        return NULL;
    }
    s->on_child = evsignal_new(base, SIGCHLD, on_child, s);
    s->restart = evtimer_new(base, on_restart, s);
    if (s->on_child == NULL || s->restart == NULL || evsignal_add(s->on_child, NULL) < 0) {
        (void)err_no_memory(err);
        standalone_stop(s);
        return NULL;
    }
    return s;
}

const char *standalone_address(const struct standalone *s) {
    return s->address;
}

void standalone_stop(struct standalone *s) {
    if (s == NULL) {
        return;
    }
    s->stopping = true;
    if (s->pid != 0) {
        (void)kill(s->pid, SIGTERM);
        while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (s->on_child != NULL) {
        event_free(s->on_child);
    }
    if (s->restart != NULL) {
        event_free(s->restart);
    }
    if (s->lock_fd >= 0) {
        (void)close(s->lock_fd);
    }
    free(s);
}
