/* What a decision of the core costs, beside what parsing the same customer with jansson costs, in one run.
 *
 *   bench_core [rounds]    prints one line per kind of customer: ns per customer for both, and the ratio
 *
 * Both are measured in turn, in slices of a few milliseconds, and the median of the slices counts, so that a busy machine troubles
 * both alike. The customers are the contact book's lines of contract.md, of 1,000 persons so that no cache knows them by heart.
 * Exit 1 where a decision costs more than half of a parse for an ordinary customer. */
#include "base/arena.h"
#include "dispatcher/core/plan.h"
#include "dispatcher/core/reach.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PERSONS = 1000, SLICES_MAX = 400, TEXT_MAX = 1024 };

struct person {
    struct customer customer;
    char text[TEXT_MAX]; /* the line of the contact book */
    size_t len;
};

struct kind {
    const char *name;
    const char *line; /* printf: the number of the person, five times */
    bool ordinary;
};

static const struct kind kinds[] = {
    {"own mailbox, alternate, number",
     "{\"id\":\"C%d\",\"name\":\"Ada Lovelace\",\"locale\":\"en-GB\",\"accounts\":[\"ada%d@walton.example\"],\"contacts\":["
     "{\"channel\":\"email\",\"address\":\"Ada%d@mail.walton.example\",\"verified_at\":\"2026-01-02T03:04:05Z\"},"
     "{\"channel\":\"email\",\"address\":\"ada%d@example.org\",\"status\":\"active\"},"
     "{\"channel\":\"sms\",\"address\":\"+44163296%04d\"}]}",
     true},
    {"own mailbox, token on it, banner",
     "{\"id\":\"C%d\",\"name\":\"Ada Lovelace\",\"locale\":\"en-GB\",\"accounts\":[\"ada%d@walton.example\"],\"contacts\":["
     "{\"channel\":\"email\",\"address\":\"ada%d@walton.example\",\"verified_at\":\"2026-01-02T03:04:05Z\"},"
     "{\"channel\":\"push\",\"address\":\"f3a9c1d2e5b8-%d\",\"depends_on\":[\"ada@walton.example\"]},"
     "{\"channel\":\"banner\",\"address\":\"ada%d@walton.example\"}]}",
     true},
    {"IDN and forwards",
     "{\"id\":\"C%d\",\"name\":\"Zo\303\253\",\"locale\":\"de\",\"accounts\":[\"zoe%d@walton.example\"],\"contacts\":["
     "{\"channel\":\"email\",\"address\":\"zo\303\253%d@b\303\274cher.example\"},"
     "{\"channel\":\"email\",\"address\":\"zoe%d@alumni.example\",\"forwards_to\":[\"zoe@walton.example\",\"zoe%d@example.net\"]}]}",
     false},
};

/* ---- the customers ------------------------------------------------------------------------------------------------- */

static struct address_list read_list(json_t *array, struct arena *arena) {
    struct address_list list = {arena_array(arena, json_array_size(array), sizeof *list.items), json_array_size(array)};
    for (size_t i = 0; i < list.n; i++) {
        list.items[i] = arena_strdup(arena, json_string_value(json_array_get(array, i)));
    }
    return list;
}

static void read_contact(json_t *object, struct contact *contact, struct arena *arena) {
    *contact = (struct contact){.address = arena_strdup(arena, json_string_value(json_object_get(object, "address"))),
                                .depends_on = read_list(json_object_get(object, "depends_on"), arena),
                                .forwards_to = read_list(json_object_get(object, "forwards_to"), arena)};
    (void)channel_find(json_string_value(json_object_get(object, "channel")), &contact->channel);
}

static void read_person(struct person *person, struct arena *arena) {
    json_t *root = json_loadb(person->text, person->len, JSON_REJECT_DUPLICATES, NULL);
    json_t *array = json_object_get(root, "contacts");
    size_t n = json_array_size(array);
    struct contact *contacts = arena_array(arena, n, sizeof *contacts);
    if (n == 0 || contacts == NULL) {
        (void)fprintf(stderr, "bench_core: a customer cannot be read\n");
        exit(2);
    }
    for (size_t i = 0; i < n; i++) {
        read_contact(json_array_get(array, i), &contacts[i], arena);
    }
    person->customer = (struct customer){.id = "C", .contacts = contacts, .n_contacts = n};
    json_decref(root);
}

