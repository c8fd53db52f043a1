/* test_http_gateways: the descriptions that come with reachd: each is sound, makes the request its provider documents, and reads the
 * provider's documented answers rightly. */
#include "channels/http.h"
#include "channels/http_description.h"
#include "channels/receipt.h"
#include "tests/support/http_kit.h"
#include "tests/support/scripted_http.h"
#include "tests/support/shell.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char directory[] = "channels/gateways";

static void every_shipped_description_is_sound(void **state) {
    (void)state;
    DIR *dir = opendir(directory);
    assert_non_null(dir);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strstr(entry->d_name, ".yaml") == NULL) {
            continue;
        }
        char path[400];
        (void)snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        struct arena arena = ARENA_INIT;
        struct err err;
        const struct http_description *description = http_description_read(path, &arena, &err);
        if (description == NULL) {
            fail_msg("%s", err.text);
        }
        assert_non_null(description->docs);
        arena_fini(&arena);
        n++;
    }
    (void)closedir(dir);
    assert_in_range(n, 13, 100);
}

/* ---- one provider ---------------------------------------------------------------------------------------------------- */

struct answer_case {
    const char *status_line;
    const char *body;
    enum outcome_kind kind;
    enum outcome_blame blame;
    const char *ref; /* where sent */
};

struct provider_case {
    const char *name;
    const char *file; /* the description's path, where it is not a shipped one */
    const char *channel;
    const char *settings;   /* more YAML; {{base}} is given as `base` */
    const char *base;       /* name of the variable that holds the address, where it is not base */
    const char *secret;     /* content of secret_file; or NULL */
    const char *request[8]; /* what must stand in the request */
    struct answer_case answers[8];
};

