/* clearance check, release check: may these accounts be disabled, may these customers' contact data be deleted?
 *
 * The answer is made so that every way of failing says no (P3). The Redis function that callers in any language ask (reach_allowed) is
 * asked here too, many at once. Exit code 0 needs, for every single one, its yes and a record that was read just now, that says when and on
 * what notice it was granted, and that names its expiry and has not expired. An account that cannot be a valid address, a record that
 * cannot be read, an empty list, a lost connection: all end with another code. Accounts are compared in canonical form, so "Ada+shop@" asks
 * about the same mailbox as "ada@".
 *
 * Does not: grant or withdraw anything. */
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/lines.h"
#include "cli/view.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 512, NAME_MAX_BYTES = 1024 };

struct check;

/* What is asked about. */
struct subject {
    const char *name;   /* "account" */
    const char *record; /* "clearance" */
    /* The name as it stands in the record's key, into out. 0, or -1 with *err. */
    int (*canon)(const struct check *check, const char *name, char out[MAILBOX_MAX], struct err *err);
};

/* One account or customer, and what is known of it. */
struct question {
    const char *given;
    const char *key; /* NULL: not a valid name, see reason */
    bool cleared;
    const char *reason; /* why not; NULL where cleared */
    const char *granted_at, *expires_at, *notice, *evidence;
};

struct check {
    struct ctl *ctl;
    const struct subject *subject;
    struct arena arena; /* of the batch */
    struct question batch[BATCH];
    size_t n;
    size_t n_cleared;
    size_t n_refused;
    int64_t now_ms;
    struct output_array array;
};

static int canon_account(const struct check *check, const char *name, char out[MAILBOX_MAX], struct err *err) {
    if (name[0] == '+' && phone_check(name, err) == 0) {
        (void)snprintf(out, MAILBOX_MAX, "%s", name);
        return 0;
    }
    return mailbox_canon(check->ctl->rules, name, out, err);
}

static int canon_customer(const struct check *check, const char *name, char out[MAILBOX_MAX], struct err *err) {
    (void)check;
    (void)snprintf(out, MAILBOX_MAX, "%s", name);
    return text_is_id(name) ? 0 : err_set(err, ERR_MEMBER, "an id is 1 to 128 characters out of A-Z a-z 0-9 . _ : @ + / = -");
}

static const struct subject accounts = {"account", "clearance", canon_account};
static const struct subject customers = {"customer", "release", canon_customer};

static void prepare(struct check *check, const char *name) {
    char canonical[MAILBOX_MAX];
    struct err err;
    struct question *question = &check->batch[check->n++];
    *question = (struct question){.given = arena_strdup(&check->arena, name)};
    question->reason = "out of memory";
    if (question->given == NULL) {
        question->given = "";
        return;
    }
    if (check->subject->canon(check, name, canonical, &err) < 0) {
        question->reason = arena_printf(&check->arena, "not a valid %s: %s", check->subject->name, err.text);
        return;
    }
    question->key = arena_printf(&check->arena, "%s:{%s}", check->subject->record, canonical);
}

static const char *copy_member(struct check *check, const json_t *record, const char *name) {
    return arena_strdup(&check->arena, view_get(record, name));
}

/* The function's word, and what the record says beside it; whatever is odd about the record means no as well. */
static void judge(struct check *check, struct question *question, bool allowed, const char *value) {
    struct err err;
    int64_t expires_at_ms = 0;
    question->reason = NULL;
    if (value == NULL) {
        question->reason = arena_printf(&check->arena, "no %s", check->subject->record);
        return;
    }
    json_t *record = json_parse_strict(value, strlen(value), 0, &err);
    question->granted_at = copy_member(check, record, "granted_at");
    question->expires_at = copy_member(check, record, "expires_at");
    question->notice = copy_member(check, record, "notice");
    question->evidence = copy_member(check, record, "evidence");
    json_decref(record);
    if (question->granted_at == NULL || question->notice == NULL || question->expires_at == NULL ||
        time_parse(question->expires_at, &expires_at_ms) < 0) {
        question->reason = "the record cannot be read";
    } else if (expires_at_ms <= check->now_ms) {
        question->reason = "it has expired";
    } else if (!allowed) {
        question->reason = "Redis says no: the record is not one of reachd's, or was granted just now";
    } else {
        question->cleared = true;
    }
}

