/* banners: what the website shows: the banner of a signed-in customer, and of the login page, where nobody is signed in yet.
 *
 *     banner:{customer}                 the notice's own words; reported back with a receipt (seen, dismissed)
 *     login-banner:{keyed hash}         for each login of the customer; the company's words only, and no word about the customer, the
 * notice or the job, because anybody may type any login. Nothing that happens there is evidence
 *
 * Both are effects of the notice's own change, so they appear and go with its state. Redis shows one at a time under a key, the most severe
 * and then the newest, and keeps the others behind it (lua/effects.lua), so that two notices of a customer do not hide or remove each
 * other's.
 *
 * Guarantees: a banner always has an end (`until`). How it fails: words for the login page that cannot be made are told in the log and left
 * out; the customer's own banner is there all the same. Does not: decide when. */
#include "dispatcher/work.h"

#include "base/clock.h"
#include "base/log.h"
#include "dispatcher/login.h"

#include <string.h>

int64_t banners_until_ms(const struct work *work, const struct work_place *place, int64_t now_ms) {
    int64_t expires_ms = work->record.expires_at_ms;
    return expires_ms != 0 ? expires_ms : now_ms + place->settings->desk.banner_ms;
}

/* A record; `owner` is the member that says whose it is: "notice", or "ref" where nobody may be named. In the arena; NULL: no memory. */
static const char *make_record(struct work *work, const char *owner, const char *id, const struct message *message, int64_t now_ms,
                               int64_t until_ms) {
    struct buf out = BUF_INIT;
    buf_puts(&out, "{\"v\":1");
    answers_put(&out, owner, id);
    answers_put(&out, "severity", message->severity);
    answers_put(&out, "locale", message->locale);
    answers_put(&out, "dir", message->dir);
    answers_put(&out, "title", message->title);
    answers_put(&out, "text", message->text);
    answers_put(&out, "html", message->html);
    answers_put(&out, "link", message->link);
    answers_put_time(&out, "since", now_ms);
    answers_put_time(&out, "until", until_ms);
    buf_putc(&out, '}');
    return answers_keep(work, &out);
}

const char *banners_record(struct work *work, const struct message *message, int64_t now_ms, int64_t until_ms) {
    return make_record(work, "notice", work->id, message, now_ms, until_ms);
}

/* ---- the login page ------------------------------------------------------------------------------------------------ */

/* Adds the login's hash to the list, once. 0, or -1 (no memory, no hash). */
static int add_login(struct work *work, const char *key, const char *login, const char **hashes, size_t *n) {
    char hash[LOGIN_HASH_LEN + 1];
    struct err err;
    int rc = login_hash(key, login, hash, &err);
    for (size_t i = 0; rc == 1 && i < *n; i++) {
        rc = strcmp(hashes[i], hash) == 0 ? 0 : rc;
    }
    if (rc == 1) {
        hashes[*n] = arena_strdup(&work->arena, hash);
        rc = hashes[(*n)++] == NULL ? -1 : 1;
    }
    return rc < 0 ? -1 : 0;
}

/* What the customer may type into the login page: the logins that see banners, and their own accounts. 0 or -1. */
static int note_logins(struct work *work, const char *key) {
    const struct customer *customer = &work->document.job.customer;
    const struct address_list *accounts = &work->record.accounts;
    size_t n = 0;
    const char **hashes = arena_array(&work->arena, customer->n_contacts + work->record.n_own, sizeof *hashes);
    int rc = hashes == NULL ? -1 : 0;
    for (size_t i = 0; rc == 0 && i < customer->n_contacts; i++) {
        if (channel_traits(customer->contacts[i].channel)->address == ADDRESS_LOGIN) {
            rc = add_login(work, key, customer->contacts[i].address, hashes, &n);
        }
    }
    for (size_t i = 0; rc == 0 && i < work->record.n_own && i < accounts->n; i++) {
        rc = add_login(work, key, accounts->items[i], hashes, &n);
    }
    work->record.logins = (struct address_list){hashes, n};
    return rc;
}

/* The record for the login page, NULL where there are no words for it; 0 or -1 with *err. */
static int login_record(struct work *work, const struct work_place *place, const char *ref, int64_t now_ms, int64_t until_ms,
                        const char **record_r, struct err *err) {
    struct message message = {0};
    *record_r = NULL;
    int rc = template_render_login(place->templates, work->record.notice, work->record.addressed.locale, &work->arena, &message, err);
    if (rc == 1) {
        *record_r = make_record(work, "ref", ref, &message, now_ms, until_ms);
    }
    return rc < 0 || (rc == 1 && *record_r == NULL) ? -1 : 0;
}

static const char *login_banner_key(struct work *work, size_t i) {
    return arena_printf(&work->arena, "login-banner:{%s}", work->record.logins.items[i]);
}

/* Those that were put, under the names that they were put under, whichever key is in use now. */
static void take_login_banners(struct work *work) {
    const char *owner = work->record.login_ref;
    for (size_t i = 0; owner != NULL && i < work->record.logins.n; i++) {
        work_effect(work, QUEUE_UNBANNER, login_banner_key(work, i), owner, NULL, 0);
    }
    work->record.logins = (struct address_list){0};
    work->record.login_ref = NULL;
}

static void put_login_banners(struct work *work, const struct work_place *place, int64_t now_ms, int64_t until_ms) {
    char ref[LOGIN_REF_LEN + 1];
    const char *record = NULL;
    struct err err = {0};
    take_login_banners(work);
    if (place->login_key == NULL) {
        return;
    }
    if (login_ref(place->login_key, work->id, ref, &err) < 0 || login_record(work, place, ref, now_ms, until_ms, &record, &err) < 0 ||
        note_logins(work, place->login_key) < 0) {
        log_error("notice %s: nothing for the login page: %s", work->id, err.text[0] == '\0' ? "out of memory" : err.text);
        work->record.logins = (struct address_list){0};
        return;
    }
    const char *owner = arena_strdup(&work->arena, ref);
    work->record.login_ref = owner;
    for (size_t i = 0; record != NULL && i < work->record.logins.n; i++) {
        work_effect(work, QUEUE_BANNER, owner == NULL ? NULL : login_banner_key(work, i), owner, record, until_ms);
    }
}

/* ---- all of them --------------------------------------------------------------------------------------------------- */

static const char *customer_key(struct work *work) {
    return arena_printf(&work->arena, "banner:{%s}", work->record.customer);
}

void banners_put(struct work *work, const struct work_place *place, const char *record, int64_t now_ms, int64_t until_ms) {
    work_effect(work, QUEUE_BANNER, record == NULL ? NULL : customer_key(work), work->id, record, until_ms);
    put_login_banners(work, place, now_ms, until_ms);
    work->record.banner = true;
}

void banners_take(struct work *work) {
    work_effect(work, QUEUE_UNBANNER, customer_key(work), work->id, NULL, 0);
    take_login_banners(work);
    work->record.banner = false;
}
