/* template list, template publish: what there is to send, which versions of the words are in use, and how another goes live.
 *
 * `list` names the notices of a set that would go live with the locales each is written in, and, where Redis answers, the versions: which
 * one every reachd uses, and how many notices in flight and finished had their last message made from each. Those numbers are counters that
 * change in the same step as the notices themselves, so they cost the same for a thousand notices and for a million. Where the folder does
 * not pass its checks, the versions are shown all the same: that is when one wants to know.
 *
 * `publish` checks a whole set, keeps it in the archive and makes it the live one by turning a link. Where reachd takes what is saved
 * (templates.goes_live: saved) there is nothing to turn: it says so.
 *
 * Exit codes: 1 where the set must not go live. Does not: wait for reachd, which takes a published set within a second. */
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/sent.h"
#include "cli/view.h"
#include "templates/template.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- notices ------------------------------------------------------------------------------------------------------------ */

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

/* ---- versions ----------------------------------------------------------------------------------------------------------- */

enum { SHORT = 16 }; /* digits of a version that name its counters */

/* The row of a version, found by its first digits or made. Borrowed. */
static json_t *version_row(json_t *versions, const char *version, size_t len) {
    size_t i;
    json_t *row;
    json_array_foreach(versions, i, row) {
        if (strncmp(view_get(row, "version"), version, SHORT) == 0) {
            return row;
        }
    }
    row = json_object();
    (void)json_object_set_new(row, "version", json_stringn(version, len));
    (void)json_object_set_new(row, "live", json_array());
    (void)json_object_set_new(row, "kept", json_false());
    (void)json_object_set_new(row, "in_flight", json_integer(0));
    (void)json_object_set_new(row, "finished", json_integer(0));
    (void)json_array_append_new(versions, row);
    return row;
}

static void add_number(json_t *row, const char *name, json_int_t by) {
    (void)json_object_set_new(row, name, json_integer(json_integer_value(json_object_get(row, name)) + by));
}

/* "template.<16 digits>.taken", ".left", ".finished" (dispatcher/attempt.c). */
static void file_counter(json_t *versions, const char *counter, json_int_t value) {
    static const char prefix[] = "template.";
    const char *version = counter + sizeof prefix - 1;
    if (strncmp(counter, prefix, sizeof prefix - 1) != 0 || strlen(version) < SHORT + 2 || version[SHORT] != '.') {
        return;
    }
    json_t *row = version_row(versions, version, SHORT);
    const char *what = version + SHORT + 1;
    add_number(row, "in_flight", strcmp(what, "taken") == 0 ? value : -value);
    add_number(row, "finished", strcmp(what, "finished") == 0 ? value : 0);
}

/* What each reachd says that it uses. */
static void file_worker(json_t *versions, const char *worker, const char *text) {
    json_t *state = json_loads(text, 0, NULL);
    const char *version = view_get(state, "version");
    if (version != NULL && strlen(version) >= SHORT) {
        json_t *row = version_row(versions, version, strlen(version));
        json_t *live = json_object();
        view_text(live, "worker", worker);
        view_text(live, "since", view_get(state, "since"));
        view_text(live, "refused_at", view_get(state, "refused_at"));
        view_text(live, "refused", view_get(state, "refused"));
        (void)json_array_append_new(json_object_get(row, "live"), live);
    }
    json_decref(state);
}

/* `workers`: the hash `templates`. In the arena; NULL: none. */
static const char *told_archive(struct ctl *ctl, json_t *workers) {
    const char *name;
    json_t *value;
    json_object_foreach(workers, name, value) {
        json_t *state = json_loads(json_string_value(value), 0, NULL);
        const char *told = view_get(state, "archive");
        const char *archive = told != NULL && access(told, X_OK) == 0 ? arena_strdup(&ctl->arena, told) : NULL;
        json_decref(state);
        if (archive != NULL) {
            return archive;
        }
    }
    return NULL;
}

const char *versions_archive(struct ctl *ctl) {
    struct err ignored;
    if (ctl->settings.templates.archive != NULL) {
        return ctl->settings.templates.archive;
    }
    struct store *store = ctl_store(ctl, &ignored);
    json_t *workers = store == NULL ? NULL : store_hash(store, "templates", &ignored);
    const char *archive = told_archive(ctl, workers);
    json_decref(workers);
    return archive;
}

