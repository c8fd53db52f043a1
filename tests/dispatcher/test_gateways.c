/* Tests of gateways.c and holding.c with the time given: who gets a message, how load leaves a slow gateway, what is kept until there is
 * room. No Redis: what the workers share is tested from the outside (tests/e2e/test_gateways.sh, test_slow_gateways.sh). */
#include "dispatcher/holding.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { GATEWAYS_MAX = 3, SECOND = 1000, MINUTE = 60 * SECOND, LEASE_MS = 30 * SECOND };

/* ---- a house of gateways --------------------------------------------------------------------------------------------- */

struct house {
    struct clock clock;
    int64_t now_ms; /* on both clocks */
    struct gateway_settings rows[GATEWAYS_MAX];
    struct settings settings;
    struct channel_env env;
    struct gateways *gateways;
};

static int64_t now_of(void *ctx) {
    const struct house *house = ctx;
    return house->now_ms;
}

/* There is no banner in these tests, but the banner's own gateway wants a place for it. */
static int no_banner(void *ctx, const struct message *message, channel_done_fn *done, void *done_ctx, struct err *err) {
    (void)ctx;
    (void)message;
    (void)done;
    (void)done_ctx;
    return err_set(err, ERR_UNKNOWN, "no banner in this test");
}

/* An SMS gateway as configured by default. */
static struct gateway_settings usual(const char *name, int64_t weight) {
    return (struct gateway_settings){.name = name,
                                     .channel = "sms",
                                     .driver = "null",
                                     .in_flight_max = 1000,
                                     .weight = weight,
                                     .breaker = {.failures = 3, .open_ms = 30 * SECOND, .open_max_ms = 10 * MINUTE, .probes = 2},
                                     .failover = {.step = 10,
                                                  .error_every_ms = MINUTE,
                                                  .slow_every_ms = 10 * MINUTE,
                                                  .back_every_ms = 60 * MINUTE,
                                                  .slow_answer_ms = 10 * SECOND,
                                                  .slow_delivery_ms = 5 * MINUTE,
                                                  .slow_percent = 30}};
}

static void house_init(struct house *house, const struct gateway_settings *rows, size_t n) {
    memset(house, 0, sizeof *house);
    house->now_ms = 1000 * MINUTE;
    house->clock = (struct clock){now_of, now_of, house};
    memcpy(house->rows, rows, n * sizeof *rows);
    house->settings.gateways = (struct conf_list){.items = house->rows, .n = n, .item_size = sizeof house->rows[0]};
    house->settings.worker = (struct worker_settings){.in_flight_max = 16, .gateway_look_ms = 30 * SECOND};
    house->settings.redis.lease_ms = LEASE_MS;
    house->env = (struct channel_env){.base = event_base_new(), .clock = &house->clock, .put_banner = no_banner};
    struct err err;
    house->gateways = gateways_open(&house->settings, &house->env, &err);
    if (house->gateways == NULL) {
        fail_msg("%s", err.text);
    }
}

static void house_fini(struct house *house) {
    gateways_close(house->gateways);
    event_base_free(house->env.base);
}

static enum gateways_pick pick(struct house *house, const struct gateways_wish *wish, struct gateways_choice *choice) {
    struct err err;
    err_clear(&err);
    struct gateways_wish sms = *wish;
    sms.channel = CHANNEL_SMS;
    return gateways_pick(house->gateways, &sms, house->now_ms, choice, &err);
}

static size_t take(struct house *house, const struct gateways_wish *wish) {
    struct gateways_choice choice;
    assert_int_equal(pick(house, wish, &choice), PICK_TAKEN);
    assert_false(choice.probe);
    return choice.index;
}

/* An attempt that was taken ends like this. */
static void end(struct house *house, size_t index, enum outcome_kind kind, enum outcome_blame blame, int64_t took_ms) {
    struct outcome outcome;
    outcome_set(&outcome, kind, blame, NULL, "out of order");
    gateways_done(house->gateways, index, false, &outcome, took_ms, house->now_ms);
}

static const struct gateways_wish any;

