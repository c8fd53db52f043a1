/* test_webpush: the encryption against the RFC's own example and against a browser that somebody else wrote. */
#include "channels/webpush.h"
#include "tests/support/http_kit.h"
#include "tests/support/oracle.h"
#include "tests/support/scripted_http.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* RFC 8291, appendix A */
static const char example_plain[] = "When I grow up, I want to be a watermelon";
static const char example_private[] = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";
static const char example_salt[] = "DGv6ra1nlYgDCS1FRnbzlw";
static const char example_subscription[] =
    "{\"endpoint\":\"https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV\",\"expirationTime\":null,\"keys\":{"
    "\"p256dh\":\"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4\","
    "\"auth\":\"BTBZMqHH6r4Tts7J_aSIgg\"}}";
static const char example_body[] =
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"
    "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";

static void example_of_rfc_8291_is_met_byte_for_byte(void **state) {
    (void)state;
    struct webpush_subscription subscription;
    struct err err;
    unsigned char key[32];
    unsigned char salt[16];
    assert_int_equal(webpush_subscription_parse(example_subscription, &subscription, &err), 0);
    assert_string_equal(webpush_endpoint(&subscription), "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV");
    assert_int_equal(webpush_base64_get(example_private, strlen(example_private), key, sizeof key), 32);
    assert_int_equal(webpush_base64_get(example_salt, strlen(example_salt), salt, sizeof salt), 16);
    struct buf body = BUF_INIT;
    struct buf text = BUF_INIT;
    assert_int_equal(webpush_encrypt_with(&subscription, key, salt, example_plain, strlen(example_plain), &body, &err), 0);
    webpush_base64_put(&text, (const unsigned char *)body.data, body.len);
    assert_string_equal(buf_str(&text), example_body);
    buf_fini(&body);
    buf_fini(&text);
}

static void two_encryptions_of_one_text_differ(void **state) {
    (void)state;
    struct webpush_subscription subscription;
    struct err err;
    struct buf one = BUF_INIT;
    struct buf two = BUF_INIT;
    assert_int_equal(webpush_subscription_parse(example_subscription, &subscription, &err), 0);
    assert_int_equal(webpush_encrypt(&subscription, "x", 1, &one, &err), 0);
    assert_int_equal(webpush_encrypt(&subscription, "x", 1, &two, &err), 0);
    assert_int_equal(one.len, two.len);
    assert_memory_not_equal(one.data, two.data, 16);
    assert_memory_not_equal(one.data + 21, two.data + 21, 65);
    buf_fini(&one);
    buf_fini(&two);
}

static void longest_message_fits_4096_bytes_and_a_longer_one_is_refused(void **state) {
    (void)state;
    static char plain[WEBPUSH_PLAIN_MAX_BYTES + 1];
    memset(plain, 'x', sizeof plain);
    struct webpush_subscription subscription;
    struct err err;
    struct buf body = BUF_INIT;
    assert_int_equal(webpush_subscription_parse(example_subscription, &subscription, &err), 0);
    assert_int_equal(webpush_encrypt(&subscription, plain, WEBPUSH_PLAIN_MAX_BYTES, &body, &err), 0);
    assert_int_equal(body.len, 4096);
    buf_reset(&body);
    assert_int_equal(webpush_encrypt(&subscription, plain, sizeof plain, &body, &err), -1);
    assert_int_equal(err.code, ERR_MEMBER);
    buf_fini(&body);
}

static void broken_subscriptions_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "https://push.example/x",
        "{}",
        "{\"endpoint\":\"https://push.example/x\"}",
        "{\"endpoint\":\"ftp://push.example/"
        "x\",\"keys\":{\"p256dh\":\"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4\","
        "\"auth\":\"BTBZMqHH6r4Tts7J_aSIgg\"}}",
        "{\"endpoint\":\"https://a@push.example/"
        "x\",\"keys\":{\"p256dh\":\"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4\","
        "\"auth\":\"BTBZMqHH6r4Tts7J_aSIgg\"}}",
        "{\"endpoint\":\"https://push.example/x\",\"keys\":{\"p256dh\":\"BCVx\",\"auth\":\"BTBZMqHH6r4Tts7J_aSIgg\"}}",
        "{\"endpoint\":\"https://push.example/"
        "x\",\"keys\":{\"p256dh\":\"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4\","
        "\"auth\":\"!!!!\"}}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct webpush_subscription subscription;
        struct err err;
        if (webpush_subscription_parse(texts[i], &subscription, &err) == 0) {
            fail_msg("taken: %s", texts[i]);
        }
    }
}

static void key_that_is_no_point_of_the_curve_is_refused(void **state) {
    (void)state;
    struct webpush_subscription subscription;
    struct err err;
    struct buf body = BUF_INIT;
    assert_int_equal(webpush_subscription_parse(example_subscription, &subscription, &err), 0);
    subscription.p256dh[40] ^= 1;
    assert_int_equal(webpush_encrypt(&subscription, "x", 1, &body, &err), -1);
    assert_int_equal(err.code, ERR_MEMBER);
    buf_fini(&body);
}

static void subscription_of_three_words_is_taken_too(void **state) {
    (void)state;
    struct webpush_subscription subscription;
    struct err err;
    assert_int_equal(webpush_subscription_parse(
                         "https://push.example/x BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4 "
                         "BTBZMqHH6r4Tts7J_aSIgg",
                         &subscription, &err),
                     0);
    assert_string_equal(webpush_endpoint(&subscription), "https://push.example/x");
}

