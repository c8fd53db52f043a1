/* template render of a notice: the message that was sent, made again byte for byte.
 *
 * The record of a notice says from which version of the words a message was made, when, and whom it addressed; the archive has that
 * version, the contact book the address, and the values of the job are with the record (finished) or with the kept job (in flight). It is
 * made by the same functions that made it the first time (dispatcher/wording.h, the gateway's driver), and a check in the record tells
 * whether name, language, time zone, address and sender are still those of then, and a mark whether the key is that signed its link: what
 * cannot be made again exactly is refused, with the reason.
 *
 * Of each contact point it is the last message: a resend that followed an unknown outcome is the same but for links that were made anew.
 * A message with a {{reset_link}} holds that link: whoever may read the key that
 * signs it may see it. Exit codes: 1 where there is no such message. Does not: send. */
#include "cli/archived.h"
#include "cli/commands.h"
#include "cli/sent.h"
#include "cli/view.h"
#include "dispatcher/book.h"
#include "dispatcher/job.h"
#include "dispatcher/wording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sent {
    struct ctl *ctl;
    const char *id;
    const struct sent_ask *ask;
    const struct record *record;
    const struct record_try *try;
    enum channel_id channel;
    struct job_document document; /* of the kept job, where there is one */
    json_t *data;                 /* owned */
    const char *to;
};

/* ---- which message ------------------------------------------------------------------------------------------------------ */

/* The newest message, in that channel where one is given. 0, or -1 with *err. */
static int choose_try(struct sent *sent, const char *channel, struct err *err) {
    for (size_t i = 0; i < sent->record->n_tries; i++) {
        const struct record_try *try = &sent->record->tries[i];
        bool fits =
            try->check != NULL && try->gateway != NULL && (channel == NULL || (try->channel != NULL && strcmp(try->channel, channel) == 0));
        if (fits && (sent->try == NULL || try->made_at_ms >= sent->try->made_at_ms)) {
            sent->try = try;
        }
    }
    if (sent->try == NULL || sent->try->channel == NULL || channel_find(sent->try->channel, &sent->channel) != 1) {
        return err_set(err, ERR_UNKNOWN, "no message of the notice %.128s went out%s%.16s", sent->id, channel == NULL ? "" : " by ",
                       channel == NULL ? "" : channel);
    }
    return 0;
}

/* ---- the values --------------------------------------------------------------------------------------------------------- */
static int find_data(struct sent *sent, const struct queue_record *held, struct err *err) {
    if (sent->record->data != NULL) {
        sent->data = json_loads(sent->record->data, 0, NULL);
        return sent->data == NULL ? err_set(err, ERR_SYNTAX, "the record of this notice is damaged: its data is not JSON") : 0;
    }
    if (held->job == NULL) {
        return notice_state_final(held->state) ? 0 : err_set(err, ERR_CONFLICT, "it is being sent at this moment; ask again");
    }
    if (job_parse(held->job, strlen(held->job), sent->ctl->rules, &sent->ctl->arena, &sent->document, NULL, err) < 0) {
        return -1;
    }
    json_t *data = json_object_get(sent->document.root, "data");
    sent->data = data == NULL ? NULL : json_incref(data);
    return 0;
}

/* ---- the address -------------------------------------------------------------------------------------------------------- */

/* The customer's contact points as anything still knows them, the addresses they had before included. */
static int gather_contacts(struct sent *sent, struct customer *customer, struct err *err) {
    struct arena *arena = &sent->ctl->arena;
    const struct customer *known[2] = {sent->document.root == NULL ? NULL : &sent->document.job.customer, NULL};
    const char *text = NULL;
    struct book_entry entry;
    int found = store_customer(sent->ctl->store, sent->record->customer, arena, &text, err);
    if (found < 0 || (found == 1 && book_unpack(text, strlen(text), sent->record->customer, arena, &entry, err) < 0)) {
        return -1;
    }
    known[1] = found == 1 ? &entry.customer : NULL;
    size_t room = 0;
    for (size_t k = 0; k < 2; k++) {
        room += known[k] == NULL ? 0 : 2 * known[k]->n_contacts;
    }
    struct contact *contacts = arena_array(arena, room, sizeof *contacts);
    if (contacts == NULL) {
        return err_no_memory(err);
    }
    *customer = (struct customer){.id = sent->record->customer, .contacts = contacts};
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; known[k] != NULL && i < known[k]->n_contacts; i++) {
            const struct contact *contact = &known[k]->contacts[i];
            contacts[customer->n_contacts++] = (struct contact){.channel = contact->channel, .address = contact->address};
            if (contact->previous_address != NULL) {
                contacts[customer->n_contacts++] = (struct contact){.channel = contact->channel, .address = contact->previous_address};
            }
        }
    }
    return 0;
}