/* How many of so many messages each gateway gets; each is answered at once, after took_ms of that gateway. */
static void share_out(struct house *house, unsigned messages, const int64_t *took_ms, unsigned *got) {
    memset(got, 0, GATEWAYS_MAX * sizeof *got);
    for (unsigned i = 0; i < messages; i++) {
        size_t index = take(house, &any);
        got[index]++;
        end(house, index, OUTCOME_SENT, BLAME_NONE, took_ms[index]);
    }
}

static void pass(struct house *house, size_t index, unsigned messages, int64_t took_ms) {
    const struct gateways_wish that = {.wanted = house->rows[index].name};
    for (unsigned i = 0; i < messages; i++) {
        assert_int_equal(take(house, &that), index);
        end(house, index, OUTCOME_SENT, BLAME_NONE, took_ms);
    }
}

#define HOUSE(house, ...)                                                                                                                  \
    house_init(house, (const struct gateway_settings[]){__VA_ARGS__},                                                                      \
               sizeof((const struct gateway_settings[]){__VA_ARGS__}) / sizeof(struct gateway_settings))

/* ---- choosing ---------------------------------------------------------------------------------------------------------- */

static const int64_t fast[GATEWAYS_MAX] = {1, 1, 1};

static void messages_are_divided_by_weight(void **state) {
    (void)state;
    struct house house;
    unsigned got[GATEWAYS_MAX];
    HOUSE(&house, usual("a", 3), usual("b", 1), usual("reserve", 0));
    share_out(&house, 40, fast, got);
    assert_int_equal(got[0], 30);
    assert_int_equal(got[1], 10);
    assert_int_equal(got[2], 0);
    house_fini(&house);
}

static void a_broken_gateway_gets_nothing_and_the_reserve_serves_only_when_all_are(void **state) {
    (void)state;
    struct house house;
    unsigned got[GATEWAYS_MAX];
    HOUSE(&house, usual("a", 1), usual("b", 1), usual("reserve", 0));
    const struct gateways_wish to[] = {{.wanted = "a"}, {.wanted = "b"}};
    for (size_t k = 0; k < 2; k++) {
        for (int i = 0; i < 3; i++) {
            assert_true(gateways_is_closed(house.gateways, k));
            end(&house, take(&house, &to[k]), OUTCOME_RETRY, BLAME_GATEWAY, 1);
        }
        assert_false(gateways_is_closed(house.gateways, k));
        assert_false(gateways_may_send(house.gateways, k, false));
        share_out(&house, 10, fast, got);
        assert_int_equal(got[k == 0 ? 1 : 2], 10);
    }
    struct gateways_choice choice;
    assert_int_equal(pick(&house, &to[0], &choice), PICK_WAIT); /* named by the contact point: no other may do */
    assert_int_equal(choice.until_ms, house.now_ms + 30 * SECOND);
    assert_non_null(strstr(choice.why, "out of order"));
    house_fini(&house);
}

static void a_message_in_doubt_stays_and_one_that_failed_goes_elsewhere(void **state) {
    (void)state;
    struct house house;
    struct gateway_settings a = usual("a", 1);
    a.in_flight_max = 40;
    HOUSE(&house, a, usual("b", 9));
    const struct gateways_wish stay = {.stay = "a"};
    const struct gateways_wish avoid = {.avoid = "b"};
    for (int i = 0; i < 20; i++) {
        assert_int_equal(take(&house, &stay), 0);
        assert_int_equal(take(&house, &avoid), 0);
    }
    struct gateways_choice choice;
    assert_int_equal(pick(&house, &stay, &choice), PICK_HOLD); /* full: any other would make a second message of it */
    assert_int_equal(choice.index, 0);
    assert_int_equal(take(&house, &avoid), 1); /* what has only failed goes where there is room */
    for (int i = 0; i < 3; i++) {
        end(&house, 0, OUTCOME_RETRY, BLAME_GATEWAY, 1);
    }
    assert_int_equal(take(&house, &stay), 1); /* broken: there is nothing to wait for */
    const struct gateways_wish nobody = {.wanted = "nobody"};
    assert_int_equal(pick(&house, &nobody, &choice), PICK_NONE);
    house_fini(&house);
}

