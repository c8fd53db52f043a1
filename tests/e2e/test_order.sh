#!/bin/bash
# run-tests: timeout=300
# What comes right behind a job, while its notice is still in somebody's hands: a request to end it, the same job again, a receipt. Each
# finds the notice and does what it would have done a minute later, and nothing is left over.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachd reachctl redis-server redis-cli
N=200

status() { ctl --json status | json - "$1"; }
status_is() { [ "$(status "$1")" = "$2" ]; }
# Every entry is acknowledged, so the lane is empty.
lane_is_empty() { [ "$(rcli XLEN reach:intake)" = 0 ] && [ "$(rcli XLEN reach:receipts)" = 0 ]; }

# pairs PREFIX EXPRESSION...: N times a notice and, a moment of 0 to 2 ms apart, what the expressions make of its id and customer
pairs() {
    "$PYTHON" -u -c 'import json, random, sys, time
prefix, count, then = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
random.seed(7)
def add(stream, field, value):
    print("XADD", stream, "*", field, json.dumps(json.dumps(value)))
    time.sleep(random.choice([0, 0, random.random() * 0.002]))
for i in range(count):
    id, customer = f"{prefix}-{i}", f"{prefix.upper()}{i}"
    job = {"v": 1, "type": "notice", "id": id, "notice": "mail-password-disabled",
           "customer": {"id": customer, "locale": "en", "contacts": [{"channel": "email", "address": id + "@example.org"}]},
           "disables": {"accounts": [id + "@walton.example"]}, "data": {"reset_url": "https://walton.example/reset"}}
    add("reach:intake", "job", job)
    for text in then:
        add(*eval(text))' "$1" "$N" "${@:2}" | rcli >"$T/xadd" || fail "the jobs could not be pushed"
}

it_starts() {
    start_redis
    CONFIG=$T/reachd.yaml
    cat >"$CONFIG" <<END
redis: {address: "unix:$REDIS_SOCK", lease: 1h}
templates: {directory: $TOP/templates/messages}
own_domains: [{domain: walton.example}]
gateways:
  - {name: mail, channel: email, driver: "null"}
routes:
  - name: security
    steps: [{channel: email, success: delivered, wait: 1h}]
END
    start_reachd --config "$CONFIG"
}

it_ends_a_notice_that_is_resolved_right_behind_its_job() {
    pairs r '"reach:intake", "job", {"v": 1, "type": "resolve", "id": "resolve-" + id, "notice": id}'
    wait_until 60 "all $N are resolved" status_is 'd["states"]["resolved"]' "$N"
    wait_until 60 "every entry is acknowledged" lane_is_empty
    equal 0 "$(status 'd["dead"]')" "dead letters"
}

it_records_what_was_sent_under_the_lease_that_it_began_under() {
    rcli MONITOR >"$T/monitor" 2>&1 &
    local monitor=$!
    wait_until 60 "the monitor listens" grep -q '^OK' "$T/monitor"
    N=1 pairs lock
    wait_until 60 "the entry is acknowledged" lane_is_empty
    kill "$monitor"
    grep -q '"EVALSHA".* "1" "@" "' "$T/monitor" || fail "the records were read: $(grep -c EVALSHA "$T/monitor") scripts"
}

it_ends_a_notice_whose_job_comes_a_moment_after_the_request() {
    # as it is where another reachd has the job in hand and has not written it down yet
    rcli XADD reach:intake '*' job '{"v":1,"type":"resolve","id":"resolve-late","notice":"late-0"}' >"$T/xadd"
    N=1 pairs late
    wait_until 60 "it is resolved" status_is 'd["states"]["resolved"]' $((N + 1))
    equal 0 "$(status 'd["dead"]')" "dead letters"
}

it_tells_of_a_request_about_a_notice_that_nobody_knows() {
    rcli XADD reach:intake '*' job '{"v":1,"type":"cancel","id":"cancel-none","notice":"nobody-knows-it"}' >"$T/xadd"
    wait_until 60 "it is a dead letter" status_is 'd["dead"]' 1
    contains "$(rcli XREVRANGE reach:dead + - COUNT 1)" 'no notice with this id is known' "the reason"
}

it_ends_all_notices_of_a_customer_that_are_cancelled_right_behind_their_jobs() {
    pairs c '"reach:intake", "job", {"v": 1, "type": "notice", "id": id + "b", "notice": "mail-password-disabled", "customer": job["customer"],
        "disables": job["disables"], "data": job["data"]}' \
        '"reach:intake", "job", {"v": 1, "type": "cancel", "id": "cancel-" + id, "customer": {"id": customer}}'
    wait_until 60 "all are cancelled" status_is 'd["states"]["cancelled"]' $((2 * N))
    wait_until 60 "every entry is acknowledged" lane_is_empty
    equal 1 "$(status 'd["dead"]')" "dead letters, with the one above"
}

it_takes_the_same_job_for_a_duplicate_whatever_its_notice_is_in_hand_for() {
    pairs d '"reach:receipts", "receipt", {"v": 1, "notice": id, "status": "delivered"}' '"reach:intake", "job", job' '"reach:intake", "job", job'
    wait_until 60 "all are duplicates" status_is 'd["duplicates"]' $((2 * N))
    wait_until 60 "every entry is acknowledged" lane_is_empty
    equal 0 "$(rcli XREVRANGE reach:dead + - | grep -c id-reused || true)" "jobs refused as others with a used id"
}

it_loses_none() {
    equal 0 "$(status 'd["unaccounted"]')" "unaccounted"
    stop reachd
    equal 0 "$STATUS" "exit status"
}

run_cases
