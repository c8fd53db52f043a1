/* sorted: see sorted.h.
 *
 * The list of the stranded comes out ordered by customer, and may be as long as the contact book. Sorting more than fits into
 * memory is what sort(1) has done well for decades: it runs as a child, takes the lines from a pipe and gives them back when all
 * are in. Order is that of the bytes (LC_ALL=C), so it is the same on every machine.
 *
 * Fails: where sort(1) is missing, or ends with anything but 0 (a full $TMPDIR); then the list is refused as a whole, never cut.
 * What is written to temporary files is what goes to the screen: addresses are masked before they come here.
 *
 * Does not: compare anything itself. */
#include "cli/sorted.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The environment with LC_ALL=C in the place of every other locale. NULL: no memory. */
static char **c_environment(void) {
    static char c_locale[] = "LC_ALL=C";
    size_t n = 0;
    while (environ[n] != NULL) {
        n++;
    }
    char **copy = calloc(n + 2, sizeof *copy);
    if (copy == NULL) {
        return NULL;
    }
    size_t kept = 0;
    copy[kept++] = c_locale;
    for (size_t i = 0; i < n; i++) {
        if (strncmp(environ[i], "LC_ALL=", 7) != 0) {
            copy[kept++] = environ[i];
        }
    }
    return copy;
}

/* Starts sort(1) between two pipes. 0 or an errno. */
static int spawn_sort(pid_t *child_r, int in, int out, unsigned memory_mib) {
    char memory[32];
    (void)snprintf(memory, sizeof memory, "%uM", memory_mib);
    char *const argv[] = {(char[]){"sort"}, (char[]){"-S"}, memory, (char[]){"--parallel=1"}, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    char **env = c_environment();
    if (env == NULL) {
        return ENOMEM;
    }
    int failed = posix_spawn_file_actions_init(&actions);
    failed = failed != 0 ? failed : posix_spawnattr_init(&attributes);
    if (failed == 0) {
        (void)sigemptyset(&defaults);
        (void)sigaddset(&defaults, SIGPIPE); /* ignored here; sort must not go on writing to nobody */
        failed = posix_spawnattr_setsigdefault(&attributes, &defaults);
        failed = failed != 0 ? failed : posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
        failed = failed != 0 ? failed : posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
        failed = failed != 0 ? failed : posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        failed = failed != 0 ? failed : posix_spawnp(child_r, "sort", &actions, &attributes, argv, env);
        (void)posix_spawnattr_destroy(&attributes);
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    free(env);
    return failed;
}

static void close_pair(const int pair[2]) {
    (void)close(pair[0]);
    (void)close(pair[1]);
}

int sorted_begin(struct sorted *sorted, unsigned memory_mib, struct err *err) {
    int to[2];
    int from[2];
    *sorted = (struct sorted){.out_fd = -1};
    if (pipe2(to, O_CLOEXEC) < 0) {
        return err_system(err, "cannot start sort");
    }
    if (pipe2(from, O_CLOEXEC) < 0) {
        close_pair(to);
        return err_system(err, "cannot start sort");
    }
    errno = spawn_sort(&sorted->child, to[0], from[1], memory_mib);
    sorted->in = errno == 0 ? fdopen(to[1], "w") : NULL;
    if (sorted->in == NULL) {
        close_pair(to);
        close_pair(from);
        return err_system(err, "cannot start sort");
    }
    sorted->out_fd = from[0];
    (void)close(to[0]);
    (void)close(from[1]);
    return 0;
}

void sorted_add(struct sorted *sorted, const char *line, size_t len) {
    (void)fwrite(line, 1, len, sorted->in); /* a failed write stays in ferror() */
    (void)putc('\n', sorted->in);
}

int sorted_end_of_input(struct sorted *sorted, struct err *err) {
    int failed = ferror(sorted->in);
    failed |= fclose(sorted->in);
    sorted->in = NULL;
    sorted->out = fdopen(sorted->out_fd, "r");
    if (failed != 0 || sorted->out == NULL) {
        return err_set(err, ERR_SYSTEM, "sorting failed: sort(1) took no more lines");
    }
    return 0;
}

/* Waits for the child. 0 where it ended well. */
static int reap(struct sorted *sorted) {
    int status = 0;
    pid_t child = sorted->child;
    sorted->child = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

int sorted_next(struct sorted *sorted, const char **line_r, size_t *len_r, struct err *err) {
    ssize_t n = getline(&sorted->line, &sorted->cap, sorted->out);
    if (n > 0) {
        sorted->line[n - 1] = '\0';
        *line_r = sorted->line;
        *len_r = (size_t)n - 1;
        return 1;
    }
    if (ferror(sorted->out) != 0 || (sorted->child != 0 && reap(sorted) < 0)) {
        return err_set(err, ERR_SYSTEM, "sorting failed: sort(1) did not end well (is there room in $TMPDIR?)");
    }
    return 0;
}

void sorted_fini(struct sorted *sorted) {
    if (sorted->in != NULL) {
        (void)fclose(sorted->in);
    }
    if (sorted->out != NULL) {
        (void)fclose(sorted->out);
    } else if (sorted->out_fd >= 0) {
        (void)close(sorted->out_fd);
    }
    if (sorted->child != 0) {
        (void)kill(sorted->child, SIGTERM);
        (void)reap(sorted);
    }
    free(sorted->line);
    *sorted = (struct sorted){.out_fd = -1};
}
