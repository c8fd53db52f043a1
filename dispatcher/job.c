/* job: see job.h.
 *
 * Every member of every job type is listed once, in the reader of its type; json_in refuses whatever is not listed, so a
 * misspelt member is answered and never ignored (P12). Addresses are checked by the rule of their channel's address kind, which
 * is all this file knows of channels.
 *
 * Guarantees: a job that is accepted here can be planned without further checks of its form. An error names the member with its
 * path and never quotes a value, because a value may be an address.
 *
 * Fails: with ERR_SYNTAX, ERR_LIMIT or ERR_MEMBER; with ERR_MEMORY when there is none. Does not: look anything up (whether a
 * notice, a route or a locale exists is the worker's question). */
#include "dispatcher/job.h"

#include "base/json.h"
#include "dispatcher/campaign_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESS_MAX_BYTES = 4096, NAME_MAX_BYTES = 256, LOCALE_MAX_BYTES = 35, ZONE_MAX_BYTES = 64, ACCOUNTS_MAX = 1000 };

struct reader {
    const struct mailbox_rules *rules;
    struct arena *arena;
    struct err *err;
};

/* ---- lists of addresses -------------------------------------------------------------------------------------------- */

static bool plain_string(const json_t *value, size_t max_bytes) {
    size_t len = json_string_length(value);
    const char *text = json_string_value(value);
    if (text == NULL || len == 0 || len > max_bytes) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static int read_list(struct reader *r, struct json_in *in, const char *name, enum json_need need, struct address_list *list) {
    json_t *array = json_in_array(in, name, need);
    size_t n = json_array_size(array);
    if (n == 0) {
        return 0;
    }
    list->items = arena_array(r->arena, n, sizeof *list->items);
    if (list->items == NULL) {
        in->failed = true;
        return err_no_memory(r->err);
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(array, i);
        if (!plain_string(value, ADDRESS_MAX_BYTES)) {
            char at[64];
            (void)snprintf(at, sizeof at, "%s[%zu]", name, i);
            return json_in_fail(in, at, "must be a string of 1 to %d bytes without control characters", ADDRESS_MAX_BYTES);
        }
        list->items[i] = json_string_value(value);
    }
    list->n = n;
    return 0;
}

/* ---- contact points ------------------------------------------------------------------------------------------------ */

int job_check_address(const struct mailbox_rules *rules, enum channel_id channel, const char *address, struct err *why) {
    char canonical[MAILBOX_MAX];
    switch (channel_traits(channel)->address) {
    case ADDRESS_MAILBOX: return mailbox_canon(rules, address, canonical, why);
    case ADDRESS_E164: return phone_check(address, why);
    case ADDRESS_TOKEN:
    case ADDRESS_LOGIN: return 0;
    }
    return 0;
}

static void read_contact_head(struct reader *r, struct json_in *in, struct contact *contact) {
    const char *channel = json_in_string(in, "channel", JSON_REQUIRED, 32);
    contact->address = json_in_string(in, "address", JSON_REQUIRED, ADDRESS_MAX_BYTES);
    if (channel == NULL || contact->address == NULL) {
        return;
    }
    if (channel_find(channel, &contact->channel) != 1) {
        (void)json_in_fail(in, "channel", "is no channel known here");
        return;
    }
    struct err why;
    if (r->rules != NULL && job_check_address(r->rules, contact->channel, contact->address, &why) < 0) {
        (void)json_in_fail(in, "address", "%s", why.text);
    }
}

static int read_contact(struct reader *r, json_t *value, const char *path, struct contact *contact) {
    struct json_in in;
    json_in_begin(&in, value, path, r->err);
    read_contact_head(r, &in, contact);
    const char *status = json_in_string(&in, "status", JSON_OPTIONAL, 32);
    if (status != NULL && contact_status_find(status, &contact->status) != 1) {
        (void)json_in_fail(&in, "status", "must be active, unverified, bounced, blocked or withdrawn");
    }
    contact->status_told = status != NULL;
    contact->gateway = json_in_id(&in, "gateway", JSON_OPTIONAL);
    contact->verified_at_ms = json_in_time(&in, "verified_at", JSON_OPTIONAL);
    contact->changed_at_ms = json_in_time(&in, "changed_at", JSON_OPTIONAL);
    contact->previous_address = json_in_string(&in, "previous_address", JSON_OPTIONAL, ADDRESS_MAX_BYTES);
    contact->vanished = json_in_bool(&in, "vanished", false);
    (void)read_list(r, &in, "depends_on", JSON_OPTIONAL, &contact->depends_on);
    (void)read_list(r, &in, "forwards_to", JSON_OPTIONAL, &contact->forwards_to);
    return json_in_end(&in);
}

static int read_contacts(struct reader *r, struct json_in *in, struct customer *customer) {
    json_t *array = json_in_array(in, "contacts", JSON_OPTIONAL);
    size_t n = json_array_size(array);
    struct contact *contacts = arena_array(r->arena, n, sizeof *contacts);
    if (contacts == NULL) {
        in->failed = true;
        return err_no_memory(r->err);
    }
    for (size_t i = 0; i < n; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "%s%scontacts[%zu]", in->path, in->path[0] == '\0' ? "" : ".", i);
        if (in->failed || read_contact(r, json_array_get(array, i), path, &contacts[i]) < 0) {
            in->failed = true;
            return -1;
        }
    }
    customer->contacts = contacts;
    customer->n_contacts = n;
    return 0;
}

