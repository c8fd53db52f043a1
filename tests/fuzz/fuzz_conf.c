/* fuzz_conf: any bytes as a configuration. Whatever comes in, either every field holds what its row allows, or there is an error of one
 * line that is UTF-8; nothing is read outside the text and the work stays bounded. */
#include "base/text.h"
#include "dispatcher/settings.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const struct err *err) {
    size_t len = strlen(err->text);
    if (len == 0 || strchr(err->text, '\n') != NULL || !text_is_utf8(err->text, len) || !text_is_utf8(err->member, strlen(err->member))) {
        abort();
    }
}

static void check_settings(const struct settings *settings) {
    const struct route_settings *routes = settings->routes.items;
    for (size_t i = 0; i < settings->routes.n; i++) {
        if (routes[i].name == NULL || !text_is_id(routes[i].name) || routes[i].steps.n == 0) {
            abort();
        }
    }
    if (settings->worker.in_flight_max < 1 || settings->worker.retry_cap_ms < settings->worker.retry_base_ms) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct settings settings;
    struct err err;
    err_clear(&err);
    if (conf_read_text((const char *)data, size, "fuzz/f.yaml", &settings_table, &settings, &arena, &err) < 0) {
        check_error(&err);
    } else {
        check_settings(&settings);
    }
    arena_fini(&arena);
    return 0;
}
