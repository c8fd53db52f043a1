#!/bin/bash
# run-tests: timeout=240
# A notice that comes through the due set and that workers are lost over, seen from outside (fault 18, 19): it is counted, tried alone, and
# ended with a desk case; what is in hand when a worker is stopped is not counted.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

job() {
    echo "{\"v\":1,\"type\":\"notice\",\"id\":\"$1\",\"notice\":\"mail-password-disabled\",\"customer\":{\"id\":\"$1\",\"locale\":\"en\",\"contacts\":[{\"channel\":\"email\",\"address\":\"$1@example.org\"}]},\"disables\":{\"accounts\":[\"$1@walton.example\"]},\"data\":{\"reset_url\":\"https://walton.example/reset\"}}"
}
notice() { rcli XADD reach:intake '*' job "$(job "$1")" >"$T/xadd"; }
mails_to() { peer_index "sum(1 for m in d if m['recipient'].startswith('$1@'))" 2>/dev/null || echo 0; }
count_is() { [ "$(ctl --json status 2>/dev/null | json - "d['$1']")" = "$2" ]; }
nothing_is_lost() { equal 0 "$(ctl --json status | json - 'd["unaccounted"]')" unaccounted; }
# lost_is ID N: so many workers will have been lost over it when its time in the due set comes.
lost_is() {
    local parts=('' .0625 .125 .1875) score
    score=$(rcli ZSCORE reach:due "$1")
    [ "$score" = "${score%%.*}${parts[$2]}" ]
}
# A contact book of the wrong type keeps every notice where a killer would strike: in hand, nothing recorded yet.
keep_in_hand() {
    rcli RENAME reach:contacts saved >"$T/rename"
    rcli SET reach:contacts wrong >"$T/set"
}
let_go() { rcli RENAME saved reach:contacts >"$T/rename"; }

it_puts_two_notices_into_the_due_set() {
    start_redis
    start_peer
    CONFIG=$T/reachd.yaml
    cat >"$CONFIG" <<YAML
redis: {address: "unix:$REDIS_SOCK", lease: 2s, consumer: one}
worker: {retry_base: 50ms, retry_cap: 200ms, drain: 1s}
journal: {directory: "$T/journal"}
$(mail_only)
YAML
    peer_rules '{"rules":[{"phase":"rcpt","action":"reply","code":451,"text":"4.2.0 later"}]}'
    start_reachd --config "$CONFIG"
    notice killer
    notice neighbour
    wait_until 60 "one waits to be tried again" state_is killer planned
    wait_until 60 "so does the other" state_is neighbour planned
    stop reachd
    lost_is killer 0 || fail "a notice that was never lost counts: $(rcli ZSCORE reach:due killer)"
    peer_rules '{"rules":[]}'
}

it_does_not_count_what_is_in_hand_at_a_stop() {
    keep_in_hand
    start_reachd --config "$CONFIG"
    wait_until 60 "it is in hand" lost_is killer 1
    stop reachd
    lost_is killer 0 || fail "it counts: $(rcli ZSCORE reach:due killer)"
    lost_is neighbour 0 || fail "its neighbour counts: $(rcli ZSCORE reach:due neighbour)"
}

it_ends_for_fault_18_a_due_notice_that_three_workers_were_lost_over() {
    local life
    for life in 1 2 3; do
        # The third time the killer is alone (tests/queue/test_queue_lost.c), for as long as this machine needs.
        [ "$life" -lt 3 ] || rcli ZINCRBY reach:due 3600000 neighbour >"$T/later"
        start_reachd --config "$CONFIG"
        wait_until 60 "the killer is in hand for the ${life}th time" lost_is killer "$life"
        stop reachd KILL
    done
    rcli ZINCRBY reach:due -3600000 neighbour >"$T/now"
    lost_is neighbour 2 || fail "its neighbour is blamed for the third: $(rcli ZSCORE reach:due neighbour)"
    let_go
    start_reachd --config "$CONFIG"
    wait_until 60 "a person takes over" state_is killer stranded-handed-to-desk
    wait_until 60 "its neighbour is reached" state_is neighbour reached
    equal 0 "$(mails_to killer)" 'messages of the killer'
    equal 1 "$(mails_to neighbour)" 'messages of its neighbour'
    nothing_is_lost
}

it_forgets_nobody_and_clears_nothing() {
    contains "$(ctl --json desk list)" '"killer"' 'the desk'
    contains "$(rcli HGET reach:holds killer@walton.example)" '"killer"' 'the hold'
    equal 4 "$(status_of ctl clearance check killer@walton.example)" 'exit status of the clearance check'
    equal '' "$(rcli GET 'reach:release:{killer}')" 'the release'
}

it_tells_ops_for_fault_19() {
    grep -q 'error: ALARM: notice killer was handed out 3 times and its worker lost each time' "$T/reachd.log" || fail "ops were not told in the log"
    equal 1 "$(rcli HGET reach:counters count:alarm.poison)" 'alarms counted'
    contains "$(rcli XRANGE reach:events - +)" '"stranded-handed-to-desk"' 'the events'
    contains "$(ctl dead list)" 'handed out 3 times and never finished' 'the reason of the dead letter'
    equal "$(job killer)" "$(rcli XREVRANGE reach:dead + - COUNT 1 | sed -n 3p)" 'the job, whole'
    contains "$(ctl notice show killer)" 'handed out 3 times and never finished' 'the timeline'
    ctl doctor >"$T/doctor" 2>&1 || grep -qi 'unaccounted 0\|recount' "$T/doctor" || fail "doctor: $(cat "$T/doctor")"
}

it_lets_go_once_the_customer_has_acted() {
    rcli XADD reach:intake '*' job '{"v":1,"type":"resolve","id":"r1","notice":"killer"}' >"$T/xadd"
    wait_until 60 "the hold is gone" sh -c "redis-cli -s $REDIS_SOCK HEXISTS reach:holds killer@walton.example | grep -qx 0"
    lacks "$(ctl --json desk list)" '"killer"' 'the desk'
    nothing_is_lost
    stop reachd
}

run_cases
