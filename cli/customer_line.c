/* customer_line: see customer_line.h.
 *
 * A preflight reads a million customers, and building a tree of values for each costs more than deciding about them. So a line
 * is tried the fast way first: jsmn finds the tokens, and one walk over them checks that what stands between the tokens is JSON and
 * puts the members where they belong. Whatever is not plain (an escape, a control character, a doubled or unknown member, a value
 * of another type, an odd number) sends the whole line the slow way, through the same strict readers that reachd uses, which
 * either take it or say what is wrong.
 *
 * Guarantees: the fast way alone never refuses a line, and never takes one that the slow way would refuse for its form. jsmn by
 * itself is too lenient for that (it takes `{"a" "b"}`, knows no UTF-8 and no doubled members): hence the checks here, and a test
 * that compares both ways on lines with every kind of damage.
 *
 * Does not: check addresses (reach_decide does), or read numbers. */
#include "cli/customer_line.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "dispatcher/job.h"

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS_FIRST = 512, ATTRIBUTES_MAX = 16 };

void customer_reader_init(struct customer_reader *reader) {
    *reader = (struct customer_reader){0};
}

void customer_reader_fini(struct customer_reader *reader) {
    json_decref(reader->document);
    free(reader->tokens);
    *reader = (struct customer_reader){0};
}

/* ---- the walk ----------------------------------------------------------------------------------------------------------- */

/* Where the walk is. `pos` is the first byte that has not been accounted for. */
struct walk {
    char *text;       /* a copy of the line: strings are ended in place */
    const char *line; /* the line itself */
    const char *attributes;
    const jsmntok_t *tokens;
    unsigned n;  /* tokens */
    unsigned at; /* the next one */
    int pos;
    struct arena *arena;
};

/* Whether the bytes from pos up to `to` are blanks around exactly one `mark` (0: none), and passes over them. */
static bool pass_gap(struct walk *walk, int to, char mark) {
    for (; walk->pos < to; walk->pos++) {
        char c = walk->text[walk->pos];
        if (c == mark && mark != '\0') {
            mark = '\0';
        } else if (c != ' ') {
            return false;
        }
    }
    return mark == '\0' && walk->pos == to;
}

/* The next token, where it has this type and `mark` stands before it; or NULL. */
static const jsmntok_t *take(struct walk *walk, jsmntype_t type, char mark) {
    if (walk->at >= walk->n || walk->tokens[walk->at].type != type) {
        return NULL;
    }
    const jsmntok_t *token = &walk->tokens[walk->at];
    int quote = type == JSMN_STRING ? 1 : 0;
    if (!pass_gap(walk, token->start - quote, mark)) {
        return NULL;
    }
    walk->at++;
    walk->pos = type == JSMN_STRING ? token->end + 1 : type == JSMN_PRIMITIVE ? token->end : token->start + 1;
    return token;
}

/* Whether nothing but blanks is left before the closing bracket of `container`, and passes over it. */
static bool close_container(struct walk *walk, const jsmntok_t *container) {
    if (!pass_gap(walk, container->end - 1, '\0')) {
        return false;
    }
    walk->pos = container->end;
    return true;
}

/* A string of 1..max bytes, ended in place; NULL where it is none. The line holds no escapes and no control characters. */
static const char *take_string(struct walk *walk, char mark, int max) {
    const jsmntok_t *token = take(walk, JSMN_STRING, mark);
    if (token == NULL || token->end == token->start || token->end - token->start > max) {
        return NULL;
    }
    walk->text[token->end] = '\0';
    return walk->text + token->start;
}

static bool take_list(struct walk *walk, struct address_list *list) {
    const jsmntok_t *array = take(walk, JSMN_ARRAY, ':');
    if (array == NULL) {
        return false;
    }
    const char **items = arena_array(walk->arena, (size_t)array->size, sizeof *items);
    if (items == NULL) {
        return false;
    }
    for (int i = 0; i < array->size; i++) {
        items[i] = take_string(walk, i == 0 ? '\0' : ',', 4096);
        if (items[i] == NULL) {
            return false;
        }
    }
    *list = (struct address_list){items, (size_t)array->size};
    return close_container(walk, array);
}

