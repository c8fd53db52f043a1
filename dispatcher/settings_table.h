/* settings_table: what the two settings files share. Private to them. */
#ifndef REACH_DISPATCHER_SETTINGS_TABLE_H
#define REACH_DISPATCHER_SETTINGS_TABLE_H

#include "dispatcher/settings.h"

/* The name of the route that a configuration without `routes` gets. */
#define SETTINGS_DEFAULT_ROUTE "security"

/* One route (section `routes`). */
extern const struct conf_table settings_route_table;

/* Index of the default route, or routes.n where there is none of that name. */
size_t settings_default_route(const struct settings *settings);

#endif
