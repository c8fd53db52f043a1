/* Two workers and whoever else disturbs them, at random: notices begin, end by their leases or by their tokens, in mixed batches, are ended
 * and taken up by the other worker; leases end and are taken over; connections are cut, leases and the group deleted. Whatever happens, a
 * change is granted to nobody who has not seen the record as it is, to the one who has it always is, and the counters say what the records
 * say.
 *
 * Against a real Redis. Usage: test_queue_lock_races [first seed [last seed]] (default 1 to 3). */
#include "tests/support/queue_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WORKERS = 2, NOTES_MAX = 4000, BATCH_MAX = 5, NEWEST = 60, STEPS = 500, LOOK_EVERY = 100, LEASE_MS = 150 };

/* What is true of a notice, and what the worker that has its entry knows of it. Its id is that of its entry. */
struct note {
    char id[48];
    uint64_t fence; /* of the record; 0: there is none */
    bool final;
    int holder;
    size_t entry;   /* in the holder's kit */
    uint64_t seen;  /* the token that the holder knows */
    uint64_t begun; /* the token with which it has begun here, or 0 */
    bool gone;      /* the holder is done with it */
};

/* Who changes what in one batch. */
enum mode { BEGIN, END_BY_LEASE, END, MIXED, FOREIGN };

static struct redis_server server;
static struct kit kits[WORKERS];
static size_t taken_in[WORKERS];
static struct note notes[NOTES_MAX];
static size_t n_notes;
static uint32_t random_state;
static uint32_t first_seed = 1, last_seed = 3;

static uint32_t below(uint32_t n) {
    random_state = random_state * 1664525U + 1013904223U;
    return (random_state >> 8) % n;
}

/* ---- entries ------------------------------------------------------------------------------------------------------- */

static struct note *find_note(const char *id) {
    for (size_t i = 0; i < n_notes; i++) {
        if (strcmp(notes[i].id, id) == 0) {
            return &notes[i];
        }
    }
    return NULL;
}

/* What was handed out to a worker: of a new notice, or of one that it takes over as it is. */
static void take_in(int worker) {
    for (; taken_in[worker] < kits[worker].n_entries; taken_in[worker]++) {
        const char *id = kits[worker].entries[taken_in[worker]].stream_id;
        struct note *note = find_note(id);
        if (note == NULL) {
            assert_true(n_notes < NOTES_MAX);
            note = &notes[n_notes++];
            *note = (struct note){0};
            (void)snprintf(note->id, sizeof note->id, "%s", id);
        }
        note->holder = worker;
        note->entry = taken_in[worker];
        note->seen = note->fence;
        note->begun = 0;
        note->gone = false;
    }
}

/* ---- one batch ----------------------------------------------------------------------------------------------------- */

static struct queue_change beginning(int worker, const struct note *note) {
    struct queue_change change = kit_change(&kits[worker], note->id, 0, NOTICE_SENDING);
    change.from = &kits[worker].entries[note->entry];
    change.not_after_ms = change.from->not_after_ms;
    return change;
}

static struct queue_change ending(int worker, const struct note *note) {
    static const enum notice_state states[] = {NOTICE_REACHED, NOTICE_PLANNED, NOTICE_SENDING, NOTICE_EXPIRED};
    struct queue_change change = kit_change(&kits[worker], note->id, note->seen, states[below(4)]);
    change.ack = &kits[worker].entries[note->entry];
    change.begun_from_ack = note->begun != 0 && note->begun == note->seen;
    return change;
}

/* A change of this note in this mode; false where there is none. */
static bool change_of(int worker, enum mode mode, const struct note *note, struct queue_change *change) {
    bool mine = note->holder == worker && !note->gone;
    if (mode == FOREIGN && note->holder != worker && note->fence != 0 && !note->final) {
        *change = kit_change(&kits[worker], note->id, note->fence, below(2) == 0 ? NOTICE_RESOLVED : NOTICE_SENDING);
        return true;
    }
    if (mine && note->seen == 0 && (mode == BEGIN || mode == MIXED)) {
        *change = beginning(worker, note);
        return true;
    }
    if (mine && note->seen != 0 && (mode == END || mode == MIXED || (mode == END_BY_LEASE && note->begun != 0))) {
        *change = ending(worker, note);
        return true;
    }
    return false;
}

static size_t choose(int worker, enum mode mode, struct queue_change *changes, struct note **whose) {
    size_t n = 0, wanted = 1 + below(BATCH_MAX);
    size_t newest = n_notes < NEWEST ? n_notes : NEWEST;
    size_t at = newest == 0 ? 0 : below((uint32_t)newest);
    for (size_t i = 0; i < newest && n < wanted; i++) {
        struct note *note = &notes[n_notes - 1 - (at + i) % newest];
        if (change_of(worker, mode, note, &changes[n])) {
            whose[n++] = note;
        }
    }
    return n;
}

static void take_down(int worker, struct note *note, const struct queue_change *change, enum queue_result result) {
    bool as_it_is = change->fence_seen == note->fence;
    if (result == QUEUE_APPLIED && !as_it_is) {
        fail_msg("a change of %s that had not seen the record as it is was granted", note->id);
    }
    if (result != QUEUE_APPLIED && as_it_is && change->fence_seen != 0) {
        fail_msg("a change of %s that had seen the record as it is was refused", note->id);
    }
    bool mine = note->holder == worker;
    if (result != QUEUE_APPLIED) {
        note->gone = note->gone || mine;
        return;
    }
    note->fence = change->fence;
    note->final = notice_state_final(change->state);
    if (mine) {
        note->begun = change->fence_seen == 0 ? change->fence : 0;
        note->seen = change->fence;
        note->gone = change->ack != NULL;
    }
}

