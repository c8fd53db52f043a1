/* reach: see reach.h.
 *
 * The heart of the product: which of a customer's contact points still work once the change is in force, and what that means
 * for the customer. The hard parts live next door: when two addresses are one (mailbox.c), what dies (doomed.c), what hangs on
 * what (graph.c), how to say it (words.c). Here the answer is read off the solved graph.
 *
 * Fails closed: what cannot be understood is an error or does not survive, never a "survives".
 * Does not: know the time (only reach_use_at compares two times that are given), any driver, or where customers come from. */
#include "dispatcher/core/reach.h"

#include "dispatcher/core/graph.h"
#include "dispatcher/core/words.h"

#include <assert.h>
#include <string.h>

const char *verdict_name(enum verdict verdict) {
    static const char *const names[] = {"reachable", "weak", "passive", "stranded"};
    assert((unsigned)verdict < sizeof names / sizeof *names);
    return names[verdict];
}

static void judge_contact(const struct graph *graph, size_t c, struct reach_contact *contact) {
    const struct node *node = &graph->nodes[graph->node_of[c]];
    /* A mailbox that works, but not for mail from here, may hold up others that forward to it; it is no way to the customer. */
    bool sendable = node->kind != ADDRESS_MAILBOX || mailbox_is_sendable(graph->question->customer->contacts[c].address);
    contact->survives = node->alive[WORLD_AFTER] && sendable;
    contact->weak = contact->survives && (node->status == CONTACT_UNVERIFIED || node->changed);
    contact->evidence_counts = contact->survives && !node->changed;
    contact->doomed = node->alive[WORLD_BEFORE] && !node->alive[WORLD_AFTER] && sendable;
    contact->invalid = !node->valid;
    contact->first = node->first;
    contact->canonical = node->canonical;
    contact->warning = node->kind == ADDRESS_MAILBOX && node->valid ? mailbox_warning(graph->question->rules, node->canonical) : NULL;
}

static enum verdict judge_customer(const struct customer *customer, const struct reach_answer *answer) {
    enum verdict verdict = VERDICT_STRANDED;
    for (size_t c = 0; c < answer->n_contacts; c++) {
        const struct reach_contact *contact = &answer->contacts[c];
        if (!contact->survives) {
            continue;
        }
        bool passive = channel_traits(customer->contacts[c].channel)->passive;
        enum verdict here = passive ? VERDICT_PASSIVE : contact->weak ? VERDICT_WEAK : VERDICT_REACHABLE;
        verdict = here < verdict ? here : verdict;
    }
    return verdict;
}

/* ---- single route -------------------------------------------------------------------------------------------------- */

/* What all routes seen so far have in common. */
struct common {
    size_t routes;
    size_t first; /* contact point, of the first route */
    bool same_address;
    const char *domain; /* NULL: not in common */
    const char *gateway;
};

static void narrow(const char **common, const char *other) {
    if (*common != NULL && (other == NULL || strcmp(*common, other) != 0)) {
        *common = NULL;
    }
}

static void add_route(struct common *common, const struct reach_question *question, const struct reach_answer *answer, size_t c) {
    const struct contact *point = &question->customer->contacts[c];
    const char *at = channel_traits(point->channel)->address == ADDRESS_MAILBOX ? strchr(answer->contacts[c].canonical, '@') : NULL;
    const char *gateway = point->gateway != NULL ? point->gateway : question->sole_gateway[point->channel];
    if (common->routes++ == 0) {
        *common = (struct common){1, answer->contacts[c].first, true, at, gateway};
        return;
    }
    common->same_address &= answer->contacts[c].first == common->first;
    narrow(&common->domain, at);
    narrow(&common->gateway, gateway);
}

/* One failure elsewhere would cut the customer off: one address, one mail domain, or one gateway carries everything. */
static bool is_single_route(const struct reach_question *question, const struct reach_answer *answer) {
    struct common common = {0};
    for (size_t c = 0; c < answer->n_contacts; c++) {
        if (answer->contacts[c].survives && !channel_traits(question->customer->contacts[c].channel)->passive) {
            add_route(&common, question, answer, c);
        }
    }
    return common.routes > 0 && (common.same_address || common.domain != NULL || common.gateway != NULL);
}

int reach_decide(const struct reach_question *question, struct arena *arena, struct reach_answer *answer, struct err *err) {
    struct graph graph;
    assert(question->doomed != NULL);
    size_t n = question->customer->n_contacts;
    *answer = (struct reach_answer){.verdict = VERDICT_STRANDED};
    if (graph_make(&graph, question, arena, err) != 0) {
        return -1;
    }
    struct reach_contact *contacts = arena_array(arena, n, sizeof *contacts);
    if (contacts == NULL) {
        return err_no_memory(err);
    }
    for (size_t c = 0; c < n; c++) {
        judge_contact(&graph, c, &contacts[c]);
        answer->n_warnings += contacts[c].warning != NULL ? 1 : 0;
        if (words_for(&graph, c, &contacts[c], err) != 0) {
            return -1;
        }
    }
    answer->contacts = contacts;
    answer->n_contacts = n;
    answer->verdict = judge_customer(question->customer, answer);
    answer->single_route = is_single_route(question, answer);
    return 0;
}

enum reach_use reach_use_at(const struct reach_contact *contact, const struct contact *point, int64_t effective_at_ms, int64_t now_ms) {
    if (!status_usable(point->status)) {
        return REACH_NEVER; /* it may have bounced since the answer was made */
    }
    if (contact->survives) {
        return REACH_EVIDENCE;
    }
    return contact->doomed && now_ms < effective_at_ms ? REACH_EARLY_WARNING : REACH_NEVER;
}

/* ---- previous addresses -------------------------------------------------------------------------------------------- */

static bool has_suspect_past(const struct contact *point, int64_t suspect_since_ms) {
    return suspect_since_ms != 0 && point->changed_at_ms > suspect_since_ms && point->previous_address != NULL;
}

int reach_with_previous(const struct customer *in, int64_t suspect_since_ms, struct arena *arena, struct customer *out, struct err *err) {
    size_t more = 0;
    for (size_t i = 0; i < in->n_contacts; i++) {
        more += has_suspect_past(&in->contacts[i], suspect_since_ms) ? 1 : 0;
    }
    *out = *in;
    if (more == 0) {
        return 0;
    }
    struct contact *contacts = arena_array(arena, in->n_contacts + more, sizeof *contacts);
    if (contacts == NULL) {
        return err_no_memory(err);
    }
    size_t n = 0;
    for (size_t i = 0; i < in->n_contacts; i++) {
        const struct contact *point = &in->contacts[i];
        contacts[n++] = *point;
        if (has_suspect_past(point, suspect_since_ms)) {
            contacts[n++] = (struct contact){.channel = point->channel,
                                             .status = CONTACT_ACTIVE,
                                             .vanished = true,
                                             .address = point->previous_address,
                                             .gateway = point->gateway};
        }
    }
    out->contacts = contacts;
    out->n_contacts = n;
    return 0;
}