/* ---- customer ------------------------------------------------------------------------------------------------------ */

/* Attributes are kept as they are; nobody here reads them. */
static int keep_attributes(struct reader *r, const json_t *attributes, struct job *job) {
    if (attributes == NULL) {
        return 0;
    }
    char *text = json_dumps(attributes, JSON_COMPACT);
    job->attributes = text == NULL ? NULL : arena_strdup(r->arena, text);
    free(text);
    return job->attributes == NULL ? err_no_memory(r->err) : 0;
}

static int read_customer(struct reader *r, json_t *value, const char *path, struct job *job) {
    struct customer *customer = &job->customer;
    struct json_in in;
    json_in_begin(&in, value, path, r->err);
    customer->id = json_in_id(&in, "id", JSON_REQUIRED);
    customer->name = json_in_string(&in, "name", JSON_OPTIONAL, NAME_MAX_BYTES);
    customer->locale = json_in_string(&in, "locale", JSON_OPTIONAL, LOCALE_MAX_BYTES);
    customer->time_zone = json_in_string(&in, "time_zone", JSON_OPTIONAL, ZONE_MAX_BYTES);
    job->customer_by_id = json_is_object(value) && json_object_get(value, "contacts") == NULL;
    const json_t *attributes = json_in_object(&in, "attributes", JSON_OPTIONAL);
    (void)read_list(r, &in, "accounts", JSON_OPTIONAL, &customer->accounts);
    (void)read_contacts(r, &in, customer);
    return json_in_end(&in) < 0 ? -1 : keep_attributes(r, attributes, job);
}

int job_read_customer(json_t *value, const struct mailbox_rules *rules, struct arena *arena, struct job *job, struct err *err) {
    struct reader r = {rules, arena, err};
    *job = (struct job){0};
    err_clear(err);
    return read_customer(&r, value, "", job);
}

/* ---- what is disabled ---------------------------------------------------------------------------------------------- */

static void check_accounts(struct reader *r, struct json_in *in, const struct address_list *list, const char *name, bool domains) {
    for (size_t i = 0; i < list->n; i++) {
        char canonical[MAILBOX_MAX];
        struct err why;
        int ok = domains ? mailbox_canon_domain(r->rules, list->items[i], canonical, &why)
                         : mailbox_canon(r->rules, list->items[i], canonical, &why);
        if (ok < 0) {
            char at[48];
            (void)snprintf(at, sizeof at, "%s[%zu]", name, i);
            (void)json_in_fail(in, at, "%s", why.text);
            return;
        }
    }
}

