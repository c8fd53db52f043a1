/* dead_contact: a contact point that has turned out not to work: no such mailbox, number not in service, token unregistered.
 *
 *   outcome that blames the contact point, or receipt "bounced" ──▶ (with the notice's own change) a `contact` job in the urgent lane
 *   ──▶ the book is read, the contact point found by its key and marked, what rests on it withdrawn (lost.c), waiting notices planned anew
 *
 * The notice's change cannot write the book itself: a receipt comes without the contact points, and the book may have changed since the
 * notice read it. So the change only orders the mark, in the same atomic step, and the order takes the way of every news about a
 * customer. It names the contact point by its key: no address travels, and none is needed.
 *
 * Guarantees: the mark is ordered exactly when the evidence for it is recorded; carried out twice it changes nothing. A contact
 * point that the book does not have (any more) is left alone. Does not: decide what counts as dead (outcome.h, contract.md). */
#include "dispatcher/work.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

/* The order's id: the same for the same notice and contact point. */
static const char *make_id(struct work *work) {
    unsigned char hash[SHA256_DIGEST_LENGTH];
    const char *text = arena_printf(&work->arena, "%s %s", work->id, work->dead_contact);
    char *id = arena_alloc(&work->arena, 5 + 32 + 1);
    if (text == NULL || id == NULL) {
        return NULL;
    }
    (void)SHA256((const unsigned char *)text, strlen(text), hash);
    memcpy(id, "dead-", 5);
    for (size_t i = 0; i < 16; i++) {
        (void)snprintf(id + 5 + 2 * i, 3, "%02x", hash[i]);
    }
    return id;
}

void dead_contact_tell(struct work *work) {
    struct buf out = BUF_INIT;
    const char *id = make_id(work);
    buf_puts(&out, "{\"v\":1,\"type\":\"contact\"");
    answers_put(&out, "id", id);
    buf_puts(&out, ",\"customer\":{");
    answers_put(&out, "id", work->record.customer);
    buf_puts(&out, "},\"mark\":[{");
    answers_put(&out, "key", work->dead_contact);
    answers_put(&out, "status", contact_status_name(CONTACT_BOUNCED));
    buf_puts(&out, "}]}");
    const char *job = id == NULL ? NULL : answers_keep(work, &out);
    buf_fini(&out);
    work_effect(work, QUEUE_ADD, job == NULL ? NULL : "intake", "job", job, 0);
    buf_putf(&work->counts, "%scontact-dead", work->counts.len == 0 ? "" : " ");
}

static const char *key_of(const struct contact *contact, const struct work_place *place, char key[17]) {
    char canonical[MAILBOX_MAX];
    bool mailbox = channel_traits(contact->channel)->address == ADDRESS_MAILBOX;
    if (mailbox && mailbox_canon(place->rules, contact->address, canonical, NULL) < 0) {
        return NULL;
    }
    plan_contact_key(contact->channel, mailbox ? canonical : contact->address, key);
    return key;
}

bool dead_contact_mark(const struct work *work, const struct work_place *place, struct contact *contacts, size_t n) {
    bool changed = false;
    for (size_t i = 0; i < n; i++) {
        char key[17];
        bool in_use = contacts[i].status == CONTACT_ACTIVE || contacts[i].status == CONTACT_UNVERIFIED;
        if (!in_use || key_of(&contacts[i], place, key) == NULL) {
            continue;
        }
        for (size_t k = 0; k < work->document.n_marks; k++) {
            if (strcmp(work->document.marks[k].key, key) == 0) {
                contacts[i].status = work->document.marks[k].status;
                changed = true;
            }
        }
    }
    return changed;
}
