/* test_receipt: receipts of each provider: genuine ones, made by the provider's own code where it can be had, are read rightly; forged,
 * stale and garbled ones are refused. */
#include "base/clock.h"
#include "channels/receipt.h"
#include "channels/receipt_sns.h"
#include "tests/support/oracle.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct bench {
    struct arena arena;
    const struct receipt_rule *rule;
    struct receipt_request request;
    struct conf_pair headers[3];
    struct provider_receipt receipts[8];
    struct err err;
};

static const char *header_of(const void *ctx, const char *name) {
    const struct bench *bench = ctx;
    for (size_t i = 0; i < 3; i++) {
        if (bench->headers[i].key != NULL && strcmp(bench->headers[i].key, name) == 0) {
            return bench->headers[i].value;
        }
    }
    return NULL;
}

static void begin(struct bench *bench, const char *provider) {
    memset(bench, 0, sizeof *bench);
    char path[200];
    (void)snprintf(path, sizeof path, "channels/gateways/%s.yaml", provider);
    const struct http_description *description = http_description_read(path, &bench->arena, &bench->err);
    if (description == NULL) {
        fail_msg("%s", bench->err.text);
    }
    bench->rule = receipt_rule_new(description, &bench->arena, &bench->err);
    assert_non_null(bench->rule);
    assert_true(receipt_rule_is_usable(bench->rule));
    bench->request = (struct receipt_request){
        .url = "https://hooks.walton.example/receipts/sms", .path_secret = "", .query = "", .body = "", .header = header_of, .ctx = bench};
}

static void set_body(struct bench *bench, const char *body) {
    bench->request.body = body;
    bench->request.body_len = strlen(body);
}

static int64_t now_ms(void) {
    return clock_wall_ms(&clock_system);
}

static int verify(struct bench *bench, const char *key) {
    return receipt_verify(bench->rule, &bench->request, key, now_ms(), &bench->err);
}

static void assert_reads(struct bench *bench, const char *ref, const char *status, const char *code) {
    int n = receipt_read(bench->rule, &bench->request, bench->receipts, 8, &bench->err);
    if (n < 0) {
        fail_msg("%s", bench->err.text);
    }
    if (status == NULL) {
        assert_int_equal(n, 0);
        return;
    }
    assert_int_equal(n, 1);
    assert_string_equal(bench->receipts[0].ref, ref);
    assert_string_equal(bench->receipts[0].status, status);
    assert_string_equal(bench->receipts[0].code, code);
}

/* The string member of an oracle's answer, in the arena; NULL where there is no oracle. */
static const char *ask(struct bench *bench, const char *command, json_t *question, const char *member) {
    json_t *answer = oracle_ask_take(command, question);
    if (answer == NULL) {
        return NULL;
    }
    if (json_object_get(answer, "error") != NULL) {
        fail_msg("%s: %s", command, json_string_value(json_object_get(answer, "error")));
    }
    const char *text = arena_strdup(&bench->arena, json_string_value(json_object_get(answer, member)));
    json_decref(answer);
    assert_non_null(text);
    return text;
}

static void assert_ok(const char *command, json_t *question) {
    json_t *answer = oracle_ask_take(command, question);
    assert_non_null(answer);
    if (!json_is_true(json_object_get(answer, "ok"))) {
        char *text = json_dumps(answer, 0);
        fail_msg("%s: %s", command, text);
    }
    json_decref(answer);
}

static const char *hex_sha256(struct bench *bench, const char *text) {
    unsigned char digest[32];
    assert_int_equal(EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL), 1);
    char *hex = arena_alloc(&bench->arena, 65);
    for (size_t i = 0; i < 32; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
    return hex;
}

/* ---- Twilio ---------------------------------------------------------------------------------------------------------- */

static void example_of_twilios_documentation_is_genuine(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, "twilio");
    bench.request.url = "https://example.com/myapp.php?foo=1&bar=2";
    bench.headers[0] = (struct conf_pair){"X-Twilio-Signature", "L/OH5YylLD5NRKLltdqwSvS0BnU="};
    set_body(&bench, "CallSid=CA1234567890ABCDE&Caller=%2B14158675310&Digits=1234&From=%2B14158675310&To=%2B18005551212");
    assert_int_equal(verify(&bench, "12345"), 0);
    assert_int_equal(verify(&bench, "12346"), -1);
    arena_fini(&bench.arena);
}

