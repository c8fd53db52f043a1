/* smtp_process: see smtp_process.h.
 *
 * The child gets a group of its own (Ctrl-C is for reachd alone), no blocked or ignored signals, the three standard streams, link
 * and board and no other descriptor, and an environment that holds nothing of ours. HOME leads nowhere because libesmtp looks
 * below it for certificates and takes an unreadable directory for a reason to fail. posix_spawn(3) does all this without a copy of the
 * dispatcher's memory and tells at once when the program cannot be executed. */
#include "channels/smtp_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HIGH_FD = 10 }; /* ours stay clear of the numbers the child gets */

struct smtp_board_slot *smtp_process_board(uint32_t n, int *fd_r, struct err *err) {
    size_t bytes = n * sizeof(struct smtp_board_slot);
    *fd_r = -1;
    int low = memfd_create("reachd-board", MFD_CLOEXEC);
    if (low < 0) {
        (void)err_system(err, "cannot make the board of a mailer");
        return NULL;
    }
    int fd = fcntl(low, F_DUPFD_CLOEXEC, HIGH_FD);
    int sized = ftruncate(low, (off_t)bytes);
    (void)close(low);
    void *memory = fd < 0 || sized != 0 ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        (void)err_system(err, "cannot map the board of a mailer");
        if (fd >= 0) {
            (void)close(fd);
        }
        return NULL;
    }
    *fd_r = fd;
    return memory;
}

/* A socketpair whose descriptors are clear of the child's numbers; the first end does not block. */
static int make_pair(int *ours_r, int *theirs_r, struct err *err) {
    int low[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, low) != 0) {
        return err_system(err, "cannot make a socket pair for a mailer");
    }
    *ours_r = fcntl(low[0], F_DUPFD_CLOEXEC, HIGH_FD);
    *theirs_r = fcntl(low[1], F_DUPFD_CLOEXEC, HIGH_FD);
    (void)close(low[0]);
    (void)close(low[1]);
    if (*ours_r >= 0 && *theirs_r >= 0 && fcntl(*ours_r, F_SETFL, O_NONBLOCK) == 0) {
        return 0;
    }
    (void)err_system(err, "cannot prepare the socket pair of a mailer");
    if (*ours_r >= 0) {
        (void)close(*ours_r);
    }
    if (*theirs_r >= 0) {
        (void)close(*theirs_r);
    }
    return -1;
}

static int set_attributes(posix_spawnattr_t *attr) {
    sigset_t all, none;
    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    int error = posix_spawnattr_setsigmask(attr, &none);
    error = error != 0 ? error : posix_spawnattr_setsigdefault(attr, &all);
    error = error != 0 ? error : posix_spawnattr_setpgroup(attr, 0);
    return error != 0 ? error : posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

/* 0 or an errno. */
static int spawn(const char *path, char *const argv[], int link_fd, int board_fd, pid_t *pid_r) {
    static char home[] = "HOME=/nonexistent", xdg[] = "XDG_CONFIG_DIR=/nonexistent", search[] = "PATH=/usr/bin:/bin";
    char *const environment[] = {home, xdg, search, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) {
        return error;
    }
    error = posix_spawnattr_init(&attr);
    if (error == 0) {
        error = set_attributes(&attr);
        error = error != 0 ? error : posix_spawn_file_actions_adddup2(&actions, link_fd, SMTP_LINK_FD);
        error = error != 0 ? error : posix_spawn_file_actions_adddup2(&actions, board_fd, SMTP_BOARD_FD);
        error = error != 0 ? error : posix_spawn_file_actions_addclosefrom_np(&actions, SMTP_BOARD_FD + 1);
        error = error != 0 ? error : posix_spawn(pid_r, path, &actions, &attr, argv, environment);
        (void)posix_spawnattr_destroy(&attr);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return error;
}

int smtp_process_start(const char *libexec_dir, const char *name, int board_fd, pid_t *pid_r, int *fd_r, struct err *err) {
    char path[4096], program[] = "reachd-mailer", title[160];
    char *const argv[] = {program, title, NULL};
    int ours = -1, theirs = -1;
    *pid_r = *fd_r = -1;
    (void)snprintf(path, sizeof path, "%s/%s", libexec_dir, program);
    (void)snprintf(title, sizeof title, "%s", name);
    if (make_pair(&ours, &theirs, err) != 0) {
        return -1;
    }
    int error = spawn(path, argv, theirs, board_fd, pid_r);
    (void)close(theirs);
    if (error != 0) {
        (void)close(ours);
        *pid_r = -1;
        return err_set(err, ERR_SYSTEM, "cannot start %s: %s", path, strerror(error));
    }
    *fd_r = ours;
    return 0;
}
