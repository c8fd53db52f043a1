/* registry: the list of drivers, the only place where all of them are known.
 *
 * A new driver is its .c, one line here and a test. Names are unique; the order is the one that error texts show. */
#include "channels/channel.h"

#include <stddef.h>
#include <string.h>

extern const struct channel_driver channel_smtp;
extern const struct channel_driver channel_http;
extern const struct channel_driver channel_banner;
extern const struct channel_driver channel_null;
extern const struct channel_driver channel_fake;

static const struct channel_driver *const drivers[] = {
    &channel_smtp, &channel_http, &channel_banner, &channel_null, &channel_fake,
};

const struct channel_driver *channel_driver_find(const char *name) {
    for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++) {
        if (strcmp(drivers[i]->name, name) == 0) {
            return drivers[i];
        }
    }
    return NULL;
}

const char *channel_driver_names(void) {
    static char names[128];
    if (names[0] == '\0') {
        for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++) {
            if (i > 0) {
                strncat(names, ", ", sizeof names - strlen(names) - 1);
            }
            strncat(names, drivers[i]->name, sizeof names - strlen(names) - 1);
        }
    }
    return names;
}