static void receipt_signed_by_twilios_sdk_is_genuine_and_read(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, "twilio");
    const char *signature =
        ask(&bench, "twilio-sign",
            json_pack("{s:s,s:s,s:{s:s,s:s,s:s,s:s,s:s}}", "token", "tok", "url", bench.request.url, "params", "MessageSid", "SM1",
                      "MessageStatus", "undelivered", "ErrorCode", "30005", "To", "+441632960001", "From", "W\xc3\xa4lton & Co"),
            "signature");
    if (signature == NULL) {
        arena_fini(&bench.arena);
        skip();
    }
    bench.headers[0] = (struct conf_pair){"X-Twilio-Signature", signature};
    set_body(&bench, "From=W%C3%A4lton+%26+Co&To=%2B441632960001&MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30005");
    assert_int_equal(verify(&bench, "tok"), 0);
    assert_reads(&bench, "SM1", "bounced", "30005");
    set_body(&bench, "From=W%C3%A4lton+%26+Co&To=%2B441632960001&MessageSid=SM1&MessageStatus=delivered&ErrorCode=30005");
    assert_int_equal(verify(&bench, "tok"), -1);
    arena_fini(&bench.arena);
}

static void statuses_of_twilio_are_read(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, "twilio");
    set_body(&bench, "MessageSid=SM1&MessageStatus=sent");
    assert_reads(&bench, "", NULL, "");
    set_body(&bench, "MessageSid=SM1&MessageStatus=delivered");
    assert_reads(&bench, "SM1", "delivered", "");
    set_body(&bench, "MessageSid=SM1&MessageStatus=failed&ErrorCode=30003");
    assert_reads(&bench, "SM1", "failed", "30003");
    set_body(&bench, "MessageSid=SM1&MessageStatus=teleported");
    assert_int_equal(receipt_read(bench.rule, &bench.request, bench.receipts, 8, &bench.err), -1);
    set_body(&bench, "MessageStatus=delivered");
    assert_int_equal(receipt_read(bench.rule, &bench.request, bench.receipts, 8, &bench.err), -1);
    set_body(&bench, "%zz%00=&&&&");
    assert_int_equal(receipt_read(bench.rule, &bench.request, bench.receipts, 8, &bench.err), -1);
    arena_fini(&bench.arena);
}

/* ---- Vonage ---------------------------------------------------------------------------------------------------------- */

static const char vonage_body[] = "{\"message_uuid\":\"u-1\",\"to\":{\"type\":\"sms\"},\"status\":\"delivered\"}";

static const char *vonage_header(struct bench *bench, int64_t iat_s, const char *hash, const char *algorithm) {
    const char *token = ask(bench, "jwt-sign",
                            json_pack("{s:{s:s,s:I,s:s,s:s},s:s,s:s}", "payload", "iss", "Vonage", "iat", (json_int_t)iat_s, "jti", "j-1",
                                      "payload_hash", hash, "secret", "s3cret", "algorithm", algorithm),
                            "token");
    return token == NULL ? NULL : arena_printf(&bench->arena, "Bearer %s", token);
}

