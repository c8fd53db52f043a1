#!/bin/bash
# run-tests: timeout=300
# Starting, stopping, and a Redis that is not there: one clear line each, no lost job, the exit codes of the contract.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachd reachctl reachd-mailer sandbox-peer redis-server redis-cli
CONFIG=$T/reachd.yaml
RCLI_SOCK=$T/redis.sock

job() { # job ID [ADDRESS]
    printf '{"v":1,"type":"notice","id":"%s","notice":"mail-password-disabled","customer":{"id":"C-%s","name":"Ada","locale":"en-GB","contacts":[{"channel":"email","address":"%s"}]},"disables":{"accounts":["%s@walton.example"]},"data":{"reset_url":"https://walton.example/reset"}}\n' \
        "$1" "$1" "${2:-$1@example.org}" "$1"
}
log_says() { grep -q "$1" "$T/reachd.log"; }
sent_number() { [ "$(wc -l <"$PEER_DIR/index.ndjson")" -ge "$1" ]; }

it_prepares() {
    # shellcheck disable=SC2119
    start_peer
    make_config "$CONFIG" "$T/ports.json" "$RCLI_SOCK"
}

it_tells_without_redis_and_exits_5_from_reachctl() {
    equal 5 "$(status_of ctl status)" 'reachctl status'
    equal 1 "$(wc -l <"$T/err")" 'lines on stderr'
    contains "$(cat "$T/err")" "$RCLI_SOCK" 'where it looked'
    job a >"$T/a.ndjson"
    equal 5 "$(status_of ctl push "$T/a.ndjson")" 'reachctl push'
    equal 5 "$(status_of ctl clearance check a@walton.example)" 'reachctl clearance check'
    equal '' "$(cat "$T/out")" 'stdout'
}

it_waits_for_redis_with_backoff() {
    local lines
    start reachd "$B/reachd" --config "$CONFIG"
    wait_until 20 'reachd tells that Redis is not there' grep -qi redis "$T/reachd.log"
    sleep 3
    alive reachd || fail 'reachd gave up'
    lines=$(wc -l <"$T/reachd.log")
    [ "$lines" -le 12 ] || fail "$lines lines in three seconds is no backoff: $(cat "$T/reachd.log")"
    # shellcheck disable=SC2119
    start_redis
    ctl push "$T/a.ndjson" 2>"$T/err" || fail "$(cat "$T/err")"
    wait_until 30 'the job is done once Redis is there' state_is a reached
}

it_comes_back_after_redis_was_killed() {
    stop redis KILL
    wait_until 20 'reachd tells it' log_says 'closed the connection\|reset by peer'
    equal 5 "$(status_of ctl status)" 'reachctl status'
    # shellcheck disable=SC2119
    start_redis
    job b >"$T/b.ndjson"
    ctl push "$T/b.ndjson" 2>"$T/err" || fail "$(cat "$T/err")"
    wait_until 30 'the next job is done' state_is b reached
    equal 0 "$(ctl --json status | json - 'd["unaccounted"]')" 'unaccounted'
}

it_drains_on_sigterm_and_exits_0() {
    local i before
    before=$(wc -l <"$PEER_DIR/index.ndjson")
    peer_rules '{"rules":[{"phase":"after-dot","action":"delay","delay_ms":1500}]}'
    for i in 1 2 3 4 5 6; do job "d$i"; done >"$T/d.ndjson"
    ctl push "$T/d.ndjson" 2>"$T/err" || fail "$(cat "$T/err")"
    # kept by the peer, whose answers are still to come
    wait_until 20 'six mails are at the peer' sent_number $((before + 6))
    stop reachd TERM 30
    equal 0 "$STATUS" 'exit status'
    peer_rules '{"rules":[]}'
    for i in 1 2 3 4 5 6; do state_is "d$i" sent || fail "d$i was not finished: $(ctl --json notice show "d$i" 2>&1)"; done
    equal 0 "$(ctl --json status | json - 'd["unaccounted"]')" 'unaccounted'
    start_reachd --config "$CONFIG"
    for i in 1 2 3 4 5 6; do wait_until 30 "d$i is reached after a restart" state_is "d$i" reached; done
    equal $((before + 6)) "$(wc -l <"$PEER_DIR/index.ndjson")" 'messages: none a second time'
}

it_takes_on_nothing_new_while_draining() {
    local before
    before=$(wc -l <"$PEER_DIR/index.ndjson")
    peer_rules '{"rules":[{"phase":"after-dot","first":1,"action":"delay","delay_ms":2000}]}'
    job e1 >"$T/e.ndjson"
    ctl push "$T/e.ndjson" 2>"$T/err" || fail "$(cat "$T/err")"
    wait_until 20 'one mail is at the peer' sent_number $((before + 1))
    kill -TERM "${PID[reachd]}"
    wait_until 5 'it drains' log_says 'draining: 1'
    job e2 >"$T/e.ndjson"
    ctl push "$T/e.ndjson" 2>"$T/err" || fail "$(cat "$T/err")"
    finish reachd
    equal 0 "$STATUS" 'exit status'
    equal $((before + 1)) "$(wc -l <"$PEER_DIR/index.ndjson")" 'messages while draining'
    peer_rules '{"rules":[]}'
    start_reachd --config "$CONFIG"
    wait_until 30 'the job that came meanwhile is done by the next reachd' state_is e2 reached
    stop reachd
    equal 0 "$STATUS" 'exit status'
}