static void a_full_gateway_leaves_its_messages_to_the_others_and_then_holds_them(void **state) {
    (void)state;
    struct house house;
    struct gateway_settings small = usual("small", 9);
    struct gateways_choice choice;
    struct gateway_settings large = usual("large", 1);
    small.in_flight_max = 2;
    large.in_flight_max = 8;
    HOUSE(&house, small, large, usual("reserve", 0));
    size_t got[GATEWAYS_MAX] = {0};
    for (int i = 0; i < 10; i++) {
        got[take(&house, &any)]++;
    }
    assert_int_equal(got[0], 2);
    assert_int_equal(got[1], 8);
    assert_int_equal(pick(&house, &any, &choice), PICK_HOLD); /* the reserve is for broken ones, not for full ones */
    const struct gateways_wish to_small = {.wanted = "small"};
    assert_int_equal(pick(&house, &to_small, &choice), PICK_HOLD);
    assert_int_equal(choice.index, 0);
    gateways_give_back(house.gateways, 0, false); /* nothing was sent: the place is free again */
    assert_int_equal(take(&house, &to_small), 0);
    assert_int_equal(pick(&house, &to_small, &choice), PICK_HOLD);
    end(&house, 0, OUTCOME_SENT, BLAME_NONE, 1);
    assert_int_equal(take(&house, &to_small), 0);
    house_fini(&house);
}

static void without_a_permit_nothing_goes_to_a_gateway_with_a_rate(void **state) {
    (void)state;
    struct house house;
    struct gateway_settings limited = usual("limited", 1);
    struct gateways_choice choice;
    limited.rate_interval_us = 100000;
    limited.burst = 5;
    HOUSE(&house, limited);
    assert_int_equal(pick(&house, &any, &choice), PICK_HOLD);
    int64_t first_ms = gateways_turn_ms(house.gateways, 0, house.now_ms);
    assert_true(first_ms > house.now_ms);
    for (int i = 1; i < 20; i++) { /* what cannot be held comes back at the pace of the rate, one after the other */
        assert_int_equal(gateways_turn_ms(house.gateways, 0, house.now_ms), first_ms + (int64_t)i * 100);
    }
    house_fini(&house);
}

/* ---- slow gateways --------------------------------------------------------------------------------------------------- */

/* Of 190 messages two gateways of equal weight get 100 and 90 where the second has lost a step of 10 %. */
static void expect_second(struct house *house, unsigned wanted, unsigned of) {
    unsigned got[GATEWAYS_MAX];
    share_out(house, of, fast, got);
    assert_in_range(got[1], wanted - 1, wanted + 1);
}

static void slow_answers_take_a_step_at_most_once_in_a_while(void **state) {
    (void)state;
    struct house house;
    HOUSE(&house, usual("brisk", 100), usual("lame", 100));
    pass(&house, 1, 5, 11 * SECOND);
    pass(&house, 1, 15, 10 * SECOND);
    expect_second(&house, 100, 200); /* 5 of 20 are less than 30 % */
    pass(&house, 1, 6, 11 * SECOND);
    pass(&house, 1, 14, 10 * SECOND);
    expect_second(&house, 90, 190);
    pass(&house, 1, 200, 11 * SECOND); /* within ten minutes: no second step */
    expect_second(&house, 90, 190);
    house.now_ms += 10 * MINUTE;
    pass(&house, 1, 40, 11 * SECOND);
    expect_second(&house, 80, 180);
    house_fini(&house);
}