static void fault_43_receipt_of_vonage_forged_or_stale_is_refused(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, "vonage-messages");
    set_body(&bench, vonage_body);
    const char *hash = hex_sha256(&bench, vonage_body);
    int64_t now_s = now_ms() / 1000;
    const char *good = vonage_header(&bench, now_s, hash, "HS256");
    if (good == NULL) {
        arena_fini(&bench.arena);
        skip();
    }
    assert_ok("vonage-check", json_pack("{s:s,s:s}", "token", good + 7, "secret", "s3cret"));
    bench.headers[0] = (struct conf_pair){"Authorization", good};
    assert_int_equal(verify(&bench, "s3cret"), 0);
    assert_reads(&bench, "u-1", "delivered", "");
    assert_int_equal(verify(&bench, "other"), -1);
    assert_int_equal(verify(&bench, ""), -1);
    const char *const bad[] = {vonage_header(&bench, now_s - 400, hash, "HS256"),
                               vonage_header(&bench, now_s + 400, hash, "HS256"),
                               vonage_header(&bench, now_s, hex_sha256(&bench, "other"), "HS256"),
                               vonage_header(&bench, now_s, hash, "HS512"),
                               "Bearer eyJhbGciOiJub25lIn0.eyJpYXQiOjE3MDAwMDAwMDB9.",
                               "Bearer x",
                               "Basic eDp5",
                               ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bench.headers[0].value = bad[i];
        if (verify(&bench, "s3cret") == 0) {
            fail_msg("case %zu was taken", i);
        }
    }
    bench.headers[0].key = NULL;
    assert_int_equal(verify(&bench, "s3cret"), -1);
    arena_fini(&bench.arena);
}

/* ---- Plivo ----------------------------------------------------------------------------------------------------------- */

static void receipt_of_plivo_has_the_signature_plivos_sdk_takes(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, "plivo");
    /* HMAC-SHA256 of URL and nonce, made here with OpenSSL's one call and judged by Plivo's SDK. */
    static const char text[] = "https://hooks.walton.example/receipts/sms"
                               "12345";
    unsigned char mac[32];
    size_t mac_len = 0;
    assert_non_null(
        EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, "tok", 3, (const unsigned char *)text, strlen(text), mac, sizeof mac, &mac_len));
    char signature[64];
    (void)EVP_EncodeBlock((unsigned char *)signature, mac, 32);
    bench.headers[0] = (struct conf_pair){"X-Plivo-Signature-V2", signature};
    bench.headers[1] = (struct conf_pair){"X-Plivo-Signature-V2-Nonce", "12345"};
    set_body(&bench, "MessageUUID=m-1&Status=undelivered&ErrorCode=50");
    assert_int_equal(verify(&bench, "tok"), 0);
    assert_reads(&bench, "m-1", "bounced", "50");
    assert_int_equal(verify(&bench, "tik"), -1);
    bench.headers[1].value = "12346";
    assert_int_equal(verify(&bench, "tok"), -1);
    json_t *answer = oracle_ask_take(
        "plivo-check", json_pack("{s:s,s:s,s:s,s:s}", "url", bench.request.url, "nonce", "12345", "token", "tok", "signature", signature));
    if (answer != NULL) {
        assert_true(json_is_true(json_object_get(answer, "ok")));
    }
    json_decref(answer);
    arena_fini(&bench.arena);
}

/* ---- MessageBird ----------------------------------------------------------------------------------------------------- */

static const char *messagebird_token(struct bench *bench, int64_t nbf_s, const char *url, const char *body) {
    return ask(bench, "jwt-sign",
               json_pack("{s:{s:s,s:I,s:I,s:I,s:s,s:s,s:s},s:s}", "payload", "iss", "MessageBird", "iat", (json_int_t)nbf_s, "nbf",
                         (json_int_t)nbf_s, "exp", (json_int_t)nbf_s + 60, "jti", "j-1", "url_hash", hex_sha256(bench, url), "payload_hash",
                         hex_sha256(bench, body), "secret", "signing-key"),
               "token");
}