static void make_persons(struct person *persons, const struct kind *kind, struct arena *arena) {
    for (int i = 0; i < PERSONS; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        persons[i].len = (size_t)snprintf(persons[i].text, TEXT_MAX, kind->line, i, i, i, i, i);
#pragma GCC diagnostic pop
        read_person(&persons[i], arena);
    }
}

/* ---- the two measures ---------------------------------------------------------------------------------------------- */

static int64_t now_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static size_t sink; /* so that nothing is optimized away */

static double parse_all(const struct person *persons) {
    int64_t start_ns = now_ns();
    for (int i = 0; i < PERSONS; i++) {
        json_t *root = json_loadb(persons[i].text, persons[i].len, JSON_REJECT_DUPLICATES, NULL);
        sink += json_object_size(root);
        json_decref(root);
    }
    return (double)(now_ns() - start_ns) / PERSONS;
}

static double decide_all(const struct person *persons, struct reach_question *question, struct arena *arena) {
    int64_t start_ns = now_ns();
    for (int i = 0; i < PERSONS; i++) {
        struct reach_answer answer;
        question->customer = &persons[i].customer;
        if (reach_decide(question, arena, &answer, NULL) != 0) {
            (void)fprintf(stderr, "bench_core: a customer was refused\n");
            exit(2);
        }
        sink += answer.verdict;
        arena_reset(arena);
    }
    return (double)(now_ns() - start_ns) / PERSONS;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Measures one kind of customer; the ratio of a decision to a parse. */
static double measure(const struct kind *kind, struct reach_question *question, int slices) {
    static struct person persons[PERSONS];
    static double parse_ns[SLICES_MAX], decide_ns[SLICES_MAX];
    struct arena lasting = ARENA_INIT, scratch = ARENA_INIT;
    make_persons(persons, kind, &lasting);
    for (int i = 0; i < slices; i++) {
        parse_ns[i] = parse_all(persons);
        decide_ns[i] = decide_all(persons, question, &scratch);
    }
    qsort(parse_ns, (size_t)slices, sizeof *parse_ns, by_size);
    qsort(decide_ns, (size_t)slices, sizeof *decide_ns, by_size);
    double ratio = decide_ns[slices / 2] / parse_ns[slices / 2];
    printf("%-34s  parse %6.0f ns  decide %6.0f ns  ratio %.2f\n", kind->name, parse_ns[slices / 2], decide_ns[slices / 2], ratio);
    arena_fini(&scratch);
    arena_fini(&lasting);
    return ratio;
}

int main(int argc, char **argv) {
    int slices = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 100;
    slices = slices < 1 ? 1 : slices > SLICES_MAX ? SLICES_MAX : slices;
    static const char *aliases[] = {"mail.walton.example", "walton.co.example"}, *dying[] = {"walton.example"};
    static const struct own_domain own[] = {{"walton.example", {aliases, 2}, false, true, false}};
    const struct disables disables = {.domains = {dying, 1}};
    struct arena arena = ARENA_INIT;
    const struct mailbox_rules *rules = mailbox_rules_new(own, 1, &arena, NULL);
    const struct doomed_set *doomed = rules == NULL ? NULL : doomed_set_new(rules, &disables, NULL, &arena, NULL);
    struct reach_question question = {.rules = rules, .doomed = doomed};
    bool ok = doomed != NULL;
    for (size_t i = 0; ok && i < sizeof kinds / sizeof *kinds; i++) {
        ok &= measure(&kinds[i], &question, slices) <= 0.5 || !kinds[i].ordinary;
    }
    arena_fini(&arena);
    return ok && sink > 0 ? 0 : 1;
}
