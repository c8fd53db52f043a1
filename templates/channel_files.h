/* channel_files: which file holds the words of a channel, and how it is read. Private to templates/. */
#ifndef REACH_TEMPLATES_CHANNEL_FILES_H
#define REACH_TEMPLATES_CHANNEL_FILES_H

#include "templates/files.h"

struct channel_file {
    const char *name; /* "email.md" */
    /* Compiles the file into words->part[]; 0, or -1 with findings. */
    int (*compile)(struct files *files, struct compiler *compiler, struct source *source, struct words *words);
};

/* By enum channel_id. Adding a channel adds its row. */
extern const struct channel_file channel_files[CHANNEL_COUNT];

#endif