static const struct provider_case providers[] = {
    {.name = "twilio",
     .channel = "sms",
     .settings = "username: AC1\nfrom: \"+15005550006\"\nreceipt_url: https://example.org/r/t\nvariables: {account_sid: AC1, ",
     .secret = "tok",
     .request = {"POST /2010-04-01/Accounts/AC1/Messages.json HTTP/1.1", "To=%2B441632960001&From=%2B15005550006&Body=Your%20mailbox",
                 "&ValidityPeriod=36000&StatusCallback=https%3A%2F%2Fexample.org%2Fr%2Ft", "Authorization: Basic QUMxOnRvaw=="},
     .answers = {{"HTTP/1.1 201 Created", "{\"sid\":\"SM1\",\"status\":\"queued\",\"error_code\":null}", OUTCOME_SENT, BLAME_NONE, "SM1"},
                 {"HTTP/1.1 400 Bad Request", "{\"code\":21211,\"message\":\"bad +441632960001\",\"status\":400}", OUTCOME_REJECTED,
                  BLAME_CONTACT, ""},
                 {"HTTP/1.1 401 Unauthorized", "{\"code\":20003,\"status\":401}", OUTCOME_RETRY, BLAME_ACCOUNT, ""},
                 {"HTTP/1.1 429 Too Many", "{\"code\":20429,\"status\":429}", OUTCOME_RETRY, BLAME_GATEWAY, ""},
                 {"HTTP/1.1 201 Created", "<html>", OUTCOME_UNKNOWN, BLAME_NONE, ""}}},
    {.name = "vonage-sms",
     .channel = "sms",
     .settings = "username: k\nfrom: reachd\nvariables: {",
     .secret = "s",
     .request = {"POST /sms/json HTTP/1.1", "api_key=k&api_secret=s&to=441632960001&from=reachd&text=Your",
                 "&type=text&ttl=604800000&client-ref=0123456789abcdef"},
     .answers = {{"HTTP/1.1 200 OK",
                  "{\"message-count\":\"1\",\"messages\":[{\"to\":\"441632960001\",\"message-id\":\"0A\",\"status\":\"0\"}]}", OUTCOME_SENT,
                  BLAME_NONE, "0A"},
                 {"HTTP/1.1 200 OK", "{\"messages\":[{\"status\":\"4\",\"error-text\":\"Bad Credentials\"}]}", OUTCOME_RETRY, BLAME_ACCOUNT,
                  ""},
                 {"HTTP/1.1 200 OK", "{\"messages\":[{\"status\":\"1\"}]}", OUTCOME_RETRY, BLAME_NONE, ""},
                 {"HTTP/1.1 200 OK", "{\"messages\":[{\"status\":\"7\"}]}", OUTCOME_REJECTED, BLAME_CONTACT, ""},
                 {"HTTP/1.1 200 OK", "{\"messages\":[]}", OUTCOME_UNKNOWN, BLAME_NONE, ""}}},
    {.name = "aws-sns",
     .channel = "sms",
     .settings = "username: AKIDEXAMPLE\nvariables: {region: eu-west-1, ",
     .secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
     .request = {"POST / HTTP/1.1", "Action=Publish&Version=2010-03-31&PhoneNumber=%2B441632960001&Message=Your%20mailbox",
                 "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/", "/eu-west-1/sns/aws4_request", "X-Amz-Date: "},
     .answers = {{"HTTP/1.1 200 OK",
                  "<PublishResponse "
                  "xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult><MessageId>94f20ce6-13c5</MessageId></PublishResult></"
                  "PublishResponse>",
                  OUTCOME_SENT, BLAME_NONE, "94f20ce6-13c5"},
                 {"HTTP/1.1 400 Bad Request", "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code></Error></ErrorResponse>",
                  OUTCOME_RETRY, BLAME_NONE, ""},
                 {"HTTP/1.1 400 Bad Request", "<ErrorResponse><Error><Code>InvalidParameter</Code></Error></ErrorResponse>",
                  OUTCOME_REJECTED, BLAME_MESSAGE, ""},
                 {"HTTP/1.1 403 Forbidden", "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>",
                  OUTCOME_RETRY, BLAME_ACCOUNT, ""},
                 {"HTTP/1.1 200 OK", "<html>hello</html>", OUTCOME_UNKNOWN, BLAME_NONE, ""}}},
    {.name = "plivo",
     .channel = "sms",
     .settings = "username: MA1\nfrom: \"15550001\"\nvariables: {",
     .secret = "tok",
     .request = {"POST /v1/Account/MA1/Message/ HTTP/1.1", "\"src\":\"15550001\",\"dst\":\"441632960001\",\"text\":\"Your",
                 "\"message_expiry\":10800"},
     .answers = {{"HTTP/1.1 202 Accepted", "{\"message\":\"message(s) queued\",\"message_uuid\":[\"db3c\"],\"api_id\":\"x\"}", OUTCOME_SENT,
                  BLAME_NONE, "db3c"},
                 {"HTTP/1.1 400 Bad Request", "{\"error\":\"bad\"}", OUTCOME_REJECTED, BLAME_MESSAGE, ""}}},
    {.name = "messagebird",
     .channel = "sms",
     .settings = "from: reachd\nvariables: {",
     .secret = "key",
     .request = {"POST /messages HTTP/1.1", "Authorization: AccessKey key\r\n", "\"recipients\":[\"441632960001\"]", "\"validity\":172800",
                 "\"datacoding\":\"auto\""},
     .answers = {{"HTTP/1.1 201 Created", "{\"id\":\"mb1\",\"recipients\":{\"totalSentCount\":1}}", OUTCOME_SENT, BLAME_NONE, "mb1"},
                 {"HTTP/1.1 422 Unprocessable", "{\"errors\":[{\"code\":25,\"description\":\"no balance\"}]}", OUTCOME_RETRY, BLAME_ACCOUNT,
                  ""},
                 {"HTTP/1.1 422 Unprocessable", "{\"errors\":[{\"code\":9,\"description\":\"no (correct) recipients found\"}]}",
                  OUTCOME_REJECTED, BLAME_MESSAGE, ""}}},
    {.name = "kannel",
     .channel = "sms",
     .settings = "username: u\nfrom: \"12345\"\nreceipt_url: https://example.org/r/k\nvariables: {",
     .secret = "p",
     .request = {"GET /cgi-bin/sendsms?username=u&password=p&from=12345&to=%2B441632960001&text=Your%20mailbox",
                 "&charset=UTF-8&coding=0&validity=2880&dlr-mask=31 HTTP/1.1"},
     .answers = {{"HTTP/1.1 202 Accepted", "0: Accepted for delivery", OUTCOME_SENT, BLAME_NONE, "0123456789abcdef"},
                 {"HTTP/1.1 202 Accepted", "3: Queued for later delivery", OUTCOME_SENT, BLAME_NONE, "0123456789abcdef"},
                 {"HTTP/1.1 403 Forbidden", "4: Authorization failed for sendsms", OUTCOME_RETRY, BLAME_ACCOUNT, ""},
                 {"HTTP/1.1 503 Unavailable", "Temporal failure, try again later.", OUTCOME_RETRY, BLAME_GATEWAY, ""},
                 {"HTTP/1.1 202 Accepted", "<html>", OUTCOME_UNKNOWN, BLAME_NONE, "0123456789abcdef"}}},
    {.name = "ntfy",
     .channel = "push",
     .settings = "variables: {",
     .request =
         {"POST / HTTP/1.1",
          "{\"topic\":\"+441632960001\",\"title\":\"Your mailbox\",\"message\":\"Your mailbox password was disabled.\",\"priority\":4}"},
     .answers = {{"HTTP/1.1 200 OK", "{\"id\":\"n1\",\"time\":1,\"event\":\"message\",\"topic\":\"x\"}", OUTCOME_SENT, BLAME_NONE, "n1"},
                 {"HTTP/1.1 429 Too Many", "{\"code\":42901}", OUTCOME_RETRY, BLAME_GATEWAY, ""}}},
    {.name = "gotify",
     .channel = "push",
     .settings = "variables: {",
     .request = {"POST /message HTTP/1.1", "X-Gotify-Key: +441632960001\r\n", "\"priority\":8"},
     .answers = {{"HTTP/1.1 200 OK", "{\"id\":25,\"appid\":5}", OUTCOME_SENT, BLAME_NONE, "25"},
                 {"HTTP/1.1 401 Unauthorized", "{\"error\":\"Unauthorized\"}", OUTCOME_REJECTED, BLAME_CONTACT, ""}}},
    {.name = "webhook",
     .channel = "push",
     .settings = "variables: {",
     .base = "target",
     .secret = "s",
     .request = {"Authorization: Bearer s\r\n", "Idempotency-Key: 0123456789abcdef\r\n", "\"notice\":\"mail-password-disabled\"",
                 "\"severity\":\"critical\""},
     .answers = {{"HTTP/1.1 204 No Content", "", OUTCOME_SENT, BLAME_NONE, "0123456789abcdef"},
                 {"HTTP/1.1 500 Oops", "", OUTCOME_UNKNOWN, BLAME_NONE, "0123456789abcdef"}}},
};

