/* live_words: see live_words.h.
 *
 *     saved:      templates.directory, as soon as what was saved there passes the checks
 *     published:  templates.archive/live, a link that `reachctl template publish` points to another kept version
 *
 * A set that fails its checks, or cannot be kept in the archive, stays out, and the one in use goes on (P11). No message that is under way
 * points into a set, so the old one can go at once. What happens is told three ways in one step: an event of type `template`, a counter
 * (`templates.live`, `templates.refused`), and this worker's field in the hash `templates`, which `reachctl template list` reads.
 *
 * Guarantees: a version is in the archive before the first message is made from it, so every message that was sent can be made again.
 * How it fails: at the start with an error; later by going on with what there is. Does not: change a message that is under way. */
#include "dispatcher/live_words.h"

#include "base/log.h"
#include "dispatcher/intake.h"
#include "templates/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- telling ------------------------------------------------------------------------------------------------------- */

/* The field of this worker in the hash `templates`: what it uses, where it keeps versions, and what was refused since. */
static void put_state(struct buf *out, const struct worker *w, const char *refused, const char *now) {
    const char *archive = w->place.settings->templates.archive;
    char since[TIME_TEXT_MAX];
    char path[PATH_MAX];
    buf_putc(out, '{');
    answers_put(out, "version", template_set_version(w->templates));
    answers_put(out, "since", time_format(w->templates_since_ms, since));
    answers_put(out, "archive", archive == NULL ? NULL : realpath(archive, path));
    answers_put(out, "refused_at", refused == NULL ? NULL : now);
    answers_put(out, "refused", refused);
    buf_putc(out, '}');
}

/* Tells `event` and `counter` (both may be NULL) together with this worker's state. */
static void tell(struct worker *w, const char *event, const char *counter, const char *refused) {
    char now[TIME_TEXT_MAX];
    struct buf state = BUF_INIT;
    struct err err;
    put_state(&state, w, refused, time_format(clock_wall_ms(w->place.clock), now));
    const struct queue_effect effect = {QUEUE_HSET, "templates", queue_consumer(w->queue), buf_str(&state), 0};
    if (effect.value == NULL || queue_tell(w->queue, counter, event, &effect, 1, &err) < 0) {
        log_error("templates: nobody outside is told of the change: out of memory");
    }
    buf_fini(&state);
}

static void begin_event(struct buf *out, const struct worker *w, const char *state) {
    buf_putc(out, '{');
    answers_put(out, "type", "template");
    answers_put_time(out, "at", clock_wall_ms(w->place.clock));
    answers_put(out, "state", state);
    answers_put(out, "worker", queue_consumer(w->queue));
    answers_put(out, "version", template_set_version(w->templates));
}

static void tell_live(struct worker *w, const char *previous) {
    struct buf event = BUF_INIT;
    begin_event(&event, w, "live");
    answers_put(&event, "previous", previous);
    buf_putc(&event, '}');
    tell(w, buf_str(&event), "templates.live", NULL);
    buf_fini(&event);
    log_notice("new templates are in use: version %.12s", template_set_version(w->templates));
}

/* `version` in the event is the one that goes on serving. */
static void tell_refused(struct worker *w, const struct template_report *report, const struct err *err) {
    struct buf event = BUF_INIT;
    begin_event(&event, w, "refused");
    buf_putf(&event, ",\"errors\":%zu", report->n_errors);
    answers_put(&event, "reason", err->text);
    buf_putc(&event, '}');
    tell(w, buf_str(&event), "templates.refused", err->text);
    buf_fini(&event);
    log_error("new templates are refused, the old ones stay in use: %s", err->text);
    for (size_t i = 0; i < report->n; i++) {
        struct buf text = BUF_INIT;
        template_finding_put(&report->findings[i], NULL, &text);
        log_line(report->findings[i].is_error ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "%s",
                 buf_str(&text) == NULL ? "out of memory" : buf_str(&text));
        buf_fini(&text);
    }
}

/* ---- changing ------------------------------------------------------------------------------------------------------ */

static int keep(const struct settings *settings, const struct template_set *set, struct err *err) {
    const char *archive = settings->templates.archive;
    if (archive == NULL) {
        log_warning("no templates.archive is set: when the words change, messages that were sent before cannot be made again");
        return 0;
    }
    if (mkdir(archive, 0755) < 0 && errno != EEXIST) {
        return err_system(err, archive);
    }
    return template_set_keep(set, archive, err);
}

static void use(struct worker *w, struct template_set *set_take) {
    template_set_free(w->templates);
    w->templates = set_take;
    w->templates_since_ms = clock_wall_ms(w->place.clock);
    w->templates_refused = false;
    w->place.templates = set_take;
}

static void on_change(void *ctx, struct template_set *set, const struct template_report *report, const struct err *err) {
    struct worker *w = ctx;
    struct err why = *err;
    if (set == NULL || keep(w->place.settings, set, &why) < 0) {
        template_set_free(set);
        w->templates_refused = true;
        tell_refused(w, report, &why);
        return;
    }
    if (strcmp(template_set_version(set), template_set_version(w->templates)) == 0) {
        template_set_free(set);
        if (w->templates_refused) {
            w->templates_refused = false;
            tell(w, NULL, NULL, NULL);
            log_notice("the templates are those in use again: version %.12s", template_set_version(w->templates));
        }
        return;
    }
    char previous[65];
    (void)snprintf(previous, sizeof previous, "%s", template_set_version(w->templates));
    use(w, set);
    tell_live(w, previous);
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

int live_words_open(struct worker *w, const struct settings *settings, struct arena *arena, struct err *err) {
    const struct words_settings *words = &settings->templates;
    const char *dir = settings_live_words(words, arena, err);
    if (words->reset_key_file != NULL && conf_read_secret(words->reset_key_file, arena, &w->place.reset_key, err) < 0) {
        return -1;
    }
    struct template_set *set = dir == NULL ? NULL : template_set_load(dir, NULL, err);
    if (set == NULL) {
        return err_prefix(err, "templates");
    }
    use(w, set);
    if (keep(settings, set, err) < 0) {
        return err_prefix(err, "templates.archive");
    }
    w->template_watch = template_watch_new(w->base, dir, on_change, w, err);
    return w->template_watch == NULL ? err_prefix(err, "templates") : 0;
}

void live_words_announce(struct worker *w) {
    tell(w, NULL, NULL, NULL);
}

void live_words_show_counters(struct worker *w) {
    if (queue_count(w->queue, "templates.live", 0) < 0 || queue_count(w->queue, "templates.refused", 0) < 0) {
        log_info("templates: the counters are shown when Redis is there again");
    }
}

void live_words_close(struct worker *w) {
    template_watch_free(w->template_watch);
    template_set_free(w->templates);
}