/* ---- a browser somebody else wrote ----------------------------------------------------------------------------------- */

/* A fresh P-256 key: PEM into *pem_r (to be freed) and its public point as base64url. */
static void make_key(char **pem_r, char point[100]) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_mem());
    assert_non_null(key);
    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    *pem_r = strndup(data, (size_t)len);
    unsigned char raw[65];
    size_t raw_len = 0;
    assert_int_equal(EVP_PKEY_get_octet_string_param(key, "pub", raw, sizeof raw, &raw_len), 1);
    struct buf text = BUF_INIT;
    webpush_base64_put(&text, raw, raw_len);
    (void)snprintf(point, 100, "%s", buf_str(&text));
    buf_fini(&text);
    BIO_free(bio);
    EVP_PKEY_free(key);
}

static void header_value(const char *request, const char *name, char *out, size_t cap) {
    const char *at = strstr(request, name);
    assert_non_null(at);
    at += strlen(name);
    (void)snprintf(out, cap, "%.*s", (int)strcspn(at, "\r"), at);
}

static json_t *open_message(json_t *browser, const char *request, size_t request_max) {
    char authorization[1000];
    header_value(request, "\r\nAuthorization: ", authorization, sizeof authorization);
    char ttl[32];
    header_value(request, "\r\nTTL: ", ttl, sizeof ttl);
    char length[32];
    header_value(request, "\r\nContent-Length: ", length, sizeof length);
    const char *body = strstr(request, "\r\n\r\n") + 4;
    size_t len = strtoul(length, NULL, 10);
    assert_in_range(len, 100, request_max);
    char base64[4 * 8192 / 3 + 8];
    (void)EVP_EncodeBlock((unsigned char *)base64, (const unsigned char *)body, (int)len);
    return oracle_ask_take("webpush-open", json_pack("{s:O,s:s,s:s,s:s,s:s}", "browser", browser, "authorization", authorization, "ttl",
                                                     ttl, "encoding", "aes128gcm", "body", base64));
}

static void browser_of_web_push_testing_verifies_vapid_and_decrypts_what_the_driver_sends(void **state) {
    (void)state;
    char *pem = NULL;
    char point[100];
    make_key(&pem, point);
    json_t *browser = oracle_ask_take("webpush-new", json_pack("{s:s}", "key", point));
    if (browser == NULL) {
        free(pem);
        skip();
    }
    static const struct scripted_step steps[] = {{SCRIPTED_ANSWER, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 0},
                                                 {SCRIPTED_ANSWER, "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", 0}};
    struct scripted_http *server = scripted_http_start(steps, 2);
    struct http_kit kit;
    http_kit_init(&kit);
    char yaml[600];
    (void)snprintf(yaml, sizeof yaml,
                   "description: webpush\nsecret_file: %s\nallow_insecure: true\nallow_private: true\nvariables: {contact: "
                   "\"mailto:ops@walton.example\"}\n",
                   http_kit_file(&kit, pem));
    struct err err;
    if (http_kit_open(&kit, "push", yaml, &err) < 0) {
        fail_msg("%s", err.text);
    }
    json_t *keys = json_object_get(browser, "keys");
    char address[600];
    (void)snprintf(address, sizeof address, "{\"endpoint\":\"http://127.0.0.1:%d/push/1\",\"keys\":{\"p256dh\":\"%s\",\"auth\":\"%s\"}}",
                   scripted_http_port(server), json_string_value(json_object_get(keys, "p256dh")),
                   json_string_value(json_object_get(keys, "auth")));
    struct message message = http_kit_message;
    message.to = address;
    message.link = "https://walton.example/reset";
    http_kit_assert_outcome(http_kit_deliver(&kit, &message), OUTCOME_SENT, BLAME_NONE);
    json_t *opened = open_message(browser, scripted_http_request(server, 0), 4096);
    assert_non_null(opened);
    if (json_object_get(opened, "error") != NULL) {
        fail_msg("%s", json_string_value(json_object_get(opened, "error")));
    }
    json_t *plain = json_loads(json_string_value(json_object_get(opened, "message")), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(plain, "body")), message.text);
    assert_string_equal(json_string_value(json_object_get(plain, "link")), message.link);
    http_kit_assert_outcome(http_kit_deliver(&kit, &message), OUTCOME_REJECTED, BLAME_CONTACT);
    message.to = "{\"endpoint\":\"x\"}";
    http_kit_assert_outcome(http_kit_deliver(&kit, &message), OUTCOME_REJECTED, BLAME_MESSAGE);
    json_decref(plain);
    json_decref(opened);
    json_decref(browser);
    http_kit_fini(&kit);
    scripted_http_stop(server);
    free(pem);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_of_rfc_8291_is_met_byte_for_byte),
        cmocka_unit_test(two_encryptions_of_one_text_differ),
        cmocka_unit_test(longest_message_fits_4096_bytes_and_a_longer_one_is_refused),
        cmocka_unit_test(broken_subscriptions_are_refused),
        cmocka_unit_test(key_that_is_no_point_of_the_curve_is_refused),
        cmocka_unit_test(subscription_of_three_words_is_taken_too),
        cmocka_unit_test(browser_of_web_push_testing_verifies_vapid_and_decrypts_what_the_driver_sends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