it_does_not_wait_for_the_drain_limit_when_housekeeping_is_answered_last() {
    sed 's/^worker:.*/&\n  drain: 10m/' "$CONFIG" >"$T/patient.yaml"
    grep -q 'drain: 10m' "$T/patient.yaml" || fail 'the configuration has no worker section'
    start_reachd --config "$T/patient.yaml"
    kill -STOP "${PID[redis]}"
    sleep 1.5 # once a second reachd asks Redis for something of its own; that has no answer now
    kill -TERM "${PID[reachd]}"
    wait_until 20 'it drains' log_ends_with 'draining: 0 notices in flight'
    kill -CONT "${PID[redis]}"
    wait_until 20 'it ends as soon as Redis has answered' gone reachd
    finish reachd
    equal 0 "$STATUS" 'exit status'
}
log_ends_with() { tail -n 1 "$T/reachd.log" | grep -q "$1"; }

it_stops_at_once_while_redis_is_away() {
    start_reachd --config "$CONFIG"
    stop redis
    stop reachd TERM 30
    equal 0 "$STATUS" 'exit status'
}

it_refuses_a_redis_that_would_lose_jobs() {
    start_redis --appendonly no
    : >"$T/reachd.log"
    start reachd "$B/reachd" --config "$CONFIG"
    finish reachd
    equal 1 "$STATUS" 'exit status'
    contains "$(cat "$T/reachd.log")" 'appendonly' 'the reason'
    stop redis
    start_redis --maxmemory 100mb --maxmemory-policy allkeys-lru
    : >"$T/reachd.log"
    start reachd "$B/reachd" --config "$CONFIG"
    finish reachd
    equal 1 "$STATUS" 'exit status'
    contains "$(cat "$T/reachd.log")" 'noeviction' 'the remedy'
    stop redis
}

it_refuses_a_wrong_configuration_with_file_and_line() {
    sed 's/^  retry_base: .*/  retry_bse: 1s/' "$CONFIG" >"$T/wrong.yaml"
    equal 1 "$(status_of "$B/reachd" --config "$T/wrong.yaml")" 'exit status'
    contains "$(cat "$T/err")" "wrong.yaml:$(grep -n retry_bse "$T/wrong.yaml" | cut -d: -f1): worker.retry_bse: " 'file, line and key'
    sed 's/^  retry_base: .*/  retry_base: 1/' "$CONFIG" >"$T/wrong.yaml"
    equal 1 "$(status_of "$B/reachd" --config "$T/wrong.yaml")" 'exit status'
    contains "$(cat "$T/err")" 'worker.retry_base: ' 'the key'
    contains "$(cat "$T/err")" 'allowed' 'the range'
    equal 1 "$(status_of "$B/reachd" --config "$T/not-there.yaml")" 'exit status'
    contains "$(cat "$T/err")" 'not-there.yaml' 'the file'
    equal 2 "$(status_of "$B/reachd" --no-such-option)" 'exit status of a wrong command line'
}

it_runs_alone_and_leaves_nothing() {
    mkdir "$T/alone"
    make_config "$T/made.yaml" "$T/ports.json" "$T/alone/redis.sock"
    cp -r "$TOP/templates/messages" "$T/words"
    sed -e "s|^  directory: .*/messages\"*$|  directory: $T/words|" -e '/^  archive: .*\.words/d' "$T/made.yaml" >"$CONFIG"
    start_reachd --standalone "$T/alone" --config "$CONFIG"
    job s1 >"$T/s.ndjson"
    ctl push "$T/s.ndjson" 2>"$T/err" || fail "$(cat "$T/err")"
    wait_until 30 'the job is done' state_is s1 reached
    ctl template render s1 >"$T/before" || fail 'the mail cannot be made again'
    sed -i 's/^subject: .*/subject: "Other words"/' "$T/words/mail-password-disabled/en/email.md"
    wait_until 20 'other words are in use' log_says 'new templates are in use'
    ctl template render s1 >"$T/after" 2>"$T/err" || fail "the version it was sent with was not kept: $(cat "$T/err")"
    cmp "$T/before" "$T/after" || fail 'the mail is made from words that it was not sent with'
    contains "$(ctl template list)" 'yes' 'kept versions in the list'
    if "$B/reachd" --standalone "$T/alone" --config "$CONFIG" >"$T/second.log" 2>&1; then fail 'a second reachd runs on the same folder'; fi
    contains "$(cat "$T/second.log")" "$T/alone" 'what the second one says'
    stop reachd
    equal 0 "$STATUS" 'exit status'
    equal '' "$(pgrep -af -- "$T/alone" || true)" 'processes left behind'
    start_reachd --standalone "$T/alone" --config "$CONFIG"
    state_is s1 reached || fail 'what it knew is gone after a restart'
}

it_takes_its_redis_along_when_it_is_killed() {
    stop reachd KILL
    wait_until 20 'its redis-server ends' no_process_in "$T/alone"
    start_reachd --standalone "$T/alone" --config "$CONFIG"
    state_is s1 reached || fail 'what it knew is gone after kill -9'
}
no_process_in() { ! pgrep -f -- "$1" >/dev/null; }

run_cases