static void slow_deliveries_take_steps_however_fast_the_answers_were(void **state) {
    (void)state;
    struct house house;
    struct gateway_settings lame = usual("lame", 100);
    lame.failover.slow_percent = 60; /* more than half: answers and deliveries are not to be counted together */
    HOUSE(&house, usual("brisk", 100), lame);
    for (int i = 0; i < 20; i++) {
        pass(&house, 1, 1, 1);
        gateways_delivered(house.gateways, "brisk", 5 * MINUTE, house.now_ms); /* not longer than that */
        gateways_delivered(house.gateways, "lame", i % 5 < 3 ? 5 * MINUTE + 1 : SECOND, house.now_ms);
        gateways_delivered(house.gateways, "gone", 60 * MINUTE, house.now_ms); /* a gateway that is not configured any more */
    }
    expect_second(&house, 90, 190);
    house.now_ms += 10 * MINUTE;
    for (int i = 0; i < 20; i++) {
        gateways_delivered(house.gateways, "lame", i % 2 == 0 ? 6 * MINUTE : SECOND, house.now_ms); /* half is less than 60 % */
    }
    expect_second(&house, 90, 190);
    house_fini(&house);
}

static void a_failure_takes_a_step_at_once_and_an_unknown_outcome_of_a_slow_kind_too(void **state) {
    (void)state;
    struct house house;
    HOUSE(&house, usual("good", 100), usual("bad", 100));
    const struct gateways_wish bad = {.wanted = "bad"};
    end(&house, take(&house, &bad), OUTCOME_RETRY, BLAME_GATEWAY, 1);
    expect_second(&house, 90, 190);
    house.now_ms += MINUTE;
    end(&house, take(&house, &bad), OUTCOME_UNKNOWN, BLAME_GATEWAY, 30 * SECOND);
    expect_second(&house, 80, 180);
    end(&house, take(&house, &bad), OUTCOME_REJECTED, BLAME_CONTACT, 1); /* the contact point's fault, not the gateway's */
    house.now_ms += MINUTE;
    end(&house, take(&house, &bad), OUTCOME_REJECTED, BLAME_MESSAGE, 1);
    expect_second(&house, 80, 180);
    house_fini(&house);
}

/* ---- holding --------------------------------------------------------------------------------------------------------- */

enum { WORKS = 8 };

struct keeper {
    struct house house;
    struct worker worker;
    struct work works[WORKS];
};

static void nothing(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    (void)ctx;
}

/* A worker with one gateway that may have two attempts under way; the first of the works are urgent. */
static void keeper_init(struct keeper *keeper, size_t urgent) {
    struct gateway_settings narrow = usual("narrow", 1);
    struct worker *w = &keeper->worker;
    struct err err;
    narrow.in_flight_max = 2;
    memset(keeper, 0, sizeof *keeper);
    HOUSE(&keeper->house, narrow);
    w->base = keeper->house.env.base;
    w->place = (struct work_place){.settings = &keeper->house.settings, .gateways = keeper->house.gateways, .clock = &keeper->house.clock};
    w->ready_end = &w->ready;
    w->flush_event = evtimer_new(w->base, nothing, NULL);
    w->flush_mono_ms = keeper->house.now_ms;
    assert_int_equal(holding_start(w, &err), 0);
    for (size_t i = 0; i < WORKS; i++) {
        keeper->works[i].lane = i < urgent ? LANE_URGENT : LANE_BULK;
        keeper->works[i].taken_mono_ms = keeper->house.now_ms;
        keeper->works[i].owner = w;
    }
}

static void keeper_fini(struct keeper *keeper) {
    holding_free(keeper->worker.holding);
    event_free(keeper->worker.flush_event);
    house_fini(&keeper->house);
}

/* What is ready now, as the numbers of the works; the list is empty afterwards. */
static const char *ready(struct keeper *keeper) {
    static char text[4 * WORKS];
    size_t len = 0;
    text[0] = '\0';
    for (const struct work *work = keeper->worker.ready; work != NULL; work = work->next_in_list) {
        assert_false(work->is_held);
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%d", len == 0 ? "" : " ", (int)(work - keeper->works));
    }
    keeper->worker.ready = NULL;
    keeper->worker.ready_end = &keeper->worker.ready;
    return text;
}

static bool may_hold(const struct keeper *keeper, size_t i) {
    const struct work_place *place = &keeper->worker.place;
    return place->may_hold(place->hold_ctx, &keeper->works[i], 0);
}

