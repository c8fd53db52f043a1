/* preflight: see preflight.h.
 *
 * Every customer is judged by reach_decide(), the same function that reachd asks before every attempt, so a preflight cannot say
 * one thing and the run another. Counts are kept here; whoever would be lost or only weakly reachable is written down with all
 * reasons and sorted outside of memory, because half a contact book may be lost.
 *
 * Guarantees: memory is bounded by one customer, the counts and what sort(1) was given. An address that cannot be valid, or that the
 * eye takes for another, is counted, and the first of them are noted; nobody is left out silently, and nobody is called reachable by
 * default.
 *
 * Does not: read files or Redis, or print. */
#include "cli/preflight.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

enum { SORT_MIB = 64 };

int preflight_init(struct preflight *preflight, const struct change *change, const struct settings *settings, const struct route *route,
                   const struct mailbox_rules *rules, const struct doomed_set *doomed, struct err *err) {
    memset(preflight, 0, sizeof *preflight);
    preflight->change = change;
    preflight->settings = settings;
    preflight->route = route;
    preflight->question =
        (struct reach_question){.rules = rules, .doomed = doomed, .suspect_since_ms = change->suspect_since_ms, .tolerate_invalid = true};
    preflight->invalid = json_array();
    preflight->lookalikes = json_array();
    const struct gateway_settings *gateways = settings->gateways.items;
    bool several[CHANNEL_COUNT] = {false};
    for (size_t i = 0; i < settings->gateways.n; i++) {
        enum channel_id channel;
        if (channel_find(gateways[i].channel, &channel) == 1) {
            preflight->loads[channel].rate_per_s += (double)gateways[i].expected_rate_per_s;
            several[channel] |= preflight->question.sole_gateway[channel] != NULL;
            preflight->question.sole_gateway[channel] = several[channel] ? NULL : gateways[i].name;
        }
    }
    if (sorted_begin(&preflight->sorted, SORT_MIB, err) < 0) {
        return -1;
    }
    preflight->sorting = true;
    return 0;
}

void preflight_fini(struct preflight *preflight) {
    if (preflight->sorting) {
        sorted_fini(&preflight->sorted);
    }
    arena_fini(&preflight->arena);
    buf_fini(&preflight->entry);
    json_decref(preflight->invalid);
    json_decref(preflight->lookalikes);
    preflight->invalid = preflight->lookalikes = NULL;
    preflight->sorting = false;
}

/* ---- counting ----------------------------------------------------------------------------------------------------------- */

/* The row of that name, made when there is none; the last row stands for all names that have no row. */
static struct preflight_name *name_row(struct preflight_names *names, const char *name) {
    for (size_t i = 0; i < names->n; i++) {
        if (strncmp(names->rows[i].name, name, sizeof names->rows[i].name - 1) == 0) {
            return &names->rows[i];
        }
    }
    if (names->n == PREFLIGHT_NAMES_MAX) {
        (void)snprintf(names->rows[PREFLIGHT_NAMES_MAX].name, sizeof names->rows->name, "(others)");
        return &names->rows[PREFLIGHT_NAMES_MAX];
    }
    struct preflight_name *row = &names->rows[names->n++];
    (void)snprintf(row->name, sizeof row->name, "%s", name);
    return row;
}

/* Counts the customer under that name, once. */
static void count_name(struct preflight_names *names, const char *name, uint64_t customer, bool lost) {
    struct preflight_name *row = name_row(names, name);
    if (row->stamp != customer) {
        row->stamp = customer;
        row->customers++;
        row->lost += lost ? 1 : 0;
    }
}

static const char *gateway_name(const struct preflight *preflight, const struct contact *contact) {
    if (contact->gateway != NULL) {
        return contact->gateway;
    }
    const char *sole = preflight->question.sole_gateway[contact->channel];
    return sole != NULL ? sole : channel_traits(contact->channel)->passive ? "website" : "any";
}

/* Which channel carries the customer's first message: the first step of the route that has a surviving contact point. */
static void count_first(struct preflight *preflight, const bool reached[CHANNEL_COUNT]) {
    for (size_t s = 0; s < preflight->route->n_steps; s++) {
        enum channel_id channel = preflight->route->steps[s].channel;
        if (reached[channel]) {
            preflight->loads[channel].first++;
            return;
        }
    }
}

/* Notes a contact point that somebody should look at, with the customer's id and the masked address. */
static void remark(json_t *list, const struct customer *customer, const struct contact *contact, const char *reason) {
    char masked[512];
    if (json_array_size(list) < PREFLIGHT_REMARKS_MAX) {
        (void)json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s}", "customer", customer->id, "channel",
                                                    channel_traits(contact->channel)->name, "address",
                                                    text_mask_address(contact->address, masked, sizeof masked), "reason", reason));
    }
}

static void count_remarks(struct preflight *preflight, const struct customer *customer, const struct contact *contact,
                          const struct reach_contact *answer) {
    if (answer->invalid) {
        preflight->contacts_invalid++;
        remark(preflight->invalid, customer, contact, answer->reason_masked);
    }
    if (answer->warning != NULL) {
        preflight->contacts_lookalike++;
        remark(preflight->lookalikes, customer, contact, answer->warning);
    }
}

