/* test_http_prism: our requests against the providers' own OpenAPI descriptions. Prism (npm @stoplight/prism-cli) plays the provider out
 * of its description: it answers 422 to a request that breaks it, 401 to one without its credentials, else with the description's example.
 *
 * The descriptions are the providers' and not part of this tree: they are looked for in $REACH_OPENAPI and in ../shared/data/openapi.
 * Skipped where there are none, or no node. Prism leaves the path of a description's server out of what it serves, so that is moved into
 * the paths first. What Vonage publishes for Messages is the beta's interface, which we do not speak: its SDK is asked instead
 * (test_http_sdk.c). */
#include "channels/http.h"
#include "tests/support/http_kit.h"
#include "tests/support/oracle.h"
#include "tests/support/server.h"
#include "tests/support/shell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char prism[] = "tests/node_modules/@stoplight/prism-cli/dist/index.js";

struct provider {
    const char *description; /* ours */
    const char *openapi;     /* theirs */
    const char *moved;       /* sed's commands for theirs; each of the lines must be there */
    const char *channel;
    const char *secret;
    const char *settings;
    const char *spoilt;  /* sed's commands that put something amiss into ours */
    const char *status;  /* of a good answer */
    const char *refusal; /* and of the other */
    bool no_errors;      /* the description's own example breaks its schema: only requests are judged */
    const char *ref;     /* the id in the description's example */
};

#define SID "AC0123456789abcdef0123456789abcdef"

static const struct provider providers[] = {
    {.description = "twilio",
     .openapi = "twilio_api_v2010.json",
     .moved = "",
     .channel = "sms",
     .secret = "token",
     .settings = "username: " SID "\nfrom: \"+441632960000\"\nreceipt_url: https://127.0.0.1:9/receipts/twilio\n"
                 "variables: {account_sid: " SID ", ",
     .spoilt = "/^  To:/d",
     .status = "HTTP 201",
     .refusal = "HTTP 422",
     .ref = "SMaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    {.description = "vonage-sms",
     .openapi = "vonage_sms.yml",
     .moved = "s|^  - url: https://rest.nexmo.com/sms$|  - url: https://rest.nexmo.com|; s|^  /{format}:$|  /sms/{format}:|",
     .channel = "sms",
     .secret = "0123456789abcdef",
     .settings = "username: abcd1234\nfrom: Retailer\nreceipt_url: https://127.0.0.1:9/receipts/vonage\nvariables: {",
     .spoilt = "/^  to:/d",
     .status = "HTTP 200",
     .refusal = "HTTP 422",
     .no_errors = true,
     .ref = "0A0000000123ABCD1"},
    {.description = "gotify",
     .openapi = "gotify.json",
     .moved = "",
     .channel = "push",
     .settings = "variables: {",
     .spoilt = "s/int:8/high/",
     .status = "HTTP 200",
     .refusal = "HTTP 400",
     .ref = "25"},
};

struct bench {
    char dir[40];
    char openapi[600];
    int port;
    pid_t pid;
};

/* Whether the provider's description is there and can be used; else the test is skipped. */
static void find_openapi(struct bench *bench, const char *name) {
    const char *directory = getenv("REACH_OPENAPI");
    (void)snprintf(bench->openapi, sizeof bench->openapi, "%s/%s", directory == NULL ? "../shared/data/openapi" : directory, name);
    if (access(bench->openapi, R_OK) < 0) {
        (void)printf("skipped: no %s (REACH_OPENAPI names the directory that holds it)\n", bench->openapi);
        skip();
    }
    if (!oracle_is_ready()) {
        (void)printf("skipped: the packages of tests/package.json are not there\n");
        skip();
    }
}

/* Runs sed over a file into another; every command must have changed a line. */
static void edit(const char *commands, const char *from, const char *to) {
    char command[1500];
    int changes = 1;
    for (const char *at = commands; (at = strchr(at, ';')) != NULL; at++) {
        changes++;
    }
    (void)snprintf(command, sizeof command, "sed '%s' '%s' > '%s' && test \"$(diff '%s' '%s' | grep -c '^<')\" = %d", commands, from, to,
                   from, to, changes);
    assert_int_equal(shell(command), 0);
}

