#!/bin/bash
# run-tests: timeout=400
# Redis is put back in time: it loses what it had answered, as a Redis with appendfsync everysec does that is killed while its disk is slow, or
# a stale replica that is promoted. The journal knows which messages went out: none goes out a second time, but where nobody knows.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

job_of() { # job_of ID [MEMBER]
    printf '%s' "{\"v\":1,\"type\":\"notice\",\"id\":\"$1\",${2:-}\"notice\":\"mail-password-disabled\",\"customer\":{\"id\":\"$1\",
        \"locale\":\"en\",\"contacts\":[{\"channel\":\"email\",\"address\":\"$1@example.org\"}]},
        \"disables\":{\"accounts\":[\"$1@walton.example\"]},\"data\":{\"reset_url\":\"https://walton.example/reset\"}}"
}
push() { rcli XADD reach:intake '*' job "$(job_of "$@")" >"$T/xadd"; }
mails_to() { peer_index "sum(1 for m in d if m['recipient'].startswith('$1@'))" 2>/dev/null || echo 0; }
keys_to() { peer_index "len({m['key'] for m in d if m['recipient'].startswith('$1@')})"; }
is_taken() { [ "$(mails_to "$1")" -ge "${2:-1}" ]; }
answered() { grep -hq " $1 {\"kind\":0," "$J"/*.journal; }
slow_answer() { peer_rules '{"rules":[{"phase":"after-dot","action":"delay","delay_ms":4000}]}'; }
quick_answer() { peer_rules '{"rules":[]}'; }

# All that Redis has answered by now is in its files; this is what it will be put back to.
is_written() {
    local info
    info=$(rcli INFO persistence)
    grep -q '^aof_pending_bio_fsync:0' <<<"$info" && grep -q '^aof_buffer_length:0' <<<"$info"
}
note_the_time() {
    wait_until 60 "Redis has written everything" is_written
    rm -rf "$T/before"
    cp -r "$T/redis" "$T/before"
}
put_redis_back() {
    rm -rf "$T/redis"
    cp -r "$T/before" "$T/redis"
    start_redis
}

# ended ID COPIES: it ends as reached after so many messages, all of them one to whoever knows the key
ended_with() {
    wait_until 90 "$1 is reached" state_is "$1" reached
    equal "$2" "$(mails_to "$1")" "messages of $1"
    equal 1 "$(keys_to "$1")" "keys of the messages of $1"
    equal 0 "$(ctl --json status | json - 'd["unaccounted"]')" unaccounted
}
attempts_of() { rcli HGET reach:notices "$1" | sed 's/^[^{]*//' | json - 'sum(t["n"] for t in d["tries"])'; }

it_starts() {
    start_redis
    start_peer
    CONFIG=$T/reachd.yaml
    J=$T/journal
    cat >"$CONFIG" <<YAML
redis: {address: "unix:$REDIS_SOCK", lease: 4s, consumer: "one"}
worker: {retry_base: 50ms, retry_cap: 200ms, drain: 2s}
journal: {directory: "$J"}
$(mail_only)
YAML
    start_reachd --config "$CONFIG"
}

it_does_not_send_again_what_redis_has_lost_with_its_record() {
    note_the_time
    push record
    wait_until 60 "record is reached" state_is record reached
    stop redis KILL
    put_redis_back
    push record # the job itself is lost too: its producer pushes it again
    ended_with record 1
    equal 1 "$(attempts_of record)" 'attempts'
    contains "$(tail -n 50 "$T/reachd.log")" 'notice record: sent, by the journal: Redis has lost the record of that' 'the log'
}

it_does_not_send_again_where_reachd_was_killed_too() {
    note_the_time
    push both
    wait_until 60 "both is reached" state_is both reached
    stop redis KILL
    stop reachd KILL
    put_redis_back
    start_reachd --config "$CONFIG"
    push both
    ended_with both 1
}

it_waits_for_the_answer_of_a_message_whose_intent_is_lost() {
    slow_answer
    note_the_time
    push air
    wait_until 60 "the message is with the relay" is_taken air
    stop redis KILL
    put_redis_back
    quick_answer
    push air # it comes while the first one is in the air
    wait_until 60 "its answer stands in the journal" answered air
    ended_with air 1
}

it_sends_under_the_same_key_where_nobody_knows() {
    slow_answer
    note_the_time
    push doubt
    wait_until 60 "the message is with the relay" is_taken doubt
    stop redis KILL
    stop reachd KILL
    rm -f "$J"/*gateway* # what its mailer has heard
    quick_answer
    put_redis_back
    start_reachd --config "$CONFIG"
    push doubt
    ended_with doubt 2
    equal 2 "$(attempts_of doubt)" 'attempts: none is without its intent'
    contains "$(ctl notice show doubt)" unknown 'the timeline'
}

it_goes_on_in_a_later_attempt() {
    peer_rules '{"rules":[{"phase":"rcpt","recipient":"later@*","first":2,"action":"reply","code":451,"text":"4.7.1 later"}]}'
    push later
    wait_until 60 "it was put off" sh -c "grep -q 'notice later: retry' '$T/reachd.log'"
    note_the_time
    wait_until 60 "later is reached" state_is later reached
    stop redis KILL
    put_redis_back
    ended_with later 1
}

it_takes_another_notice_of_the_same_id_for_another_one() {
    note_the_time
    push other
    wait_until 60 "other is reached" state_is other reached
    stop redis KILL
    put_redis_back
    push other '"effective_at":"2020-01-01T00:00:00Z",'
    ended_with other 2
}

run_cases