static void room_wakes_urgent_works_first_and_only_as_many_as_there_is_room_for(void **state) {
    (void)state;
    struct keeper keeper;
    struct gateways_choice choice;
    keeper_init(&keeper, 0);
    keeper.works[3].lane = keeper.works[5].lane = LANE_URGENT;
    (void)take(&keeper.house, &any);
    (void)take(&keeper.house, &any);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(pick(&keeper.house, &any, &choice), PICK_HOLD);
        holding_put(&keeper.worker, &keeper.works[i]);
    }
    assert_string_equal(ready(&keeper), "");
    end(&keeper.house, 0, OUTCOME_SENT, BLAME_NONE, 1);
    assert_string_equal(ready(&keeper), "3");
    assert_true(keeper.works[3].place_kept);
    end(&keeper.house, 0, OUTCOME_SENT, BLAME_NONE, 1);
    assert_string_equal(ready(&keeper), "5");
    assert_int_equal(pick(&keeper.house, &any, &choice), PICK_HOLD); /* both places are kept for those that were woken */
    const struct gateways_wish urgent = {.urgent = true};
    (void)take(&keeper.house, &urgent); /* but not from an urgent one */
    gateways_woken(keeper.house.gateways, 0);
    gateways_woken(keeper.house.gateways, 0);
    end(&keeper.house, 0, OUTCOME_SENT, BLAME_NONE, 1);
    assert_string_equal(ready(&keeper), "0 1");
    keeper_fini(&keeper);
}

static void a_work_that_is_told_to_stop_and_a_worker_that_goes_away_wait_for_nothing(void **state) {
    (void)state;
    struct keeper keeper;
    keeper_init(&keeper, 1);
    for (size_t i = 0; i < 4; i++) {
        holding_put(&keeper.worker, &keeper.works[i]);
    }
    holding_wake_one(&keeper.worker, &keeper.works[2]);
    holding_wake_one(&keeper.worker, &keeper.works[7]); /* is not kept */
    assert_string_equal(ready(&keeper), "2");
    assert_false(keeper.works[2].place_kept);
    holding_wake_all(&keeper.worker);
    assert_string_equal(ready(&keeper), "0 1 3");
    assert_false(keeper.works[1].place_kept);
    keeper.worker.draining = true;
    assert_false(may_hold(&keeper, 0));
    keeper_fini(&keeper);
}

static void a_work_is_kept_for_half_of_its_lease_and_a_quarter_of_the_room_is_for_one_gateway(void **state) {
    (void)state;
    struct keeper keeper;
    keeper_init(&keeper, 1);
    for (size_t i = 1; i <= 5; i++) { /* 16 / 4 + 1 */
        assert_true(may_hold(&keeper, i));
        holding_put(&keeper.worker, &keeper.works[i]);
    }
    assert_false(may_hold(&keeper, 6));
    assert_true(may_hold(&keeper, 0)); /* urgent */
    keeper.worker.flush_mono_ms += LEASE_MS / 2 - 1;
    assert_true(may_hold(&keeper, 0));
    keeper.worker.flush_mono_ms++;
    assert_false(may_hold(&keeper, 0));
    keeper_fini(&keeper);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_divided_by_weight),
        cmocka_unit_test(a_broken_gateway_gets_nothing_and_the_reserve_serves_only_when_all_are),
        cmocka_unit_test(a_message_in_doubt_stays_and_one_that_failed_goes_elsewhere),
        cmocka_unit_test(a_full_gateway_leaves_its_messages_to_the_others_and_then_holds_them),
        cmocka_unit_test(without_a_permit_nothing_goes_to_a_gateway_with_a_rate),
        cmocka_unit_test(slow_answers_take_a_step_at_most_once_in_a_while),
        cmocka_unit_test(slow_deliveries_take_steps_however_fast_the_answers_were),
        cmocka_unit_test(a_failure_takes_a_step_at_once_and_an_unknown_outcome_of_a_slow_kind_too),
        cmocka_unit_test(room_wakes_urgent_works_first_and_only_as_many_as_there_is_room_for),
        cmocka_unit_test(a_work_that_is_told_to_stop_and_a_worker_that_goes_away_wait_for_nothing),
        cmocka_unit_test(a_work_is_kept_for_half_of_its_lease_and_a_quarter_of_the_room_is_for_one_gateway),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
