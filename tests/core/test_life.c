/* Tests of life.c: the table of a notice's states is exercised cell by cell. */
#include "tests/core/core_kit.h"

#include "dispatcher/core/life.h"

static void terminal_states_are_never_left(void **state) {
    (void)state;
    for (int from = 0; from < NOTICE_STATE_COUNT; from++) {
        for (int event = 0; event < LIFE_EVENT_COUNT && notice_state_final((enum notice_state)from); event++) {
            enum notice_state to = NOTICE_DEAD;
            assert_int_equal(life_next((enum notice_state)from, (enum life_event)event, &to), 0);
            assert_int_equal(to, NOTICE_DEAD);
        }
    }
}

static void every_living_state_can_be_cancelled_resolved_and_ended(void **state) {
    (void)state;
    for (int from = 0; from < NOTICE_STATE_COUNT; from++) {
        enum notice_state to;
        if (notice_state_final((enum notice_state)from)) {
            continue;
        }
        assert_int_equal(life_next((enum notice_state)from, LIFE_CANCEL, &to), 1);
        assert_int_equal(to, NOTICE_CANCELLED);
        assert_int_equal(life_next((enum notice_state)from, LIFE_RESOLVE, &to), 1);
        assert_int_equal(to, NOTICE_RESOLVED);
        assert_int_equal(life_next((enum notice_state)from, LIFE_EXPIRE, &to), 1);
        assert_int_equal(to, from == NOTICE_STRANDED ? NOTICE_HANDED_TO_DESK : NOTICE_EXPIRED);
        assert_int_equal(life_next((enum notice_state)from, LIFE_NEW_CONTACT, &to), 1);
    }
}

static void every_state_that_has_a_record_can_be_reached_from_accepted(void **state) {
    (void)state;
    bool seen[NOTICE_STATE_COUNT] = {[NOTICE_ACCEPTED] = true};
    for (int round = 0; round < NOTICE_STATE_COUNT; round++) {
        for (int from = 0; from < NOTICE_STATE_COUNT; from++) {
            for (int event = 0; event < LIFE_EVENT_COUNT && seen[from]; event++) {
                enum notice_state to;
                if (life_next((enum notice_state)from, (enum life_event)event, &to)) {
                    seen[to] = true;
                }
            }
        }
    }
    for (int s = 0; s < NOTICE_STATE_COUNT; s++) {
        assert_int_equal(seen[s], notice_state_held((enum notice_state)s));
    }
}

