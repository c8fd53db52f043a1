/* template list, template serve, template check-mustache: what there is to send, how it looks while it is being written, and
 * whether the engine keeps to the Mustache specification.
 *
 * `list` shows the notices of a set that would go live: it loads the set with all its checks and then names the notices and, for
 * each, the locales it is written in. `serve` shows a page on loopback until it is interrupted. `check-mustache` is for those who change
 * the engine, or wonder about it: it takes the specification's own case files.
 *
 * Exit codes: 1 where the set must not go live or a case fails. Does not: need Redis. */
#include "cli/commands.h"
#include "cli/view.h"
#include "templates/mustache.h"
#include "templates/preview.h"
#include "templates/template.h"

#include <dirent.h>
#include <event2/event.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- list --------------------------------------------------------------------------------------------------------------- */

static int is_folder(const struct dirent *entry) {
    return entry->d_name[0] != '.' && (entry->d_type == DT_DIR || entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN) ? 1 : 0;
}

/* The locales of one notice as an array: the folders of its folder. New. */
static json_t *read_locales(const char *dir, const char *notice) {
    char path[1024];
    struct dirent **entries = NULL;
    json_t *locales = json_array();
    (void)snprintf(path, sizeof path, "%s/%s", dir, notice);
    int n = scandir(path, &entries, is_folder, alphasort);
    for (int i = 0; i < n; i++) {
        (void)json_array_append_new(locales, json_string(entries[i]->d_name));
        free(entries[i]);
    }
    free(entries);
    return locales;
}

/* The notices of the set: array of {notice, locales}. NULL with *err. */
static json_t *read_notices(const char *dir, const struct template_set *set, struct err *err) {
    struct dirent **entries = NULL;
    int n = scandir(dir, &entries, is_folder, alphasort);
    if (n < 0) {
        (void)err_system(err, dir);
        return NULL;
    }
    json_t *notices = json_array();
    for (int i = 0; i < n; i++) {
        if (template_has(set, entries[i]->d_name) == 1) {
            json_t *notice = json_object();
            view_text(notice, "notice", entries[i]->d_name);
            (void)json_object_set_new(notice, "locales", read_locales(dir, entries[i]->d_name));
            (void)json_array_append_new(notices, notice);
        }
        free(entries[i]);
    }
    free(entries);
    return notices;
}

static enum ctl_exit print_notices(const struct ctl *ctl, const json_t *notices) {
    static const struct column columns[] = {{"NOTICE", COLUMN_TEXT}, {"LOCALES", COLUMN_LONG}};
    struct table *table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; table != NULL && i < json_array_size(notices); i++) {
        struct buf locales = BUF_INIT;
        const json_t *notice = json_array_get(notices, i);
        const json_t *list = json_object_get(notice, "locales");
        for (size_t k = 0; k < json_array_size(list); k++) {
            buf_putf(&locales, "%s%s", k == 0 ? "" : " ", json_string_value(json_array_get(list, k)));
        }
        table_row(table, MOOD_PLAIN, (const char *[]){view_get(notice, "notice"), buf_str(&locales)});
        buf_fini(&locales);
    }
    return table_print(table);
}

enum ctl_exit template_list_run(struct ctl *ctl, const struct call *call) {
    struct err err;
    const struct settings *settings = ctl_settings(ctl, &err);
    if (settings == NULL) {
        return ctl_fail(&err);
    }
    const char *dir = call->n_arguments > 0 ? call->arguments[0] : settings->templates.directory;
    if (dir == NULL) {
        return ctl_usage("name a directory, or configure templates.directory");
    }
    struct template_set *set = template_set_load(dir, NULL, &err);
    json_t *notices = set == NULL ? NULL : read_notices(dir, set, &err);
    template_set_free(set);
    if (notices == NULL) {
        return ctl_fail(&err);
    }
    if (ctl->globals.json) {
        return output_json(notices);
    }
    enum ctl_exit code = print_notices(ctl, notices);
    json_decref(notices);
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
