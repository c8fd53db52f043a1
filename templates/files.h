/* files: the files of a set, read once, in a fixed order, into the version. Private to templates/. */
#ifndef REACH_TEMPLATES_FILES_H
#define REACH_TEMPLATES_FILES_H

#include "templates/compile.h"

#include <openssl/evp.h>

/* Reads files below one directory. */
struct files {
    const char *dir;
    struct arena *arena; /* of the set: file texts live as long as it does */
    struct template_report *report;
    EVP_MD_CTX *hash;
    struct kept_file *kept; /* what was read, the last first */
};

/* 0, or -1 with *err. */
int files_init(struct files *files, const char *dir, struct arena *arena, struct template_report *report, struct err *err);
void files_fini(struct files *files);

/* The hash of all that was read so far, 64 hex digits. 0 or -1 with *err. */
int files_version(struct files *files, char version[65], struct err *err);

/* Reads a file (path relative to the directory) as a whole: UTF-8, at most 64 KiB, no NUL, no character that the engine uses as a marker.
 * 1; 0 where there is no such file; -1 with a finding. */
int files_read(struct files *files, const char *path, struct source *source);

/* Names of the sub-directories of `path` ("" the top), sorted, without those that begin with a dot. 0 or -1 with a finding. */
int files_directories(struct files *files, const char *path, struct conf_strings *names);

/* Takes the front matter (between two lines "---") off a file: *front_r gets it with its first marker, so that its lines keep their
 * numbers; *source becomes the rest. Without front matter *front_r is empty. 0, or -1 with a finding (never closed). */
int files_split(struct files *files, struct source *source, struct source *front_r);

/* Reads YAML into *object by the table; a fault becomes a finding with its line. */
int files_yaml(struct files *files, const struct source *source, const struct conf_table *table, void *object);

/* The line of `key:` in a piece of YAML, or the piece's first line. */
int files_key_line(const struct source *yaml, const char *key);

#endif
