#!/bin/bash
# run-tests: timeout=400
# reachd is killed with SIGKILL in the middle of a demo-sized run, more than once, and started again: nothing is lost, nothing is sent
# without a recorded intent, every second copy is explained, and the promises hold.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachd reachctl reachd-mailer sandbox-peer redis-server redis-cli
COUNT=2000
# what may be in the air when a process dies: in_flight_max of each of the three gateways (its mailer goes on for a moment)
IN_THE_AIR=768

it_starts_a_demo_sized_run() {
    "$PYTHON" "$TOP/tests/demo/customers.py" "$T" en-GB,de-DE "$COUNT"
    start_peer --rules "$T/rules.json"
    CONFIG=$T/reachd.yaml
    mkdir "$T/state"
    make_config "$CONFIG" "$T/ports.json" "$T/state/redis.sock"
    REDIS_SOCK=$T/state/redis.sock
    start_reachd --standalone "$T/state" --config "$CONFIG"
    start world "$PYTHON" "$TOP/tests/demo/world.py" "$T" "$REDIS_SOCK"
    ctl push "$T/jobs.ndjson" >"$T/push.out" 2>&1 || fail "$(cat "$T/push.out")"
}

messages() { wc -l <"$PEER_DIR/index.ndjson"; }
more_messages_than() { [ "$(messages)" -gt "$1" ]; }

# kill_in_the_middle MESSAGES: waits until so many are out, kills reachd, and starts it again.
kill_in_the_middle() {
    wait_until 120 "$1 messages are out" more_messages_than "$1"
    stop reachd KILL
    equal 137 "$STATUS" 'exit status of a killed reachd'
    start_reachd --standalone "$T/state" --config "$CONFIG"
}

it_is_killed_early() { kill_in_the_middle 5; }
it_is_killed_again_in_the_middle() { kill_in_the_middle 150; }
it_is_killed_once_more_near_the_end() { kill_in_the_middle 400; }

it_takes_jobs_that_were_pushed_twice_for_duplicates() {
    ctl push "$T/twice.ndjson" >"$T/push.out" 2>&1 || fail "$(cat "$T/push.out")"
}

it_comes_to_rest() {
    DEMO_PATIENCE_S=240 "$PYTHON" "$TOP/tests/demo/watch.py" "$T" "$REDIS_SOCK" "$B/reachctl" --config "$CONFIG" >"$T/watch.out" 2>&1 ||
        fail "it did not settle: $(cat "$T/watch.out"; ctl status 2>&1)"
}

it_ends_with_unaccounted_0() {
    equal 0 "$(ctl --json status | json - 'd["unaccounted"]')" 'unaccounted'
    equal "$((COUNT + 20))" "$(ctl --json status | json - 'd["accepted"]')" 'accepted'
    contains "$(ctl status)" 'unaccounted 0' 'reachctl status'
}

it_keeps_every_promise() {
    "$PYTHON" "$TOP/tests/demo/verify.py" "$T" "$REDIS_SOCK" >"$T/verify.out" || fail "$(cat "$T/verify.out")"
}

it_can_explain_every_second_copy() {
    # every flaky mailbox loses one answer by the rules; the rest is what was in the air. Each copy is held against its record.
    local flaky
    flaky=$(grep -o '[a-z0-9.]*@flaky.example' "$T/jobs.ndjson" | sort -u | wc -l)
    "$PYTHON" "$TOP/tests/e2e/explained.py" "$T/jobs.ndjson" "$PEER_DIR/index.ndjson" "$REDIS_SOCK" $((flaky + 3 * IN_THE_AIR)) >"$T/explained.out" ||
        fail "$(cat "$T/explained.out")"
    say "    $(cat "$T/explained.out")"
}

it_stops_in_order() {
    stop world
    stop reachd
    equal 0 "$STATUS" 'exit status of reachd after SIGTERM'
    equal '' "$(pgrep -af -- "$T/state" || true)" 'processes left behind'
}

run_cases