static void begin(struct bench *bench, const struct provider *provider) {
    memset(bench, 0, sizeof *bench);
    find_openapi(bench, provider->openapi);
    (void)snprintf(bench->dir, sizeof bench->dir, "/tmp/reach_test_prism_XXXXXX");
    assert_non_null(mkdtemp(bench->dir));
    if (provider->moved[0] != '\0') {
        char moved[100];
        (void)snprintf(moved, sizeof moved, "%s/%s", bench->dir, provider->openapi);
        edit(provider->moved, bench->openapi, moved);
        (void)snprintf(bench->openapi, sizeof bench->openapi, "%s", moved);
    }
    bench->port = server_free_port();
    char port[16];
    char log[80];
    (void)snprintf(port, sizeof port, "%d", bench->port);
    (void)snprintf(log, sizeof log, "%s/prism.log", bench->dir);
    char errors[] = "--errors";
    char script[sizeof prism];
    memcpy(script, prism, sizeof prism);
    char *argv[] = {(char[]){"node"},
                    script,
                    (char[]){"mock"},
                    (char[]){"-h"},
                    (char[]){"127.0.0.1"},
                    (char[]){"-p"},
                    port,
                    bench->openapi,
                    provider->no_errors ? NULL : errors,
                    NULL};
    bench->pid = server_start(argv, log);
    assert_true(server_wait(bench->pid, bench->port));
}

static void end(struct bench *bench) {
    server_stop(bench->pid);
    char clear[80];
    (void)snprintf(clear, sizeof clear, "rm -rf %s", bench->dir);
    assert_int_equal(shell(clear), 0);
}

/* What the provider says to a message that leaves by the description in `path`. */
static struct outcome ask(const struct bench *bench, const struct provider *provider, const char *path) {
    struct http_kit kit;
    http_kit_init(&kit);
    char secrets[600] = "";
    if (provider->secret != NULL) {
        (void)snprintf(secrets, sizeof secrets, "secret_file: %s\nreceipt_secret_file: %s\n", http_kit_file(&kit, provider->secret),
                       http_kit_file(&kit, "receipt-s3cret"));
    }
    char yaml[3000];
    (void)snprintf(yaml, sizeof yaml,
                   "description_file: %s\nallow_insecure: true\nallow_private: true\ntimeout: 60s\n%s%sbase: \"http://127.0.0.1:%d\"}\n",
                   path, secrets, provider->settings, bench->port);
    struct err err;
    if (http_kit_open(&kit, provider->channel, yaml, &err) < 0) {
        fail_msg("%s: %s", provider->description, err.text);
    }
    struct message message = http_kit_message;
    message.link = "https://example.org/reset";
    struct outcome outcome = *http_kit_deliver(&kit, &message);
    http_kit_fini(&kit);
    return outcome;
}

static void check(const struct provider *provider) {
    struct bench bench;
    begin(&bench, provider);
    char path[100];
    char spoilt[100];
    (void)snprintf(path, sizeof path, "channels/gateways/%s.yaml", provider->description);
    (void)snprintf(spoilt, sizeof spoilt, "%s/spoilt.yaml", bench.dir);
    struct outcome outcome = ask(&bench, provider, path);
    if (outcome.kind != OUTCOME_SENT || strstr(outcome.reason, provider->status) == NULL) {
        char show[100];
        (void)snprintf(show, sizeof show, "tail -n 5 %s/prism.log", bench.dir);
        (void)shell(show);
        fail_msg("%s: %s", provider->description, outcome.reason);
    }
    assert_string_equal(outcome.ref, provider->ref);
    edit(provider->spoilt, path, spoilt); /* so that a good answer says something */
    outcome = ask(&bench, provider, spoilt);
    assert_int_equal(outcome.kind, OUTCOME_REJECTED);
    assert_non_null(strstr(outcome.reason, provider->refusal));
    end(&bench);
}

static void twilio_takes_our_request(void **state) {
    (void)state;
    check(&providers[0]);
}

static void vonage_sms_takes_our_request(void **state) {
    (void)state;
    check(&providers[1]);
}

static void gotify_takes_our_request(void **state) {
    (void)state;
    check(&providers[2]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twilio_takes_our_request),
        cmocka_unit_test(vonage_sms_takes_our_request),
        cmocka_unit_test(gotify_takes_our_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