/* The gateway it went through, as configured now; NULL where there is none of that name. */
static const struct gateway_settings *find_gateway(const struct sent *sent) {
    const struct gateway_settings *gateways = sent->ctl->settings.gateways.items;
    for (size_t i = 0; i < sent->ctl->settings.gateways.n; i++) {
        if (strcmp(gateways[i].name, sent->try->gateway) == 0) {
            return &gateways[i];
        }
    }
    return NULL;
}

/* Whether the message went to this contact point; sent->to then. 1, 0, or -1 with *err. */
static int is_recipient(struct sent *sent, const struct contact *contact, const char *canonical, struct err *err) {
    char key[17];
    struct err ignored;
    plan_contact_key(contact->channel, canonical, key);
    if (contact->channel != sent->channel || strcmp(key, sent->try->plan.contact_key) != 0) {
        return 0;
    }
    sent->to = wording_address(contact->channel, contact->address, &sent->ctl->arena, &ignored);
    const char *check =
        sent->to == NULL ? NULL : wording_check(sent->channel, &sent->record->addressed, sent->to, find_gateway(sent), &sent->ctl->arena);
    if (sent->to != NULL && check == NULL) {
        return err_no_memory(err);
    }
    return check != NULL && strcmp(check, sent->try->check) == 0 ? 1 : 0;
}