static void fault_43_receipt_of_messagebird_forged_or_stale_is_refused(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, "messagebird");
    bench.request.url =
        "https://hooks.walton.example/receipts/sms?id=mb1&status=delivered&statusDatetime=2026-11-21T22%3A00%3A00%2B00%3A00";
    bench.request.query = strchr(bench.request.url, '?') + 1;
    set_body(&bench, "x=y");
    int64_t now_s = now_ms() / 1000;
    const char *good = messagebird_token(&bench, now_s, bench.request.url, "x=y");
    if (good == NULL) {
        arena_fini(&bench.arena);
        skip();
    }
    assert_ok("messagebird-check",
              json_pack("{s:s,s:s,s:s,s:s}", "url", bench.request.url, "body", "x=y", "token", good, "secret", "signing-key"));
    bench.headers[0] = (struct conf_pair){"MessageBird-Signature-JWT", good};
    assert_int_equal(verify(&bench, "signing-key"), 0);
    assert_reads(&bench, "mb1", "delivered", "");
    assert_int_equal(verify(&bench, "other-key"), -1);
    const char *const bad[] = {messagebird_token(&bench, now_s - 3600, bench.request.url, "x=y"),
                               messagebird_token(&bench, now_s + 3600, bench.request.url, "x=y"),
                               messagebird_token(&bench, now_s, "https://hooks.walton.example/receipts/sms", "x=y"),
                               messagebird_token(&bench, now_s, bench.request.url, "x=z"),
                               "",
                               "a.b.c"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bench.headers[0].value = bad[i];
        if (verify(&bench, "signing-key") == 0) {
            fail_msg("case %zu was taken", i);
        }
    }
    arena_fini(&bench.arena);
}

/* ---- Amazon SNS ------------------------------------------------------------------------------------------------------ */

static void only_certificates_of_amazon_hosts_may_be_fetched(void **state) {
    (void)state;
    static const struct {
        const char *url;
        bool ok;
    } cases[] = {{"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-56e67fcb41f6fec09b0196692625d385.pem", true},
                 {"https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-1.pem", true},
                 {"http://sns.eu-west-1.amazonaws.com/x.pem", false},
                 {"https://sns.eu-west-1.amazonaws.com.evil.example/x.pem", false},
                 {"https://sns.eu-west-1.amazonaws.com@evil.example/x.pem", false},
                 {"https://evil.example/sns.eu-west-1.amazonaws.com/x.pem", false},
                 {"https://sns..amazonaws.com/x.pem", false},
                 {"https://sns.eu-west-1.amazonaws.com:8443/x.pem", false},
                 {"https://s3.eu-west-1.amazonaws.com/bucket/x.pem", false},
                 {"https://sns.eu-west-1.amazonaws.com/../x.pem", false},
                 {"https://sns.eu-west-1.amazonaws.com/x.pem?a=.pem", false},
                 {"https://sns.eu-west-1.amazonaws.com/", false},
                 {"", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (receipt_sns_certificate_ok(cases[i].url) != cases[i].ok) {
            fail_msg("%s", cases[i].url);
        }
    }
}

static void subscription_is_confirmed_at_amazon_hosts_only(void **state) {
    (void)state;
    static const struct {
        const char *type;
        const char *url;
        bool ok;
    } cases[] = {{"SubscriptionConfirmation",
                  "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-west-1:1:t&Token=2336412f37",
                  true},
                 {"Notification", "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37", false},
                 {"SubscriptionConfirmation", "http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2", false},
                 {"SubscriptionConfirmation", "https://169.254.169.254/?sns.eu-west-1.amazonaws.com/", false},
                 {"SubscriptionConfirmation", "https://sns.eu-west-1.amazonaws.com@evil.example/?a=b", false},
                 {"SubscriptionConfirmation", "https://sns.eu-west-1.amazonaws.com.evil.example/?a=b", false},
                 {"SubscriptionConfirmation", "https://sns.eu-west-1.amazonaws.com/?a=b c", false},
                 {"SubscriptionConfirmation", "", false}};
    struct bench bench;
    begin(&bench, "aws-sns");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *message = json_pack("{s:s,s:s}", "Type", cases[i].type, "SubscribeURL", cases[i].url);
        char *text = json_dumps(message, JSON_COMPACT);
        set_body(&bench, text);
        const char *url = receipt_subscription_url(bench.rule, &bench.request, &bench.arena);
        if (cases[i].ok ? url == NULL || strcmp(url, cases[i].url) != 0 : url != NULL) {
            fail_msg("%s", cases[i].url);
        }
        free(text);
        json_decref(message);
    }
    arena_fini(&bench.arena);
}

static char *bio_take(BIO *bio) {
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    char *text = strndup(data, (size_t)len);
    BIO_free(bio);
    return text;
}