static void print_question(struct check *check, const struct question *question) {
    const char *reason = question->reason == NULL ? "" : question->reason;
    if (!check->ctl->globals.json) {
        (void)printf("%-11s  %s%s%s\n", question->cleared ? "cleared" : "NOT CLEARED", question->given, question->cleared ? "" : "  ",
                     reason);
        return;
    }
    json_t *object = json_object();
    view_text(object, check->subject->name, question->given);
    (void)json_object_set_new(object, "cleared", json_boolean(question->cleared));
    view_text(object, "reason", question->reason);
    view_text(object, "granted_at", question->granted_at);
    view_text(object, "expires_at", question->expires_at);
    view_text(object, "notice", question->notice);
    view_text(object, "evidence", question->evidence);
    output_array_item(&check->array, object);
}

/* Asks Redis about the batch, prints and empties it. */
static int settle(struct check *check, struct err *err) {
    const char *keys[BATCH];
    const char *values[BATCH] = {0};
    bool allowed[BATCH] = {false};
    size_t n_keys = 0;
    for (size_t i = 0; i < check->n; i++) {
        if (check->batch[i].key != NULL) {
            keys[n_keys++] = check->batch[i].key;
        }
    }
    struct store *store = ctl_store(check->ctl, err);
    if (store == NULL || store_allowed(store, keys, n_keys, allowed, err) < 0 ||
        store_get_many(store, keys, n_keys, &check->arena, values, err) < 0) {
        return -1;
    }
    check->now_ms = clock_wall_ms(&clock_system);
    for (size_t i = 0, k = 0; i < check->n; i++) {
        struct question *question = &check->batch[i];
        if (question->key != NULL) {
            judge(check, question, allowed[k], values[k]);
            k++;
        }
        check->n_cleared += question->cleared ? 1 : 0;
        check->n_refused += question->cleared ? 0 : 1;
        print_question(check, question);
    }
    check->n = 0;
    arena_reset(&check->arena);
    return 0;
}

static int add(struct check *check, const char *name, struct err *err) {
    prepare(check, name);
    return check->n == BATCH ? settle(check, err) : 0;
}

static int add_line(struct check *check, const struct line *line, struct err *err) {
    size_t len = line->len > 0 && line->text[line->len - 1] == '\r' ? line->len - 1 : line->len;
    char *name = arena_strndup(&check->arena, line->text, len);
    if (name == NULL) {
        return err_no_memory(err);
    }
    if (line->too_long || memchr(name, '\0', len) != NULL) {
        name[0] = '\0'; /* cannot be valid: refused as such */
    }
    return add(check, name, err);
}

static int add_lines(struct check *check, struct err *err) {
    struct lines lines;
    struct line line;
    if (lines_init(&lines, STDIN_FILENO, NAME_MAX_BYTES, err) < 0) {
        return -1;
    }
    int more;
    while ((more = lines_next(&lines, &line, err)) == 1) {
        if (!line_is_blank(&line) && add_line(check, &line, err) < 0) {
            more = -1;
            break;
        }
    }
    lines_fini(&lines);
    return more;
}

static int check_all(struct check *check, const struct call *call, struct err *err) {
    for (size_t i = 0; i < call->n_arguments; i++) {
        if (add(check, call->arguments[i], err) < 0) {
            return -1;
        }
    }
    if (call_given(call, "stdin") && add_lines(check, err) < 0) {
        return -1;
    }
    return settle(check, err);
}

static enum ctl_exit run(struct ctl *ctl, const struct call *call, const struct subject *subject) {
    struct err err;
    if (call->n_arguments == 0 && !call_given(call, "stdin")) {
        return ctl_usage("name at least one %s, or give --stdin", subject->name);
    }
    struct check check = {.ctl = ctl, .subject = subject, .arena = ARENA_INIT};
    int result = ctl_rules(ctl, &err) == NULL ? -1 : check_all(&check, call, &err);
    arena_fini(&check.arena);
    if (result < 0) {
        return ctl_fail(&err);
    }
    if (ctl->globals.json) {
        output_array_end(&check.array);
    }
    if (check.n_cleared + check.n_refused == 0) {
        return ctl_usage("no %s was named, so none is cleared", subject->name);
    }
    return check.n_refused == 0 ? CTL_DONE : CTL_NOT_CLEARED;
}

enum ctl_exit clearance_check_run(struct ctl *ctl, const struct call *call) {
    return run(ctl, call, &accounts);
}

enum ctl_exit release_check_run(struct ctl *ctl, const struct call *call) {
    return run(ctl, call, &customers);
}