static int find_recipient(struct sent *sent, struct err *err) {
    static const struct disables nothing;
    struct customer customer;
    struct reach_answer answer;
    if (gather_contacts(sent, &customer, err) < 0) {
        return -1;
    }
    struct reach_question question = {.rules = sent->ctl->rules, .customer = &customer, .tolerate_invalid = true};
    question.doomed = doomed_set_new(sent->ctl->rules, &nothing, &customer.accounts, &sent->ctl->arena, err);
    if (question.doomed == NULL || reach_decide(&question, &sent->ctl->arena, &answer, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < answer.n_contacts; i++) {
        int found = answer.contacts[i].canonical == NULL ? 0 : is_recipient(sent, &customer.contacts[i], answer.contacts[i].canonical, err);
        if (found != 0) {
            return found < 0 ? -1 : 0;
        }
    }
    return err_set(
        err, ERR_CONFLICT,
        "it cannot be made again exactly: the name, language, time zone or address that it was written to is not known any more, "
        "or the gateway %.64s has another sender now (from_address, from_name, reply_to)",
        sent->try->gateway);
}

/* ---- making it ---------------------------------------------------------------------------------------------------------- */

/* The version it was made from: from the archive, or the live folder where that is still the same. NULL with *err. */
static struct template_set *load_version(struct ctl *ctl, const char *version, struct err *err) {
    struct err kept = {0};
    const char *archive = versions_archive(ctl);
    struct template_set *set = archive == NULL ? NULL : template_set_load_kept(archive, version, &kept);
    if (set != NULL) {
        return set;
    }
    struct err ignored;
    set = template_set_load(ctl->settings.templates.directory, NULL, &ignored);
    if (set != NULL && strcmp(template_set_version(set), version) == 0) {
        return set;
    }
    template_set_free(set);
    if (archive == NULL) {
        (void)err_set(err, ERR_UNKNOWN,
                      "it was made from version %.12s of the templates, and no templates.archive, which keeps versions, is configured or "
                      "within reach of this user on this machine",
                      version);
    } else {
        *err = kept;
    }
    return NULL;
}

/* What the gateway was handed, or one part of it. 0, or -1 with *err. */
static int show(const struct sent *sent, const struct message *message, const char *part, struct buf *out, struct err *err) {
    const struct gateway_settings *gateway = part != NULL ? NULL : find_gateway(sent);
    const struct channel_driver *driver = gateway == NULL ? NULL : channel_driver_find(gateway->driver);
    if (driver != NULL && driver->show != NULL) {
        return driver->show(gateway, message, out, err);
    }
    const char *text = part != NULL && strcmp(part, "html") == 0 ? message->html : message->text;
    if (text == NULL) {
        return err_set(err, ERR_UNKNOWN, "this message has no %s part", part == NULL ? "text" : part);
    }
    buf_puts(out, text);
    return out->failed ? err_no_memory(err) : 0;
}

/* The key that its link is signed with: the one named, else the configured one; none where there was none. 0, or -1 with *err. */
static int read_key(const struct sent *sent, const char **key_r, struct err *err) {
    const char *path = sent->ask->reset_key_file == NULL ? sent->ctl->settings.templates.reset_key_file : sent->ask->reset_key_file;
    const char *mark = sent->try->key_mark;
    *key_r = NULL;
    return path == NULL || mark == NULL || strcmp(mark, WORDING_NO_KEY) == 0 ? 0 : conf_read_secret(path, &sent->ctl->arena, key_r, err);
}

/* Whether the key was the one that signed it then. 0, or -1 with *err. */
static int check_key(const struct sent *sent, const struct message *message, const char *key, struct err *err) {
    const char *mark;
    if (wording_key_mark(message, key, &sent->ctl->arena, &mark, err) < 0) {
        return -1;
    }
    if (mark == NULL || (sent->try->key_mark != NULL && strcmp(mark, sent->try->key_mark) == 0)) {
        return 0;
    }
    return err_set(
        err, ERR_CONFLICT,
        "it cannot be made again exactly: its reset link was signed with a key that is not in %s; with the file that holds the key "
        "of then, --reset-key FILE makes it",
        sent->ask->reset_key_file == NULL ? "templates.reset_key_file (any more)" : "the file of --reset-key");
}

static int make(struct sent *sent, struct message *message, struct buf *out, struct err *err) {
    struct arena *arena = &sent->ctl->arena;
    struct wording wording = {.id = sent->id, .record = sent->record, .data = sent->data, .made_at_ms = sent->try->made_at_ms};
    if (read_key(sent, &wording.reset_key, err) < 0) {
        return -1;
    }
    struct template_set *set = load_version(sent->ctl, sent->try->version, err);
    if (set == NULL) {
        return -1;
    }
    int rc = wording_make(&wording, set, sent->channel, arena, message, err);
    template_set_free(set);
    if (rc < 0 || check_key(sent, message, wording.reset_key, err) < 0) {
        return -1;
    }
    message->to = sent->to;
    message->key = wording_key(sent->id, sent->try->plan.step, sent->try->plan.contact_key, arena);
    return message->key == NULL ? err_no_memory(err) : show(sent, message, sent->ask->part, out, err);
}

static enum ctl_exit print_sent(const struct sent *sent, const struct message *message, const struct buf *out) {
    if (!sent->ctl->globals.json) {
        size_t n = out->len == 0 ? 0 : fwrite(out->data, 1, out->len, stdout);
        return n == out->len && fflush(stdout) == 0 ? CTL_DONE : CTL_FAILED;
    }
    json_t *view = view_message(message);
    view_text(view, "id", sent->id);
    view_text(view, "channel", sent->try->channel);
    view_text(view, "gateway", sent->try->gateway);
    view_text(view, "key", message->key);
    view_time(view, "made_at", sent->try->made_at_ms);
    (void)json_object_set_new(view, "bytes", json_stringn(out->data == NULL ? "" : out->data, out->len));
    return output_json(view);
}

enum ctl_exit sent_print(struct ctl *ctl, const char *id, const struct sent_ask *ask, bool *known_r) {
    struct err err = {0};
    struct queue_record held = {0};
    struct record record;
    struct sent sent = {.ctl = ctl, .id = id, .ask = ask, .record = &record};
    struct message message = {0};
    struct buf out = BUF_INIT;
    enum ctl_exit code = CTL_FAILED;
    *known_r = false;
    const char *archived_at = NULL;
    int found = ctl_rules(ctl, &err) == NULL ? -1 : archived_notice(ctl, id, &held, &archived_at, &err);
    if (found == 0) {
        return CTL_FAILED;
    }
    *known_r = true; /* or nobody can say */
    if (found < 0 || record_read(held.record, &ctl->arena, &record, &err) < 0 || choose_try(&sent, ask->channel, &err) < 0 ||
        find_data(&sent, &held, &err) < 0 || find_recipient(&sent, &err) < 0 || make(&sent, &message, &out, &err) < 0) {
        code = ctl_fail(&err);
    } else {
        code = print_sent(&sent, &message, &out);
    }
    job_document_fini(&sent.document);
    json_decref(sent.data);
    buf_fini(&out);
    return code;
}
