/* receipt bounce: turns mail that came back into receipts.
 *
 *     one mail on stdin       for a mail system that pipes bounces:  reachctl receipt bounce --pipe --recipient ${recipient}
 *     --maildir DIR           every mail in DIR/new, which is moved to DIR/cur when it has been dealt with
 *
 * Whose bounce it is stands in the address it came to and is verified there (channels/bounce.h); a forged one is refused and changes
 * nothing. A mail that says nothing final (delayed, an automatic reply, a person) is left alone; that is no failure.
 *
 * Exit 0: dealt with; 1: refused or unreadable; 5: Redis cannot be reached and the mail is still to be dealt with. With --pipe a mail
 * system must neither bounce a bounce nor lose it: refused is 0, and Redis away is 75 (EX_TEMPFAIL of sysexits.h: keep it and try again).
 *
 * Does not: delete mail, or fetch it from anywhere. */
#include "channels/bounce.h"
#include "channels/smtp.h"
#include "cli/commands.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_TRY_AGAIN = 75 };

struct bounces {
    struct ctl *ctl;
    struct bounce_gateway *gateways;
    size_t n_gateways;
    const char *recipient; /* or NULL */
    size_t n_pushed, n_ignored, n_refused;
};

/* Fills in every gateway that can get bounces. 0, or -1 with *err. */
static int find_gateways(struct bounces *bounces, const struct settings *settings, struct err *err) {
    const struct gateway_settings *gateways = settings->gateways.items;
    bounces->gateways = arena_array(&bounces->ctl->arena, settings->gateways.n + 1, sizeof *bounces->gateways);
    if (bounces->gateways == NULL) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < settings->gateways.n; i++) {
        struct verp verp;
        int found = smtp_envelope(&gateways[i], &bounces->ctl->arena, &verp, err);
        if (found < 0) {
            return err_prefix(err, gateways[i].name);
        }
        if (found == 1) {
            bounces->gateways[bounces->n_gateways++] =
                (struct bounce_gateway){.name = gateways[i].name, .envelope = verp.base, .secret = verp.secret};
        }
    }
    return bounces->n_gateways > 0 ? 0 : err_set(err, ERR_CONFLICT, "no gateway in the configuration sends e-mail");
}

/* Reads a whole mail. 0, or -1 with *err. */
static int read_mail(int fd, struct buf *mail, struct err *err) {
    for (;;) {
        if (buf_reserve(mail, 65536) != 0) {
            return err_no_memory(err);
        }
        ssize_t n = read(fd, mail->data + mail->len, 65536);
        if (n < 0 && errno != EINTR) {
            return err_system(err, "cannot read the mail");
        }
        if (n == 0) {
            return 0;
        }
        mail->len += n > 0 ? (size_t)n : 0;
        if (mail->len > BOUNCE_MAX_BYTES) {
            return err_set(err, ERR_LIMIT, "the mail is longer than %d bytes", (int)BOUNCE_MAX_BYTES);
        }
    }
}

/* 1 pushed, 0 nothing to report, -1 with *err: ERR_REDIS where it can be tried again. */
static int deal_with(struct bounces *bounces, int fd, const char *name, struct err *err) {
    struct buf mail = BUF_INIT, receipt = BUF_INIT;
    int result = read_mail(fd, &mail, err);
    if (result == 0) {
        result = bounce_to_receipt(bounces->gateways, bounces->n_gateways, bounces->recipient, mail.data, mail.len, &receipt, err);
    }
    if (result == 1) {
        struct store *store = ctl_store(bounces->ctl, err);
        result = store != NULL && store_push_receipt(store, buf_str(&receipt), err) == 0 ? 1 : -1;
    }
    if (result == 1) {
        bounces->n_pushed++;
        if (bounces->ctl->globals.json) {
            (void)puts(buf_str(&receipt));
        }
    } else if (result == 0) {
        bounces->n_ignored++;
        ctl_say("%s: nothing to report: %s", name, err->text);
    } else if (err->code != ERR_REDIS) {
        bounces->n_refused++;
        ctl_say("%s: refused: %s", name, err->text);
    }
    buf_fini(&mail);
    buf_fini(&receipt);
    return result;
}

/* DIR/new/NAME to DIR/cur/NAME:2,S (seen), as maildir(5) has it. */
static int file_away(int dir_fd, const char *name, struct err *err) {
    char from[300], to[320];
    (void)snprintf(from, sizeof from, "new/%s", name);
    (void)snprintf(to, sizeof to, "cur/%s:2,S", name);
    return renameat(dir_fd, from, dir_fd, to) == 0 ? 0 : err_system(err, "cannot move a mail to cur");
}

static int deal_with_file(struct bounces *bounces, int dir_fd, int new_fd, const char *name, struct err *err) {
    int fd = openat(new_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return 0; /* gone already, or no mail */
    }
    int result = deal_with(bounces, fd, name, err);
    (void)close(fd);
    return result < 0 && err->code == ERR_REDIS ? -1 : file_away(dir_fd, name, err);
}

/* 0, or -1 with *err where the rest has to wait. */
static int deal_with_maildir(struct bounces *bounces, const char *path, struct err *err) {
    int result = 0;
    int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int new_fd = dir_fd < 0 ? -1 : openat(dir_fd, "new", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = new_fd < 0 ? NULL : fdopendir(new_fd);
    if (dir == NULL) {
        result = err_system(err, path);
    }
    for (struct dirent *entry = result == 0 ? readdir(dir) : NULL; entry != NULL && result == 0; entry = readdir(dir)) {
        if (entry->d_name[0] != '.') {
            result = deal_with_file(bounces, dir_fd, new_fd, entry->d_name, err);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    } else if (new_fd >= 0) {
        (void)close(new_fd);
    }
    if (dir_fd >= 0) {
        (void)close(dir_fd);
    }
    return result;
}

static enum ctl_exit receive_one(struct bounces *bounces, bool pipe) {
    struct err err;
    int result = deal_with(bounces, STDIN_FILENO, "mail", &err);
    if (result >= 0) {
        return CTL_DONE;
    }
    if (err.code != ERR_REDIS) {
        return pipe ? CTL_DONE : CTL_FAILED;
    }
    enum ctl_exit code = ctl_fail(&err);
    return pipe ? (enum ctl_exit)EXIT_TRY_AGAIN : code;
}

enum ctl_exit receipt_bounce_run(struct ctl *ctl, const struct call *call) {
    struct bounces bounces = {.ctl = ctl, .recipient = call_value(call, "recipient")};
    const char *maildir = call_value(call, "maildir");
    bool pipe = call_given(call, "pipe");
    struct err err;
    const struct settings *settings = ctl_settings(ctl, &err);
    if (settings == NULL || find_gateways(&bounces, settings, &err) != 0) {
        (void)ctl_fail(&err);
        return pipe ? (enum ctl_exit)EXIT_TRY_AGAIN : CTL_FAILED; /* a bounce is not to be lost over a wrong configuration */
    }
    if (maildir == NULL) {
        return receive_one(&bounces, pipe);
    }
    int result = deal_with_maildir(&bounces, maildir, &err);
    ctl_say("%zu receipts, %zu mails with nothing to report, %zu refused", bounces.n_pushed, bounces.n_ignored, bounces.n_refused);
    return result == 0 ? CTL_DONE : ctl_fail(&err);
}