/* A self-signed certificate and its key, both PEM, to be freed. */
static void make_certificate(char **key_pem_r, char **certificate_r) {
    EVP_PKEY *key = EVP_RSA_gen(2048);
    X509 *x509 = X509_new();
    assert_non_null(key);
    assert_non_null(x509);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x509), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x509), 3600));
    assert_int_equal(X509_set_pubkey(x509, key), 1);
    assert_true(X509_sign(x509, key, EVP_sha256()) > 0);
    BIO *key_bio = BIO_new(BIO_s_mem());
    BIO *certificate_bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(PEM_write_bio_X509(certificate_bio, x509), 1);
    *key_pem_r = bio_take(key_bio);
    *certificate_r = bio_take(certificate_bio);
    X509_free(x509);
    EVP_PKEY_free(key);
}

/* A signed notification as text, in the arena; NULL where there is no oracle. */
static const char *sns_message(struct bench *bench, const char *version, int64_t at_ms, const char *key_pem, const char *certificate) {
    char timestamp[TIME_TEXT_MAX];
    json_t *message =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "Type", "Notification", "MessageId", "m-1", "TopicArn", "arn:aws:sns:eu-west-1:1:t",
                  "Subject", "report", "Message", "{\"notification\":{\"messageId\":\"34d9\"},\"status\":\"SUCCESS\"}", "Timestamp",
                  time_format(at_ms, timestamp), "SignatureVersion", version, "SigningCertURL",
                  "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem");
    const char *signature = ask(bench, "sns-sign", json_pack("{s:O,s:s}", "message", message, "key", key_pem), "signature");
    const char *text = NULL;
    if (signature != NULL) {
        assert_int_equal(json_object_set_new(message, "Signature", json_string(signature)), 0);
        assert_ok("sns-check", json_pack("{s:O,s:s}", "message", message, "certificate", certificate));
        char *dumped = json_dumps(message, JSON_COMPACT);
        text = arena_strdup(&bench->arena, dumped);
        free(dumped);
    }
    json_decref(message);
    return text;
}

static void message_that_sns_validator_takes_is_genuine_and_a_changed_one_is_not(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, "aws-sns");
    char *key = NULL;
    char *certificate = NULL;
    char *other_key = NULL;
    char *other_certificate = NULL;
    make_certificate(&key, &certificate);
    make_certificate(&other_key, &other_certificate);
    const char *one = sns_message(&bench, "1", now_ms(), key, certificate);
    if (one != NULL) {
        set_body(&bench, one);
        assert_string_equal(receipt_certificate_url(bench.rule, &bench.request, &bench.arena),
                            "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem");
        assert_int_equal(verify(&bench, certificate), -1);   /* no topic is configured */
        bench.request.topic = "arn:aws:sns:eu-west-1:666:t"; /* Amazon signs everybody's topics */
        assert_int_equal(verify(&bench, certificate), -1);
        bench.request.topic = "arn:aws:sns:eu-west-1:1:t";
        assert_int_equal(verify(&bench, certificate), 0);
        assert_false(receipt_is_subscription(bench.rule, &bench.request));
        assert_reads(&bench, "34d9", "delivered", "");
        assert_int_equal(verify(&bench, other_certificate), -1);
        assert_int_equal(verify(&bench, "no certificate"), -1);
        set_body(&bench, sns_message(&bench, "2", now_ms(), key, certificate));
        assert_int_equal(verify(&bench, certificate), 0);
        char *changed = arena_strdup(&bench.arena, bench.request.body);
        char *word = strstr(changed, "SUCCESS");
        assert_non_null(word);
        word[0] = 'F';
        set_body(&bench, changed);
        assert_int_equal(verify(&bench, certificate), -1);
        set_body(&bench, sns_message(&bench, "2", now_ms() - 2 * 3600000, key, certificate));
        assert_int_equal(verify(&bench, certificate), -1);
    }
    free(key);
    free(certificate);
    free(other_key);
    free(other_certificate);
    arena_fini(&bench.arena);
    if (one == NULL) {
        skip();
    }
}

/* ---- secret paths ---------------------------------------------------------------------------------------------------- */

