#!/bin/bash
# run-tests: timeout=200
# Redis is killed between a gateway's answer and its record, and reachd too (F22): the journal knows what the gateway answered, so nothing
# is sent a second time and the notice goes on from there.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

notice() {
    rcli XADD reach:intake '*' job "{\"v\":1,\"type\":\"notice\",\"id\":\"$1\",\"notice\":\"mail-password-disabled\",\"customer\":{\"id\":\"$1\",
        \"locale\":\"en\",\"name\":\"Ada Lovelace\",\"contacts\":[{\"channel\":\"email\",\"address\":\"$1@example.org\"}]},
        \"disables\":{\"accounts\":[\"$1@walton.example\"]},\"data\":{\"reset_url\":\"https://walton.example/reset\"}}" >"$T/xadd"
}
mails_to() { peer_index "sum(1 for m in d if m['recipient'].startswith('$1@'))" 2>/dev/null || echo 0; }
is_taken() { [ "$(mails_to "$1")" -ge 1 ]; }
# answered ID: the gateway's answer stands in the journal
answered() { grep -hq " $1 {\"kind\":0," "$J"/*.journal; }

# The relay has the message and keeps its answer back for so long that Redis can be killed before it comes.
slow_answer() { peer_rules "{\"rules\":[$1{\"phase\":\"after-dot\",\"action\":\"delay\",\"delay_ms\":1500}]}"; }

# send_and_kill_redis ID: its message is taken, Redis dies, then the answer comes
send_and_kill_redis() {
    notice "$1"
    wait_until 20 "the message of $1 is with the relay" is_taken "$1"
    stop redis KILL
    wait_until 20 "the answer for $1 stands in the journal" answered "$1"
}

# goes_on ID: it ends as reached, with one message and no doubt
goes_on() {
    wait_until 30 "$1 is reached" state_is "$1" reached
    equal 1 "$(mails_to "$1")" "messages of $1"
    lacks "$(ctl notice show "$1")" unknown "the timeline of $1"
    equal 0 "$(ctl --json status | json - 'd["unaccounted"]')" unaccounted
}

it_starts() {
    start_redis
    start_peer
    CONFIG=$T/reachd.yaml
    J=$T/journal
    cat >"$CONFIG" <<YAML
redis: {address: "unix:$REDIS_SOCK", lease: 30s, consumer: "one/1"}
worker: {in_flight_max: 256, retry_base: 50ms, retry_cap: 200ms, drain: 2s}
journal: {directory: "$J", size_max: 256KiB}
$(mail_only)
YAML
    start_reachd --config "$CONFIG"
}

it_survives_fault_22_redis_and_reachd_killed_in_the_first_attempt() {
    slow_answer ''
    send_and_kill_redis first
    stop reachd KILL
    start_redis
    start_reachd --config "$CONFIG"
    goes_on first
}

it_survives_fault_22_in_a_later_attempt_without_waiting_for_the_lease() {
    slow_answer '{"phase":"rcpt","recipient":"later@*","first":1,"action":"reply","code":451,"text":"4.7.1 later"},'
    send_and_kill_redis later
    stop reachd KILL
    start_redis
    start_reachd --config "$CONFIG"
    goes_on later
}

it_survives_fault_22_with_a_torn_last_line() {
    slow_answer ''
    send_and_kill_redis torn
    stop reachd KILL
    local file
    file=$(grep -l ' torn {' "$J"/*.journal)
    head -c 60 "$file" >>"$file"
    printf '\0\0\0\0 0000 torn {"kind":2}' >>"$file"
    start_redis
    start_reachd --config "$CONFIG"
    goes_on torn
    grep -q 'journal: 1 lines were torn' "$T/reachd.log" || fail "the damage was not told"
}

it_survives_fault_22_when_only_redis_is_killed() {
    send_and_kill_redis alone
    start_redis
    goes_on alone
}

it_survives_fault_22_when_reachd_is_told_to_stop_while_redis_is_away() {
    send_and_kill_redis stopped
    stop reachd
    equal 0 "$STATUS" 'exit status of reachd'
    start_redis
    start_reachd --config "$CONFIG"
    goes_on stopped
}

it_survives_fault_22_killed_twice_before_it_can_replay() {
    send_and_kill_redis twice
    stop reachd KILL
    start reachd "$B/reachd" --config "$CONFIG"
    wait_until 20 "it tries to connect" sh -c "tail -n 3 $T/reachd.log | grep -q 'trying again'"
    stop reachd KILL
    start_redis
    start_reachd --config "$CONFIG"
    goes_on twice
}

it_leaves_a_notice_alone_that_has_moved_on() {
    send_and_kill_redis moved
    stop reachd KILL
    start_redis
    # Somebody else has taken it over meanwhile: the record carries another token.
    local record
    record=$(rcli HGET reach:notices moved)
    rcli HSET reach:notices moved "R0fffffffffffffff${record:17}" >"$T/hset"
    rcli HINCRBY reach:counters state:s -1 >"$T/hset"
    rcli HINCRBY reach:counters state:R 1 >"$T/hset"
    start_reachd --config "$CONFIG"
    notice behind
    goes_on behind
    contains "$(rcli HGET reach:notices moved)" 'R0fffffffffffffff moved ' 'the record'
    equal 1 "$(mails_to moved)" 'messages of moved'
    lacks "$(tail -n 20 "$T/reachd.log")" 'notice moved: sent, by the journal' 'the log'
}

it_keeps_no_address_and_no_name_in_the_journal() {
    slow_answer '{"phase":"rcpt","recipient":"refused@*","action":"reply","code":550,"text":"5.1.1 <refused@example.org> Ada Lovelace unknown"},'
    notice refused
    wait_until 20 "refused is stranded" state_is refused stranded
    if grep -haEi 'example\.org|lovelace|walton' "$J"/*.journal; then fail "an address or a name"; fi
}

it_stays_bounded() {
    peer_rules '{"rules":[]}'
    local i
    for ((i = 0; i < 3000; i++)); do
        echo "{\"v\":1,\"type\":\"notice\",\"id\":\"bulk$i\",\"notice\":\"mail-password-disabled\",\"customer\":{\"id\":\"b$i\",\"locale\":\"en\",\"contacts\":[{\"channel\":\"email\",\"address\":\"b$i@example.org\"}]},\"disables\":{\"accounts\":[\"b$i@walton.example\"]},\"data\":{\"reset_url\":\"https://walton.example/reset\"}}"
    done >"$T/bulk.ndjson"
    ctl push "$T/bulk.ndjson" >"$T/push.out" 2>&1 || fail "$(cat "$T/push.out")"
    wait_until 60 "all are reached" sh -c "[ \"\$($B/reachctl --config $CONFIG --json status | python3 -c 'import json,sys; print(json.load(sys.stdin)[\"in_flight\"])')\" -le 3 ]"
    [ "$(cat "$J"/*.journal | wc -c)" -le 262144 ] || fail "the journal has grown beyond journal.size_max"
    lacks "$(cat "$T/reachd.log")" 'has reached journal.size_max' 'the log'
}

it_refuses_a_second_reachd_of_the_same_name() {
    equal 1 "$(status_of "$B/reachd" --config "$CONFIG")" 'exit status'
    contains "$(cat "$T/err")" 'give each a redis.consumer of its own' 'the error'
}

run_cases
