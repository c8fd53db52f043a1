/* http_settings: what an operator writes about one HTTP gateway: the provider (by description or in place), the account, the limits. */
#ifndef REACH_CHANNELS_HTTP_SETTINGS_H
#define REACH_CHANNELS_HTTP_SETTINGS_H

#include "base/conf.h"
#include "channels/http_description.h"

struct http_settings {
    struct http_description in_place; /* stays first: the rows of both tables are the same */
    struct conf_where where;
    const char *description;      /* name of a shipped description, or NULL */
    const char *description_file; /* path of the operator's own, or NULL */
    struct conf_pairs variables;  /* values for the description's {{placeholders}}: account ids, regions */
    const char *from;             /* {{from}}: sender id or number */
    const char *username;
    const char *secret_file;
    const char *receipt_secret_file; /* key that receipts are signed with, where it is not the one in secret_file */
    const char *receipt_url;         /* the public address that the provider calls, exactly as it was given to the provider */
    const char *receipt_topic;       /* SNS: ARN of the topic whose messages are our receipts */
    const char *ca_file;
    bool allow_insecure;
    bool allow_private;
    int64_t connect_timeout_ms;
    int64_t timeout_ms;
    int64_t keep_alive_ms;
    int64_t connections;
    int64_t parallel; /* requests at once */
    int64_t answer_max_bytes;
};

extern const struct conf_table http_table;

/* The description that the settings name or hold. It lives in the arena or in the settings. NULL with *err. */
const struct http_description *http_settings_description(const struct http_settings *settings, struct arena *arena, struct err *err);

/* What was read from the files that the settings name. */
struct http_secrets {
    const char *secret;         /* password or token, one line; or NULL */
    const char *key_pem;        /* private key of the auth kinds that sign; or NULL */
    const char *receipt_secret; /* or NULL */
    struct conf_pairs members;  /* other strings of a JSON key file */
};

/* Every placeholder of the operator's: from, username, secret, receipt_url, receipt_secret, variables, members of a key file, defaults of
 * the description. 0, or -1 with *err where something that the description needs is missing. */
int http_settings_constants(const struct http_settings *settings, const struct http_description *description,
                            const struct http_secrets *secrets, struct arena *arena, struct conf_pairs *constants_r, struct err *err);

#endif