static int read_disables(struct reader *r, json_t *value, struct disables *disables) {
    struct json_in in;
    json_in_begin(&in, value, "disables", r->err);
    (void)read_list(r, &in, "accounts", JSON_OPTIONAL, &disables->accounts);
    (void)read_list(r, &in, "domains", JSON_OPTIONAL, &disables->domains);
    check_accounts(r, &in, &disables->accounts, "accounts", false);
    check_accounts(r, &in, &disables->domains, "domains", true);
    if (disables->accounts.n > ACCOUNTS_MAX || disables->domains.n > ACCOUNTS_MAX) {
        (void)json_in_fail(&in, "", "must not list more than %d accounts or domains; whole domains are listed once", ACCOUNTS_MAX);
    }
    if (disables->accounts.n == 0 && disables->domains.n == 0) {
        (void)json_in_fail(&in, "", "must list accounts or domains");
    }
    return json_in_end(&in);
}

/* ---- digest -------------------------------------------------------------------------------------------------------- */

/* Two 64-bit FNV-1a lanes with different seeds. Members of an object are summed, so their order does not matter: the digest is
 * over what a job says, not how a client library happens to print it. It guards against mistakes, not against attackers. */
struct mix {
    uint64_t lane[2];
};

static const struct mix mix_seed = {{UINT64_C(0xcbf29ce484222325), UINT64_C(0x84222325cbf29ce4)}};

static struct mix mix_bytes(struct mix mix, const void *data, size_t len) {
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i++) {
        mix.lane[0] = (mix.lane[0] ^ p[i]) * UINT64_C(0x100000001b3);
        mix.lane[1] = (mix.lane[1] + p[i]) * UINT64_C(0x9e3779b97f4a7c15);
    }
    return mix;
}

static struct mix mix_value(const json_t *value);

static struct mix mix_object(struct mix mix, const json_t *value) {
    const char *key;
    json_t *member;
    json_t *object = json_incref((json_t *)(uintptr_t)value); /* the iterator wants it non-const */
    json_object_foreach(object, key, member) {
        struct mix child = mix_value(member);
        struct mix pair = mix_bytes(mix_bytes(mix_seed, key, strlen(key) + 1), &child, sizeof child);
        mix.lane[0] += pair.lane[0];
        mix.lane[1] += pair.lane[1];
    }
    json_decref(object);
    return mix;
}

static struct mix mix_value(const json_t *value) {
    char kind = (char)json_typeof(value);
    struct mix mix = mix_bytes(mix_seed, &kind, 1);
    switch (json_typeof(value)) {
    case JSON_OBJECT: return mix_object(mix, value);
    case JSON_ARRAY:
        for (size_t i = 0; i < json_array_size(value); i++) {
            struct mix child = mix_value(json_array_get(value, i));
            mix = mix_bytes(mix, &child, sizeof child);
        }
        return mix;
    case JSON_STRING: return mix_bytes(mix, json_string_value(value), json_string_length(value));
    case JSON_INTEGER: {
        json_int_t number = json_integer_value(value);
        return mix_bytes(mix, &number, sizeof number);
    }
    case JSON_REAL: {
        double number = json_real_value(value);
        return mix_bytes(mix, &number, sizeof number);
    }
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL: return mix;
    }
    return mix;
}

static void set_digest(struct job_document *document) {
    struct mix mix = mix_value(document->root);
    (void)snprintf(document->digest, sizeof document->digest, "%016llx%016llx", (unsigned long long)mix.lane[0],
                   (unsigned long long)mix.lane[1]);
}

/* ---- one reader per type ------------------------------------------------------------------------------------------- */

