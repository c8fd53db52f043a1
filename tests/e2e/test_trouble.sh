#!/bin/bash
# run-tests: timeout=240
# The queue in trouble, seen from outside: replies lost, workers stopped and killed, groups deleted, jobs that come a hundred times. The
# numbers are those of the list of faults; what can be caused below the daemon is in tests/queue/test_queue_trouble.c.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

job() {
    echo "{\"v\":1,\"type\":\"notice\",\"id\":\"$1\",\"notice\":\"mail-password-disabled\",\"customer\":{\"id\":\"$1\",\"locale\":\"en\",\"contacts\":[{\"channel\":\"email\",\"address\":\"$1@example.org\"}]},\"disables\":{\"accounts\":[\"$1@walton.example\"]},\"data\":{\"reset_url\":\"https://walton.example/reset\"}}"
}
notice() { rcli XADD reach:intake '*' job "$(job "$1")" >"$T/xadd"; }
mails_to() { peer_index "sum(1 for m in d if m['recipient'].startswith('$1@'))" 2>/dev/null || echo 0; }
is_taken() { [ "$(mails_to "$1")" -ge 1 ]; }
count_is() { [ "$(ctl --json status 2>/dev/null | json - "d['$1']")" = "$2" ]; }
nothing_is_lost() { equal 0 "$(ctl --json status | json - 'd["unaccounted"]')" unaccounted; }

# config FILE CONSUMER SOCKET LEASE
config() {
    cat >"$1" <<YAML
redis: {address: "unix:$3", lease: $4, consumer: $2}
worker: {retry_base: 50ms, retry_cap: 200ms}
journal: {directory: "$T/journal"}
$(mail_only)
YAML
}

it_reads_again_after_fault_04_a_lost_reply_to_a_read() {
    start_redis
    start_peer
    CONFIG=$T/reachd.yaml
    config "$CONFIG" one "$T/proxy.sock" 30s
    start proxy "$PYTHON" "$TOP/tests/support/cut_reply.py" "$T/proxy.sock" "$REDIS_SOCK" lost-reply "$T/cut"
    wait_until 10 "the proxy listens" test -S "$T/proxy.sock"
    start_reachd --config "$CONFIG"
    notice lost-reply
    wait_until 10 "the reply is lost" test -e "$T/cut"
    wait_until 20 "it is reached all the same" state_is lost-reply reached
    equal 1 "$(mails_to lost-reply)" messages
    nothing_is_lost
    stop reachd
    stop proxy
}

it_sends_nothing_after_fault_05_a_stop_past_the_lease() {
    config "$T/slow.yaml" slow "$REDIS_SOCK" 2s
    config "$CONFIG" one "$REDIS_SOCK" 2s
    peer_rules '{"rules":[{"phase":"banner","action":"delay","delay_ms":1200}]}'
    start slow "$B/reachd" --config "$T/slow.yaml"
    wait_until 20 "it takes work" grep -q ' ready: ' "$T/slow.log"
    notice stopped
    wait_until 20 "it has the intent" sh -c "redis-cli -s $REDIS_SOCK HEXISTS reach:notices stopped | grep -qx 1"
    # It and its mailers stand still before the relay has greeted them.
    local mailers
    mailers=$(pgrep -P "${PID[slow]}" reachd-mailer)
    # shellcheck disable=SC2086
    kill -STOP "${PID[slow]}" $mailers
    equal 0 "$(mails_to stopped)" 'messages so far'
    peer_rules '{"rules":[]}'
    start_reachd --config "$CONFIG"
    wait_until 30 "the other one has taken it over" state_is stopped reached
    equal 1 "$(mails_to stopped)" messages
    local record
    record=$(rcli HGET reach:notices stopped)
    # shellcheck disable=SC2086
    kill -CONT "${PID[slow]}" $mailers
    notice after
    wait_until 20 "work goes on" state_is after reached
    stop slow
    equal 1 "$(mails_to stopped)" 'messages after it went on'
    equal "$record" "$(rcli HGET reach:notices stopped)" 'the record'
    nothing_is_lost
}