static void secret_path_opens_only_for_the_secret(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, "kannel");
    bench.request.query = "ref=0123456789abcdef&status=1";
    static const char *const wrong[] = {"", "s3cre", "s3crett", "S3CRET", "x"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bench.request.path_secret = wrong[i];
        assert_int_equal(verify(&bench, "s3cret"), -1);
    }
    bench.request.path_secret = "";
    assert_int_equal(verify(&bench, ""), -1); /* no secret is no secret */
    bench.request.path_secret = "s3cret";
    assert_int_equal(verify(&bench, "s3cret"), 0);
    assert_reads(&bench, "0123456789abcdef", "delivered", "");
    bench.request.query = "ref=0123456789abcdef&status=8";
    assert_reads(&bench, "", NULL, "");
    bench.request.query = "ref=0123456789abcdef&status=16";
    assert_reads(&bench, "0123456789abcdef", "failed", "");
    bench.request.query = "ref=a%20b&status=1";
    assert_int_equal(receipt_read(bench.rule, &bench.request, bench.receipts, 8, &bench.err), -1);
    arena_fini(&bench.arena);
}

static void receipts_of_vonage_sms_are_read(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, "vonage-sms");
    bench.request.path_secret = "s3cret";
    assert_int_equal(verify(&bench, "s3cret"), 0);
    assert_int_equal(verify(&bench, "other"), -1);
    bench.request.query = "msisdn=441632960001&to=Walton&messageId=0A00&status=delivered&err-code=0&scts=2611251203";
    assert_reads(&bench, "0A00", "delivered", "0");
    bench.request.query = "messageId=0A00&status=buffered&err-code=0";
    assert_reads(&bench, "", NULL, "");
    bench.request.query = "messageId=0A00&status=failed&err-code=9";
    assert_reads(&bench, "0A00", "bounced", "9");
    bench.request.query = "";
    set_body(&bench, "messageId=0A00&status=expired&err-code=1");
    assert_reads(&bench, "0A00", "failed", "1");
    set_body(&bench, "messageId=0A00&status=vanished&err-code=1");
    assert_int_equal(receipt_read(bench.rule, &bench.request, bench.receipts, 8, &bench.err), -1);
    arena_fini(&bench.arena);
}

static void json_receipts_of_a_webhook_are_strict_json(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, "webhook");
    set_body(&bench, "{\"ref\":\"k1\",\"status\":\"acknowledged\"}");
    assert_reads(&bench, "k1", "acknowledged", "");
    static const char *const wrong[] = {"",
                                        "{",
                                        "[]",
                                        "{\"ref\":\"k1\"}",
                                        "{\"ref\":\"k1\",\"status\":\"seen\",\"status\":\"failed\"}",
                                        "{\"ref\":[],\"status\":\"seen\"}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        set_body(&bench, wrong[i]);
        if (receipt_read(bench.rule, &bench.request, bench.receipts, 8, &bench.err) >= 0) {
            fail_msg("taken: %s", wrong[i]);
        }
    }
    arena_fini(&bench.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_of_twilios_documentation_is_genuine),
        cmocka_unit_test(receipt_signed_by_twilios_sdk_is_genuine_and_read),
        cmocka_unit_test(statuses_of_twilio_are_read),
        cmocka_unit_test(fault_43_receipt_of_vonage_forged_or_stale_is_refused),
        cmocka_unit_test(receipt_of_plivo_has_the_signature_plivos_sdk_takes),
        cmocka_unit_test(fault_43_receipt_of_messagebird_forged_or_stale_is_refused),
        cmocka_unit_test(only_certificates_of_amazon_hosts_may_be_fetched),
        cmocka_unit_test(subscription_is_confirmed_at_amazon_hosts_only),
        cmocka_unit_test(message_that_sns_validator_takes_is_genuine_and_a_changed_one_is_not),
        cmocka_unit_test(secret_path_opens_only_for_the_secret),
        cmocka_unit_test(receipts_of_vonage_sms_are_read),
        cmocka_unit_test(json_receipts_of_a_webhook_are_strict_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
