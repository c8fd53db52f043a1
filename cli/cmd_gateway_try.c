/* gateway lint, gateway schema, gateway test: whether a gateway would work, before anybody depends on it.
 *
 *   lint [FILE...]       description files; without one, every gateway of the configuration, with the secrets and keys that it names
 *   schema               the JSON Schema of a description file, for editors
 *   test NAME ADDRESS    one real message through one gateway, to an address of the operator's own
 *
 * A finding is one line with file, line, key and remedy on stderr, and exit 1; what is in order is told on stdout. The test uses the very
 * driver that reachd uses, in a loop of its own: what works here works there. It writes nothing to Redis, so no receipt of a test message
 * finds a notice.
 *
 * Does not: start or change anything of a running reachd. */
#include "base/buf.h"
#include "base/clock.h"
#include "channels/http_description.h"
#include "cli/commands.h"
#include "cli/view.h"
#include "dispatcher/gateway_check.h"
#include "dispatcher/libexec.h"

#include <event2/event.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- lint --------------------------------------------------------------------------------------------------------------- */

struct lint {
    const struct ctl *ctl;
    json_t *list; /* with --json */
    bool failed;
};

static void tell(struct lint *lint, const char *kind, const char *name, const struct err *err) {
    lint->failed = lint->failed || err != NULL;
    if (lint->ctl->globals.json) {
        json_t *object = json_object();
        view_text(object, kind, name);
        (void)json_object_set_new(object, "ok", json_boolean(err == NULL));
        view_text(object, "error", err == NULL ? NULL : err->text);
        (void)json_array_append_new(lint->list, object);
    } else if (err != NULL) {
        ctl_say("%s", err->text);
    } else {
        (void)printf("%s: in order\n", name);
    }
}

static void lint_file(struct lint *lint, const char *path) {
    struct arena arena = ARENA_INIT;
    struct err err;
    tell(lint, "file", path, http_description_read(path, &arena, &err) == NULL ? &err : NULL);
    arena_fini(&arena);
}

static void lint_gateway(struct lint *lint, const struct gateway_settings *gateway) {
    struct err err;
    int found = gateway_check(gateway, &err);
    if (found == 0) {
        ctl_say("%s (a credential, there for the running unit only: not looked at)", err.text);
    }
    tell(lint, "gateway", gateway->name, found < 0 ? &err : NULL);
}

enum ctl_exit gateway_lint_run(struct ctl *ctl, const struct call *call) {
    struct err err;
    struct lint lint = {.ctl = ctl};
    const struct settings *settings = call->n_arguments > 0 ? NULL : ctl_settings(ctl, &err);
    if (call->n_arguments == 0 && settings == NULL) {
        return ctl_fail(&err);
    }
    lint.list = ctl->globals.json ? json_array() : NULL;
    for (size_t i = 0; i < call->n_arguments; i++) {
        lint_file(&lint, call->arguments[i]);
    }
    const struct gateway_settings *gateways = settings == NULL ? NULL : settings->gateways.items;
    for (size_t i = 0; settings != NULL && i < settings->gateways.n; i++) {
        lint_gateway(&lint, &gateways[i]);
    }
    enum ctl_exit code = ctl->globals.json ? output_json(lint.list) : CTL_DONE;
    return lint.failed ? CTL_FAILED : code;
}

/* ---- schema ------------------------------------------------------------------------------------------------------------- */

enum ctl_exit gateway_schema_run(struct ctl *ctl, const struct call *call) {
    static const char *const required[] = {"url", NULL};
    struct buf out = BUF_INIT;
    (void)ctl;
    (void)call;
    conf_schema(&http_description_table, "https://reachd.example/schema/1/gateway.schema.json", required, &out);
    json_t *schema = buf_str(&out) == NULL ? NULL : json_loadb(out.data, out.len, 0, NULL);
    char *text = schema == NULL ? NULL : json_dumps(schema, JSON_INDENT(2));
    enum ctl_exit code = text == NULL || puts(text) == EOF ? CTL_FAILED : CTL_DONE;
    free(text);
    json_decref(schema);
    buf_fini(&out);
    return code;
}

/* ---- test --------------------------------------------------------------------------------------------------------------- */

struct trial {
    struct event_base *base;
    struct outcome outcome;
    bool done;
};

static void on_done(void *ctx, const struct outcome *outcome) {
    struct trial *trial = ctx;
    trial->outcome = *outcome;
    trial->done = true;
    (void)event_base_loopbreak(trial->base);
}

static const struct gateway_settings *find_gateway(const struct settings *settings, const char *name) {
    const struct gateway_settings *gateways = settings->gateways.items;
    for (size_t i = 0; i < settings->gateways.n; i++) {
        if (strcmp(gateways[i].name, name) == 0) {
            return &gateways[i];
        }
    }
    return NULL;
}