static void read_times(struct json_in *in, struct job *job) {
    job->effective_at_ms = json_in_time(in, "effective_at", JSON_OPTIONAL);
    job->expires_at_ms = json_in_time(in, "expires_at", JSON_OPTIONAL);
    job->promise_ms = json_in_duration(in, "promise", JSON_OPTIONAL);
    job->suspect_since_ms = json_in_time(in, "suspect_since", JSON_OPTIONAL);
    if (job->expires_at_ms != 0 && job->expires_at_ms <= job->effective_at_ms) {
        (void)json_in_fail(in, "expires_at", "must be later than effective_at");
    }
}

/* Reads a member that is an object of its own; a failure inside it is the failure of the whole job. */
#define READ_INSIDE(in, value, call)                                                                                                       \
    do {                                                                                                                                   \
        if ((value) != NULL && !(in)->failed && (call) < 0) {                                                                              \
            (in)->failed = true;                                                                                                           \
        }                                                                                                                                  \
    } while (0)

static void read_notice(struct reader *r, struct json_in *in, struct job_document *document) {
    struct job *job = &document->job;
    job->notice = json_in_id(in, "notice", JSON_REQUIRED);
    job->route = json_in_id(in, "route", JSON_OPTIONAL);
    json_t *customer = json_in_object(in, "customer", JSON_REQUIRED);
    json_t *disables = json_in_object(in, "disables", JSON_OPTIONAL);
    job->data = json_in_object(in, "data", JSON_OPTIONAL);
    read_times(in, job);
    READ_INSIDE(in, customer, read_customer(r, customer, "customer", job));
    READ_INSIDE(in, disables, read_disables(r, disables, &job->disables));
}

/* One of `mark`: {"key": 16 hex digits, "status": a status that is not used}. */
static int read_mark(struct reader *r, json_t *value, struct job_mark *mark) {
    struct json_in in;
    json_in_begin(&in, value, "mark[]", r->err);
    mark->key = json_in_string(&in, "key", JSON_REQUIRED, 16);
    const char *status = json_in_string(&in, "status", JSON_REQUIRED, 16);
    if (mark->key != NULL && strspn(mark->key, "0123456789abcdef") != 16) {
        (void)json_in_fail(&in, "key", "must be 16 hexadecimal digits");
    }
    bool known = status != NULL && contact_status_find(status, &mark->status) == 1;
    if (status != NULL && (!known || mark->status == CONTACT_ACTIVE || mark->status == CONTACT_UNVERIFIED)) {
        (void)json_in_fail(&in, "status", "must be bounced, blocked or withdrawn");
    }
    return json_in_end(&in);
}

/* What reachd itself has found out about contact points (dead_contact.c). */
static void read_marks(struct reader *r, struct json_in *in, json_t *list, struct job_document *document) {
    size_t n = json_array_size(list);
    struct job_mark *marks = arena_array(r->arena, n, sizeof *marks);
    if (marks == NULL) {
        (void)err_no_memory(r->err);
        in->failed = true;
        return;
    }
    for (size_t i = 0; i < n && !in->failed; i++) {
        in->failed = read_mark(r, json_array_get(list, i), &marks[i]) < 0;
    }
    document->marks = marks;
    document->n_marks = n;
}

static void read_contact_job(struct reader *r, struct json_in *in, struct job_document *document) {
    json_t *customer = json_in_object(in, "customer", JSON_REQUIRED);
    json_t *marks = json_in_array(in, "mark", JSON_OPTIONAL);
    READ_INSIDE(in, customer, read_customer(r, customer, "customer", &document->job));
    if (marks != NULL && !in->failed) {
        read_marks(r, in, marks, document);
    }
    if (document->n_marks > 0 && !in->failed && !document->job.customer_by_id) {
        (void)json_in_fail(in, "mark", "goes with a customer that is only named: either list the contact points or mark some");
    }
}

static void read_stop(struct reader *r, struct json_in *in, struct job_document *document) {
    document->notice_id = json_in_id(in, "notice", JSON_OPTIONAL);
    json_t *customer = json_in_object(in, "customer", JSON_OPTIONAL);
    READ_INSIDE(in, customer, read_customer(r, customer, "customer", &document->job));
    if (document->notice_id == NULL && document->job.customer.id == NULL) {
        (void)json_in_fail(in, "notice", "is missing: name the notice, or the customer for all of the customer's notices");
    }
}