static bool take_time(struct walk *walk, int64_t *ms_r) {
    const char *text = take_string(walk, ':', 40);
    return text != NULL && time_parse(text, ms_r) == 0;
}

static bool word_is(const struct walk *walk, const jsmntok_t *token, const char *word) {
    size_t len = strlen(word);
    return (size_t)(token->end - token->start) == len && memcmp(walk->text + token->start, word, len) == 0;
}

static bool take_bool(struct walk *walk, bool *value_r) {
    const jsmntok_t *token = take(walk, JSMN_PRIMITIVE, ':');
    if (token == NULL || (!word_is(walk, token, "true") && !word_is(walk, token, "false"))) {
        return false;
    }
    *value_r = word_is(walk, token, "true");
    return true;
}

/* Whether a primitive is one that needs no second look: a word, or a small whole number. */
static bool is_plain_primitive(const struct walk *walk, const jsmntok_t *token) {
    int len = token->end - token->start;
    const char *p = walk->text + token->start;
    if (word_is(walk, token, "true") || word_is(walk, token, "false") || word_is(walk, token, "null")) {
        return true;
    }
    for (int i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return false;
        }
    }
    return len > 0 && len <= 15 && (len == 1 || p[0] != '0');
}

static bool pass_attribute_value(struct walk *walk) {
    if (take(walk, JSMN_STRING, ':') != NULL) {
        return true;
    }
    const jsmntok_t *token = take(walk, JSMN_PRIMITIVE, ':');
    return token != NULL && is_plain_primitive(walk, token);
}

/* Attributes are not used here, but must be JSON: a flat object of few members with different names. */
static bool pass_attributes(struct walk *walk) {
    const char *names[ATTRIBUTES_MAX];
    const jsmntok_t *object = take(walk, JSMN_OBJECT, ':');
    if (object == NULL || object->size > ATTRIBUTES_MAX) {
        return false;
    }
    for (int i = 0; i < object->size; i++) {
        names[i] = take_string(walk, i == 0 ? '\0' : ',', INT_MAX);
        for (int k = 0; names[i] != NULL && k < i; k++) {
            if (strcmp(names[i], names[k]) == 0) {
                return false;
            }
        }
        if (names[i] == NULL || !pass_attribute_value(walk)) {
            return false;
        }
    }
    return close_container(walk, object);
}

/* ---- the members -------------------------------------------------------------------------------------------------------- */

typedef bool take_fn(struct walk *walk, void *into);

static bool take_channel(struct walk *walk, void *into) {
    struct contact *contact = into;
    const char *name = take_string(walk, ':', 32);
    return name != NULL && channel_find(name, &contact->channel) == 1;
}

static bool take_status(struct walk *walk, void *into) {
    struct contact *contact = into;
    const char *name = take_string(walk, ':', 32);
    contact->status_told = true;
    return name != NULL && contact_status_find(name, &contact->status) == 1;
}

static bool take_address(struct walk *walk, void *into) {
    struct contact *contact = into;
    contact->address = take_string(walk, ':', 4096);
    return contact->address != NULL;
}

static bool take_previous(struct walk *walk, void *into) {
    struct contact *contact = into;
    contact->previous_address = take_string(walk, ':', 4096);
    return contact->previous_address != NULL;
}

static bool take_gateway(struct walk *walk, void *into) {
    struct contact *contact = into;
    contact->gateway = take_string(walk, ':', 128);
    return contact->gateway != NULL && text_is_id(contact->gateway);
}

static bool take_verified(struct walk *walk, void *into) {
    return take_time(walk, &((struct contact *)into)->verified_at_ms);
}

static bool take_changed(struct walk *walk, void *into) {
    return take_time(walk, &((struct contact *)into)->changed_at_ms);
}

