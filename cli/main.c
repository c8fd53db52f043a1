/* reachctl: what operators, the service desk and scripts use to look at reachd and to steer it.
 *
 * Data goes to stdout, everything else to stderr, and the exit code says what a script needs to know (enum ctl_exit). The
 * commands are the rows of the table in command.c; each noun has a file of its own, cmd_<noun>.c.
 *
 * Guarantees: exit code 0 means that the whole answer was written. A full disk or a closed stdout ends with 1 although the
 * command itself went well, because half an answer that looks whole is worse than none. A standard stream that was closed by
 * the caller is replaced before anything is opened, so that no connection can end up under its number.
 *
 * Does not: change anything in Redis but through queue/store.h. */
#include "cli/ctl.h"
#include "cli/options.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Puts something in the place of a closed stdin, stdout or stderr. A stdout opened for reading fails every write, as it should. */
static int hold_standard_streams(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) != fd) {
            return -1;
        }
    }
    return 0;
}

/* Whether whoever read our stdout has gone: they have seen enough (`reachctl dead list | head`), and nothing need be said. */
static bool reader_has_gone(void) {
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

/* Runs at exit, also where argp printed the help: a write that failed must not end with 0. */
static void close_stdout(void) {
    bool gone = reader_has_gone();
    bool failed = ferror(stdout) != 0;
    errno = 0;
    if (fclose(stdout) != 0 || failed) {
        if (!gone && errno != EPIPE) {
            (void)fprintf(stderr, "reachctl: cannot write the answer: %s\n", errno == 0 ? "write error" : strerror(errno));
        }
        _exit(CTL_FAILED);
    }
}

/* Everything here is UTF-8: where the caller's locale is not, masked addresses would come out as escapes. */
static void set_locale(void) {
    if (setlocale(LC_CTYPE, "") == NULL || strcmp(nl_langinfo(CODESET), "UTF-8") != 0) {
        (void)setlocale(LC_CTYPE, "C.UTF-8");
    }
}

int main(int argc, char **argv) {
    if (hold_standard_streams() < 0 || atexit(close_stdout) != 0) {
        return CTL_FAILED;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    set_locale();
    struct parsed parsed;
    enum ctl_exit code = options_parse(argc, argv, &parsed);
    if (code == CTL_DONE) {
        struct ctl ctl;
        ctl_init(&ctl, &parsed.globals);
        code = parsed.call.command->run(&ctl, &parsed.call);
        ctl_fini(&ctl);
    }
    parsed_fini(&parsed);
    return (int)code;
}