it_sends_once_after_fault_08_the_group_is_deleted() {
    for stream in intake intake:bulk receipts; do rcli XGROUP DESTROY "reach:$stream" reachd >"$T/destroy"; done
    notice grouped
    wait_until 20 "it is reached" state_is grouped reached
    equal 1 "$(mails_to grouped)" messages
    equal 1 "$(mails_to after)" 'messages of one that was finished before'
    nothing_is_lost
}

it_goes_on_after_fault_09_the_stream_is_deleted() {
    rcli DEL reach:intake >"$T/del"
    notice deleted
    wait_until 20 "it is reached" state_is deleted reached
    equal 1 "$(mails_to deleted)" messages
}

it_stops_when_fault_03_is_found_on_reconnect() {
    rcli CONFIG SET appendonly no >"$T/set"
    rcli CLIENT KILL TYPE normal SKIPME yes >"$T/kill"
    finish reachd
    equal 1 "$STATUS" 'exit status'
    contains "$(tail -n 5 "$T/reachd.log")" 'appendonly yes' 'the last words'
    rcli CONFIG SET appendonly yes >"$T/set"
    start_reachd --config "$CONFIG"
}

it_sends_once_for_fault_20_a_hundred_identical_jobs_from_ten_producers() {
    job same >"$T/same.ndjson"
    for ((i = 1; i < 10; i++)); do cat "$T/same.ndjson" >>"$T/ten.ndjson"; done
    cat "$T/same.ndjson" >>"$T/ten.ndjson"
    local before
    before=$(ctl --json status | json - 'd["accepted"]')
    for ((i = 0; i < 10; i++)); do start "producer$i" "$B/reachctl" --config "$CONFIG" push "$T/ten.ndjson"; done
    for ((i = 0; i < 10; i++)); do
        finish "producer$i"
        equal 0 "$STATUS" "exit status of producer $i"
    done
    wait_until 30 "all are accounted for" count_is accepted $((before + 100))
    wait_until 30 "it is reached" state_is same reached
    equal 1 "$(mails_to same)" messages
    count_is duplicates 99 || fail "duplicates: $(ctl --json status | json - 'd["duplicates"]')"
    nothing_is_lost
}

it_puts_fault_18_a_job_that_three_workers_were_lost_over_to_the_dead_letters_and_fault_19_tells_ops() {
    # A contact book of the wrong type keeps every job where a killer would strike: in hand, its intent not recorded yet.
    stop reachd
    rcli RENAME reach:contacts saved >"$T/rename"
    rcli SET reach:contacts wrong >"$T/set"
    notice killer
    notice neighbour
    local life
    for life in 1 2 3; do
        start_reachd --config "$CONFIG"
        wait_until 20 "the killer is in hand for the ${life}th time" delivered "$life"
        stop reachd KILL
    done
    rcli RENAME saved reach:contacts >"$T/rename"
    start_reachd --config "$CONFIG"
    wait_until 20 "it is dead" count_is dead 1
    contains "$(ctl dead list)" 'handed out 4 times and never finished' 'the reason'
    grep -q 'error: ALARM: stream entry .* was handed out 4 times and its worker lost each time: it is in the dead letters, unread' "$T/reachd.log" || fail "ops were not told in the log"
    contains "$(rcli XRANGE reach:events - +)" '"dead"' 'the events'
    equal "$(job killer)" "$(rcli XREVRANGE reach:dead + - COUNT 1 | sed -n 3p)" 'the job, whole'
    wait_until 20 "its neighbour is reached" state_is neighbour reached
    equal 1 "$(mails_to neighbour)" 'messages of its neighbour'
    nothing_is_lost
}
# delivered TIMES: whether a lease of the urgent lane says so
delivered() { rcli HGETALL reach:leases | grep -A 1 '^urgent/' | grep -q "^$1 "; }

run_cases
