/* Tests of doubts.c: what each policy makes of an attempt that may or may not have gone out, with the time given. */
#include "dispatcher/work.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { NOW_MS = 1000000, BACKOFF_MS = 700, WAIT_MS = 60000 };

static const struct route_step steps[] = {{CHANNEL_SMS, EVIDENCE_DELIVERED, WAIT_MS, 3, 0},
                                          {CHANNEL_SMS, EVIDENCE_DELIVERED, 0, 3, 0}, /* until the notice expires */
                                          {CHANNEL_SMS, EVIDENCE_SENT, 0, 3, 0}};
static const struct route route = {"r", steps, 3};
enum { STEP_WAITS, STEP_WAITS_FOR_EVER, STEP_WAITS_FOR_NOTHING, STEP_GONE };

struct stage {
    struct gateway_settings rows[3];
    struct settings settings;
    struct channel_env env;
    struct work_place place;
    struct record_try try;
    struct work work;
};

static int no_banner(void *ctx, const struct message *message, channel_done_fn *done, void *done_ctx, struct err *err) {
    (void)ctx;
    (void)message;
    (void)done;
    (void)done_ctx;
    return err_set(err, ERR_UNKNOWN, "no banner in this test");
}

/* A notice with one attempt in the air, by that step and through that gateway: "resend", "wait" and "next", or one that is gone. */
static void set(struct stage *stage, uint32_t step, const char *gateway) {
    static const char *const names[] = {"resend", "wait", "next"};
    struct err err;
    memset(stage, 0, sizeof *stage);
    for (size_t i = 0; i < 3; i++) {
        stage->rows[i] = (struct gateway_settings){
            .name = names[i], .channel = "sms", .driver = "null", .in_flight_max = 1, .weight = 1, .on_unknown = names[i]};
    }
    stage->settings.gateways = (struct conf_list){.items = stage->rows, .n = 3, .item_size = sizeof stage->rows[0]};
    stage->env = (struct channel_env){.base = event_base_new(), .clock = &clock_system, .put_banner = no_banner};
    stage->place = (struct work_place){.settings = &stage->settings, .gateways = gateways_open(&stage->settings, &stage->env, &err)};
    assert_non_null(stage->place.gateways);
    stage->try = (struct record_try){
        .gateway = gateway, .plan = {.step = step, .attempts = 1, .last = OUTCOME_UNKNOWN, .first_at_ms = NOW_MS, .last_at_ms = NOW_MS}};
    stage->work.route = &route;
    stage->work.record.tries = &stage->try;
    stage->work.record.n_tries = 1;
}

static void clear(struct stage *stage) {
    arena_fini(&stage->work.arena);
    gateways_close(stage->place.gateways);
    event_base_free(stage->env.base);
}

static void each_policy_has_its_own_time(void **state) {
    (void)state;
    static const struct {
        uint32_t step;
        const char *gateway;
        enum outcome_kind last;
        int64_t wait_ms;
    } cases[] = {
        {STEP_WAITS, "resend", OUTCOME_UNKNOWN, BACKOFF_MS},
        {STEP_WAITS, "wait", OUTCOME_UNKNOWN, WAIT_MS},
        {STEP_WAITS_FOR_EVER, "wait", OUTCOME_UNKNOWN, PLAN_LOOK_AGAIN_MS},
        {STEP_WAITS_FOR_NOTHING, "wait", OUTCOME_UNKNOWN, 0},
        {STEP_GONE, "wait", OUTCOME_UNKNOWN, 0}, /* the route has become shorter */
        {STEP_WAITS, "next", OUTCOME_REJECTED, BACKOFF_MS},
        {STEP_WAITS, "gone", OUTCOME_UNKNOWN, BACKOFF_MS}, /* a gateway that is not configured any more */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stage stage;
        set(&stage, cases[i].step, cases[i].gateway);
        work_doubt(&stage.work, &stage.place, &stage.try, BACKOFF_MS, NOW_MS);
        assert_int_equal(stage.try.plan.last, cases[i].last);
        assert_int_equal(stage.try.plan.retry_at_ms, NOW_MS + cases[i].wait_ms);
        assert_int_equal(stage.try.doubts, 1);
        clear(&stage);
    }
}

static void a_wait_that_is_over_ends_the_try_and_only_that(void **state) {
    (void)state;
    static const struct {
        uint32_t step;
        const char *gateway;
        int64_t later_ms;
        bool receipt, failed, early;
        enum outcome_kind last;
    } cases[] = {
        {STEP_WAITS, "wait", WAIT_MS - 1, false, false, false, OUTCOME_UNKNOWN},
        {STEP_WAITS, "wait", WAIT_MS, false, false, false, OUTCOME_REJECTED},
        {STEP_WAITS, "wait", WAIT_MS, true, false, false, OUTCOME_SENT},
        {STEP_WAITS, "wait", WAIT_MS, false, true, false, OUTCOME_UNKNOWN}, /* has failed already: the plan knows */
        {STEP_WAITS, "wait", WAIT_MS, false, false, true, OUTCOME_UNKNOWN}, /* a warning has no next step */
        {STEP_WAITS, "resend", WAIT_MS, false, false, false, OUTCOME_UNKNOWN},
        {STEP_WAITS_FOR_NOTHING, "wait", 0, false, false, false, OUTCOME_REJECTED},
        {STEP_WAITS_FOR_EVER, "wait", 2 * PLAN_LOOK_AGAIN_MS, false, false, false, OUTCOME_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stage stage;
        struct err err;
        set(&stage, cases[i].step, cases[i].gateway);
        work_doubt(&stage.work, &stage.place, &stage.try, BACKOFF_MS, NOW_MS);
        stage.try.plan.last = cases[i].receipt ? OUTCOME_SENT : stage.try.plan.last;
        stage.try.plan.failed_later = cases[i].failed;
        stage.try.plan.early_warning = cases[i].early;
        assert_int_equal(work_end_doubts(&stage.work, &stage.place, NOW_MS + cases[i].later_ms, &err), 0);
        if (stage.try.plan.last != cases[i].last) {
            fail_msg("case %zu: %s", i, outcome_name(stage.try.plan.last));
        }
        assert_int_equal(stage.work.record.n_log, cases[i].last == OUTCOME_REJECTED ? 1 : 0);
        bool looks_again = cases[i].step == STEP_WAITS_FOR_EVER;
        assert_true(!looks_again || stage.try.plan.retry_at_ms == NOW_MS + cases[i].later_ms + PLAN_LOOK_AGAIN_MS);
        clear(&stage);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_policy_has_its_own_time),
        cmocka_unit_test(a_wait_that_is_over_ends_the_try_and_only_that),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