static bool take_vanished(struct walk *walk, void *into) {
    return take_bool(walk, &((struct contact *)into)->vanished);
}

static bool take_depends(struct walk *walk, void *into) {
    return take_list(walk, &((struct contact *)into)->depends_on);
}

static bool take_forwards(struct walk *walk, void *into) {
    return take_list(walk, &((struct contact *)into)->forwards_to);
}

struct member {
    const char *name;
    take_fn *take;
};

/* The first `required` members of a table must be there. */
struct members {
    const struct member *rows;
    unsigned n;
    unsigned required;
};

/* Reads the members of an object by a table, each at most once. The object itself has been taken. */
static bool take_members(struct walk *walk, const jsmntok_t *object, const struct members *members, void *into) {
    unsigned seen = 0;
    for (int i = 0; i < object->size; i++) {
        const jsmntok_t *name = take(walk, JSMN_STRING, i == 0 ? '\0' : ',');
        unsigned m = 0;
        while (name != NULL && m < members->n && !word_is(walk, name, members->rows[m].name)) {
            m++;
        }
        if (name == NULL || m == members->n || (seen & 1U << m) != 0 || !members->rows[m].take(walk, into)) {
            return false;
        }
        seen |= 1U << m;
    }
    unsigned required = (1U << members->required) - 1;
    return (seen & required) == required && close_container(walk, object);
}

static bool take_contacts(struct walk *walk, void *into) {
    static const struct member rows[] = {
        {"channel", take_channel},           {"address", take_address},  {"status", take_status},      {"verified_at", take_verified},
        {"changed_at", take_changed},        {"gateway", take_gateway},  {"depends_on", take_depends}, {"forwards_to", take_forwards},
        {"previous_address", take_previous}, {"vanished", take_vanished}};
    static const struct members members = {rows, sizeof rows / sizeof *rows, 2};
    struct customer *customer = into;
    const jsmntok_t *array = take(walk, JSMN_ARRAY, ':');
    struct contact *contacts = array == NULL ? NULL : arena_array(walk->arena, (size_t)array->size, sizeof *contacts);
    if (contacts == NULL) {
        return false;
    }
    for (int i = 0; i < array->size; i++) {
        const jsmntok_t *object = take(walk, JSMN_OBJECT, i == 0 ? '\0' : ',');
        if (object == NULL || !take_members(walk, object, &members, &contacts[i])) {
            return false;
        }
    }
    customer->contacts = contacts;
    customer->n_contacts = (size_t)array->size;
    return close_container(walk, array);
}

static bool take_id(struct walk *walk, void *into) {
    struct customer *customer = into;
    customer->id = take_string(walk, ':', 128);
    return customer->id != NULL && text_is_id(customer->id);
}

static bool take_name(struct walk *walk, void *into) {
    return (((struct customer *)into)->name = take_string(walk, ':', 256)) != NULL;
}

static bool take_locale(struct walk *walk, void *into) {
    return (((struct customer *)into)->locale = take_string(walk, ':', 35)) != NULL;
}

static bool take_zone(struct walk *walk, void *into) {
    return (((struct customer *)into)->time_zone = take_string(walk, ':', 64)) != NULL;
}

static bool take_accounts(struct walk *walk, void *into) {
    return take_list(walk, &((struct customer *)into)->accounts);
}

static bool take_attributes(struct walk *walk, void *into) {
    (void)into;
    const jsmntok_t *object = &walk->tokens[walk->at];
    if (!pass_attributes(walk)) {
        return false;
    }
    walk->attributes = arena_strndup(walk->arena, walk->line + object->start, (size_t)(object->end - object->start));
    return walk->attributes != NULL;
}

