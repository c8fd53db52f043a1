/* auth: see auth.h.
 *
 *   basic, aws-sigv4        user name and secret go to libcurl, which signs each request
 *   bearer, header          one header line, made once
 *   jwt-es256, jwt-rs256    a token signed here, used for jwt_life, then made anew (APNs refuses tokens younger than 20 minutes in a
 *                           row or older than 60)
 *   vapid                   the same, one token per push service, because it names the service
 *   oauth-jwt               a token signed here is exchanged at token_url for an access token, which is renewed a minute before it ends;
 *                           requests wait meanwhile
 *
 * A fetch that fails is not tried again for five seconds, so a wrong key costs a line in the log and not a thousand requests. A
 * token that the gateway refuses is dropped, with the same limit. Tokens live in memory only. */
#include "channels/auth.h"

#include "base/json.h"
#include "channels/auth_token.h"
#include "channels/http_template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SERVICES_MAX = 16, ORIGIN_MAX_BYTES = 300, PAUSE_MS = 5000, LIFE_MS = 50 * 60000, EARLY_MS = 60000 };

/* A token in use. */
struct held {
    char origin[ORIGIN_MAX_BYTES]; /* HTTP_AUTH_VAPID: the push service; else "" */
    struct buf line;               /* "Authorization: ..." */
    int64_t until_ms;              /* wall clock: made anew from then on */
};

struct auth {
    struct auth_setup setup;
    struct auth_token *token; /* the signing kinds */
    struct held held[SERVICES_MAX];
    size_t n_held;
    size_t next_held; /* which one gives way when all are taken */
    const char *fixed_line;
    const char *aws_scope;
    const char *token_url;
    bool fetching;
    struct buf form; /* body of the exchange */
    struct err failure;
    int64_t not_before_ms; /* wall clock: no exchange before */
};

static int64_t now_ms(const struct auth *auth) {
    return clock_wall_ms(auth->setup.clock);
}

static int64_t life_ms(const struct auth *auth) {
    int64_t given = auth->setup.description->jwt_life_ms;
    return given == 0 ? LIFE_MS : given;
}

/* ---- opening --------------------------------------------------------------------------------------------------------- */

/* A template that only constants fill. NULL with *err. */
static const char *constant_text(const struct auth_setup *setup, const char *key, const char *text, struct arena *arena, struct err *err) {
    const struct http_template *template = http_template_parse(text, setup->constants, arena, err);
    if (template == NULL || http_template_varies_until(template, SIZE_MAX)) {
        (void)err_member(err, key, "may only hold placeholders of the operator's");
        return NULL;
    }
    const char *fixed = http_template_fixed(template, arena);
    if (fixed == NULL) {
        (void)err_no_memory(err);
    }
    return fixed;
}

static int prepare_line(struct auth *auth, struct arena *arena, struct err *err) {
    const struct auth_setup *setup = &auth->setup;
    bool bearer = setup->description->auth == HTTP_AUTH_BEARER;
    auth->fixed_line = bearer ? arena_printf(arena, "Authorization: Bearer %s", setup->secret)
                              : arena_printf(arena, "%s: %s", setup->description->auth_header, setup->secret);
    return auth->fixed_line == NULL ? err_no_memory(err) : 0;
}

static int prepare_token(struct auth *auth, struct arena *arena, struct err *err) {
    const struct http_description *description = auth->setup.description;
    auth->token = auth_token_new(description, auth->setup.constants, auth->setup.key_pem, arena, err);
    if (auth->token == NULL) {
        return -1;
    }
    if (description->auth == HTTP_AUTH_OAUTH_JWT) {
        auth->token_url = constant_text(&auth->setup, "token_url", description->token_url, arena, err);
        if (auth->token_url == NULL) {
            return -1;
        }
    }
    struct buf proof = BUF_INIT;
    int result = auth_token_sign(auth->token, "https://push.example", 1, 2, &proof, err);
    buf_fini(&proof);
    return result;
}

static int prepare(struct auth *auth, struct arena *arena, struct err *err) {
    const struct http_description *description = auth->setup.description;
    switch (description->auth) {
    case HTTP_AUTH_BEARER:
    case HTTP_AUTH_HEADER: return prepare_line(auth, arena, err);
    case HTTP_AUTH_AWS_SIGV4:
        auth->aws_scope = constant_text(&auth->setup, "auth_scope", description->auth_scope, arena, err);
        return auth->aws_scope == NULL ? -1 : 0;
    case HTTP_AUTH_JWT_ES256:
    case HTTP_AUTH_JWT_RS256:
    case HTTP_AUTH_OAUTH_JWT:
    case HTTP_AUTH_VAPID: return prepare_token(auth, arena, err);
    default: return 0;
    }
}