/* A whole life in one line: events in order and the state after the last; -1 where the last one may not happen. */
static void lives_go_as_drawn(void **state) {
    (void)state;
    static const struct {
        enum life_event events[8];
        size_t n;
        int ends;
    } lives[] = {
        {{LIFE_PLAN, LIFE_SEND, LIFE_OUTCOME_SENT, LIFE_REACHED}, 4, NOTICE_REACHED},
        {{LIFE_PLAN, LIFE_SEND, LIFE_OUTCOME_SENT, LIFE_EVIDENCE_DELIVERED, LIFE_REACHED}, 5, NOTICE_REACHED},
        {{LIFE_PLAN, LIFE_SEND, LIFE_OUTCOME_RETRY, LIFE_SEND, LIFE_OUTCOME_SENT}, 5, NOTICE_SENT},
        {{LIFE_PLAN, LIFE_SEND, LIFE_OUTCOME_REJECTED}, 3, NOTICE_PLANNED},
        {{LIFE_PLAN, LIFE_SEND, LIFE_OUTCOME_UNKNOWN, LIFE_SEND, LIFE_OUTCOME_SENT}, 5, NOTICE_SENT},
        {{LIFE_PLAN, LIFE_SEND, LIFE_OUTCOME_UNKNOWN}, 3, NOTICE_PLANNED},
        {{LIFE_PLAN, LIFE_SEND, LIFE_OUTCOME_SENT, LIFE_FAILED_LATER, LIFE_SEND}, 5, NOTICE_SENDING},
        {{LIFE_PLAN, LIFE_SEND, LIFE_OUTCOME_SENT, LIFE_SEND, LIFE_OUTCOME_SENT}, 5, NOTICE_SENT}, /* wait over: next step */
        {{LIFE_PLAN, LIFE_STRAND}, 2, NOTICE_STRANDED},
        {{LIFE_PLAN, LIFE_STRAND, LIFE_HAND_OVER}, 3, NOTICE_HANDED_TO_DESK},
        {{LIFE_PLAN, LIFE_STRAND, LIFE_EXPIRE}, 3, NOTICE_HANDED_TO_DESK},
        {{LIFE_PLAN, LIFE_STRAND, LIFE_NEW_CONTACT, LIFE_SEND}, 4, NOTICE_SENDING},
        {{LIFE_PLAN, LIFE_STRAND, LIFE_REACHED}, 3, NOTICE_REACHED},                               /* the banner was seen after all */
        {{LIFE_PLAN, LIFE_SEND, LIFE_STRAND}, 3, NOTICE_STRANDED},                                 /* after the early warning */
        {{LIFE_PLAN, LIFE_SEND, LIFE_EVIDENCE_DELIVERED, LIFE_OUTCOME_SENT}, 4, NOTICE_DELIVERED}, /* the receipt was faster */
        {{LIFE_PLAN, LIFE_SEND, LIFE_OUTCOME_SENT, LIFE_EVIDENCE_ACKNOWLEDGED, LIFE_EVIDENCE_DELIVERED}, 5, NOTICE_ACKNOWLEDGED},
        {{LIFE_PLAN, LIFE_SEND, LIFE_OUTCOME_SENT, LIFE_EVIDENCE_ACKNOWLEDGED, LIFE_FAILED_LATER}, 5, NOTICE_ACKNOWLEDGED},
        {{LIFE_PLAN, LIFE_SEND, LIFE_OUTCOME_SENT, LIFE_EVIDENCE_SEEN}, 4, NOTICE_DELIVERED},
        {{LIFE_SEND}, 1, -1}, /* nothing is sent before there is a verdict */
        {{LIFE_STRAND}, 1, -1},
        {{LIFE_PLAN, LIFE_OUTCOME_SENT}, 2, -1}, /* an outcome without an attempt */
        {{LIFE_PLAN, LIFE_CANCEL, LIFE_HAND_OVER}, 3, -1},
        {{LIFE_PLAN, LIFE_STRAND, LIFE_SEND}, 3, -1}, /* a stranded notice is not sent before it is planned again */
        {{LIFE_PLAN, LIFE_SEND, LIFE_OUTCOME_SENT, LIFE_OUTCOME_SENT}, 4, -1},
    };
    for (size_t i = 0; i < COUNT_OF(lives); i++) {
        enum notice_state now = NOTICE_ACCEPTED;
        for (size_t k = 0; k < lives[i].n; k++) {
            int allowed = life_next(now, lives[i].events[k], &now);
            int expected = k + 1 < lives[i].n || lives[i].ends >= 0;
            if (allowed != expected) {
                fail_msg("life %zu, event %zu (%s) in %s", i, k, life_event_name(lives[i].events[k]), notice_state_name(now));
            }
        }
        if (lives[i].ends >= 0 && (int)now != lives[i].ends) {
            fail_msg("life %zu ends %s", i, notice_state_name(now));
        }
    }
}

static void events_have_names_of_their_own(void **state) {
    (void)state;
    for (int a = 0; a < LIFE_EVENT_COUNT; a++) {
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(life_event_name((enum life_event)a), life_event_name((enum life_event)b));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terminal_states_are_never_left),
        cmocka_unit_test(every_living_state_can_be_cancelled_resolved_and_ended),
        cmocka_unit_test(every_state_that_has_a_record_can_be_reached_from_accepted),
        cmocka_unit_test(lives_go_as_drawn),
        cmocka_unit_test(events_have_names_of_their_own),
    };
    return cmocka_run_group_tests_name("life", tests, NULL, NULL);
}
