/* test_http_sdk: our requests beside those of the providers' own SDKs (npm @aws-sdk/client-sns, @vonage/sms, @vonage/messages): the same
 * method and path, and every member that the SDK sends for a message with the same value in ours. (Twilio's SDK: test_auth.c.) */
#include "channels/http.h"
#include "tests/support/http_kit.h"
#include "tests/support/oracle.h"
#include "tests/support/scripted_http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char answer[] = "HTTP/1.1 400 Enough\r\nContent-Length: 0\r\n\r\n";

/* Sends the kit's message through `description`; the request at *request_r lives as long as the server. */
static struct scripted_http *send_ours(const char *description, const char *settings, const char *secret, const char **request_r) {
    static const struct scripted_step step[] = {{SCRIPTED_ANSWER, answer, 0}};
    struct scripted_http *server = scripted_http_start(step, 1);
    assert_non_null(server);
    struct http_kit kit;
    http_kit_init(&kit);
    char yaml[1500];
    (void)snprintf(yaml, sizeof yaml,
                   "description: %s\nallow_insecure: true\nallow_private: true\nsecret_file: %s\n%sbase: \"http://127.0.0.1:%d\"}\n",
                   description, http_kit_file(&kit, secret), settings, scripted_http_port(server));
    struct err err;
    if (http_kit_open(&kit, "sms", yaml, &err) < 0) {
        fail_msg("%s: %s", description, err.text);
    }
    (void)http_kit_deliver(&kit, &http_kit_message);
    http_kit_fini(&kit);
    *request_r = scripted_http_request(server, 0);
    return server;
}

static void check(const char *sdk, const char *settings, const char *secret, const char *to) {
    const char *request = NULL;
    struct scripted_http *server = send_ours(sdk, settings, secret, &request);
    const char *body = strstr(request, "\r\n\r\n");
    assert_non_null(body);
    json_t *both = oracle_ask_take("sdk-request", json_pack("{ssssssssssss}", "sdk", sdk, "to", to, "from", "Retailer", "text",
                                                            http_kit_message.text, "reference", http_kit_message.key, "ours", body + 4));
    if (both == NULL) {
        scripted_http_stop(server);
        skip();
    }
    char line[200];
    (void)snprintf(line, sizeof line, "%s %s HTTP/1.1\r\n", json_string_value(json_object_get(both, "method")),
                   json_string_value(json_object_get(both, "path")));
    assert_memory_equal(request, line, strlen(line));
    const char *name = NULL;
    json_t *value = NULL;
    assert_true(json_object_size(json_object_get(both, "theirs")) > 3);
    json_object_foreach(json_object_get(both, "theirs"), name, value) {
        if (!json_equal(value, json_object_get(json_object_get(both, "ours"), name))) {
            fail_msg("%s: %s is not what the SDK sends", sdk, name);
        }
    }
    json_decref(both);
    scripted_http_stop(server);
}

static void sns_request_is_that_of_awss_sdk(void **state) {
    (void)state;
    check("aws-sns", "username: AKIDEXAMPLE\nvariables: {region: eu-west-1, ", "s3cret", "+441632960001");
}

static void sms_request_is_that_of_vonages_sdk(void **state) {
    (void)state;
    check("vonage-sms", "username: abcd1234\nfrom: Retailer\nvariables: {", "s3cret", "441632960001");
}

static void messages_request_is_that_of_vonages_sdk(void **state) {
    (void)state;
    char pem[4096] = "";
    FILE *key = popen("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 2>/dev/null", "r"); /* NOLINT(cert-env33-c) */
    assert_non_null(key);
    pem[fread(pem, 1, sizeof pem - 1, key)] = '\0';
    assert_int_equal(pclose(key), 0);
    check("vonage-messages", "from: Retailer\nvariables: {application_id: 78d335fa-323d-0114-9c3d-d6f0d48968cf, ", pem, "441632960001");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sns_request_is_that_of_awss_sdk),
        cmocka_unit_test(sms_request_is_that_of_vonages_sdk),
        cmocka_unit_test(messages_request_is_that_of_vonages_sdk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
