#!/bin/bash
# run-tests: timeout=300
# Gateways under stress, with a real Redis and the sandbox peer: breakers, failover, rates shared by two reachd, what an operator can do,
# and that none of it costs an attempt or loses a notice.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# configure GATEWAYS [STEP]: a configuration with these gateways; one step by e-mail unless told otherwise
configure() {
    CONFIG=$T/reachd.yaml
    cat >"$CONFIG" <<EOF
redis: {address: "unix:$REDIS_SOCK", lease: 20s}
worker: {retry_base: 100ms, retry_cap: 400ms, gateway_look: ${LOOK:-30s}}
templates: {directory: $TOP/templates/messages}
own_domains: [{domain: walton.example}]
gateways:
$1
routes:
  - name: security
    steps:
      - ${2:-"{channel: email, success: sent, wait: 0s, attempts: 3, retry_for: 60s}"}
EOF
}
BREAKER='breaker: {failures: 3, open: 400ms, open_max: 800ms, probes: 2}'
smtp() { printf '  - {name: %s, channel: email, driver: smtp, host: 127.0.0.1, port: %s, tls: plaintext-on-loopback, from_address: security@walton.example, %s}\n' "$1" "$2" "${3:-$BREAKER}"; }

# jobs PREFIX COUNT [MORE]: jobs on standard output
jobs() {
    "$PYTHON" -c 'import json, sys
prefix, count, more = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
for i in range(count):
    job = {"v": 1, "type": "notice", "id": f"{prefix}-{i}", "notice": "mail-password-disabled",
           "customer": {"id": f"{prefix}{i}", "locale": "en", "contacts": [{"channel": "email", "address": f"{prefix}{i}@example.org"}]},
           "disables": {"accounts": [f"{prefix}{i}@walton.example"]}, "data": {"reset_url": "https://walton.example/reset"}}
    job.update(more)
    print(json.dumps(job))' "$1" "$2" "${3:-{\}}"
}
push() { jobs "$@" | ctl push - >"$T/push.out" 2>&1 || fail "$(cat "$T/push.out")"; }
push_bulk() { jobs "$@" | ctl push --bulk - >"$T/push.out" 2>&1 || fail "$(cat "$T/push.out")"; }

