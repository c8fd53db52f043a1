/* bench_book: how much memory a customer in the contact book costs Redis. 24 million customers of three contact points each must fit
 * into 12 GiB, which is 536 bytes a customer with everything: entry, key, the index of accounts, hash tables, allocator.
 *
 *   bench_book [CUSTOMERS]     default 1,000,000
 *
 * The customers are of ordinary size: a name, locale, time zone, one account, an alternate mailbox verified once, a telephone number,
 * a push token of 32 characters. Counted is Redis's own used_memory before and after, so a full hash table doubling is in it: the number
 * is printed at several sizes, and the worst one is judged. Exit 1 where it is too much. */
#include "base/buf.h"
#include "dispatcher/book.h"
#include "queue/store.h"
#include "tests/support/redis_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 500, LIMIT_BYTES = 536 };

static void make_customer(size_t i, struct arena *arena, struct store_customer_put *put) {
    struct contact contacts[3] = {
        {.channel = CHANNEL_EMAIL,
         .verified_at_ms = 1700000000000,
         .address = arena_printf(arena, "customer.%zu@mail%zu.example", i, i % 97)},
        {.channel = CHANNEL_SMS, .verified_at_ms = 1700000000000, .address = arena_printf(arena, "+4477%08zu", i % 100000000)},
        {.channel = CHANNEL_PUSH, .gateway = "fcm", .address = arena_printf(arena, "%032zx", i * 2654435761U)},
    };
    const char *account = arena_printf(arena, "customer.%zu@walton.example", i);
    struct book_entry entry = {.customer = {.name = "Ada Lovelace",
                                            .locale = "en-GB",
                                            .time_zone = "Europe/London",
                                            .accounts = {&account, 1},
                                            .contacts = contacts,
                                            .n_contacts = 3},
                               .seen_at_ms = 1790000000000};
    struct buf text = BUF_INIT;
    book_pack(&entry, &text);
    *put = (struct store_customer_put){.customer = arena_printf(arena, "C%08zu", i), .text = arena_strdup(arena, buf_str(&text))};
    buf_fini(&text);
}

/* The index that tells whose an account is, as an import keeps it. */
static int put_owners(struct store *store, const struct store_customer_put *puts, size_t n, struct arena *arena, struct err *err) {
    const char *accounts[BATCH];
    const char *owners[BATCH];
    for (size_t i = 0; i < n; i++) {
        owners[i] = puts[i].customer;
        accounts[i] = arena_printf(arena, "customer.%zu@walton.example", (size_t)strtoull(owners[i] + 1, NULL, 10));
    }
    return store_accounts_put(store, accounts, owners, n, err);
}

static int fill(struct store *store, size_t from, size_t to) {
    for (size_t at = from; at < to; at += BATCH) {
        struct arena arena = ARENA_INIT;
        struct store_customer_put puts[BATCH];
        struct err err;
        size_t n = to - at < BATCH ? to - at : BATCH;
        for (size_t i = 0; i < n; i++) {
            make_customer(at + i, &arena, &puts[i]);
        }
        int rc = store_customers_put(store, puts, n, 0, &err) < 0 || put_owners(store, puts, n, &arena, &err) < 0 ? -1 : 0;
        arena_fini(&arena);
        if (rc < 0) {
            fprintf(stderr, "bench_book: %s\n", err.text);
            return -1;
        }
    }
    return 0;
}

static long long used_memory(struct redis_server *server) {
    const char *info = redis_server_ask(server, "INFO", "memory", NULL);
    const char *at = info == NULL ? NULL : strstr(info, "used_memory:");
    return at == NULL ? -1 : strtoll(at + strlen("used_memory:"), NULL, 10);
}

/* Fills the book in steps and prints bytes per customer at each. Returns the worst, or -1. */
static double measure(struct redis_server *server, struct store *store, size_t customers) {
    long long empty = used_memory(server);
    double worst = 0;
    size_t have = 0;
    for (int step = 1; step <= 8; step++) {
        size_t want = customers * (size_t)step / 8;
        if (fill(store, have, want) < 0) {
            return -1;
        }
        have = want;
        double each = (double)(used_memory(server) - empty) / (double)have;
        printf("%9zu customers  %6.1f bytes each\n", have, each);
        worst = each > worst ? each : worst;
    }
    return worst;
}

int main(int argc, char **argv) {
    size_t customers = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    struct redis_server server = {0};
    struct err err;
    if (customers < 1000 || redis_server_start(&server, "appendonly no") < 0) {
        fprintf(stderr, "usage: bench_book [CUSTOMERS >= 1000]\n");
        return 2;
    }
    struct queue_settings settings = {.address = server.address,
                                      .prefix = "reach:",
                                      .group = "reachd",
                                      .connect_timeout_ms = 5000,
                                      .answer_timeout_ms = 60000,
                                      .allow_unsafe = true};
    struct store *store = store_open(&settings, &err);
    double worst = store == NULL ? -1 : measure(&server, store, customers);
    store_close(store);
    redis_server_stop(&server);
    if (worst < 0) {
        return 1;
    }
    printf("worst %.1f bytes a customer: 24 million take %.2f GiB of the 12 allowed\n", worst, worst * 24e6 / (1024.0 * 1024 * 1024));
    return worst <= LIMIT_BYTES ? 0 : 1;
}
