/* smtp_process: see smtp_process.h.
 *
 * The child gets a group of its own (Ctrl-C is for reachd alone), no blocked or ignored signals, the three standard streams, link
 * and board and no other descriptor, and an environment that holds nothing of ours. HOME leads nowhere because libesmtp looks
 * below it for certificates and takes an unreadable directory for a reason to fail. posix_spawn(3) does all this without a copy of the
 * dispatcher's memory and tells at once when the program cannot be executed.
 *
 * A board in a file is as fast as one in memory and survives the death of everybody who maps it; whether it survives the machine's death
 * does not matter, because then no server's answer was left unread by anybody but the machine. */
#include "channels/smtp_process.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    HIGH_FD = 10,   /* ours stay clear of the numbers the child gets */
    WAIT_MS = 5000, /* for the mailers of a process that died */
};

static const char board_magic[16] = "reachd-board 1\n";

/* ---- the board ----------------------------------------------------------------------------------------------------- */
static int open_file(const char *path) {
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Takes the lock of a board's file, or of a new one in its place. The descriptor, or -1 with errno. */
static int open_locked(const char *path, bool wait) {
    static const struct timespec nap = {.tv_nsec = 20000000};
    int fd = open_file(path);
    for (int i = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        if (errno != EWOULDBLOCK || !wait) {
            int why = errno;
            (void)close(fd);
            errno = why;
            return -1;
        }
        (void)nanosleep(&nap, NULL);
        if (i == WAIT_MS / 20) {
            log_warning("mailers of an earlier reachd do not end; what they note now in %s is not read", path);
            (void)close(fd);
            fd = unlink(path) == 0 ? open_file(path) : -1;
        }
    }
    return fd;
}

/* Shows what an earlier process has left in the file. */
static void show_left(int fd, smtp_board_fn *left, void *ctx) {
    struct smtp_board head;
    struct smtp_board_slot slot;
    ssize_t n = pread(fd, &head, sizeof head, 0);
    if (n != (ssize_t)sizeof head || memcmp(head.magic, board_magic, sizeof head.magic) != 0 || head.slot_bytes != sizeof slot) {
        return; /* none, or that of another version */
    }
    for (uint32_t i = 0; i < head.n_slots; i++) {
        if (pread(fd, &slot, sizeof slot, (off_t)smtp_board_bytes(i)) != (ssize_t)sizeof slot) {
            return;
        }
        slot.notice[SMTP_NOTICE_MAX] = slot.ref[SMTP_REF_MAX] = '\0';
        if (slot.attempt != 0) {
            left(ctx, &slot);
        }
    }
}

/* A descriptor of an empty file or of memory, out of the way of the child's numbers. -1 with errno. */
static int open_board(const char *path, smtp_board_fn *left, void *ctx) {
    int low = path == NULL ? memfd_create("reachd-board", MFD_CLOEXEC) : open_locked(path, left != NULL);
    if (low < 0) {
        return -1;
    }
    if (path != NULL && left != NULL) {
        show_left(low, left, ctx);
    }
    int fd = fcntl(low, F_DUPFD_CLOEXEC, HIGH_FD); /* the same open file: the lock goes with it */
    (void)close(low);
    return fd;
}

struct smtp_board *smtp_process_board(uint32_t n, const char *path, smtp_board_fn *left, void *ctx, int *fd_r, struct err *err) {
    size_t bytes = smtp_board_bytes(n);
    *fd_r = -1;
    int fd = open_board(path, left, ctx);
    if (fd < 0 && errno == EWOULDBLOCK) {
        (void)err_set(err, ERR_CONFLICT, "%s is another gateway's", path);
        return NULL;
    }
    bool sized = fd >= 0 && ftruncate(fd, 0) == 0 && posix_fallocate(fd, 0, (off_t)bytes) == 0;
    void *memory = sized ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (memory == MAP_FAILED) {
        (void)err_system(err, path != NULL ? path : "cannot make the board of a mailer");
        if (fd >= 0) {
            (void)close(fd);
        }
        return NULL;
    }
    struct smtp_board *board = memory;
    memcpy(board->magic, board_magic, sizeof board->magic);
    board->slot_bytes = sizeof(struct smtp_board_slot);
    board->n_slots = n;
    *fd_r = fd;
    return board;
}

int smtp_process_read_board(const char *path, smtp_board_fn *left, void *ctx, struct err *err) {
    if (access(path, F_OK) != 0) {
        return 0;
    }
    int fd = open_locked(path, true);
    if (fd < 0) {
        return err_system(err, path);
    }
    show_left(fd, left, ctx);
    int status = ftruncate(fd, 0) == 0 ? 1 : err_system(err, path);
    (void)close(fd);
    return status;
}

/* ---- the process --------------------------------------------------------------------------------------------------- */
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