struct auth *auth_new(const struct auth_setup *setup, struct arena *arena, struct err *err) {
    struct auth *auth = calloc(1, sizeof *auth);
    if (auth == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    auth->setup = *setup;
    if (prepare(auth, arena, err) < 0) {
        auth_free(auth);
        return NULL;
    }
    return auth;
}

static void forget(struct held *held) {
    if (held->line.data != NULL) {
        explicit_bzero(held->line.data, held->line.len);
    }
    buf_fini(&held->line);
    held->until_ms = 0;
}

void auth_free(struct auth *auth) {
    if (auth == NULL) {
        return;
    }
    for (size_t i = 0; i < auth->n_held; i++) {
        forget(&auth->held[i]);
    }
    buf_fini(&auth->form);
    free(auth);
}

/* ---- tokens signed here ---------------------------------------------------------------------------------------------- */

/* "https://push.example:8443" of a URL; "" where it is longer than any origin should be. */
static void origin_of(const char *url, char out[ORIGIN_MAX_BYTES]) {
    const char *host = strstr(url, "://");
    size_t len = host == NULL ? 0 : (size_t)(host + 3 - url) + strcspn(host + 3, "/?#");
    (void)snprintf(out, ORIGIN_MAX_BYTES, "%.*s", len < ORIGIN_MAX_BYTES ? (int)len : 0, url);
}

/* The place of an origin's token; an old one gives way where there is none. */
static struct held *held_for(struct auth *auth, const char *origin) {
    for (size_t i = 0; i < auth->n_held; i++) {
        if (strcmp(auth->held[i].origin, origin) == 0) {
            return &auth->held[i];
        }
    }
    size_t i = auth->n_held < SERVICES_MAX ? auth->n_held++ : auth->next_held++ % SERVICES_MAX;
    struct held *held = &auth->held[i];
    forget(held);
    (void)snprintf(held->origin, sizeof held->origin, "%s", origin);
    return held;
}

static int sign_line(struct auth *auth, struct held *held, struct err *err) {
    bool vapid = auth->setup.description->auth == HTTP_AUTH_VAPID;
    int64_t now = now_ms(auth);
    forget(held);
    buf_puts(&held->line, vapid ? "Authorization: vapid t=" : "Authorization: Bearer ");
    if (auth_token_sign(auth->token, held->origin[0] == '\0' ? NULL : held->origin, now / 1000, (now + 2 * life_ms(auth)) / 1000,
                        &held->line, err) < 0) {
        return -1;
    }
    if (vapid) {
        buf_putf(&held->line, ", k=%s", auth_token_point(auth->token));
    }
    if (held->line.failed) {
        return err_no_memory(err);
    }
    held->until_ms = now + life_ms(auth);
    return 0;
}

static int get_signed(struct auth *auth, const char *url, struct auth_proof *proof_r, struct err *err) {
    char origin[ORIGIN_MAX_BYTES] = "";
    if (auth->setup.description->auth == HTTP_AUTH_VAPID) {
        origin_of(url, origin);
    }
    struct held *held = held_for(auth, origin);
    if (now_ms(auth) >= held->until_ms && sign_line(auth, held, err) < 0) {
        return -1;
    }
    proof_r->line = held->line.data;
    return 1;
}

/* ---- tokens fetched (RFC 7523 section 2.1) --------------------------------------------------------------------------- */

/* Remembers why there is no token, and pauses. */
static void fail_exchange(struct auth *auth, const char *why) {
    auth->not_before_ms = now_ms(auth) + PAUSE_MS;
    (void)err_set(&auth->failure, ERR_NET, "there is no access token: %s", why);
}

/* {"access_token":"...","expires_in":3599,"token_type":"Bearer"}. 0 or -1. */
static int take_token(struct auth *auth, const struct curl_answer *answer) {
    struct err ignored;
    json_t *json = answer->body_cut ? NULL : json_parse_strict(answer->body, answer->body_len, 0, &ignored);
    const char *token = json_string_value(json_object_get(json, "access_token"));
    json_int_t life_s = json_integer_value(json_object_get(json, "expires_in"));
    life_s = life_s < 0 || life_s > 86400 ? 0 : life_s;
    int result = -1;
    if (token != NULL && token[0] != '\0' && strpbrk(token, "\r\n") == NULL) {
        struct held *held = held_for(auth, "");
        int64_t life = life_s * 1000 > 2 * EARLY_MS ? life_s * 1000 - EARLY_MS : life_s * 500;
        forget(held);
        buf_putf(&held->line, "Authorization: Bearer %s", token);
        held->until_ms = now_ms(auth) + life;
        result = held->line.failed ? -1 : 0;
    }
    json_decref(json);
    return result;
}

static void on_exchange(void *ctx, const struct curl_answer *answer) {
    struct auth *auth = ctx;
    auth->fetching = false;
    if (auth->form.data != NULL) {
        explicit_bzero(auth->form.data, auth->form.len);
    }
    if (answer->end != CURL_ANSWERED) {
        fail_exchange(auth, answer->why);
    } else if (answer->status != 200 || take_token(auth, answer) < 0) {
        char why[64];
        (void)snprintf(why, sizeof why, "the token service answered HTTP %d without one", answer->status);
        fail_exchange(auth, why);
    } else {
        err_clear(&auth->failure);
    }
    auth->setup.ready(auth->setup.ctx);
}

static int start_exchange(struct auth *auth, struct err *err) {
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded"};
    int64_t now_s = now_ms(auth) / 1000;
    buf_reset(&auth->form);
    buf_puts(&auth->form, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=");
    if (auth_token_sign(auth->token, NULL, now_s, now_s + 3600, &auth->form, err) < 0 || buf_str(&auth->form) == NULL) {
        return -1;
    }
    struct curl_request request = {.method = "POST",
                                   .url = auth->token_url,
                                   .headers = headers,
                                   .n_headers = 1,
                                   .body = auth->form.data,
                                   .body_len = auth->form.len,
                                   .not_after_mono_ms = INT64_MAX};
    if (curl_loop_start(auth->setup.loop, &request, on_exchange, auth, err) < 0) {
        return -1;
    }
    auth->fetching = true;
    return 0;
}

static int get_fetched(struct auth *auth, struct auth_proof *proof_r, struct err *err) {
    struct held *held = held_for(auth, "");
    if (held->line.data != NULL && now_ms(auth) < held->until_ms) {
        proof_r->line = held->line.data;
        return 1;
    }
    if (auth->fetching) {
        return 0;
    }
    if (now_ms(auth) < auth->not_before_ms) {
        *err = auth->failure;
        return -1;
    }
    return start_exchange(auth, err) < 0 ? -1 : 0;
}

/* ---- asking ---------------------------------------------------------------------------------------------------------- */

int auth_get(struct auth *auth, const char *url, struct auth_proof *proof_r, struct err *err) {
    *proof_r = (struct auth_proof){.line = auth->fixed_line};
    switch (auth->setup.description->auth) {
    case HTTP_AUTH_AWS_SIGV4: proof_r->aws_sigv4 = auth->aws_scope; /* fall through */
    case HTTP_AUTH_BASIC:
        proof_r->username = auth->setup.username;
        proof_r->password = auth->setup.secret;
        return 1;
    case HTTP_AUTH_JWT_ES256:
    case HTTP_AUTH_JWT_RS256:
    case HTTP_AUTH_VAPID: return get_signed(auth, url, proof_r, err);
    case HTTP_AUTH_OAUTH_JWT: return get_fetched(auth, proof_r, err);
    default: return 1;
    }
}

bool auth_refused(struct auth *auth) {
    if (auth->setup.description->auth != HTTP_AUTH_OAUTH_JWT) {
        return false; /* a token signed here is as good as the next one; nothing is gained by haste */
    }
    if (now_ms(auth) >= auth->not_before_ms) {
        fail_exchange(auth, "the gateway refused the last one");
        forget(held_for(auth, ""));
    }
    return true;
}

/* ---- key files ------------------------------------------------------------------------------------------------------- */

static int take_members(json_t *json, struct arena *arena, struct conf_pairs *members_r, struct err *err) {
    struct conf_pair *items = arena_array(arena, json_object_size(json), sizeof *items);
    const char *name;
    json_t *value;
    size_t n = 0;
    json_object_foreach(json, name, value) {
        if (items != NULL && json_is_string(value) && strcmp(name, "private_key") != 0) {
            items[n] = (struct conf_pair){arena_strdup(arena, name), arena_strdup(arena, json_string_value(value))};
            if (items[n].key == NULL || items[n].value == NULL) {
                return err_no_memory(err);
            }
            n++;
        }
    }
    *members_r = (struct conf_pairs){items, n};
    return items == NULL ? err_no_memory(err) : 0;
}

int auth_read_key(const char *text, struct arena *arena, const char **pem_r, struct conf_pairs *members_r, struct err *err) {
    *members_r = (struct conf_pairs){NULL, 0};
    if (text[0] != '{') {
        *pem_r = text;
        return 0;
    }
    json_t *json = json_parse_strict(text, strlen(text), 0, err);
    const char *pem = json_string_value(json_object_get(json, "private_key"));
    int result = pem == NULL ? err_member(err, "secret_file", "is JSON without a private_key") : take_members(json, arena, members_r, err);
    *pem_r = pem == NULL ? NULL : arena_strdup(arena, pem);
    if (result == 0 && *pem_r == NULL) {
        result = err_no_memory(err);
    }
    json_decref(json);
    return result;
}