static void open_provider(struct http_kit *kit, const struct provider_case *provider, int port) {
    http_kit_init(kit);
    char secret[300] = "";
    if (provider->secret != NULL) {
        (void)snprintf(secret, sizeof secret, "secret_file: %s\n", http_kit_file(kit, provider->secret));
    }
    char yaml[2000];
    (void)snprintf(yaml, sizeof yaml, "%s: %s\nallow_insecure: true\nallow_private: true\n%s%s%s: \"http://127.0.0.1:%d\"}\n",
                   provider->file == NULL ? "description" : "description_file", provider->file == NULL ? provider->name : provider->file,
                   secret, provider->settings, provider->base == NULL ? "base" : provider->base, port);
    struct err err;
    if (http_kit_open(kit, provider->channel, yaml, &err) < 0) {
        fail_msg("%s: %s", provider->name, err.text);
    }
}

static void check_provider(const struct provider_case *provider) {
    struct scripted_step steps[8];
    size_t n = 0;
    for (; n < 8 && provider->answers[n].status_line != NULL; n++) {
        steps[n] = (struct scripted_step){SCRIPTED_ANSWER,
                                          scripted_answer((int)n, provider->answers[n].status_line, "", provider->answers[n].body), 0};
    }
    struct scripted_http *server = scripted_http_start(steps, n);
    assert_non_null(server);
    struct http_kit kit;
    open_provider(&kit, provider, scripted_http_port(server));
    for (size_t i = 0; i < n; i++) {
        const struct outcome *outcome = http_kit_deliver(&kit, &http_kit_message);
        http_kit_assert_outcome(outcome, provider->answers[i].kind, provider->answers[i].blame);
        assert_string_equal(outcome->ref, provider->answers[i].ref);
    }
    const char *request = scripted_http_request(server, 0);
    for (size_t i = 0; i < 8 && provider->request[i] != NULL; i++) {
        if (strstr(request, provider->request[i]) == NULL) {
            fail_msg("%s: no \"%s\" in\n%s", provider->name, provider->request[i], request);
        }
    }
    http_kit_fini(&kit);
    scripted_http_stop(server);
}