static bool walk_customer(struct walk *walk, struct customer *customer) {
    static const struct member rows[] = {{"id", take_id},
                                         {"name", take_name},
                                         {"locale", take_locale},
                                         {"contacts", take_contacts},
                                         {"accounts", take_accounts},
                                         {"time_zone", take_zone},
                                         {"attributes", take_attributes}};
    static const struct members members = {rows, sizeof rows / sizeof *rows, 1};
    const jsmntok_t *object = take(walk, JSMN_OBJECT, '\0');
    return object != NULL && take_members(walk, object, &members, customer) && walk->at == walk->n;
}

/* ---- both ways ---------------------------------------------------------------------------------------------------------- */

/* Eight bytes at once: which of them are below `limit` (at most 0x80), as the highest bit of each. Those behind the first that is may be
 * wrong, which does not matter to whether there is one. */
static uint64_t below(uint64_t bytes, unsigned char limit) {
    return (bytes - UINT64_C(0x0101010101010101) * limit) & ~bytes & UINT64_C(0x8080808080808080);
}

static uint64_t equal_to(uint64_t bytes, unsigned char c) {
    return below(bytes ^ UINT64_C(0x0101010101010101) * c, 1);
}

/* Whether a line may be tried the fast way: no backslash, no control character, valid UTF-8. */
static bool is_plain(const char *text, size_t len) {
    uint64_t bytes = UINT64_C(0x2020202020202020);
    uint64_t high = 0;
    uint64_t odd = 0;
    memcpy(&bytes, text + len / 8 * 8, len % 8); /* the end first */
    for (size_t i = 0;; i += 8) {
        high |= bytes;
        odd |= below(bytes, 0x20) | equal_to(bytes, 0x7f) | equal_to(bytes, '\\');
        if (len - i < 8) {
            break;
        }
        memcpy(&bytes, text + i, 8);
    }
    return odd == 0 && ((high & UINT64_C(0x8080808080808080)) == 0 || text_is_utf8(text, len));
}

/* The tokens of the line; 0 where jsmn finds it wrong or there is no memory. */
static unsigned tokenise(struct customer_reader *reader, const char *text, size_t len) {
    for (;;) {
        jsmn_parser parser;
        jsmn_init(&parser);
        int n = reader->tokens == NULL ? JSMN_ERROR_NOMEM : jsmn_parse(&parser, text, len, reader->tokens, reader->n_tokens);
        if (n != JSMN_ERROR_NOMEM) {
            return n < 0 ? 0 : (unsigned)n;
        }
        unsigned more = reader->n_tokens == 0 ? TOKENS_FIRST : reader->n_tokens * 2;
        void *tokens = realloc(reader->tokens, more * sizeof(jsmntok_t));
        if (tokens == NULL) {
            return 0;
        }
        reader->tokens = tokens;
        reader->n_tokens = more;
    }
}

static bool read_fast(struct customer_reader *reader, const char *text, size_t len, struct arena *arena, struct customer *customer) {
    if (!is_plain(text, len)) {
        return false;
    }
    struct walk walk = {.tokens = reader->tokens, .arena = arena, .line = text};
    walk.n = tokenise(reader, text, len);
    walk.tokens = reader->tokens;
    walk.text = walk.n == 0 ? NULL : arena_strndup(arena, text, len);
    *customer = (struct customer){0};
    bool read = walk.text != NULL && walk_customer(&walk, customer) && pass_gap(&walk, (int)len, '\0');
    reader->attributes = read ? walk.attributes : NULL;
    return read;
}

int customer_line_read(struct customer_reader *reader, const char *text, size_t len, struct arena *arena, struct customer *customer,
                       struct err *err) {
    json_decref(reader->document);
    reader->document = NULL;
    reader->attributes = NULL;
    if (read_fast(reader, text, len, arena, customer)) {
        reader->n_fast++;
        return 0;
    }
    reader->n_slow++;
    reader->document = json_parse_strict(text, len, CUSTOMER_LINE_MAX_BYTES, err);
    struct job job = {0};
    if (reader->document == NULL || job_read_customer(reader->document, NULL, arena, &job, err) < 0) {
        return -1;
    }
    *customer = job.customer;
    reader->attributes = job.attributes;
    return 0;
}
