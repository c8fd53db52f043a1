#!/bin/bash
# run-tests: timeout=300
# make demo in small: twice the same table, nothing left running, its commands work; and its checks can fail: each of them is broken on
# purpose on a copy of what a good run left, and must say so.
# shellcheck disable=SC2016 # `broken` evaluates its commands once there is a copy
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachd reachctl reachd-mailer sandbox-peer redis-server redis-cli flock

DEMO=$TOP/tests/demo
export DEMO_COUNT=240
GOOD=$T/good

demo() { # demo DIR: a run; its output in $T/demo.out
    DEMO_DIR=$1 DEMO_PATIENCE_S=200 "$DEMO/run.sh" >"$T/demo.out" 2>&1 </dev/null
}

verify() { # verify DIR
    "$DEMO/with-redis.sh" "$1/state" "$DEMO/verify.py" "$1" "$1/state/redis.sock" >"$T/verify.out" 2>&1
}

redis_of() { # redis_of DIR COMMAND...
    local dir=$1
    shift
    "$DEMO/with-redis.sh" "$dir/state" redis-cli -s "$dir/state/redis.sock" "$@"
}

# broken PROMISE WHAT COMMAND...: COMMAND spoils the copy in $BAD; verify must then blame PROMISE and end with failure.
broken() {
    local promise=$1 what=$2
    shift 2
    BAD=$T/bad
    rm -rf "$BAD"
    cp -a "$GOOD" "$BAD"
    "$@" >"$T/spoil.out" 2>&1 || fail "could not spoil: $what: $(cat "$T/spoil.out")"
    if verify "$BAD"; then fail "$what, and the demo did not notice: $(cat "$T/verify.out")"; fi
    grep -q "^  $promise .*BROKEN" "$T/verify.out" || fail "$what, but $promise is not called broken: $(cat "$T/verify.out")"
}

first() { # first EXPRESSION: `customer` of the first line of the truth that fits
    "$PYTHON" -c 'import json, sys
print(next(line[sys.argv[3]] for line in map(json.loads, open(sys.argv[1])) if eval(sys.argv[2])))' "$GOOD/truth.ndjson" "$1" "$2"
}

it_runs_and_keeps_every_promise() {
    demo "$GOOD" || fail "the demo failed: $(cat "$T/demo.out")"
    contains "$(cat "$GOOD/table.txt")" 'unaccounted                                      0' 'the table'
    equal 5 "$(grep -c ' kept ' "$GOOD/table.txt")" 'promises kept'
    grep -q 'reached by e-mail  *[1-9]' "$GOOD/table.txt" || fail 'nobody was reached by e-mail'
    grep -q 'reached by SMS  *[1-9]' "$GOOD/table.txt" || fail 'nobody was reached by SMS'
    grep -q 'reached by push  *[1-9]' "$GOOD/table.txt" || fail 'nobody was reached by push'
    grep -q 'second copies  *[1-9]' "$GOOD/table.txt" || fail 'no outcome was ever unknown: the demo shows too little'
}

it_leaves_nothing_running() {
    local left
    left=$(pgrep -af -- "$GOOD" || true)
    equal '' "$left" 'processes of the demo'
    equal PONG "$(redis_of "$GOOD" ping)" 'the Redis it left, started for a look'
    if redis-cli -s "$GOOD/state/redis.sock" ping >/dev/null 2>&1; then fail 'with-redis.sh left its Redis running'; fi
}

it_prints_commands_that_work() {
    local command n=0
    while read -r command; do
        n=$((n + 1))
        bash -c "$command" >"$T/hint.out" 2>&1 || fail "'$command' does not work: $(cat "$T/hint.out")"
        [ -s "$T/hint.out" ] || fail "'$command' shows nothing"
    done < <(sed -n '/^Look around/,/^Done/p' "$T/demo.out" | sed -n 's/^  \(.*[^ ]\)   *[^ ].*$/\1/p' | sed 's/   .*//')
    [ "$n" -ge 7 ] || fail "only $n commands were found in: $(cat "$T/demo.out")"
}

it_prints_the_same_table_again() {
    demo "$T/again" || fail "the demo failed: $(cat "$T/demo.out")"
    diff "$GOOD/table.txt" "$T/again/table.txt" || fail 'two runs, two tables'
}

it_refuses_to_replace_a_folder_that_is_not_its_own() {
    mkdir "$T/mine"
    touch "$T/mine/precious"
    if demo "$T/mine"; then fail 'it ran in a folder of mine'; fi
    [ -e "$T/mine/precious" ] || fail 'it deleted my file'
}

it_finds_nothing_wrong_with_a_good_run() {
    verify "$GOOD" || fail "$(cat "$T/verify.out")"
}

it_notices_a_record_that_is_gone() {
    broken P1 'a record is gone' eval 'redis_of "$BAD" HDEL reach:notices "$(first True job)"'
}
it_notices_a_counter_that_is_off() {
    broken P1 'a counter is off' eval 'redis_of "$BAD" HINCRBY reach:counters state:R 1'
}
it_notices_a_job_that_was_counted_twice() {
    broken P1 'a job was counted twice' eval 'redis_of "$BAD" HINCRBY reach:counters accepted 1'
}
it_notices_a_mail_to_the_dead_mailbox() {
    broken P2 'a mail to the dead mailbox' eval 'printf "X-Envelope-To: <%s>\r\n\r\n" "$(first True account)" >"$BAD/peer/mail/999999-x.eml"'
}
it_notices_a_mail_to_the_dead_mailbox_in_disguise() {
    broken P2 'a mail to a disguise' eval 'printf "X-Envelope-To: <NOBODY+new@Mail.Walton.Example>\r\n\r\n" >"$BAD/peer/mail/999999-x.eml"'
}
it_notices_a_mail_to_a_forwarder() {
    broken P2 'a mail to a forwarder' eval 'printf "X-Envelope-To: <%s>\r\n\r\n" \
        "$(first "line[\"kind\"] == \"forwarder\" and not line[\"left\"]" "doomed" | sed "s/.*, //; s/[]\x27]//g")" >"$BAD/peer/mail/999999-x.eml"'
}
it_notices_a_push_to_a_token_that_died() {
    broken P2 'a push to a dead token' eval 'printf "{\"seq\":9,\"channel\":\"push\",\"recipient\":\"%s\",\"key\":\"k\"}\n" \
        "$(first "line[\"kind\"] == \"push\" and not line[\"left\"]" "doomed" | sed "s/.*, //; s/[]\x27]//g")" >>"$BAD/peer/index.ndjson"'
}
it_notices_a_clearance_without_evidence() {
    broken P3 'a clearance nobody earned' eval 'redis_of "$BAD" SET "reach:clearance:{$(first "not line[\"left\"]" account)}" "{}"'
}
it_notices_a_missing_desk_case() {
    broken P4 'a desk case is gone' eval 'redis_of "$BAD" HDEL reach:desk "$(first "not line[\"left\"]" job)"'
}
it_notices_a_missing_hold() {
    broken P4 'a hold is gone' eval 'redis_of "$BAD" HDEL reach:holds "$(first "not line[\"left\"]" account)"'
}
it_notices_a_missing_banner() {
    broken P4 'a banner is gone' eval 'redis_of "$BAD" DEL "reach:banner:{$(first "not line[\"left\"]" customer)}"'
}
it_notices_somebody_called_reached_without_a_message() {
    broken P5 'a message is not in the store' sed -i '/example.org/d' "$T/bad/peer/index.ndjson"
}

run_cases