static void every_provider_gets_the_request_it_documents_and_its_answers_are_understood(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof providers / sizeof providers[0]; i++) {
        check_provider(&providers[i]);
    }
}

/* ---- mistakes -------------------------------------------------------------------------------------------------------- */

static void assert_refused(const char *channel, const char *yaml, const char *expected) {
    struct http_kit kit;
    http_kit_init(&kit);
    struct err err;
    err_clear(&err);
    assert_int_equal(http_kit_open(&kit, channel, yaml, &err), -1);
    if (strstr(err.text, expected) == NULL) {
        fail_msg("expected \"%s\" in \"%s\"", expected, err.text);
    }
    http_kit_fini(&kit);
}

static void mistakes_are_told_with_file_line_and_remedy(void **state) {
    (void)state;
    assert_refused("sms", "timeout: 5s\n", "exactly one of description");
    assert_refused("sms", "description: twillio\n", "test.yaml:1: description: there is no description");
    assert_refused("sms", "description: ../../etc/passwd\n", "there is no description");
    assert_refused("sms", "description: twilio\nbody: json\n", "belong there, not here");
    assert_refused("sms", "description: twilio\n", "username: is needed by auth basic");
    assert_refused("sms", "description: twilio\nusername: a\nsecret_file: /nonexistent\n", "needs account_sid");
    assert_refused("sms", "description: kannel\nvariables: {base: \"http://k.example\"}\nusername: u\nsecret_file: /x\nfrom: \"1\"\n",
                   "allow_insecure");
    assert_refused("sms", "description: messagebird\nfrom: x\n", "secret_file: is needed");
    assert_refused("sms", "description: ntfy\n", "does not serve the channel sms");
    assert_refused("push", "description: ntfy\nsecret_file: /nonexistent\n", "/nonexistent");
    assert_refused("sms", "url: https://a.example/\nbody: form\nfields:\n  a: x\n  b: \"{{nobody}}\"\n",
                   "test.yaml:3: fields: b: {{nobody}} is not");
}

static void description_file_of_ones_own_is_checked_with_its_lines(void **state) {
    (void)state;
    struct http_kit kit;
    http_kit_init(&kit);
    const char *path = http_kit_file(&kit, "needs: [base]\nurl: \"{{base}}/x\"\nid: nonsense\n");
    char expected[400];
    (void)snprintf(expected, sizeof expected, "%s:3: id: \"nonsense\" is not a place", path);
    struct err err;
    assert_null(http_description_read(path, &kit.arena, &err));
    assert_string_equal(strncmp(err.text, expected, strlen(expected)) == 0 ? expected : err.text, expected);
    http_kit_fini(&kit);
}

/* ---- the documentation's own example --------------------------------------------------------------------------------- */

