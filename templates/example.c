/* example: see example.h. The times are fixed, so that the same words always give the same preview. */
#include "templates/example.h"

#include <stdlib.h>

static json_t *example_of(const struct variable *variable) {
    const char *first = variable->example.n > 0 ? variable->example.items[0] : "";
    switch ((enum variable_type)variable->type) {
    case VARIABLE_NUMBER: return json_real(strtod(first, NULL));
    case VARIABLE_FLAG: return json_true();
    case VARIABLE_LIST: break;
    default: return json_string(first);
    }
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < variable->example.n; i++) {
        if (json_array_append_new(list, json_string(variable->example.items[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *example_data(const struct notice_words *notice, bool all) {
    const struct variable *variables = notice->variables.items;
    json_t *data = json_object();
    for (size_t i = 0; data != NULL && i < notice->variables.n; i++) {
        if ((all || variables[i].required) && json_object_set_new(data, variables[i].name, example_of(&variables[i])) < 0) {
            json_decref(data);
            return NULL;
        }
    }
    return data;
}

struct template_values example_values(const json_t *data, bool all, bool in_force) {
    static const char key[] = "an example key, good for nothing";
    const int64_t now_ms = 1797930000000; /* 2026-12-22T09:00:00Z */
    const int64_t day_ms = 86400000;
    struct template_values values = {.data = data, .now_ms = now_ms};
    if (!in_force) {
        values.effective_at_ms = now_ms + day_ms;
    }
    if (all) {
        values.customer_name = "Ada Lovelace";
        values.account = "ada@walton.example";
        values.time_zone = "Europe/London";
        values.effective_at_ms = in_force ? now_ms - day_ms : now_ms + day_ms;
        values.expires_at_ms = now_ms + 40 * day_ms;
        values.notice_id = "N-example";
        values.customer_id = "C-example";
        values.reset_key = key;
        values.reset_key_len = sizeof key - 1;
    }
    return values;
}
