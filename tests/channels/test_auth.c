/* test_auth: what the driver shows a gateway, judged by code that somebody else wrote. */
#include "channels/http.h"
#include "tests/support/http_kit.h"
#include "tests/support/oracle.h"
#include "tests/support/scripted_http.h"

#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct pair {
    char *private_pem;
    char *public_pem;
};

static char *bio_text(BIO *bio) {
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    char *text = strndup(data, (size_t)len);
    BIO_free(bio);
    return text;
}

static void pair_take(EVP_PKEY *key, struct pair *pair) {
    assert_non_null(key);
    BIO *private_bio = BIO_new(BIO_s_mem());
    BIO *public_bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(private_bio, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(PEM_write_bio_PUBKEY(public_bio, key), 1);
    pair->private_pem = bio_text(private_bio);
    pair->public_pem = bio_text(public_bio);
    EVP_PKEY_free(key);
}

static void pair_fini(struct pair *pair) {
    free(pair->private_pem);
    free(pair->public_pem);
}

static void bearer_of(const char *request, char *out, size_t cap) {
    static const char name[] = "\r\nAuthorization: Bearer ";
    const char *at = strstr(request, name);
    assert_non_null(at);
    at += sizeof name - 1;
    (void)snprintf(out, cap, "%.*s", (int)strcspn(at, "\r"), at);
}

static void open_kit(struct http_kit *kit, const char *channel, const char *key_file_content, const char *yaml, int port) {
    http_kit_init(kit);
    char whole[3000];
    (void)snprintf(whole, sizeof whole, "secret_file: %s\nallow_insecure: true\nallow_private: true\n%sbase: \"http://127.0.0.1:%d\"}\n",
                   http_kit_file(kit, key_file_content), yaml, port);
    struct err err;
    if (http_kit_open(kit, channel, whole, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

/* Verifies a token with jsonwebtoken. NULL where that is not installed. */
static json_t *verify(const char *token, const char *public_pem, const char *algorithm) {
    json_t *answer =
        oracle_ask_take("jwt-verify", json_pack("{s:s,s:s,s:[s]}", "token", token, "key", public_pem, "algorithms", algorithm));
    if (answer != NULL && json_object_get(answer, "error") != NULL) {
        fail_msg("jsonwebtoken: %s", json_string_value(json_object_get(answer, "error")));
    }
    return answer;
}

static const char *text_at(json_t *json, const char *object, const char *name) {
    const char *text = json_string_value(json_object_get(json_object_get(json, object), name));
    assert_non_null(text);
    return text;
}

/* ---- tokens signed here ---------------------------------------------------------------------------------------------- */

static void apns_token_is_es256_with_key_and_team_and_is_used_again(void **state) {
    (void)state;
    static const struct scripted_step steps[] = {{SCRIPTED_ANSWER, "HTTP/1.1 200 OK\r\napns-id: EC1BF194\r\nContent-Length: 0\r\n\r\n", 0}};
    struct scripted_http *server = scripted_http_start(steps, 1);
    struct pair pair;
    struct http_kit kit;
    pair_take(EVP_EC_gen("P-256"), &pair);
    open_kit(&kit, "push", pair.private_pem, "description: apns\nvariables: {key_id: K1, team_id: T1, topic: com.example, ",
             scripted_http_port(server));
    struct message message = http_kit_message;
    message.to = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";
    const struct outcome *outcome = http_kit_deliver(&kit, &message);
    http_kit_assert_outcome(outcome, OUTCOME_SENT, BLAME_NONE);
    assert_string_equal(outcome->ref, "EC1BF194");
    (void)http_kit_deliver(&kit, &message);
    char one[1000];
    char two[1000];
    bearer_of(scripted_http_request(server, 0), one, sizeof one);
    bearer_of(scripted_http_request(server, 1), two, sizeof two);
    assert_string_equal(one, two); /* Apple refuses a new token for every message */
    assert_non_null(strstr(scripted_http_request(server, 0), "POST /3/device/00fc13ad"));
    assert_non_null(strstr(scripted_http_request(server, 0), "{\"aps\":{\"alert\":{\"title\":\"Your mailbox\",\"body\":\"Your"));
    http_kit_fini(&kit);
    scripted_http_stop(server);
    json_t *token = verify(one, pair.public_pem, "ES256");
    if (token != NULL) {
        assert_string_equal(text_at(token, "header", "kid"), "K1");
        assert_string_equal(text_at(token, "payload", "iss"), "T1");
    }
    json_decref(token);
    pair_fini(&pair);
}

static void vonage_token_is_rs256_for_the_application(void **state) {
    (void)state;
    static const struct scripted_step steps[] = {
        {SCRIPTED_ANSWER, "HTTP/1.1 202 Accepted\r\nContent-Length: 22\r\n\r\n{\"message_uuid\":\"u-1\"}", 0}};
    struct scripted_http *server = scripted_http_start(steps, 1);
    struct pair pair;
    struct http_kit kit;
    pair_take(EVP_RSA_gen(2048), &pair);
    open_kit(&kit, "sms", pair.private_pem, "description: vonage-messages\nfrom: reachd\nvariables: {application_id: app-1, ",
             scripted_http_port(server));
    const struct outcome *outcome = http_kit_deliver(&kit, &http_kit_message);
    http_kit_assert_outcome(outcome, OUTCOME_SENT, BLAME_NONE);
    assert_string_equal(outcome->ref, "u-1");
    char bearer[2000];
    bearer_of(scripted_http_request(server, 0), bearer, sizeof bearer);
    http_kit_fini(&kit);
    scripted_http_stop(server);
    json_t *token = verify(bearer, pair.public_pem, "RS256");
    if (token != NULL) {
        assert_string_equal(text_at(token, "payload", "application_id"), "app-1");
        assert_int_equal(strlen(text_at(token, "payload", "jti")), 32);
    }
    json_decref(token);
    pair_fini(&pair);
}

/* ---- tokens fetched -------------------------------------------------------------------------------------------------- */

/* A service account's key file as Google hands it out. */
static char *service_account(const char *pem) {
    json_t *json = json_pack("{s:s,s:s,s:s,s:s,s:s}", "type", "service_account", "project_id", "p-1", "private_key_id", "kid-1",
                             "private_key", pem, "client_email", "reachd@p-1.iam.gserviceaccount.com");
    char *text = json_dumps(json, 0);
    json_decref(json);
    return text;
}

static void fcm_kit(struct http_kit *kit, const struct pair *pair, struct scripted_http *server) {
    http_kit_init(kit);
    char *key = service_account(pair->private_pem);
    int port = scripted_http_port(server);
    char yaml[1000];
    (void)snprintf(
        yaml, sizeof yaml,
        "description: fcm\nsecret_file: %s\nallow_insecure: true\nallow_private: true\nvariables: {base: \"http://127.0.0.1:%d\", "
        "token_base: \"http://127.0.0.1:%d\"}\n",
        http_kit_file(kit, key), port, port);
    free(key);
    struct err err;
    if (http_kit_open(kit, "push", yaml, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static const char *grant(int slot, const char *life) {
    static char bodies[8][200];
    (void)snprintf(bodies[slot], sizeof bodies[slot], "{\"access_token\":\"ya29.token%d\",\"expires_in\":%s,\"token_type\":\"Bearer\"}",
                   slot, life);
    return scripted_answer(slot, "HTTP/1.1 200 OK", "", bodies[slot]);
}

static const char *taken(int slot) {
    return scripted_answer(slot, "HTTP/1.1 200 OK", "", "{\"name\":\"projects/p-1/messages/0:1%31bd\"}");
}

static void send_three(struct http_kit *kit) {
    int before = kit->n_done;
    for (int i = 0; i < 3; i++) {
        http_kit_take(kit, &http_kit_message);
    }
    channel_http.flush(kit->gateway);
    http_kit_wait(kit, before + 3);
}

static void fcm_exchanges_a_signed_token_once_and_all_messages_wait_for_it(void **state) {
    (void)state;
    struct scripted_step steps[] = {{SCRIPTED_ANSWER, grant(0, "3599"), 0}, {SCRIPTED_ANSWER, taken(1), 0}};
    struct scripted_http *server = scripted_http_start(steps, 2);
    struct pair pair;
    struct http_kit kit;
    pair_take(EVP_RSA_gen(2048), &pair);
    fcm_kit(&kit, &pair, server);
    send_three(&kit);
    for (int i = 0; i < 3; i++) {
        http_kit_assert_outcome(&kit.outcomes[i], OUTCOME_SENT, BLAME_NONE);
        assert_string_equal(kit.outcomes[i].ref, "projects/p-1/messages/0:1%31bd");
    }
    assert_int_equal(scripted_http_requests(server), 4);
    assert_non_null(strstr(scripted_http_request(server, 1), "POST /v1/projects/p-1/messages:send HTTP"));
    assert_non_null(strstr(scripted_http_request(server, 1), "\r\nAuthorization: Bearer ya29.token0\r\n"));
    const char *exchange = scripted_http_request(server, 0);
    assert_non_null(strstr(exchange, "POST /token HTTP"));
    const char *assertion = strstr(exchange, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=");
    assert_non_null(assertion);
    json_t *token = verify(strrchr(assertion, '=') + 1, pair.public_pem, "RS256");
    if (token != NULL) {
        assert_string_equal(text_at(token, "header", "kid"), "kid-1");
        assert_string_equal(text_at(token, "payload", "iss"), "reachd@p-1.iam.gserviceaccount.com");
        assert_string_equal(text_at(token, "payload", "scope"), "https://www.googleapis.com/auth/firebase.messaging");
    }
    json_decref(token);
    http_kit_fini(&kit);
    scripted_http_stop(server);
    pair_fini(&pair);
}

static void token_service_that_refuses_is_asked_once_and_not_for_every_message(void **state) {
    (void)state;
    struct scripted_step steps[] = {
        {SCRIPTED_ANSWER, scripted_answer(0, "HTTP/1.1 400 Bad Request", "", "{\"error\":\"invalid_grant\"}"), 0}};
    struct scripted_http *server = scripted_http_start(steps, 1);
    struct pair pair;
    struct http_kit kit;
    pair_take(EVP_RSA_gen(2048), &pair);
    fcm_kit(&kit, &pair, server);
    send_three(&kit);
    send_three(&kit);
    for (int i = 0; i < 6; i++) {
        http_kit_assert_outcome(&kit.outcomes[i], OUTCOME_RETRY, BLAME_GATEWAY);
    }
    assert_int_equal(scripted_http_requests(server), 1);
    http_kit_fini(&kit);
    scripted_http_stop(server);
    pair_fini(&pair);
}

/* The kit's clock, so that hours pass at once. */
static int64_t shifted_ms;

static int64_t shifted_wall_ms(void *ctx) {
    (void)ctx;
    return clock_wall_ms(&clock_system) + shifted_ms;
}

static int64_t true_mono_ms(void *ctx) {
    (void)ctx;
    return clock_mono_ms(&clock_system);
}

static void access_token_is_renewed_before_it_ends_and_after_a_401(void **state) {
    (void)state;
    static const struct clock shifted = {shifted_wall_ms, true_mono_ms, NULL};
    struct scripted_step steps[] = {
        {SCRIPTED_ANSWER, grant(0, "3600"), 0}, {SCRIPTED_ANSWER, taken(1), 0},
        {SCRIPTED_ANSWER, grant(2, "3600"), 0}, {SCRIPTED_ANSWER, scripted_answer(3, "HTTP/1.1 401 Unauthorized", "", "{}"), 0},
        {SCRIPTED_ANSWER, grant(4, "3600"), 0}, {SCRIPTED_ANSWER, taken(5), 0}};
    struct scripted_http *server = scripted_http_start(steps, 6);
    struct pair pair;
    struct http_kit kit;
    pair_take(EVP_RSA_gen(2048), &pair);
    shifted_ms = 0;
    fcm_kit(&kit, &pair, server);
    kit.env.clock = &shifted;
    channel_http.close(kit.gateway);
    struct err err;
    kit.gateway = channel_http.open(&kit.env, &kit.settings, &err);
    assert_non_null(kit.gateway);
    http_kit_assert_outcome(http_kit_deliver(&kit, &http_kit_message), OUTCOME_SENT, BLAME_NONE);
    shifted_ms = 3545 * 1000; /* 55 s before its end */
    http_kit_assert_outcome(http_kit_deliver(&kit, &http_kit_message), OUTCOME_RETRY, BLAME_GATEWAY);
    assert_non_null(strstr(scripted_http_request(server, 3), "Bearer ya29.token2\r\n"));
    http_kit_assert_outcome(http_kit_deliver(&kit, &http_kit_message), OUTCOME_RETRY, BLAME_GATEWAY); /* pausing */
    assert_int_equal(scripted_http_requests(server), 4);
    shifted_ms += 6000;
    http_kit_assert_outcome(http_kit_deliver(&kit, &http_kit_message), OUTCOME_SENT, BLAME_NONE);
    assert_non_null(strstr(scripted_http_request(server, 5), "Bearer ya29.token4\r\n"));
    http_kit_fini(&kit);
    scripted_http_stop(server);
    pair_fini(&pair);
}

static void close_while_a_token_is_fetched_gives_every_message_back(void **state) {
    (void)state;
    static const struct scripted_step steps[] = {{SCRIPTED_STALL, NULL, 0}};
    struct scripted_http *server = scripted_http_start(steps, 1);
    struct pair pair;
    struct http_kit kit;
    pair_take(EVP_RSA_gen(2048), &pair);
    fcm_kit(&kit, &pair, server);
    http_kit_take(&kit, &http_kit_message);
    http_kit_take(&kit, &http_kit_message);
    channel_http.flush(kit.gateway);
    (void)event_base_loop(kit.base, EVLOOP_NONBLOCK);
    channel_http.close(kit.gateway);
    kit.gateway = NULL;
    assert_int_equal(kit.n_done, 2);
    http_kit_assert_outcome(&kit.outcomes[1], OUTCOME_RETRY, BLAME_NONE);
    http_kit_fini(&kit);
    scripted_http_stop(server);
    pair_fini(&pair);
}

/* ---- what providers answer whose gateways need a key ------------------------------------------------------------------ */

static void open_provider(struct http_kit *kit, const char *name, const struct pair *pair, struct scripted_http *server) {
    int port = scripted_http_port(server);
    if (strcmp(name, "fcm") == 0) {
        fcm_kit(kit, pair, server);
    } else if (strcmp(name, "apns") == 0) {
        open_kit(kit, "push", pair->private_pem, "description: apns\nvariables: {key_id: K1, team_id: T1, topic: com.example, ", port);
    } else {
        open_kit(kit, "sms", pair->private_pem, "description: vonage-messages\nfrom: reachd\nvariables: {application_id: app-1, ", port);
    }
}

static void answers_of_apns_fcm_and_vonage_are_understood(void **state) {
    (void)state;
#define FCM_SAYS(code) "{\"error\":{\"code\":400,\"status\":\"X\",\"details\":[{\"@type\":\"FcmError\",\"errorCode\":\"" code "\"}]}}"
    static const struct {
        const char *provider, *status_line, *body;
        enum outcome_kind kind;
        enum outcome_blame blame;
    } cases[] = {
        {"apns", "HTTP/1.1 410 Gone", "{\"reason\":\"Unregistered\",\"timestamp\":1764000000000}", OUTCOME_REJECTED, BLAME_CONTACT},
        {"apns", "HTTP/1.1 400 Bad Request", "{\"reason\":\"BadDeviceToken\"}", OUTCOME_REJECTED, BLAME_CONTACT},
        {"apns", "HTTP/1.1 403 Forbidden", "{\"reason\":\"InvalidProviderToken\"}", OUTCOME_RETRY, BLAME_ACCOUNT},
        {"apns", "HTTP/1.1 413 Too Large", "{\"reason\":\"PayloadTooLarge\"}", OUTCOME_REJECTED, BLAME_MESSAGE},
        {"apns", "HTTP/1.1 429 Too Many", "{\"reason\":\"TooManyRequests\"}", OUTCOME_RETRY, BLAME_GATEWAY},
        {"apns", "HTTP/1.1 500 Oops", "{\"reason\":\"InternalServerError\"}", OUTCOME_UNKNOWN, BLAME_NONE},
        {"fcm", "HTTP/1.1 404 Not Found", FCM_SAYS("UNREGISTERED"), OUTCOME_REJECTED, BLAME_CONTACT},
        {"fcm", "HTTP/1.1 403 Forbidden", FCM_SAYS("SENDER_ID_MISMATCH"), OUTCOME_REJECTED, BLAME_CONTACT},
        {"fcm", "HTTP/1.1 400 Bad Request", FCM_SAYS("INVALID_ARGUMENT"), OUTCOME_REJECTED, BLAME_MESSAGE},
        {"fcm", "HTTP/1.1 429 Too Many", FCM_SAYS("QUOTA_EXCEEDED"), OUTCOME_RETRY, BLAME_GATEWAY},
        {"fcm", "HTTP/1.1 500 Oops", FCM_SAYS("INTERNAL"), OUTCOME_UNKNOWN, BLAME_NONE},
        {"fcm", "HTTP/1.1 200 OK", "<html>", OUTCOME_UNKNOWN, BLAME_NONE},
        {"vonage-messages", "HTTP/1.1 422 Unprocessable", "{\"title\":\"Invalid params\"}", OUTCOME_REJECTED, BLAME_MESSAGE},
        {"vonage-messages", "HTTP/1.1 402 Payment Required", "{}", OUTCOME_RETRY, BLAME_ACCOUNT},
        {"vonage-messages", "HTTP/1.1 202 Accepted", "{}", OUTCOME_UNKNOWN, BLAME_NONE},
    };
    struct pair rsa;
    struct pair curve;
    pair_take(EVP_RSA_gen(2048), &rsa);
    pair_take(EVP_EC_gen("P-256"), &curve);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool fcm = strcmp(cases[i].provider, "fcm") == 0;
        const struct scripted_step answer = {SCRIPTED_ANSWER, scripted_answer(1, cases[i].status_line, "", cases[i].body), 0};
        struct scripted_step steps[] = {fcm ? (struct scripted_step){SCRIPTED_ANSWER, grant(0, "3599"), 0} : answer, answer};
        struct scripted_http *server = scripted_http_start(steps, 2);
        struct http_kit kit;
        open_provider(&kit, cases[i].provider, fcm || cases[i].provider[0] == 'v' ? &rsa : &curve, server);
        const struct outcome *outcome = http_kit_deliver(&kit, &http_kit_message);
        if (outcome->kind != cases[i].kind || outcome->blame != cases[i].blame) {
            fail_msg("%s, %s %s: %s", cases[i].provider, cases[i].status_line, cases[i].body, outcome->reason);
        }
        http_kit_fini(&kit);
        scripted_http_stop(server);
    }
    pair_fini(&rsa);
    pair_fini(&curve);
}

/* ---- requests signed by libcurl -------------------------------------------------------------------------------------- */

static void header_of(const char *request, const char *name, char *out, size_t cap) {
    const char *at = strstr(request, name);
    assert_non_null(at);
    at += strlen(name);
    (void)snprintf(out, cap, "%.*s", (int)strcspn(at, "\r"), at);
}

static void signature_of_a_request_to_sns_is_the_one_of_awss_own_signer(void **state) {
    (void)state;
    static const struct scripted_step steps[] = {
        {SCRIPTED_ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n<MessageId>1</MessageId>", 0}};
    struct scripted_http *server = scripted_http_start(steps, 1);
    struct http_kit kit;
    open_kit(&kit, "sms", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
             "description: aws-sns\nusername: AKIDEXAMPLE\nvariables: {region: eu-west-1, ", scripted_http_port(server));
    struct message message = http_kit_message;
    message.text = "Gr\xc3\xbc\xc3\x9f"
                   "e & more = ok?";
    http_kit_assert_outcome(http_kit_deliver(&kit, &message), OUTCOME_SENT, BLAME_NONE);
    const char *request = scripted_http_request(server, 0);
    char host[64];
    char date[32];
    char given[400];
    header_of(request, "\r\nHost: ", host, sizeof host);
    header_of(request, "\r\nX-Amz-Date: ", date, sizeof date);
    header_of(request, "\r\nAuthorization: ", given, sizeof given);
    assert_non_null(strstr(request, "\r\nUser-Agent: reachd\r\n"));
    char iso[40];
    (void)snprintf(iso, sizeof iso, "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", date, date + 4, date + 6, date + 9, date + 11, date + 13);
    json_t *answer =
        oracle_ask_take("sigv4", json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:{s:s},s:s,s:s}", "id", "AKIDEXAMPLE", "secret",
                                           "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "region", "eu-west-1", "service", "sns", "method",
                                           "POST", "host", host, "path", "/", "headers", "content-type",
                                           "application/x-www-form-urlencoded", "body", strstr(request, "\r\n\r\n") + 4, "date", iso));
    http_kit_fini(&kit);
    scripted_http_stop(server);
    if (answer == NULL) {
        skip();
    }
    const char *expected = json_string_value(json_object_get(answer, "authorization"));
    assert_non_null(expected);
    assert_string_equal(strstr(given, "Signature="), strstr(expected, "Signature="));
    json_decref(answer);
}

static void twilios_own_sdk_makes_the_same_request(void **state) {
    (void)state;
    static const char sid[] = "AC11111111111111111111111111111111";
    struct scripted_step steps[] = {
        {SCRIPTED_ANSWER, scripted_answer(0, "HTTP/1.1 201 Created", "", "{\"sid\":\"SM1\",\"status\":\"queued\"}"), 0}};
    struct scripted_http *server = scripted_http_start(steps, 1);
    struct http_kit kit;
    open_kit(
        &kit, "sms", "tok",
        "description: twilio\nusername: AC11111111111111111111111111111111\nfrom: \"+15005550006\"\nreceipt_url: https://example.org/r/t\n"
        "variables: {account_sid: AC11111111111111111111111111111111, ",
        scripted_http_port(server));
    http_kit_assert_outcome(http_kit_deliver(&kit, &http_kit_message), OUTCOME_SENT, BLAME_NONE);
    json_t *theirs =
        oracle_ask_take("twilio-request", json_pack("{s:s,s:s,s:{s:s,s:s,s:s,s:i,s:s}}", "sid", sid, "token", "tok", "message", "to",
                                                    http_kit_message.to, "from", "+15005550006", "body", http_kit_message.text,
                                                    "validityPeriod", 36000, "statusCallback", "https://example.org/r/t"));
    char request[4000];
    (void)snprintf(request, sizeof request, "%s", scripted_http_request(server, 0));
    http_kit_fini(&kit);
    scripted_http_stop(server);
    if (theirs == NULL) {
        skip();
    }
    char line[200];
    (void)snprintf(line, sizeof line, "POST %s HTTP/1.1\r\n", json_string_value(json_object_get(theirs, "path")));
    assert_int_equal(strncmp(request, line, strlen(line)), 0);
    struct evkeyvalq ours = {NULL, NULL};
    assert_int_equal(evhttp_parse_query_str(strstr(request, "\r\n\r\n") + 4, &ours), 0);
    size_t n = 0;
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(theirs, "data"), name, value) {
        char text[400];
        if (json_is_integer(value)) {
            (void)snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
        } else {
            (void)snprintf(text, sizeof text, "%s", json_string_value(value));
        }
        assert_non_null(evhttp_find_header(&ours, name));
        assert_string_equal(evhttp_find_header(&ours, name), text);
        n++;
    }
    for (const struct evkeyval *pair = ours.tqh_first; pair != NULL; pair = pair->next.tqe_next) {
        n--;
    }
    assert_int_equal(n, 0); /* the same number of fields */
    evhttp_clear_headers(&ours);
    json_decref(theirs);
}

/* ---- keys ------------------------------------------------------------------------------------------------------------ */

static void assert_key_refused(const char *description, const char *key, const char *expected) {
    struct http_kit kit;
    http_kit_init(&kit);
    char yaml[500];
    (void)snprintf(yaml, sizeof yaml, "description: %s\nsecret_file: %s\nvariables: {key_id: k, team_id: t, topic: x}\n", description,
                   http_kit_file(&kit, key));
    struct err err;
    assert_int_equal(http_kit_open(&kit, "push", yaml, &err), -1);
    if (strstr(err.text, expected) == NULL) {
        fail_msg("expected \"%s\" in \"%s\"", expected, err.text);
    }
    http_kit_fini(&kit);
}

static void key_of_the_wrong_kind_is_refused_when_the_gateway_is_opened(void **state) {
    (void)state;
    struct pair rsa;
    struct pair curve;
    pair_take(EVP_RSA_gen(2048), &rsa);
    pair_take(EVP_EC_gen("P-384"), &curve);
    char *account = service_account(curve.private_pem);
    assert_key_refused("apns", "not a key", "private key in PEM form");
    assert_key_refused("apns", rsa.private_pem, "P-256");
    assert_key_refused("apns", curve.private_pem, "P-256");
    assert_key_refused("fcm", account, "RSA");
    assert_key_refused("fcm", "{\"type\":\"x\"}", "private_key");
    free(account);
    pair_fini(&rsa);
    pair_fini(&curve);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(apns_token_is_es256_with_key_and_team_and_is_used_again),
        cmocka_unit_test(vonage_token_is_rs256_for_the_application),
        cmocka_unit_test(fcm_exchanges_a_signed_token_once_and_all_messages_wait_for_it),
        cmocka_unit_test(token_service_that_refuses_is_asked_once_and_not_for_every_message),
        cmocka_unit_test(access_token_is_renewed_before_it_ends_and_after_a_401),
        cmocka_unit_test(close_while_a_token_is_fetched_gives_every_message_back),
        cmocka_unit_test(answers_of_apns_fcm_and_vonage_are_understood),
        cmocka_unit_test(signature_of_a_request_to_sns_is_the_one_of_awss_own_signer),
        cmocka_unit_test(twilios_own_sdk_makes_the_same_request),
        cmocka_unit_test(key_of_the_wrong_kind_is_refused_when_the_gateway_is_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
