/* settings: the whole configuration, put together from the rooms' tables. Used by reachd and reachctl alike. */
#ifndef REACH_DISPATCHER_SETTINGS_H
#define REACH_DISPATCHER_SETTINGS_H

#include "base/arena.h"
#include "base/conf.h"
#include "channels/channel.h"
#include "channels/listener.h"
#include "dispatcher/archive.h"
#include "dispatcher/core/mailbox.h"
#include "dispatcher/core/plan.h"
#include "dispatcher/journal.h"
#include "dispatcher/quiet.h"
#include "queue/queue.h"

struct worker_settings {
    int64_t in_flight_max;   /* notices at once */
    int64_t retry_base_ms;   /* first backoff */
    int64_t retry_cap_ms;    /* longest backoff */
    int64_t gateway_look_ms; /* how soon a notice behind a drained gateway looks again */
    int64_t drain_ms;        /* how long SIGTERM waits for what is in flight */
    int64_t receipt_wait_ms; /* how long a receipt whose message is not known (yet) is kept */
    int64_t redis_wait_ms;   /* --standalone: how long to wait for its own redis-server */
};

/* What makes a set of words the one in use. */
enum goes_live { GOES_LIVE_SAVED, GOES_LIVE_PUBLISHED };

struct words_settings {
    const char *directory;
    const char *default_locale;
    const char *archive;        /* where the versions in use are kept; NULL: nowhere */
    int64_t goes_live;          /* enum goes_live */
    const char *reset_key_file; /* signs {{reset_link}}; NULL: there is none */
};

struct clearance_settings {
    int64_t valid_ms;             /* how long a clearance lasts */
    const char *unverified_needs; /* least evidence through a contact point that nobody has verified */
};

struct banner_settings {
    const char *login_key_file; /* hashes logins for the login page; NULL: nothing is shown there */
};

struct desk_settings {
    const char *owner;          /* who owns a new desk case */
    int64_t banner_ms;          /* how long a banner stays where the job has no expires_at */
    const char *time_zone;      /* of the hours */
    struct conf_strings hours;  /* "mon-fri 09:00-17:00"; empty: not known */
    struct conf_strings closed; /* "2026-12-24..2027-01-06" */
    int64_t people;             /* who work on cases at once */
    int64_t case_ms;            /* what a case takes one of them */
};

struct emergency_settings {
    const char *notice;     /* template of the notice that follows an account disabled without clearance */
    struct conf_pairs data; /* its values */
};

struct settings {
    struct conf_where where;
    const char *log_level; /* error, warning, notice, info, debug */
    const char *libexec;   /* directory of reachd-mailer; NULL: beside reachd */
    const char *default_route;
    struct queue_settings redis;
    struct worker_settings worker;
    struct journal_settings journal;
    struct archive_settings archive;
    struct words_settings templates;
    struct clearance_settings clearance;
    struct banner_settings banner;
    struct desk_settings desk;
    struct emergency_settings emergency;
    struct listener_settings listener;
    struct conf_list own_domains; /* struct own_domain */
    struct conf_list gateways;    /* struct gateway_settings */
    struct conf_list routes;      /* struct route_settings */
    struct conf_list quiet_hours; /* struct quiet_settings */
};

struct route_settings {
    struct conf_where where;
    const char *name;
    struct conf_list steps; /* struct step_settings */
};

struct step_settings {
    const char *channel;
    const char *success; /* sent, delivered, seen, acknowledged */
    int64_t wait_ms;
    int64_t attempts_max;
    int64_t retry_for_ms;
};

extern const struct conf_table settings_table;

/* Reads and checks everything that can be checked without a network: keys, ranges, channel, driver and route names, doubled
 * names. Everything lives in `arena`. `path` NULL: the defaults. 0, or -1 with *err holding file, line, key and remedy. */
int settings_read(const char *path, struct arena *arena, struct settings *settings, struct err *err);

/* The directory of the words that are live: `directory` itself, or the published version. In the arena or borrowed; NULL with *err: nothing
 * is published yet. */
const char *settings_live_words(const struct words_settings *words, struct arena *arena, struct err *err);

/* Compiles the own domains. NULL with *err. */
const struct mailbox_rules *settings_rules(const struct settings *settings, struct arena *arena, struct err *err);

/* The routes as the core wants them; n_r of them. NULL with *err. routes[0] is the default route. */
const struct route *settings_routes(const struct settings *settings, struct arena *arena, size_t *n_r, struct err *err);

#endif
