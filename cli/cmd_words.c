/* template serve, template check-mustache: how the words look while they are being written, and whether the engine keeps to the
 * Mustache specification.
 *
 * `serve` shows a page on loopback until it is interrupted. `check-mustache` is for those who change the engine, or wonder about it: it
 * takes the specification's own case files.
 *
 * Exit codes: 1 where a case fails. Does not: need Redis. */
#include "cli/commands.h"
#include "cli/output.h"
#include "templates/mustache.h"
#include "templates/preview.h"

#include <event2/event.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

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
