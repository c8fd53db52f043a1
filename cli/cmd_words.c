/* template preview, template serve, template check-mustache: how the words look while they are being written, and whether the engine keeps
 * to the Mustache specification.
 *
 * `preview` prints every channel of a notice, made with its examples, for a terminal or a pull request; `serve` shows a page on loopback
 * until it is interrupted. `check-mustache` is for those who change the engine, or wonder about it: it takes the specification's own case
 * files.
 *
 * Exit codes: 1 where a case fails. Does not: need Redis. */
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/view.h"
#include "templates/mustache.h"
#include "templates/preview.h"

#include <event2/event.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- preview ------------------------------------------------------------------------------------------------------------ */

static void print_part(const json_t *message, const char *label, const char *name) {
    const char *text = view_get(message, name);
    if (text != NULL) {
        (void)printf("%s: %s\n", label, text);
    }
}

/* "2 messages, 198 of 306 characters" for an SMS. */
static void print_count(const json_t *count) {
    if (count != NULL) {
        long long segments = (long long)json_integer_value(json_object_get(count, "segments"));
        (void)printf("(%lld message%s, %lld of %lld characters)\n", segments, segments == 1 ? "" : "s",
                     (long long)json_integer_value(json_object_get(count, "units")),
                     (long long)json_integer_value(json_object_get(count, "units_max")));
    }
}

/* 0, or -1 where the message could not be made. */
static int print_channel(const struct ctl *ctl, const char *channel, const json_t *message) {
    const char *error = view_get(message, "error");
    output_heading(ctl, channel);
    if (error != NULL) {
        (void)printf("cannot be made: %s\n", error);
        return -1;
    }
    print_part(message, "From", "from");
    print_part(message, "From address", "from_address");
    print_part(message, "Reply-To", "reply_to");
    print_part(message, "Subject", "subject");
    print_part(message, "Preheader", "preheader");
    print_part(message, "Title", "title");
    print_part(message, "Link", "link");
    (void)printf("\n%s\n", view_get(message, "text"));
    print_count(json_object_get(message, "count"));
    return 0;
}

static enum ctl_exit print_preview(const struct ctl *ctl, json_t *messages_take) {
    int rc = 0;
    if (ctl->globals.json) {
        return output_json(messages_take);
    }
    for (int i = 0; i < CHANNEL_COUNT; i++) {
        const char *channel = channel_traits((enum channel_id)i)->name;
        rc = print_channel(ctl, channel, json_object_get(messages_take, channel)) < 0 ? -1 : rc;
    }
    json_decref(messages_take);
    return rc < 0 ? CTL_FAILED : CTL_DONE;
}

enum ctl_exit template_preview_run(struct ctl *ctl, const struct call *call) {
    struct err err;
    const struct settings *settings = ctl_settings(ctl, &err);
    struct template_set *set = settings == NULL ? NULL : template_set_load(settings->templates.directory, NULL, &err);
    json_t *messages =
        set == NULL ? NULL : preview_examples(set, call->arguments[0], call_value(call, "locale"), call_given(call, "in-force"), &err);
    enum ctl_exit code = messages == NULL ? ctl_fail(&err) : print_preview(ctl, messages);
    template_set_free(set);
    return code;
}

/* ---- serve -------------------------------------------------------------------------------------------------------------- */

static void stop(evutil_socket_t number, short what, void *base) {
    (void)number;
    (void)what;
    (void)event_base_loopbreak(base);
}

/* Serves until SIGINT or SIGTERM. 0, or -1 with *err. */
static int serve(const char *dir, uint16_t port, struct err *err) {
    struct event_base *base = event_base_new();
    struct event *on_int = base == NULL ? NULL : evsignal_new(base, SIGINT, stop, base);
    struct event *on_term = base == NULL ? NULL : evsignal_new(base, SIGTERM, stop, base);
    struct preview *preview = NULL;
    int result = -1;
    if (on_int == NULL || on_term == NULL || event_add(on_int, NULL) < 0 || event_add(on_term, NULL) < 0) {
        (void)err_no_memory(err);
    } else {
        preview = preview_new(base, dir, port, err);
    }
    if (preview != NULL) {
        (void)printf("%s\n", preview_url(preview));
        (void)fflush(stdout);
        result = event_base_dispatch(base) < 0 ? err_set(err, ERR_SYSTEM, "the event loop failed") : 0;
        preview_free(preview);
    }
    if (on_int != NULL) {
        event_free(on_int);
    }
    if (on_term != NULL) {
        event_free(on_term);
    }
    if (base != NULL) {
        event_base_free(base);
    }
    return result;
}

enum ctl_exit template_serve_run(struct ctl *ctl, const struct call *call) {
    struct err err;
    const struct settings *settings = ctl_settings(ctl, &err);
    const char *text = call_value(call, "port");
    char *end = NULL;
    unsigned long port = text == NULL ? 0 : strtoul(text, &end, 10);
    if (text != NULL && (text[0] < '0' || text[0] > '9' || *end != '\0' || port > UINT16_MAX)) {
        return ctl_usage("--port: must be a port, 0 to 65535");
    }
    if (settings == NULL) {
        return ctl_fail(&err);
    }
    const char *dir = call->n_arguments > 0 ? call->arguments[0] : settings->templates.directory;
    if (dir == NULL) {
        return ctl_usage("name a directory, or configure templates.directory");
    }
    return serve(dir, (uint16_t)port, &err) < 0 ? ctl_fail(&err) : CTL_DONE;
}

/* ---- check-mustache ----------------------------------------------------------------------------------------------------- */

enum ctl_exit template_mustache_run(struct ctl *ctl, const struct call *call) {
    struct mustache_tally tally = {0};
    struct buf details = BUF_INIT;
    struct err err;
    if (mustache_check_file(call->arguments[0], &tally, &details, &err) < 0) {
        buf_fini(&details);
        return ctl_fail(&err);
    }
    if (details.len > 0 && !details.failed) {
        (void)fprintf(stderr, "%s%s", buf_str(&details), details.data[details.len - 1] == '\n' ? "" : "\n");
    }
    buf_fini(&details);
    if (ctl->globals.json) {
        (void)output_json(json_pack("{s:i,s:i}", "passed", tally.passed, "failed", tally.failed));
    } else {
        (void)printf("%d passed, %d failed\n", tally.passed, tally.failed);
    }
    return tally.failed == 0 ? CTL_DONE : CTL_FAILED;
}
