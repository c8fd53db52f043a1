/* audience: see audience.h.
 *
 * Conditions narrow: all of them must fit, and of the values of one condition any. A customer who lacks what a condition asks about does
 * not fit it. A locale fits as language ranges do (RFC 4647, section 3.3.1): "de" also means de-AT.
 *
 * Guarantees: a member that is not known, an empty list, a domain that cannot be one are refused by name. An audience that was meant to be
 * smaller must never become everybody by a misspelling.
 *
 * Does not: read files or Redis, or know who is in the contact book. */
#include "dispatcher/audience.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TEXT_MAX_BYTES = 256, VALUES_MAX = 1000, PATH_MAX_BYTES = 4096 };

/* ---- reading ----------------------------------------------------------------------------------------------------------- */

/* A string or a list of strings: a condition's values. An empty list would fit nobody and is a mistake. */
static int read_texts(struct json_in *in, const char *name, struct arena *arena, struct address_list *list) {
    json_t *value = json_in_any(in, name, JSON_OPTIONAL);
    size_t n = json_is_string(value) ? 1 : json_array_size(value);
    if (value == NULL) {
        return 0;
    }
    if (n == 0 || n > VALUES_MAX) {
        return json_in_fail(in, name, "must be a string or a list of 1 to %d strings", VALUES_MAX);
    }
    list->items = arena_array(arena, n, sizeof *list->items);
    for (size_t i = 0; list->items != NULL && i < n; i++) {
        const char *text = json_string_value(json_is_string(value) ? value : json_array_get(value, i));
        if (text == NULL || text[0] == '\0' || strlen(text) > TEXT_MAX_BYTES) {
            return json_in_fail(in, name, "must be a string or a list of 1 to %d strings", VALUES_MAX);
        }
        list->items[list->n++] = arena_strdup(arena, text);
    }
    return list->items == NULL || list->items[n - 1] == NULL ? err_no_memory(in->err) : 0;
}

static int canon_domains(struct json_in *in, const struct mailbox_rules *rules, struct arena *arena, struct address_list *list) {
    for (size_t i = 0; i < list->n; i++) {
        char canonical[MAILBOX_MAX];
        struct err why;
        if (mailbox_canon_domain(rules, list->items[i], canonical, &why) < 0) {
            return json_in_fail(in, "account_domain", "%s", why.text);
        }
        list->items[i] = arena_strdup(arena, canonical);
        if (list->items[i] == NULL) {
            return err_no_memory(in->err);
        }
    }
    return 0;
}

static bool is_scalar(const json_t *value) {
    return json_is_string(value) || json_is_number(value) || json_is_boolean(value);
}

static int read_attribute(struct json_in *in, const char *name, json_t *value, struct arena *arena, struct audience_attribute *attribute) {
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    const json_t **values = arena_array(arena, n, sizeof *values);
    *attribute = (struct audience_attribute){.name = arena_strdup(arena, name), .values = values, .n = n};
    if (values == NULL || attribute->name == NULL) {
        return err_no_memory(in->err);
    }
    for (size_t i = 0; i < n; i++) {
        values[i] = json_is_array(value) ? json_array_get(value, i) : value;
    }
    bool good = n > 0 && n <= VALUES_MAX;
    for (size_t i = 0; good && i < n; i++) {
        good = is_scalar(values[i]);
    }
    return good ? 0 : json_in_fail(in, "attributes", "must give each attribute a string, number or boolean, or a list of them");
}

static int read_attributes(struct json_in *in, struct arena *arena, struct audience *audience) {
    json_t *object = json_in_object(in, "attributes", JSON_OPTIONAL);
    size_t n = json_object_size(object);
    struct audience_attribute *attributes = arena_array(arena, n, sizeof *attributes);
    const char *name;
    json_t *value;
    if (object == NULL) {
        return 0;
    }
    if (attributes == NULL) {
        return err_no_memory(in->err);
    }
    json_object_foreach(object, name, value) {
        if (read_attribute(in, name, value, arena, &attributes[audience->n_attributes++]) < 0) {
            return -1;
        }
    }
    audience->attributes = attributes;
    return n > 0 ? 0 : json_in_fail(in, "attributes", "must name at least one attribute");
}

static int read_where(json_t *value, const struct mailbox_rules *rules, struct arena *arena, struct audience *audience, struct err *err) {
    struct json_in in;
    audience->kind = AUDIENCE_WHERE;
    json_in_begin(&in, value, "audience.where", err);
    if (read_texts(&in, "locale", arena, &audience->locales) < 0 || read_texts(&in, "time_zone", arena, &audience->time_zones) < 0 ||
        read_texts(&in, "account_domain", arena, &audience->account_domains) < 0 ||
        canon_domains(&in, rules, arena, &audience->account_domains) < 0 || read_attributes(&in, arena, audience) < 0) {
        return -1;
    }
    if (json_object_size(value) == 0) {
        (void)json_in_fail(&in, "", "must name a condition: locale, time_zone, account_domain or attributes");
    }
    return json_in_end(&in);
}