static void count_contacts(struct preflight *preflight, const struct customer *customer, const struct reach_answer *answer) {
    bool reached[CHANNEL_COUNT] = {false};
    preflight->contacts += answer->n_contacts;
    for (size_t i = 0; i < answer->n_contacts; i++) {
        const struct contact *contact = &customer->contacts[i];
        preflight->contacts_vanished += contact->vanished ? 1 : 0;
        preflight->contacts_doomed += answer->contacts[i].doomed ? 1 : 0;
        count_remarks(preflight, customer, contact, &answer->contacts[i]);
        if (answer->contacts[i].survives) {
            preflight->contacts_surviving++;
            reached[contact->channel] = true;
            count_name(&preflight->gateways, gateway_name(preflight, contact), preflight->customers, false);
        }
    }
    for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
        preflight->channels[channel] += reached[channel] ? 1 : 0;
    }
    count_first(preflight, reached);
}

/* ---- writing down who is lost ------------------------------------------------------------------------------------------- */

static void put_member(struct buf *out, const char *before, const char *text) {
    buf_puts(out, before);
    buf_put_json_str(out, text);
}

static void put_contact(struct buf *out, const struct contact *contact, const struct reach_contact *answer) {
    char masked[512];
    put_member(out, "{\"channel\":", channel_traits(contact->channel)->name);
    (void)text_mask_address(contact->address, masked, sizeof masked);
    put_member(out, ",\"address\":", masked);
    put_member(out, ",\"address_masked\":", masked);
    buf_puts(out, answer->survives ? ",\"survives\":true" : ",\"survives\":false");
    put_member(out, ",\"reason\":", answer->reason_masked);
    if (answer->warning != NULL) {
        put_member(out, ",\"warning\":", answer->warning);
    }
    buf_putc(out, '}');
}

/* The line that sort(1) gets: the lost before the weak, then by customer; behind a tab the JSON that will be printed. */
static int write_down(struct preflight *preflight, const struct customer *customer, const struct reach_answer *answer, struct err *err) {
    struct buf *out = &preflight->entry;
    buf_reset(out);
    buf_putc(out, answer->verdict == VERDICT_WEAK ? '1' : '0');
    buf_puts(out, customer->id);
    put_member(out, "\t{\"customer\":", customer->id);
    put_member(out, ",\"verdict\":", verdict_name(answer->verdict));
    buf_puts(out, ",\"contacts\":[");
    size_t shown = answer->n_contacts < PREFLIGHT_CONTACTS_SHOWN ? answer->n_contacts : PREFLIGHT_CONTACTS_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        buf_puts(out, i == 0 ? "" : ",");
        put_contact(out, &customer->contacts[i], &answer->contacts[i]);
    }
    buf_putc(out, ']');
    if (shown < answer->n_contacts) {
        buf_putf(out, ",\"more_contacts\":%zu", answer->n_contacts - shown);
    }
    buf_putc(out, '}');
    if (buf_str(out) == NULL) {
        return err_no_memory(err);
    }
    sorted_add(&preflight->sorted, out->data, out->len);
    return 0;
}

/* ---- the run ------------------------------------------------------------------------------------------------------------ */

int preflight_add(struct preflight *preflight, const struct customer *customer, struct err *err) {
    struct reach_answer answer;
    struct customer seen;
    arena_reset(&preflight->arena);
    if (reach_with_previous(customer, preflight->question.suspect_since_ms, &preflight->arena, &seen, err) < 0) {
        return -1;
    }
    customer = &seen;
    preflight->question.customer = customer;
    if (reach_decide(&preflight->question, &preflight->arena, &answer, err) < 0) {
        return -1;
    }
    preflight->customers++;
    bool lost = answer.verdict == VERDICT_PASSIVE || answer.verdict == VERDICT_STRANDED;
    preflight->verdicts[answer.verdict]++;
    preflight->single_route += answer.single_route ? 1 : 0;
    count_name(&preflight->locales, customer->locale == NULL ? "(none)" : customer->locale, preflight->customers, lost);
    count_contacts(preflight, customer, &answer);
    return answer.verdict == VERDICT_REACHABLE ? 0 : write_down(preflight, customer, &answer, err);
}

int preflight_end(struct preflight *preflight, struct err *err) {
    for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
        struct preflight_load *load = &preflight->loads[channel];
        bool at_once = load->first == 0 || channel_traits((enum channel_id)channel)->passive; /* a banner is a record, not a message */
        load->takes_ms = at_once ? 0 : load->rate_per_s <= 0 ? -1 : (int64_t)((double)load->first * 1000 / load->rate_per_s);
    }
    return sorted_end_of_input(&preflight->sorted, err);
}

int preflight_next(struct preflight *preflight, bool *weak_r, const char **json_r, struct err *err) {
    const char *line = NULL;
    size_t len = 0;
    int more = sorted_next(&preflight->sorted, &line, &len, err);
    if (more == 1) {
        const char *tab = memchr(line, '\t', len);
        *weak_r = line[0] == '1';
        *json_r = tab == NULL ? "null" : tab + 1;
    }
    return more;
}

uint64_t preflight_lost(const struct preflight *preflight) {
    return preflight->verdicts[VERDICT_PASSIVE] + preflight->verdicts[VERDICT_STRANDED];
}

int64_t preflight_takes_ms(const struct preflight *preflight) {
    int64_t longest_ms = 0;
    for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
        const struct preflight_load *load = &preflight->loads[channel];
        if (load->takes_ms < 0) {
            return -1;
        }
        longest_ms = load->takes_ms > longest_ms ? load->takes_ms : longest_ms;
    }
    return longest_ms;
}
