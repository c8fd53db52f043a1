/* gateway_check: see gateway_check.h.
 *
 * What the configuration's tables can see is refused when the file is read; what stands in other files (secrets, private keys) only when a
 * gateway is opened. Whoever lints wants to know both before anything starts, so each driver may look at all of it beforehand
 * (channel_driver.check). A driver without such a look is taken at its word.
 *
 * Does not: connect, or start a helper. */
#include "dispatcher/gateway_check.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int gateway_fault(const struct gateway_settings *settings, struct err *err) {
    char where[256];
    if (err->member[0] != '\0') {
        (void)err_prefix(err, err->member);
    }
    (void)err_prefix(err, settings->name);
    return settings->where.file == NULL ? -1 : err_prefix(err, conf_where_text(&settings->where, where, sizeof where));
}

/* Whether what could not be read is a credential of the unit, which is there only while the unit runs and only for it. */
static bool is_credential(const struct err *err) {
    return strstr(err->text, " /run/credentials/") != NULL && getenv("CREDENTIALS_DIRECTORY") == NULL;
}

int gateway_check(const struct gateway_settings *settings, struct err *err) {
    const struct channel_driver *driver = channel_driver_find(settings->driver);
    err_clear(err);
    if (driver == NULL) {
        (void)err_set(err, ERR_UNKNOWN, "no such driver (drivers: %s)", channel_driver_names());
        return gateway_fault(settings, err);
    }
    if (driver->check == NULL || driver->check(settings, err) == 0) {
        return 1;
    }
    (void)gateway_fault(settings, err);
    return is_credential(err) ? 0 : -1;
}