status() { ctl --json status | json - "$1"; }
status_is() { [ "$(status "$1")" = "$2" ]; }
count() { local n; n=$(rcli HGET reach:counters "count:$1"); echo "${n:-0}"; }
finished() { status 'd["states"]["reached"]'; }
all_reached() { [ "$(finished)" = "$1" ]; }
gateway() { ctl --json gateway list | json - "[g for g in d if g['name'] == '$1'][0].get('$2')"; }
gateway_is() { [ "$(gateway "$1" "$2")" = "$3" ]; }
# attempts EXPRESSION: evaluated on the list of [attempts, doubts, gateway] of every try of every notice
attempts() {
    ctl --json notice list >"$T/list.json"
    "$PYTHON" -c 'import json, subprocess, sys
d = []
for text in subprocess.run(["redis-cli", "-s", sys.argv[1], "HVALS", "reach:notices"], capture_output=True, text=True).stdout.splitlines():
    record = json.loads(text[text.index("{"):])
    d += [[t.get("n", 0), t.get("u", 0), t.get("g")] for t in record["tries"]]
print(eval(sys.argv[2]))' "$REDIS_SOCK" "$1"
}
gateway_events() { rcli XRANGE reach:events - + | grep '^\[' | "$PYTHON" -c 'import json, sys
d = [e for line in sys.stdin for e in json.loads(line) if e["type"] == "gateway"]
print(eval(sys.argv[1]))' "$1"; }
start_over() {
    stop reachd
    rcli FLUSHALL >"$T/flush"
    peer_rules '{"rules":[]}'
}

it_opens_the_breaker_of_a_server_that_refuses_everybody_for_now() {
    start_redis
    start_peer
    peer_rules '{"rules":[{"phase":"rcpt","action":"reply","code":451,"text":"4.3.0 the mail system is out of order"}]}'
    LOOK=2s configure "$(smtp mail "$SMTP_PORT" "in_flight_max: 8, sessions: 4, breaker: {failures: 3, open: 30s, open_max: 60s}")"
    start_reachd --config "$CONFIG"
    push calm 300
    wait_until 30 "the breaker is open" gateway_is mail state open
    wait_until 30 "all wait" status_is 'd["states"]["planned"]' 300
    local tried
    tried=$(peer_control 'd["counts"].get("command:RCPT", 0)')
    [ "$tried" -le 12 ] || fail "$tried of 300 notices were tried at a server that refuses everybody"
    contains "$(gateway mail reason)" "out of order" "the reason"
    equal open "$(status 'd["gateways"]["mail"]["state"]')" "state in reachctl status"
    contains "$(ctl status)" "out of order" "reachctl status for people"
    equal 1 "$(count gateway.mail.opened)" "counted once"
    equal "['closed', 'open']" "$(gateway_events '[d[-1]["from"], d[-1]["state"]]')" "told once"
}

it_charges_nobody_for_an_open_breaker_and_goes_on_when_an_operator_says_so() {
    peer_rules '{"rules":[]}'
    ctl gateway enable mail --reason 'the relay is mended' || fail "gateway enable"
    wait_until 100 "all are reached" all_reached 300
    equal True "$(attempts 'max(t[0] for t in d) <= 3 and sum(t[0] == 1 for t in d) >= 292')" "attempts"
    equal closed "$(gateway mail state)" "state"
    equal 0 "$(status 'd["unaccounted"]')" "unaccounted"
}

it_tries_again_by_itself_with_a_few_probes() {
    start_over
    peer_rules '{"rules":[{"phase":"banner","action":"reply","code":421,"text":"4.3.2 closed for an hour"}]}'
    configure "$(smtp mail "$SMTP_PORT" "in_flight_max: 8, sessions: 4, $BREAKER")"
    start_reachd --config "$CONFIG"
    push probe 100
    wait_until 30 "it was probed in vain" sh -c "[ \"\$(redis-cli -s $REDIS_SOCK HGET reach:counters count:gateway.mail.probed)\" -ge 2 ]"
    equal 0 "$(finished)" "reached while the server is closed"
    peer_rules '{"rules":[]}'
    wait_until 60 "all are reached" all_reached 100
    wait_until 10 "it is closed" gateway_is mail state closed
    equal True "$(gateway_events '[e["state"] for e in d][-2:] == ["half-open", "closed"]')" "told"
}

it_moves_to_another_gateway_of_the_channel_when_one_is_down() {
    start_over
    configure "$(smtp dead "$(free_port)" "$BREAKER, failover: {error_every: 100ms}")
$(smtp alive "$SMTP_PORT")"
    start_reachd --config "$CONFIG"
    push both 200
    wait_until 60 "all are reached" all_reached 200
    equal True "$(attempts 'all(t[2] == "alive" for t in d)')" "gateways"
    local down
    down=$(gateway dead share)
    [ "$down" -lt 100 ] || fail "the dead gateway kept its weight: $down %"
    [ "$(count gateway.dead.share-down)" -ge 1 ] || fail "no step was counted"
    equal 100 "$(gateway alive share)" "weight of the other"
}

it_lets_an_operator_drain_a_gateway() {
    start_over
    configure "$(smtp one "$SMTP_PORT")
$(smtp two "$SMTP_PORT")"
    start_reachd --config "$CONFIG"
    ctl gateway drain one --reason 'maintenance' || fail "gateway drain"
    wait_until 10 "reachd knows" grep -q 'gateway one: taken out' "$T/reachd.log"
    push drain 100
    wait_until 60 "all are reached" all_reached 100
    equal True "$(attempts 'all(t[2] == "two" for t in d)')" "gateways"
    equal 1 "$(status_of ctl gateway drain two)" "draining the last one without --yes"
    equal 1 "$(status_of ctl gateway drain one)" "draining twice"
    equal 1 "$(status_of ctl gateway drain nobody --yes)" "an unknown gateway"
    ctl gateway enable one || fail "gateway enable"
    wait_until 10 "reachd knows" grep -q 'gateway one: works again' "$T/reachd.log"
    push enable 100
    wait_until 60 "all are reached" all_reached 200
    equal True "$(attempts 'sum(t[2] == "one" for t in d) >= 30')" "both are used again"
}

it_keeps_what_waits_over_a_restart_of_everything() {
    start_over
    LOOK=2s configure "$(smtp only "$SMTP_PORT")"
    start_reachd --config "$CONFIG"
    ctl gateway drain only --yes || fail "gateway drain"
    wait_until 10 "reachd knows" grep -q 'gateway only: taken out' "$T/reachd.log"
    push wait 50
    wait_until 30 "all wait" status_is 'd["states"]["planned"]' 50
    wait_until 10 "all have a place in the due set" sh -c "[ \"\$(redis-cli -s $REDIS_SOCK ZCARD reach:due)\" = 50 ]"
    stop reachd KILL
    stop redis KILL
    start_redis
    start_reachd --config "$CONFIG"
    equal drained "$(gateway only state)" "state after the restart"
    equal 50 "$(rcli ZCARD reach:due)" "due set after the restart"
    ctl gateway enable only || fail "gateway enable"
    wait_until 100 "all are reached" all_reached 50
    equal True "$(attempts 'all(t[0] == 1 for t in d)')" "attempts"
}

it_keeps_two_reachd_together_within_one_rate() {
    start_over
    configure '  - {name: mail, channel: email, driver: "null", rate: 20/s, burst: 5}'
    sed 's/lease: 20s/lease: 20s, consumer: other/' "$CONFIG" >"$T/other.yaml"
    start_reachd --config "$CONFIG"
    start other "$B/reachd" --config "$T/other.yaml"
    wait_until 60 "the other takes work" grep -q ' ready: ' "$T/other.log"
    push rate 100
    wait_until 60 "all are reached" all_reached 100
    # Redis's own clock, in the ids of the events, tells when each was handed over: 95 after the burst, 20 a second
    rcli XRANGE reach:events - + | "$PYTHON" -c 'import json, sys
rows = sys.stdin.read().split("\n")
times = []
for i in range(0, len(rows) - 2, 3):
    n = sum(1 for e in json.loads(rows[i + 2]) if e.get("state") == "sending")
    times += [int(rows[i].split("-")[0])] * n
times.sort()
assert len(times) == 100, len(times)
assert times[-1] - times[0] >= 4000, "all 100 within %d ms" % (times[-1] - times[0])
' || fail "faster than the rate allows"
    equal True "$(attempts 'len(d) == 100 and all(t[0] == 1 for t in d)')" "attempts"
    equal 0 "$(count gateway.mail.retry)" "retries"
    stop other
    equal 0 "$STATUS" "exit status of the other"
}

it_lets_urgent_notices_overtake_a_bulk_backlog() {
    start_over
    configure '  - {name: mail, channel: email, driver: "null", rate: 100/s, burst: 2}'
    start_reachd --config "$CONFIG"
    push_bulk bulk 2000
    wait_until 30 "some bulk notices are out" sh -c "[ \"\$(redis-cli -s $REDIS_SOCK HGET reach:counters count:gateway.mail.sent)\" -ge 20 ]"
    push urgent 20
    urgent_reached() { [ "$(ctl --json notice list --state reached | json - 'sum(n["id"].startswith("urgent") for n in d)')" = 20 ]; }
    wait_until 60 "the urgent ones are reached" urgent_reached
    local all
    all=$(finished)
    wait_until 10 "the waiting times of the lanes are told" status_is 'd["lanes"]["urgent"]["wait_ms"]["n"]' 20
    wait_until 30 "bulk notices wait longer" status_is 'd["lanes"]["urgent"]["wait_ms"]["max"] < d["lanes"]["bulk"]["wait_ms"]["max"]' true
    contains "$(ctl status)" "WAITED p50" "reachctl status"
    [ "$all" -lt 1000 ] || fail "$((all - 20)) of 2000 bulk notices went first"
    equal 0 "$(count gateway.mail.retry)" "retries"
    rcli HSET reach:rates mail 1 >"$T/hset"
    equal True "$(attempts 'all(t[0] <= 1 for t in d)')" "attempts"
}

it_lists_what_may_have_gone_out_and_resends_it_once() {
    start_over
    configure '  - {name: mail, channel: email, driver: fake, outcomes: ["unknown", "sent"]}'
    start_reachd --config "$CONFIG"
    push doubt 1
    wait_until 30 "it is reached" all_reached 1
    equal '[[2, 1, '"'mail'"']]' "$(attempts 'd')" "attempts and unknown outcomes"
    push sure 1 # the script of the gateway goes on: unknown, sent
    wait_until 30 "both are reached" all_reached 2
    equal 2 "$(count gateway.mail.unknown)" "counted"
    equal 2 "$(ctl --json notice list --unknown | json - 'len(d)')" "listed"
}

it_goes_on_with_the_next_contact_point_where_the_policy_says_so() {
    start_over
    configure '  - {name: mail, channel: email, driver: fake, on_unknown: next, outcomes: ["unknown", "sent"]}'
    start_reachd --config "$CONFIG"
    push next 1 '{"customer":{"id":"n","locale":"en","contacts":[{"channel":"email","address":"a@example.org"},{"channel":"email","address":"b@example.org"}]}}'
    wait_until 30 "it is reached" all_reached 1
    equal '[[1, 1, '"'mail'"'], [1, 0, '"'mail'"']]' "$(attempts 'd')" "one attempt each"
}

it_waits_for_the_end_of_quiet_hours_without_an_attempt() {
    local hour
    start_over
    hour=$(date -u -d '+12 hours' +%H)
    configure '  - {name: mail, channel: email, driver: "null"}'
    printf 'quiet_hours:\n  - {channel: email, locale: en, send: ["mon-sun %s:00-%s:59"], unless: never}\n' "$hour" "$hour" >>"$CONFIG"
    start_reachd --config "$CONFIG"
    push night 3
    push day 1 '{"customer":{"id":"d","locale":"de","contacts":[{"channel":"email","address":"d@example.org"}]}}'
    wait_until 30 "the German one is reached" all_reached 1
    wait_until 30 "the others wait" status_is 'd["states"]["planned"]' 3
    equal True "$(attempts 'len(d) == 1')" "tries"
    contains "$(ctl notice show night-0)" "quiet hours" "timeline"
    equal 3 "$(rcli ZCARD reach:due)" "due set"
}

fault_57_storm() {
    start_over
    configure '  - {name: mail, channel: email, driver: "null", rate: 200/s, burst: 20}'
    start_reachd --config "$CONFIG"
    jobs storm 400 >"$T/storm.ndjson"
    for _ in 1 2 3 4 5 6 7 8 9 10; do cat "$T/storm.ndjson"; done | ctl push --bulk - >"$T/push.out" 2>&1 || fail "$(cat "$T/push.out")"
    push urgent 5
    wait_until 60 "all are reached" all_reached 405
    wait_until 60 "the rest are duplicates" status_is 'd["duplicates"]' 3600
    equal 405 "$(count gateway.mail.sent)" "messages"
    equal True "$(attempts 'len(d) == 405 and all(t[0] == 1 for t in d)')" "attempts"
    equal 0 "$(status 'd["unaccounted"]')" "unaccounted"
}
it_sends_one_notice_each_in_a_storm_of_4000_jobs_for_400_customers_fault_57() { fault_57_storm; }

it_tries_a_refused_login_a_few_times_for_a_thousand_notices_fault_34() {
    start_over
    stop peer
    rm -f "$T/ports.json"
    start_peer --auth reachd:right
    (umask 077; echo wrong >"$T/password")
    configure "$(smtp mail "$SMTP_PORT" "username: reachd, password_file: $T/password, in_flight_max: 50, sessions: 4")"
    start_reachd --config "$CONFIG"
    push login 1000
    wait_until 30 "the breaker is open" gateway_is mail state open
    wait_until 60 "all wait" status_is 'd["states"]["planned"]' 1000
    local logins
    logins=$(peer_control 'd["counts"].get("command:AUTH", 0)')
    [ "$logins" -le 10 ] || fail "$logins logins were tried"
    contains "$(gateway mail reason)" "credentials" "reason"
}

it_stops_in_order() {
    stop reachd
    equal 0 "$STATUS" "exit status of reachd"
}

run_cases