static void read_disabled(struct reader *r, struct json_in *in, struct job_document *document) {
    document->account = json_in_string(in, "account", JSON_REQUIRED, 320);
    document->disabled_at_ms = json_in_time(in, "at", JSON_OPTIONAL);
    json_t *customer = json_in_object(in, "customer", JSON_OPTIONAL);
    READ_INSIDE(in, customer, read_customer(r, customer, "customer", &document->job));
    char canonical[MAILBOX_MAX];
    struct err why;
    if (document->account != NULL && mailbox_canon(r->rules, document->account, canonical, &why) < 0) {
        (void)json_in_fail(in, "account", "%s", why.text);
    }
}

/* Written by `reachctl desk done`: a person has taken the case to its end. */
static void read_desk(struct reader *r, struct json_in *in, struct job_document *document) {
    (void)r;
    document->notice_id = json_in_id(in, "notice", JSON_REQUIRED);
    document->by = json_in_string(in, "by", JSON_OPTIONAL, 64);
    document->note = json_in_string(in, "note", JSON_OPTIONAL, 200);
}

static void read_campaign(struct reader *r, struct json_in *in, struct job_document *document) {
    struct campaign_job campaign;
    (void)document;
    (void)campaign_job_read(in, r->rules, r->arena, &campaign);
}

static const struct job_reader {
    const char *name;
    enum job_type type;
    void (*read)(struct reader *r, struct json_in *in, struct job_document *document);
} job_readers[] = {
    {"notice", JOB_NOTICE, read_notice},       {"contact", JOB_CONTACT, read_contact_job}, {"resolve", JOB_RESOLVE, read_stop},
    {"cancel", JOB_CANCEL, read_stop},         {"disabled", JOB_DISABLED, read_disabled},  {"desk", JOB_DESK, read_desk},
    {"campaign", JOB_CAMPAIGN, read_campaign},
};

static const struct job_reader *find_reader(const char *type) {
    for (size_t i = 0; i < sizeof job_readers / sizeof *job_readers; i++) {
        if (strcmp(job_readers[i].name, type) == 0) {
            return &job_readers[i];
        }
    }
    return NULL;
}

/* The id is read first and on its own, so that a dead letter can name it whatever else is wrong. */
static void find_id(json_t *root, struct arena *arena, const char **id_r) {
    json_t *id = json_object_get(root, "id");
    if (id_r != NULL && plain_string(id, 128)) {
        *id_r = arena_strdup(arena, json_string_value(id));
    }
}

int job_parse(const char *text, size_t len, const struct mailbox_rules *rules, struct arena *arena, struct job_document *document,
              const char **id_r, struct err *err) {
    struct reader r = {rules, arena, err};
    *document = (struct job_document){0};
    err_clear(err);
    document->root = json_parse_strict(text, len, 0, err);
    if (document->root == NULL) {
        return -1;
    }
    find_id(document->root, arena, id_r);
    struct json_in in;
    json_in_begin(&in, document->root, "", err);
    (void)json_in_int(&in, "v", JSON_REQUIRED, 1, 1, 0);
    const char *type = json_in_string(&in, "type", JSON_REQUIRED, 32);
    document->job.id = json_in_id(&in, "id", JSON_REQUIRED);
    const struct job_reader *reader = type == NULL ? NULL : find_reader(type);
    if (type != NULL && reader == NULL) {
        (void)json_in_fail(&in, "type", "must be notice, campaign, contact, resolve, cancel, disabled or desk");
    }
    if (reader != NULL && !in.failed) {
        document->type = reader->type;
        reader->read(&r, &in, document);
    }
    if (json_in_end(&in) < 0) {
        return -1;
    }
    set_digest(document);
    return 0;
}

void job_document_fini(struct job_document *document) {
    json_decref(document->root);
    document->root = NULL;
}