static void make_message(const char *to, char key[33], struct message *message) {
    unsigned char random[16] = {0};
    (void)RAND_bytes(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++) {
        (void)snprintf(key + 2 * i, 3, "%02x", random[i]);
    }
    int64_t now_ms = clock_wall_ms(&clock_system);
    *message = (struct message){.notice_id = "reachctl-gateway-test",
                                .key = key,
                                .to = to,
                                .customer_id = "reachctl-gateway-test",
                                .locale = "en",
                                .created_at_ms = now_ms,
                                .expires_at_ms = now_ms + 600000,
                                .notice = "gateway-test",
                                .severity = "info",
                                .version = "",
                                .dir = "ltr",
                                .subject = "Test of a gateway",
                                .title = "Test of a gateway",
                                .text = "This is a test of reachd's gateway. Nobody has to do anything.",
                                .html = "<p>This is a test of reachd&#39;s gateway. Nobody has to do anything.</p>"};
}

/* Sends and waits for the outcome, at most `seconds`. 0, or -1 with *err. */
static int try_out(const struct gateway_settings *settings, const char *libexec, const struct message *message, struct trial *trial,
                   struct err *err) {
    enum { LONGEST_S = 330 }; /* longer than any gateway's own limit */
    const struct channel_driver *driver = channel_driver_find(settings->driver);
    struct channel_env env = {.base = trial->base, .clock = &clock_system, .libexec_dir = libexec};
    struct gateway *gateway = driver->open(&env, settings, err);
    if (gateway == NULL) {
        return gateway_fault(settings, err);
    }
    int64_t not_after_ms = clock_mono_ms(&clock_system) + LONGEST_S * 1000;
    int result = driver->send(gateway, message, not_after_ms, on_done, trial, err);
    if (result == 0) {
        struct timeval longest = {.tv_sec = LONGEST_S};
        driver->flush(gateway);
        (void)event_base_loopexit(trial->base, &longest);
        (void)event_base_dispatch(trial->base);
    }
    driver->close(gateway); /* answers what is still open */
    return result;
}

static enum ctl_exit print_outcome(const struct ctl *ctl, const char *name, const struct outcome *outcome) {
    enum ctl_exit code = outcome->kind == OUTCOME_SENT ? CTL_DONE : CTL_FAILED;
    const char *provider_code = outcome->code[0] == '\0' ? NULL : outcome->code;
    const char *ref = outcome->ref[0] == '\0' ? NULL : outcome->ref;
    if (ctl->globals.json) {
        json_t *object = json_object();
        view_text(object, "gateway", name);
        view_text(object, "outcome", outcome_name(outcome->kind));
        view_text(object, "code", provider_code);
        view_text(object, "ref", ref);
        view_text(object, "reason", outcome->reason);
        return output_json(object) == CTL_DONE ? code : CTL_FAILED;
    }
    output_field("gateway", name);
    output_field("outcome", outcome_name(outcome->kind));
    output_field("code", provider_code);
    output_field("ref", ref);
    output_field("reason", outcome->reason);
    return code;
}

/* Whether this gateway can be tested with this address. 0, or -1 with *err. */
static int check_address(struct ctl *ctl, const struct gateway_settings *gateway, const char *address, char wire[MAILBOX_MAX],
                         struct err *err) {
    enum channel_id channel;
    if (channel_find(gateway->channel, &channel) != 1 || channel_traits(channel)->passive) {
        return err_set(err, ERR_CONFLICT, "nothing is sent by channel %s: there is nothing to test", gateway->channel);
    }
    if (ctl_rules(ctl, err) == NULL) {
        return -1;
    }
    switch (channel_traits(channel)->address) {
    case ADDRESS_MAILBOX: return mailbox_wire(address, wire, err);
    case ADDRESS_E164: return phone_check(address, err);
    case ADDRESS_TOKEN:
    case ADDRESS_LOGIN: break;
    }
    return 0;
}

enum ctl_exit gateway_test_run(struct ctl *ctl, const struct call *call) {
    const char *name = call->arguments[0];
    const char *address = call->arguments[1];
    char wire[MAILBOX_MAX] = "";
    char key[33];
    char question[400];
    struct message message;
    struct err err;
    const struct settings *settings = ctl_settings(ctl, &err);
    if (settings == NULL) {
        return ctl_fail(&err);
    }
    const struct gateway_settings *gateway = find_gateway(settings, name);
    if (gateway == NULL) {
        return ctl_usage("there is no gateway %s; `reachctl gateway list` shows them", name);
    }
    if (check_address(ctl, gateway, address, wire, &err) < 0) {
        return ctl_fail(&err);
    }
    (void)snprintf(question, sizeof question, "Send a test message through %s to %s?", name, address);
    if (!ctl_confirm(ctl, question)) {
        return CTL_FAILED;
    }
    make_message(wire[0] == '\0' ? address : wire, key, &message);
    struct trial trial = {.base = event_base_new()};
    int result = trial.base == NULL ? err_no_memory(&err) : try_out(gateway, libexec_find(settings, &ctl->arena), &message, &trial, &err);
    event_base_free(trial.base);
    return result < 0 ? ctl_fail(&err) : print_outcome(ctl, name, &trial.outcome);
}
