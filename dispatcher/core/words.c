/* words: see words.h.
 *
 * A reason is one sentence about one contact point, and names the nearest cause: the person at the desk reads it to a
 * customer. It is made twice, with addresses and with masked ones, from the same pieces, so that the two cannot drift apart.
 * Tokens and logins are never written out. Sentences that hold no address are constants; most customers need no others. */
#include "dispatcher/core/words.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MASK_MAX (MAILBOX_MAX + 16)

/* How a target is put into a sentence: as it is written, masked, or not at all. */
static const char *spell(const struct node *node, const char *text, bool masked, char buffer[MASK_MAX]) {
    if (!node->valid) {
        return "an entry";
    }
    switch (node->kind) {
    case ADDRESS_MAILBOX:
    case ADDRESS_E164: return masked ? text_mask_address(text, buffer, MASK_MAX) : text;
    case ADDRESS_TOKEN: return "a push token";
    case ADDRESS_LOGIN: break;
    }
    return "a login";
}

static const char *noun(enum address_kind kind) {
    switch (kind) {
    case ADDRESS_MAILBOX: return "address";
    case ADDRESS_E164: return "number";
    case ADDRESS_TOKEN: return "push token";
    case ADDRESS_LOGIN: break;
    }
    return "login";
}

/* Joins strings up to a NULL in the arena; NULL when there is no memory. */
static const char *join(struct arena *arena, ...) {
    size_t len = 0;
    va_list args, again;
    va_start(args, arena);
    va_copy(again, args);
    for (const char *part = va_arg(args, const char *); part != NULL; part = va_arg(args, const char *)) {
        len += strlen(part);
    }
    va_end(args);
    char *text = arena_alloc(arena, len + 1);
    char *to = text;
    for (const char *part = va_arg(again, const char *); text != NULL && part != NULL; part = va_arg(again, const char *)) {
        to = stpcpy(to, part);
    }
    va_end(again);
    return text;
}

/* ---- constant sentences -------------------------------------------------------------------------------------------- */

static const char *surviving_reason(const struct contact *point, const struct node *node) {
    if (node->changed) {
        return "it survives, but it was changed after the moment from which changes are suspect, so alone it is no evidence";
    }
    if (node->status == CONTACT_UNVERIFIED) {
        return "it survives, but nobody has verified that it is the customer's";
    }
    if (channel_traits(point->channel)->passive) {
        return "it survives, but it tells the customer only when they come by themselves";
    }
    if (point->vanished) {
        return "it survives the change, although it has vanished from the source of the contact data";
    }
    return "it survives the change";
}

/* "which is ..." of a target that does not survive. */
static const char *which_is(const struct node *node) {
    if (!node->valid) {
        return ", which cannot be an address";
    }
    if (node->why != DOOMED_NOT) {
        return ", which is being disabled";
    }
    switch (node->status) {
    case CONTACT_BOUNCED: return ", which is bounced";
    case CONTACT_BLOCKED: return ", which is blocked";
    case CONTACT_WITHDRAWN: return ", which the customer has withdrawn";
    case CONTACT_ACTIVE:
    case CONTACT_UNVERIFIED:
    case CONTACT_STATUS_COUNT: break;
    }
    return node->alive[WORLD_ANYHOW] ? ", which does not survive either" : ", which leads in a circle and to no mailbox";
}

/* ---- sentences with addresses -------------------------------------------------------------------------------------- */

static const char *doomed_reason(const struct graph *graph, const struct contact *point, const struct node *node, bool masked) {
    char mask[MASK_MAX];
    const char *own = masked ? text_mask_address(point->address, mask, sizeof mask) : point->address;
    struct arena *arena = graph->arena;
    if (node->kind == ADDRESS_E164) {
        return join(arena, own, " is the number being disabled", NULL);
    }
    if (node->why == DOOMED_DOMAIN) {
        return join(arena, own, " is a mailbox of ", strchr(node->canonical, '@') + 1, ", where every mailbox is being disabled", NULL);
    }
    if (node->why == DOOMED_AUDIENCE) {
        return join(arena, own, " is the same mailbox as an account that is disabled in the same change", NULL);
    }
    bool spelled_alike = strcmp(point->address, node->canonical) == 0;
    return join(arena, own, spelled_alike ? " is the account being disabled" : " is the same mailbox as the account being disabled", NULL);
}

static const char *status_reason(const struct graph *graph, size_t c, const struct node *node) {
    static const char *const says[CONTACT_STATUS_COUNT] = {
        [CONTACT_BOUNCED] = " is bounced: messages to it came back",
        [CONTACT_BLOCKED] = " is blocked: nothing may be sent to it",
        [CONTACT_WITHDRAWN] = " is withdrawn: the customer has taken it back",
    };
    bool other = graph->question->customer->contacts[c].status != node->status;
    return join(graph->arena, "the ", noun(node->kind), says[node->status], other ? " (says another entry for the same one)" : "", NULL);
}

/* The first condition of a contact point that is not met, or NULL; *forwards_r: how many targets the forward has, 0 for a dependency. */
static const struct edge *unmet(const struct graph *graph, size_t c, size_t *forwards_r) {
    const struct edge *forward = NULL;
    size_t forwards = 0;
    bool led = false;
    for (size_t e = graph->first_edge[c]; e < graph->first_edge[c + 1]; e++) {
        const struct edge *edge = &graph->edges[e];
        bool alive = graph->nodes[edge->target].alive[WORLD_AFTER];
        if (!edge->forward && !alive) {
            *forwards_r = 0;
            return edge;
        }
        if (edge->forward) {
            forward = forward == NULL ? edge : forward;
            led |= alive;
            forwards++;
        }
    }
    *forwards_r = forwards;
    return led ? NULL : forward;
}

static const char *condition_reason(const struct graph *graph, size_t c, bool masked) {
    char mask[MASK_MAX], more[64] = "";
    size_t forwards = 0;
    const struct edge *edge = unmet(graph, c, &forwards);
    if (edge == NULL) {
        return "another entry for the same address depends on something that does not survive";
    }
    if (forwards > 1) {
        (void)snprintf(more, sizeof more, ", and to %zu more, none of which survives", forwards - 1);
    }
    const struct node *target = &graph->nodes[edge->target];
    return join(graph->arena, forwards == 0 ? "it depends on " : "it only forwards to ", spell(target, edge->text, masked, mask),
                which_is(target), more, NULL);
}

static const char *dead_reason(const struct graph *graph, size_t c, const struct node *node, bool masked) {
    if (node->alive[WORLD_AFTER]) {
        return "mail cannot be sent to it from here: the part before the '@' is not ASCII (it needs SMTPUTF8)";
    }
    if (!node->valid) {
        return join(graph->arena, "it cannot be used: ", node->invalid, NULL);
    }
    if (node->why != DOOMED_NOT) {
        return doomed_reason(graph, &graph->question->customer->contacts[c], node, masked);
    }
    return status_usable(node->status) ? condition_reason(graph, c, masked) : status_reason(graph, c, node);
}

int words_for(const struct graph *graph, size_t c, struct reach_contact *contact, struct err *err) {
    const struct node *node = &graph->nodes[graph->node_of[c]];
    if (contact->survives) {
        contact->reason = contact->reason_masked = surviving_reason(&graph->question->customer->contacts[c], node);
        return 0;
    }
    contact->reason = dead_reason(graph, c, node, false);
    contact->reason_masked = dead_reason(graph, c, node, true);
    return contact->reason != NULL && contact->reason_masked != NULL ? 0 : err_no_memory(err);
}