static int read_object(json_t *value, const struct mailbox_rules *rules, struct arena *arena, struct audience *audience, struct err *err) {
    struct json_in in;
    json_in_begin(&in, value, "audience", err);
    const char *file = json_in_string(&in, "file", JSON_OPTIONAL, PATH_MAX_BYTES);
    const char *set = json_in_id(&in, "set", JSON_OPTIONAL);
    json_t *where = json_in_object(&in, "where", JSON_OPTIONAL);
    if (!in.failed && (file != NULL) + (set != NULL) + (where != NULL) != 1) {
        (void)json_in_fail(&in, "", "must be \"all\", or an object with one of file, set and where");
    }
    if (json_in_end(&in) < 0) {
        return -1;
    }
    if (where != NULL) {
        return read_where(where, rules, arena, audience, err);
    }
    audience->kind = file != NULL ? AUDIENCE_FILE : AUDIENCE_SET;
    audience->file = arena_strdup(arena, file);
    audience->set = set == NULL ? NULL : arena_printf(arena, "audience:{%s}", set);
    return audience->file == NULL && audience->set == NULL ? err_no_memory(err) : 0;
}

int audience_read(json_t *value, const struct mailbox_rules *rules, struct arena *arena, struct audience *audience, struct err *err) {
    *audience = (struct audience){.kind = AUDIENCE_ALL};
    if (json_is_object(value)) {
        return read_object(value, rules, arena, audience, err);
    }
    if (!json_is_string(value) || strcmp(json_string_value(value), "all") != 0) {
        return err_member(err, "audience", "must be \"all\", or an object with one of file, set and where");
    }
    return 0;
}

/* ---- asking ------------------------------------------------------------------------------------------------------------ */

/* "de" fits "de" and "de-AT", whatever the case, and "de_AT" is read like "de-AT". */
static bool locale_fits(const char *range, const char *locale) {
    for (; *range != '\0'; range++, locale++) {
        char a = *range == '_' ? '-' : *range;
        char b = *locale == '_' ? '-' : *locale;
        if (strncasecmp(&a, &b, 1) != 0) {
            return false;
        }
    }
    return *locale == '\0' || *locale == '-' || *locale == '_';
}

static bool any_locale_fits(const struct address_list *ranges, const char *locale) {
    for (size_t i = 0; i < ranges->n && locale != NULL; i++) {
        if (locale_fits(ranges->items[i], locale)) {
            return true;
        }
    }
    return false;
}

static bool lists(const struct address_list *list, const char *text) {
    for (size_t i = 0; i < list->n && text != NULL; i++) {
        if (strcmp(list->items[i], text) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_account_in(const struct address_list *domains, const struct mailbox_rules *rules, const struct customer *customer) {
    for (size_t i = 0; i < customer->accounts.n; i++) {
        char canonical[MAILBOX_MAX];
        if (mailbox_canon(rules, customer->accounts.items[i], canonical, NULL) == 0 && lists(domains, strchr(canonical, '@') + 1)) {
            return true;
        }
    }
    return false;
}

/* Numbers are compared by value: 1 is 1.0. */
static bool same_value(const json_t *a, const json_t *b) {
    return json_is_number(a) && json_is_number(b) ? json_number_value(a) == json_number_value(b) : json_equal(a, b) == 1;
}

static bool attribute_fits(const struct audience_attribute *wanted, const json_t *attributes) {
    const json_t *value = json_object_get(attributes, wanted->name);
    for (size_t i = 0; value != NULL && i < wanted->n; i++) {
        if (same_value(wanted->values[i], value)) {
            return true;
        }
    }
    return false;
}

static bool attributes_fit(const struct audience *audience, const char *text) {
    json_t *attributes = text == NULL ? NULL : json_loads(text, 0, NULL);
    bool fit = attributes != NULL;
    for (size_t i = 0; fit && i < audience->n_attributes; i++) {
        fit = attribute_fits(&audience->attributes[i], attributes);
    }
    json_decref(attributes);
    return fit;
}

bool audience_fits(const struct audience *audience, const struct mailbox_rules *rules, const struct customer *customer,
                   const char *attributes) {
    if (audience->locales.n > 0 && !any_locale_fits(&audience->locales, customer->locale)) {
        return false;
    }
    if (audience->time_zones.n > 0 && !lists(&audience->time_zones, customer->time_zone)) {
        return false;
    }
    if (audience->account_domains.n > 0 && !has_account_in(&audience->account_domains, rules, customer)) {
        return false;
    }
    return audience->n_attributes == 0 || attributes_fit(audience, attributes);
}

/* ---- words ------------------------------------------------------------------------------------------------------------- */

const char *audience_text(const struct audience *audience, char *out, size_t cap) {
    switch (audience->kind) {
    case AUDIENCE_ALL: (void)snprintf(out, cap, "everybody"); break;
    case AUDIENCE_FILE: (void)snprintf(out, cap, "the customers that the file %s lists", audience->file); break;
    case AUDIENCE_SET: (void)snprintf(out, cap, "the customers in the set %s", audience->set); break;
    case AUDIENCE_WHERE:
        (void)snprintf(out, cap, "customers by%s%s%s%s", audience->locales.n > 0 ? " locale" : "",
                       audience->time_zones.n > 0 ? " time_zone" : "", audience->account_domains.n > 0 ? " account_domain" : "",
                       audience->n_attributes > 0 ? " attributes" : "");
        break;
    }
    return out;
}
