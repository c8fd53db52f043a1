/* archive: template_set_keep(), template_publish() and template_set_load_kept() of template.h.
 *
 * A version is a directory named by its hash. It is written under another name and renamed when it is whole, so a crash leaves no half
 * version under the true name, and two writers of the same version cannot harm each other: the second finds it there.
 *
 * Guarantees: what is loaded has the hash it is named by, or is refused. Fails: where the directory cannot be written.
 * Does not: delete; how long versions must stay is the operator's to say. */
#include "templates/set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 1024 };

/* Makes the directories on the way to `path` below the first `root` bytes of it. 0 or -1 with errno. */
static int make_way(char *path, size_t root) {
    for (char *slash = strchr(path + root + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int rc = mkdir(path, 0755);
        *slash = '/';
        if (rc < 0 && errno != EEXIST) {
            return -1;
        }
    }
    return 0;
}

static int write_file(const char *dir, const struct kept_file *file, struct err *err) {
    char path[PATH_MAX_BYTES];
    if (snprintf(path, sizeof path, "%s/%s", dir, file->path) >= (int)sizeof path) {
        return err_set(err, ERR_LIMIT, "%s: the name is too long", file->path);
    }
    FILE *stream = make_way(path, strlen(dir)) < 0 ? NULL : fopen(path, "we");
    if (stream == NULL) {
        return err_system(err, path);
    }
    bool written = fwrite(file->bytes, 1, file->len, stream) == file->len && fflush(stream) == 0 && fsync(fileno(stream)) == 0;
    if (fclose(stream) != 0 || !written) {
        return err_system(err, path);
    }
    return 0;
}

/* Removes what a failed keep has written; what cannot be removed stays under its temporary name. */
static void remove_files(const char *dir, const struct kept_file *files) {
    char path[PATH_MAX_BYTES];
    for (const struct kept_file *file = files; file != NULL; file = file->next) {
        int len = snprintf(path, sizeof path, "%s/%s", dir, file->path);
        if (len >= (int)sizeof path) {
            continue;
        }
        (void)unlink(path);
        for (char *slash = strrchr(path, '/'); slash != NULL && (size_t)(slash - path) >= strlen(dir); slash = strrchr(path, '/')) {
            *slash = '\0';
            (void)rmdir(path);
        }
    }
    (void)rmdir(dir);
}

int template_set_keep(const struct template_set *set, const char *archive, struct err *err) {
    char kept[PATH_MAX_BYTES];
    char fresh[PATH_MAX_BYTES];
    int rc = 0;
    if (snprintf(kept, sizeof kept, "%s/%s", archive, set->version) >= (int)sizeof kept ||
        snprintf(fresh, sizeof fresh, "%s/.%s.XXXXXX", archive, set->version) >= (int)sizeof fresh) {
        return err_set(err, ERR_LIMIT, "%s: the name is too long", archive);
    }
    if (access(kept, F_OK) == 0) {
        return 0;
    }
    if (mkdtemp(fresh) == NULL) {
        return err_system(err, archive);
    }
    for (const struct kept_file *file = set->files; file != NULL && rc == 0; file = file->next) {
        rc = write_file(fresh, file, err);
    }
    if (rc == 0 && (chmod(fresh, 0755) < 0 || rename(fresh, kept) < 0) && errno != EEXIST && errno != ENOTEMPTY) {
        rc = err_system(err, kept);
    }
    remove_files(fresh, set->files);
    return rc;
}

static bool is_version(const char *text) {
    return strlen(text) == 64 && text[strspn(text, "0123456789abcdef")] == '\0';
}

/* Where a version is kept, into `path`. 0, or -1 with *err. */
static int kept_path(const char *archive, const char *version, char path[PATH_MAX_BYTES], struct err *err) {
    if (!is_version(version) || snprintf(path, PATH_MAX_BYTES, "%s/%s", archive, version) >= PATH_MAX_BYTES || access(path, F_OK) < 0) {
        return err_set(err, ERR_UNKNOWN, "the version %.64s of the templates is not kept in %.200s", version, archive);
    }
    return 0;
}

int template_publish(const char *archive, const char *version, struct err *err) {
    char path[PATH_MAX_BYTES];
    char fresh[PATH_MAX_BYTES];
    char live[PATH_MAX_BYTES];
    if (kept_path(archive, version, path, err) < 0) {
        return -1;
    }
    if (snprintf(fresh, sizeof fresh, "%s/." TEMPLATE_LIVE ".%ld", archive, (long)getpid()) >= (int)sizeof fresh ||
        snprintf(live, sizeof live, "%s/" TEMPLATE_LIVE, archive) >= (int)sizeof live) {
        return err_set(err, ERR_LIMIT, "%s: the name is too long", archive);
    }
    (void)unlink(fresh); /* of a process of this number that was killed here */
    if (symlink(version, fresh) < 0) {
        return err_system(err, archive);
    }
    if (rename(fresh, live) < 0) {
        (void)err_system(err, live);
        (void)unlink(fresh);
        return -1;
    }
    return 0;
}

struct template_set *template_set_load_kept(const char *archive, const char *version, struct err *err) {
    char path[PATH_MAX_BYTES];
    if (kept_path(archive, version, path, err) < 0) {
        return NULL;
    }
    struct template_set *set = template_set_load(path, NULL, err);
    if (set != NULL && strcmp(set->version, version) != 0) {
        template_set_free(set);
        (void)err_set(err, ERR_CONFLICT, "the files of version %.64s were changed after they were kept", version);
        return NULL;
    }
    return set;
}