static void cut_connections(void) {
    (void)redis_server_ask(&server, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", NULL);
}

static void batch(int worker, enum mode mode) {
    struct kit *kit = &kits[worker];
    struct queue_change changes[BATCH_MAX];
    struct note *whose[BATCH_MAX];
    size_t n = choose(worker, mode, changes, whose);
    if (n == 0) {
        return;
    }
    unsigned answers = kit->answers;
    kit_apply_later(kit, changes, n);
    if (below(12) == 0) {
        cut_connections();
    }
    kit_until_u(kit, &kit->answers, answers + 1);
    for (size_t i = 0; i < n; i++) {
        take_down(worker, whose[i], &changes[i], kit->results[i]);
    }
}

/* ---- everything else ----------------------------------------------------------------------------------------------- */

static void read_some(int worker, size_t room) {
    queue_set_room(kits[worker].queue, room);
    kit_run(&kits[worker], 8);
    queue_set_room(kits[worker].queue, 0);
}

static void disturb(void) {
    switch (below(5)) {
    case 0: (void)redis_server_ask(&server, "DEL", "reach:leases", NULL); break;
    case 1: (void)redis_server_ask(&server, "XGROUP", "DESTROY", "reach:intake:bulk", "reachd", NULL); break;
    case 2: (void)redis_server_ask(&server, "HDEL", "reach:leases", "bulk", NULL); break;
    case 3: (void)redis_server_ask(&server, "XGROUP", "SETID", "reach:intake:bulk", "reachd", "0", NULL); break;
    default: cut_connections(); break;
    }
}

static void step(void) {
    int worker = (int)below(WORKERS);
    switch (below(9)) {
    case 0:
        kit_push(&kits[worker].settings, LANE_BULK, 1 + below(5));
        read_some(worker, 1 + below(6));
        break;
    case 1: batch(worker, BEGIN); break;
    case 2:
    case 3: batch(worker, END_BY_LEASE); break;
    case 4: batch(worker, END); break;
    case 5: batch(worker, FOREIGN); break;
    case 6: batch(worker, MIXED); break;
    case 7:
        if (below(15) == 0) {
            disturb();
        }
        break;
    default:
        if (below(6) == 0) {
            kit_run(&kits[worker], LEASE_MS + 10);
        }
        read_some(worker, 6);
        break;
    }
    for (int i = 0; i < WORKERS; i++) {
        take_in(i);
    }
}

static long long counter(const char *name) {
    long long number = redis_server_number(&server, "HGET", "reach:counters", name, NULL);
    return number < 0 ? 0 : number; /* not there */
}

static void look_at_everything(void) {
    long long number[NOTICE_STATE_COUNT] = {0}, sum = 0;
    for (size_t i = 0; i < n_notes; i++) {
        char token[20];
        enum notice_state state;
        const char *record = notes[i].fence == 0 ? NULL : redis_server_ask(&server, "HGET", "reach:notices", notes[i].id, NULL);
        if (record == NULL) {
            continue;
        }
        (void)snprintf(token, sizeof token, "%016llx", (unsigned long long)notes[i].fence);
        assert_memory_equal(record + 1, token, 16);
        assert_true(notice_state_from_letter(record[0], &state));
        number[state]++;
    }
    for (int state = 0; state < NOTICE_STATE_COUNT; state++) {
        char name[16];
        (void)snprintf(name, sizeof name, "state:%c", notice_state_letter((enum notice_state)state));
        assert_int_equal(counter(name), number[state]);
        sum += number[state];
    }
    assert_int_equal(counter("accepted"), sum);
    assert_int_equal(kit_status(&kits[0].settings, "unaccounted"), 0);
}

static void run(uint32_t seed) {
    print_message("seed %u\n", (unsigned)seed);
    random_state = seed * 2654435761U + 1;
    n_notes = 0;
    assert_int_equal(redis_server_start(&server, NULL), 0);
    for (int i = 0; i < WORKERS; i++) {
        taken_in[i] = 0;
        kit_start(&kits[i], &server, i == 0 ? "w1" : "w2", LEASE_MS);
    }
    for (unsigned i = 1; i <= STEPS; i++) {
        step();
        if (i % LOOK_EVERY == 0) {
            look_at_everything();
        }
    }
    for (int i = 0; i < WORKERS; i++) {
        kit_close(&kits[i]);
    }
    redis_server_stop(&server);
}

static void two_workers_overwrite_nothing_of_one_another(void **state) {
    (void)state;
    for (uint32_t seed = first_seed; seed <= last_seed; seed++) {
        run(seed);
    }
}

int main(int argc, char **argv) {
    if (argc > 1) {
        first_seed = last_seed = (uint32_t)strtoul(argv[1], NULL, 10);
    }
    if (argc > 2) {
        last_seed = (uint32_t)strtoul(argv[2], NULL, 10);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_workers_overwrite_nothing_of_one_another)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
