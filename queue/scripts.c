/* scripts: see scripts.h.
 *
 * The texts are compiled in (build/gen/queue_scripts.h, made by the Makefile), so a program always runs the scripts that fit it.
 * The name is computed here rather than taken from SCRIPT LOAD's reply: a call can then be built, kept and sent again
 * over any connection. Fails: by want of memory or of SHA-1 in libcrypto. */
#include "queue/scripts.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "queue_scripts.h"

#define SCRIPT_TEXT(id, name, parts) [id] = {script_##name, parts},
static const struct {
    const char *text;
    unsigned parts; /* enum script_with */
} sources[SCRIPT_COUNT] = {SCRIPT_LIST(SCRIPT_TEXT)};

static const char *behind_head(const char *text) {
    while (*text == '-' || *text == '\n') {
        text = strchr(text, '\n') + 1;
    }
    return text;
}

static const char *put_together(struct arena *arena, const char *text, unsigned parts) {
    if (parts == WITH_NOT_EVEN_COMMON) {
        return behind_head(text);
    }
    return arena_printf(arena, "%s%s%s%s%s", script_common, (parts & WITH_LEASES) != 0 ? script_leases : "",
                        (parts & WITH_CUSTOMERS) != 0 ? script_customers : "", (parts & WITH_EFFECTS) != 0 ? script_effects : "", text);
}

static int make_one(struct arena *arena, enum script_id id, struct script *script, struct err *err) {
    script->text = put_together(arena, sources[id].text, sources[id].parts);
    if (script->text == NULL) {
        return err_no_memory(err);
    }
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_Digest(script->text, strlen(script->text), digest, &len, EVP_sha1(), NULL) != 1 || len != 20) {
        return err_set(err, ERR_SYSTEM, "libcrypto offers no SHA-1, which Redis names scripts by");
    }
    for (unsigned i = 0; i < len; i++) {
        (void)snprintf(script->sha + 2 * i, 3, "%02x", digest[i]);
    }
    return 0;
}

int scripts_make(struct arena *arena, struct script scripts[SCRIPT_COUNT], struct err *err) {
    for (int i = 0; i < SCRIPT_COUNT; i++) {
        if (make_one(arena, (enum script_id)i, &scripts[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

const char *scripts_library(void) {
    return script_library;
}