/* The block of docs/gateways.md that begins with this line, up to its end. */
static const char *documented(const char *first_line) {
    static char text[65536];
    FILE *file = fopen("docs/gateways.md", "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    char *begin = strstr(text, first_line);
    assert_non_null(begin);
    char *end = strstr(begin, "```");
    assert_non_null(end);
    *end = '\0';
    return begin;
}

static void assert_receipt(const struct receipt_rule *rule, const char *body, const char *ref, const char *status) {
    struct receipt_request request = {.url = "", .path_secret = "s3cret", .query = "", .body = body, .body_len = strlen(body)};
    struct provider_receipt receipt;
    struct err err;
    assert_int_equal(receipt_verify(rule, &request, "s3cret", 0, &err), 0);
    assert_int_equal(receipt_verify(rule, &request, "another", 0, &err), -1);
    int n = receipt_read(rule, &request, &receipt, 1, &err);
    if (n != (status == NULL ? 0 : 1)) {
        fail_msg("%s: %s", body, n < 0 ? err.text : "another number of receipts");
    }
    if (status != NULL) {
        assert_string_equal(receipt.ref, ref);
        assert_string_equal(receipt.status, status);
    }
}

/* Word for word as it stands there: the request it makes, the answers and receipts it understands. */
static void worked_example_of_the_documentation_works(void **state) {
    (void)state;
    struct http_kit kit;
    http_kit_init(&kit);
    const char *path = http_kit_file(&kit, documented("# brevo.yaml\n"));
    const struct provider_case brevo = {
        .name = "brevo",
        .file = path,
        .channel = "sms",
        .settings = "from: Walton\nvariables: {",
        .secret = "tok",
        .request = {"POST /v3/transactionalSMS/sms HTTP/1.1", "api-key: tok\r\n", "\"sender\":\"Walton\"", "\"recipient\":\"441632960001\"",
                    "\"unicodeEnabled\":true", "\"tag\":\"0123456789abcdef\""},
        .answers = {{"HTTP/1.1 201 Created", "{\"reference\":\"ab1\",\"messageId\":1511882900176220,\"smsCount\":2}", OUTCOME_SENT,
                     BLAME_NONE, "1511882900176220"},
                    {"HTTP/1.1 402 Payment Required", "{\"code\":\"not_enough_credits\"}", OUTCOME_RETRY, BLAME_ACCOUNT, ""},
                    {"HTTP/1.1 400 Bad Request", "{\"code\":\"invalid_parameter\"}", OUTCOME_REJECTED, BLAME_MESSAGE, ""}}};
    check_provider(&brevo);
    struct err err;
    const struct http_description *description = http_description_read(path, &kit.arena, &err);
    const struct receipt_rule *rule = description == NULL ? NULL : receipt_rule_new(description, &kit.arena, &err);
    assert_non_null(rule);
    assert_receipt(rule, "{\"messageId\":1511882900176220,\"msg_status\":\"sent\"}", NULL, NULL);
    assert_receipt(rule, "{\"messageId\":1511882900176220,\"msg_status\":\"delivered\"}", "1511882900176220", "delivered");
    assert_receipt(rule, "{\"messageId\":1511882900176220,\"msg_status\":\"hard_bounces\",\"error_code\":1}", "1511882900176220",
                   "bounced");
    http_kit_fini(&kit);
}

static void every_shipped_description_is_in_the_documentation(void **state) {
    (void)state;
    assert_int_equal(
        shell("for f in channels/gateways/*.yaml; do n=${f##*/}; grep -q \"^| .${n%.yaml}. \" docs/gateways.md || exit 1; done"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shipped_description_is_sound),
        cmocka_unit_test(every_provider_gets_the_request_it_documents_and_its_answers_are_understood),
        cmocka_unit_test(mistakes_are_told_with_file_line_and_remedy),
        cmocka_unit_test(description_file_of_ones_own_is_checked_with_its_lines),
        cmocka_unit_test(worked_example_of_the_documentation_works),
        cmocka_unit_test(every_shipped_description_is_in_the_documentation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
