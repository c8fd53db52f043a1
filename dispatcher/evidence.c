/* evidence: see evidence.h.
 *
 * Guarantees: evidence only ever gets better, but for a bounce or failed delivery, which withdraws `sent` and `delivered` and
 * nothing above them (who has seen a message has received it). The same receipt twice is EVIDENCE_NOTHING the second time, so
 * receipts may come twice and in any order. */
#include "dispatcher/evidence.h"

#include "base/json.h"

#include <string.h>

static const struct status_row {
    const char *name;
    enum evidence evidence; /* EVIDENCE_NONE: withdraws */
    bool passive;           /* without gateway and ref it can only be about a passive channel */
} statuses[] = {
    [RECEIPT_DELIVERED] = {"delivered", EVIDENCE_DELIVERED, false},
    [RECEIPT_FAILED] = {"failed", EVIDENCE_NONE, false},
    [RECEIPT_BOUNCED] = {"bounced", EVIDENCE_NONE, false},
    [RECEIPT_SEEN] = {"seen", EVIDENCE_SEEN, true},
    [RECEIPT_ACKNOWLEDGED] = {"acknowledged", EVIDENCE_ACKNOWLEDGED, false},
    [RECEIPT_DISMISSED] = {"dismissed", EVIDENCE_SEEN, true},
};

enum { STATUSES = sizeof statuses / sizeof *statuses };

const char *receipt_status_name(enum receipt_status status) {
    return statuses[status].name;
}

static void read_status(struct json_in *in, const char *name, struct receipt *receipt) {
    for (size_t i = 0; name != NULL && i < STATUSES; i++) {
        if (strcmp(statuses[i].name, name) == 0) {
            receipt->status = (enum receipt_status)i;
            return;
        }
    }
    (void)json_in_fail(in, "status", "must be delivered, failed, bounced, seen, acknowledged or dismissed");
}

static const char *keep(struct arena *arena, const char *text, bool *failed) {
    const char *copy = arena_strdup(arena, text);
    *failed = *failed || (text != NULL && copy == NULL);
    return copy;
}

int receipt_parse(const char *text, size_t len, struct arena *arena, struct receipt *receipt, struct err *err) {
    struct json_in in;
    bool failed = false;
    *receipt = (struct receipt){0};
    err_clear(err);
    json_t *root = json_parse_strict(text, len, 0, err);
    if (root == NULL) {
        return -1;
    }
    json_in_begin(&in, root, "", err);
    (void)json_in_int(&in, "v", JSON_REQUIRED, 1, 1, 0);
    receipt->notice = keep(arena, json_in_id(&in, "notice", JSON_OPTIONAL), &failed);
    receipt->gateway = keep(arena, json_in_id(&in, "gateway", JSON_OPTIONAL), &failed);
    receipt->ref = keep(arena, json_in_string(&in, "ref", JSON_OPTIONAL, 127), &failed);
    receipt->customer = keep(arena, json_in_id(&in, "customer", JSON_OPTIONAL), &failed);
    read_status(&in, json_in_string(&in, "status", JSON_REQUIRED, 32), receipt);
    receipt->at_ms = json_in_time(&in, "at", JSON_OPTIONAL);
    receipt->detail = keep(arena, json_in_string(&in, "detail", JSON_OPTIONAL, 256), &failed);
    if (receipt->notice == NULL && (receipt->gateway == NULL || receipt->ref == NULL)) {
        (void)json_in_fail(&in, "notice", "is missing: name the notice, or gateway and ref of the message");
    }
    int result = json_in_end(&in);
    json_decref(root);
    return failed ? err_no_memory(err) : result;
}

/* ---- applying ------------------------------------------------------------------------------------------------------ */

static bool may_have_gone_out(const struct record_try *t) {
    return t->plan.best >= EVIDENCE_SENT || t->plan.last == OUTCOME_UNKNOWN || t->doubts > 0;
}

static bool is_passive(const struct record_try *t) {
    enum channel_id channel;
    return t->channel != NULL && channel_find(t->channel, &channel) == 1 && channel_traits(channel)->passive;
}

static bool is_about(const struct record_try *t, const struct receipt *receipt) {
    return t->ref != NULL && t->gateway != NULL && strcmp(t->ref, receipt->ref) == 0 && strcmp(t->gateway, receipt->gateway) == 0;
}

static struct record_try *find_try(struct record *record, const struct receipt *receipt) {
    struct record_try *newest = NULL;
    for (size_t i = 0; i < record->n_tries; i++) {
        struct record_try *t = &record->tries[i];
        if (receipt->ref != NULL && receipt->gateway != NULL) {
            if (is_about(t, receipt)) {
                return t;
            }
            continue;
        }
        if (!may_have_gone_out(t)) {
            continue;
        }
        if (statuses[receipt->status].passive && !is_passive(t)) {
            continue; /* "seen" without naming a message is about the banner */
        }
        if (newest == NULL || t->plan.last_at_ms >= newest->plan.last_at_ms) {
            newest = t;
        }
    }
    return newest;
}

const struct record_try *evidence_try(struct record *record, const struct receipt *receipt) {
    return find_try(record, receipt);
}

enum evidence_effect evidence_apply(struct record *record, const struct receipt *receipt, int64_t now_ms) {
    struct record_try *t = find_try(record, receipt);
    if (t == NULL) {
        return EVIDENCE_NO_TRY;
    }
    enum evidence evidence = statuses[receipt->status].evidence;
    if (evidence == EVIDENCE_NONE) {
        if (t->plan.failed_later || t->plan.best >= EVIDENCE_SEEN) {
            return EVIDENCE_NOTHING;
        }
        t->plan.failed_later = true;
        return EVIDENCE_WITHDRAWN;
    }
    if (evidence <= t->plan.best) {
        return EVIDENCE_NOTHING;
    }
    t->plan.best = evidence;
    t->plan.failed_later = evidence >= EVIDENCE_SEEN ? false : t->plan.failed_later;
    if (t->plan.last == OUTCOME_UNKNOWN) { /* now it is known that it went out */
        t->plan.last = OUTCOME_SENT;
        t->plan.last_at_ms = now_ms;
        t->plan.retry_at_ms = 0;
    }
    return EVIDENCE_BETTER;
}
