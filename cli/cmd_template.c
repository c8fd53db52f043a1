/* template lint, template render: what marketing's words come to.
 *
 * `lint` runs the very checks that keep a bad set from going live (P11) and prints every finding with file and line. `render`
 * fills one message with values from a file and prints what the customer would get, byte for byte, so that a script can compare
 * it. Both work on files alone: Redis is not needed. Only where `render` is given the id of a notice in place of a name, it prints the
 * message that was sent (cmd_sent.c).
 *
 * Exit codes: 1 where a set must not go live or a message cannot be made. Does not: send anything. */
#include "base/clock.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/sent.h"
#include "cli/view.h"
#include "templates/template.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- lint --------------------------------------------------------------------------------------------------------------- */

static const char *words_directory(struct ctl *ctl, struct err *err) {
    const struct settings *settings = ctl_settings(ctl, err);
    if (settings == NULL) {
        return NULL;
    }
    if (settings->templates.directory == NULL) {
        (void)err_set(err, ERR_MEMBER, "templates.directory is not configured");
    }
    return settings->templates.directory;
}

void print_findings(const char *dir, const struct template_report *report, bool advice_too, FILE *out) {
    struct buf line = BUF_INIT;
    for (size_t i = 0; i < report->n; i++) {
        if (advice_too || report->findings[i].is_error) {
            buf_reset(&line);
            template_finding_put(&report->findings[i], dir, &line);
            (void)fprintf(out, "%s\n", buf_str(&line) == NULL ? "out of memory" : buf_str(&line));
        }
    }
    buf_fini(&line);
}

static json_t *view_finding(const struct template_finding *finding) {
    json_t *object = json_object();
    view_text(object, "severity", finding->is_error ? "error" : "advice");
    view_text(object, "file", finding->file);
    view_number(object, "line", finding->line);
    view_text(object, "text", finding->text);
    return object;
}

static enum ctl_exit print_report(const struct ctl *ctl, const char *dir, const struct template_report *report,
                                  const struct template_set *set) {
    if (ctl->globals.json) {
        json_t *findings = json_array();
        for (size_t i = 0; i < report->n; i++) {
            (void)json_array_append_new(findings, view_finding(&report->findings[i]));
        }
        json_t *object = json_object();
        view_text(object, "directory", dir);
        (void)json_object_set_new(object, "errors", json_integer((json_int_t)report->n_errors));
        (void)json_object_set_new(object, "findings", findings);
        view_text(object, "version", set == NULL ? NULL : template_set_version(set));
        return output_json(object);
    }
    print_findings(dir, report, true, stdout);
    ctl_say("%zu errors, %zu pieces of advice", report->n_errors, report->n - report->n_errors);
    return CTL_DONE;
}

enum ctl_exit template_lint_run(struct ctl *ctl, const struct call *call) {
    struct err err;
    struct template_report report = {0};
    const char *dir = call->n_arguments > 0 ? call->arguments[0] : words_directory(ctl, &err);
    if (dir == NULL) {
        return ctl_fail(&err);
    }
    struct template_set *set = template_set_load(dir, &report, &err);
    enum ctl_exit code = CTL_DONE;
    if (set == NULL && report.n_errors == 0) {
        code = ctl_fail(&err);
    } else {
        code = print_report(ctl, dir, &report, set);
    }
    bool failed = set == NULL;
    template_set_free(set);
    template_report_fini(&report);
    return failed ? CTL_FAILED : code;
}

/* ---- render ------------------------------------------------------------------------------------------------------------- */

/* The JSON object in a file. New; NULL with *err. */
static json_t *read_object(const char *path, struct err *err) {
    enum { MAX_BYTES = 1 << 20 };
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        (void)err_system(err, path);
        return NULL;
    }
    char *text = malloc(MAX_BYTES + 1);
    json_t *value = NULL;
    size_t n = text == NULL ? 0 : fread(text, 1, MAX_BYTES + 1, file);
    if (text == NULL) {
        (void)err_no_memory(err);
    } else if (ferror(file) != 0) {
        (void)err_system(err, path);
    } else if ((value = json_parse_strict(text, n, MAX_BYTES, err)) == NULL) {
        (void)err_prefix(err, path);
    } else if (!json_is_object(value)) {
        (void)err_set(err, ERR_SYNTAX, "%s: must hold a JSON object", path);
        json_decref(value);
        value = NULL;
    }
    free(text);
    (void)fclose(file);
    return value;
}