/* The versions that the archive has. */
static void file_kept(json_t *versions, const char *archive) {
    struct dirent **entries = NULL;
    int n = archive == NULL ? 0 : scandir(archive, &entries, is_folder, alphasort);
    for (int i = 0; i < n; i++) {
        if (strlen(entries[i]->d_name) == 64) {
            json_t *row = version_row(versions, entries[i]->d_name, 64);
            (void)json_object_set_new(row, "kept", json_true());
            view_text(row, "version", entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
}

/* What Redis knows of versions: array of {version, live, kept, in_flight, finished}. New; NULL with *err. */
static json_t *read_versions(struct ctl *ctl, struct err *err) {
    struct store *store = ctl_store(ctl, err);
    json_t *status = store == NULL ? NULL : store_status(store, err);
    json_t *workers = status == NULL ? NULL : store_hash(store, "templates", err);
    if (workers == NULL) {
        json_decref(status);
        return NULL;
    }
    json_t *versions = json_array();
    const char *name;
    json_t *value;
    json_object_foreach(workers, name, value) {
        file_worker(versions, name, json_string_value(value));
    }
    file_kept(versions, versions_archive(ctl));
    json_t *counters = json_object_get(status, "counters");
    json_object_foreach(counters, name, value) {
        file_counter(versions, name, json_integer_value(value));
    }
    json_decref(workers);
    json_decref(status);
    return versions;
}

static void put_live(struct buf *out, const json_t *live) {
    for (size_t i = 0; i < json_array_size(live); i++) {
        const json_t *worker = json_array_get(live, i);
        const char *refused = view_get(worker, "refused_at");
        buf_putf(out, "%s%s since %s%s%s", i == 0 ? "" : ", ", view_get(worker, "worker"), view_get(worker, "since"),
                 refused == NULL ? "" : "; a newer set was refused at ", refused == NULL ? "" : refused);
    }
}

static enum ctl_exit print_versions(const struct ctl *ctl, const json_t *versions) {
    static const struct column columns[] = {{"VERSION", COLUMN_TEXT},
                                            {"IN FLIGHT", COLUMN_NUMBER},
                                            {"FINISHED", COLUMN_NUMBER},
                                            {"KEPT", COLUMN_TEXT},
                                            {"IN USE BY", COLUMN_LONG}};
    struct table *table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    output_heading(ctl, "Versions");
    for (size_t i = 0; table != NULL && i < json_array_size(versions); i++) {
        const json_t *row = json_array_get(versions, i);
        struct buf live = BUF_INIT;
        char version[SHORT + 1];
        char in_flight[24];
        char finished[24];
        put_live(&live, json_object_get(row, "live"));
        (void)snprintf(version, sizeof version, "%s", view_get(row, "version"));
        (void)snprintf(in_flight, sizeof in_flight, "%lld", (long long)json_integer_value(json_object_get(row, "in_flight")));
        (void)snprintf(finished, sizeof finished, "%lld", (long long)json_integer_value(json_object_get(row, "finished")));
        table_row(
            table, live.len > 0 ? MOOD_GOOD : MOOD_PLAIN,
            (const char *[]){version, in_flight, finished, json_is_true(json_object_get(row, "kept")) ? "yes" : "no", buf_str(&live)});
        buf_fini(&live);
    }
    return table_print(table);
}

/* ---- list --------------------------------------------------------------------------------------------------------------- */

/* `set` and `notices` are NULL where the folder does not pass its checks, `versions` where Redis does not answer. */
static enum ctl_exit print_list(const struct ctl *ctl, const struct template_set *set, json_t *notices, json_t *versions) {
    if (ctl->globals.json) {
        return output_json(json_pack("{s:s?, s:O?, s:O?}", "version", set == NULL ? NULL : template_set_version(set), "notices", notices,
                                     "versions", versions));
    }
    enum ctl_exit code = notices == NULL ? CTL_DONE : print_notices(ctl, notices);
    return code == CTL_DONE && versions != NULL ? print_versions(ctl, versions) : code;
}

/* The folder a command works on: as told, else the configured one. NULL with *err. */
static const char *folder(struct ctl *ctl, const struct call *call, struct err *err) {
    const struct settings *settings = ctl_settings(ctl, err);
    return settings == NULL ? NULL : call->n_arguments > 0 ? call->arguments[0] : settings->templates.directory;
}

enum ctl_exit template_list_run(struct ctl *ctl, const struct call *call) {
    struct err err;
    const char *dir = folder(ctl, call, &err);
    struct template_set *set = dir == NULL ? NULL : template_set_load(dir, NULL, &err);
    json_t *notices = set == NULL ? NULL : read_notices(dir, set, &err);
    bool failed = notices == NULL;
    if (failed) {
        (void)ctl_fail(&err);
    }
    json_t *versions = dir == NULL ? NULL : read_versions(ctl, &err);
    if (dir != NULL && versions == NULL) {
        ctl_say("the versions in use are not shown: %s", err.text);
    }
    enum ctl_exit code = failed && versions == NULL ? CTL_FAILED : print_list(ctl, set, notices, versions);
    json_decref(notices);
    json_decref(versions);
    template_set_free(set);
    return failed ? CTL_FAILED : code;
}

/* ---- publish ------------------------------------------------------------------------------------------------------------ */

/* The set to publish: a folder, checked, or with --kept one that is kept. NULL with *err. */
static struct template_set *load_wanted(const struct ctl *ctl, const char *dir, const char *version, struct err *err) {
    if (version != NULL) {
        return template_set_load_kept(ctl->settings.templates.archive, version, err);
    }
    struct template_report report = {0};
    struct template_set *set = template_set_load(dir, &report, err);
    if (set == NULL) {
        print_findings(dir, &report, false, stderr);
    }
    template_report_fini(&report);
    return set;
}

static int publish(const struct ctl *ctl, const struct template_set *set, struct err *err) {
    const char *archive = ctl->settings.templates.archive;
    if (mkdir(archive, 0755) < 0 && errno != EEXIST) {
        return err_system(err, archive);
    }
    if (template_set_keep(set, archive, err) < 0) {
        return -1;
    }
    return template_publish(archive, template_set_version(set), err);
}

/* Where saving is publishing: nothing to do for the watched folder, and no other can be published. 0, or -1 with *err. */
static int check_saved(const struct words_settings *words, const char *dir, const char *version, struct err *err) {
    struct stat wanted;
    struct stat watched;
    if (version == NULL && stat(dir, &wanted) == 0 && stat(words->directory, &watched) == 0 && wanted.st_ino == watched.st_ino &&
        wanted.st_dev == watched.st_dev) {
        return 0;
    }
    return err_set(err, ERR_CONFLICT,
                   "reachd takes what is saved in %.200s by itself (templates.goes_live: saved); to publish other folders or versions set "
                   "templates.goes_live to published, and templates.archive",
                   words->directory);
}

enum ctl_exit template_publish_run(struct ctl *ctl, const struct call *call) {
    struct err err;
    const char *dir = folder(ctl, call, &err);
    const char *version = call_value(call, "kept");
    if (dir == NULL) {
        return ctl_fail(&err);
    }
    const struct words_settings *words = &ctl->settings.templates;
    bool saved = words->goes_live == GOES_LIVE_SAVED;
    struct template_set *set = NULL;
    if ((saved && check_saved(words, dir, version, &err) < 0) || (set = load_wanted(ctl, dir, version, &err)) == NULL ||
        (!saved && publish(ctl, set, &err) < 0)) {
        template_set_free(set);
        return ctl_fail(&err);
    }
    enum ctl_exit code = CTL_DONE;
    if (ctl->globals.json) {
        code = output_json(json_pack("{s:s, s:b}", "version", template_set_version(set), "published", !saved));
    } else {
        (void)printf("%s\n", template_set_version(set));
        ctl_say(saved ? "the folder passes its checks; reachd takes it by itself (templates.goes_live: saved)"
                      : "published; reachd takes it within a second");
    }
    template_set_free(set);
    return code;
}