/* The members of `data` that stand for what a job carries beside its data, so that a writer can give all values in one file. */
static int take_values(const json_t *data, struct template_values *values, struct err *err) {
    static const char *const times[] = {"effective_at", "expires_at"};
    int64_t *const fields[] = {&values->effective_at_ms, &values->expires_at_ms};
    values->data = data;
    values->customer_name = view_get(data, "name");
    values->account = view_get(data, "account");
    values->time_zone = view_get(data, "time_zone");
    values->now_ms = clock_wall_ms(&clock_system);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        const char *text = view_get(data, times[i]);
        if (text != NULL && time_parse(text, fields[i]) < 0) {
            return err_member(err, times[i], "must be an RFC 3339 time with a zone, such as 2026-12-23T18:00:00Z");
        }
    }
    return 0;
}

json_t *view_message(const struct message *message) {
    json_t *object = json_object();
    view_text(object, "notice", message->notice);
    view_text(object, "locale", message->locale);
    view_text(object, "dir", message->dir);
    view_text(object, "severity", message->severity);
    view_text(object, "version", message->version);
    view_text(object, "from_name", message->from_name);
    view_text(object, "from_address", message->from_address);
    view_text(object, "reply_to", message->reply_to);
    view_text(object, "subject", message->subject);
    view_text(object, "preheader", message->preheader);
    view_text(object, "title", message->title);
    view_text(object, "text", message->text);
    view_text(object, "html", message->html);
    view_text(object, "link", message->link);
    return object;
}

static enum ctl_exit print_message(const struct ctl *ctl, const struct message *message, const char *part) {
    if (ctl->globals.json) {
        return output_json(view_message(message));
    }
    bool html = part != NULL && strcmp(part, "html") == 0;
    const char *text = html ? message->html : message->text;
    if (text == NULL) {
        ctl_say("this channel has no %s part", html ? "HTML" : "text");
        return CTL_FAILED;
    }
    const char *head = html ? NULL : message->subject != NULL ? message->subject : message->title;
    if (head != NULL) {
        (void)printf("%s: %s\n\n", message->subject != NULL ? "Subject" : "Title", head);
    }
    size_t len = strlen(text);
    (void)printf("%s%s", text, len > 0 && text[len - 1] == '\n' ? "" : "\n");
    return CTL_DONE;
}

/* The argument is no notice of the set: the id of one that was sent, or unknown. */
static enum ctl_exit render_sent(struct ctl *ctl, const struct call *call, const struct err *not_in_set) {
    bool known = false;
    struct err why;
    if (!call_given(call, "sent") && ctl_store(ctl, &why) == NULL) {
        return ctl_fail(not_in_set); /* files are all that can be asked */
    }
    const struct sent_ask ask = {call_value(call, "channel"), call_value(call, "part"), call_value(call, "reset-key")};
    enum ctl_exit code = sent_print(ctl, call->arguments[0], &ask, &known);
    if (known) {
        return code;
    }
    ctl_say("there is no notice of that id in Redis either");
    return ctl_fail(not_in_set);
}

static enum ctl_exit render(struct ctl *ctl, const struct call *call, enum channel_id channel, const json_t *data) {
    struct err err;
    struct template_values values = {0};
    struct message message = {0};
    const char *dir = words_directory(ctl, &err);
    struct template_set *set = dir == NULL ? NULL : template_set_load(dir, NULL, &err);
    enum ctl_exit code;
    if (call_given(call, "sent") || set == NULL || template_has(set, call->arguments[0]) == 0) {
        if (set != NULL) {
            (void)err_set(&err, ERR_UNKNOWN, "there is no notice called \"%.80s\"", call->arguments[0]);
        }
        code = render_sent(ctl, call, &err);
    } else if (take_values(data, &values, &err) < 0 ||
               template_render(set, call->arguments[0], call_value(call, "locale"), channel, &values, &ctl->arena, &message, &err) < 0) {
        code = ctl_fail(&err);
    } else {
        code = print_message(ctl, &message, call_value(call, "part"));
    }
    template_set_free(set);
    return code;
}

enum ctl_exit template_render_run(struct ctl *ctl, const struct call *call) {
    const char *channel_name = call_value(call, "channel");
    const char *part = call_value(call, "part");
    enum channel_id channel = CHANNEL_EMAIL;
    struct err err;
    if (channel_name != NULL && channel_find(channel_name, &channel) != 1) {
        return ctl_usage("--channel: there is no channel \"%s\"", channel_name);
    }
    if (part != NULL && strcmp(part, "text") != 0 && strcmp(part, "html") != 0) {
        return ctl_usage("--part: must be text or html");
    }
    const char *path = call_value(call, "data");
    json_t *data = path == NULL ? json_object() : read_object(path, &err);
    if (data == NULL) {
        return ctl_fail(&err);
    }
    enum ctl_exit code = render(ctl, call, channel, data);
    json_decref(data);
    return code;
}
