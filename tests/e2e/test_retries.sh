#!/bin/bash
# run-tests: timeout=300
# Attempts that fail for now: how long each waits, how often and how long it is tried, and that neither a restart of everything nor an operator
# makes it forget. What it waits for is a place in the due set, which is what most cases look at instead of waiting.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

configure() {
    CONFIG=$T/reachd.yaml
    cat >"$CONFIG" <<EOF
redis: {address: "unix:$REDIS_SOCK", lease: 20s}
worker: {retry_base: 50ms, retry_cap: 200ms}
templates: {directory: $TOP/templates/messages}
own_domains: [{domain: walton.example}]
gateways:
  - {name: web, channel: sms, driver: http, description: webhook, variables: {target: "http://127.0.0.1:$HTTP_PORT/sms"},
     allow_insecure: true, allow_private: true, breaker: {failures: 0}}
  - {name: never, channel: push, driver: fake, outcomes: [retry], breaker: {failures: 0}}
  - {name: mail, channel: email, driver: "null", breaker: {failures: 5, open: 500ms, open_max: 1s, probes: 1}}
  - {name: spare, channel: email, driver: "null", weight: 0}
${2:-}
routes:
  - name: security
    steps:
$1
EOF
}
start_with() { configure "$@"; start_reachd --config "$CONFIG"; }
start_over() {
    stop reachd
    rcli FLUSHALL >"$T/flush"
    peer_rules '{"rules":[]}'
}
# notice ID [TEMPLATE DATA]: a number, a token and a mail address.
notice() {
    local data='{"reset_url":"https://walton.example/reset"}'
    data=${3:-$data}
    rcli XADD reach:intake '*' job "{\"v\":1,\"type\":\"notice\",\"id\":\"$1\",\"notice\":\"${2:-mail-password-disabled}\",
        \"customer\":{\"id\":\"$1\",\"locale\":\"en\",\"contacts\":[{\"channel\":\"sms\",\"address\":\"+441632960001\"},
        {\"channel\":\"push\",\"address\":\"token-$1\"},{\"channel\":\"email\",\"address\":\"$1@example.org\"}]},
        \"data\":$data}" >"$T/xadd"
}
comes_to() { wait_until 60 "notice $1 is $2" state_is "$1" "$2"; }
# tries ID: channel, gateway and attempts of each try.
tries() { ctl --json notice show "$1" | json - '[[t["channel"], t["gateway"], t["attempts"]] for t in d["tries"]]'; }
tries_are() { [ "$(tries "$1")" = "$2" ]; }
is_due() { [ -n "$(rcli ZSCORE reach:due "$1")" ]; }
due_in_s() { echo $(($(rcli ZSCORE reach:due "$1" | cut -d. -f1) / 1000 - $(date +%s))); }
gateway_is() { [ "$(ctl --json gateway list | json - "[g['state'] for g in d if g['name'] == '$1'][0]")" = "$2" ]; }
later() { peer_rules "{\"rules\":[{\"phase\":\"http-read\",\"channel\":\"sms\",\"action\":\"reply\",\"code\":503,\"headers\":{\"Retry-After\":\"$1\"}}]}"; }

it_waits_as_long_as_the_gateway_asks_and_never_longer_than_a_day() {
    start_redis
    start_peer
    start_with '      - {channel: sms, success: sent, wait: 0s, attempts: 5, retry_for: 7d}'
    later 3600
    notice hour
    wait_until 60 "it was tried" tries_are hour '[["sms", "web", 1]]'
    wait_until 60 "it waits" is_due hour
    local left
    left=$(due_in_s hour)
    [ "$left" -gt 3300 ] && [ "$left" -le 3600 ] || fail "asked for an hour, it waits for $left s"
    later 1000000000000
    notice ages
    wait_until 60 "it was tried" tries_are ages '[["sms", "web", 1]]'
    wait_until 60 "it waits" is_due ages
    left=$(due_in_s ages)
    [ "$left" -gt 86000 ] && [ "$left" -le 86400 ] || fail "asked for ages, it waits for $left s"
}

it_tries_again_after_a_restart_of_everything() {
    later 2
    notice again
    wait_until 60 "it was tried" tries_are again '[["sms", "web", 1]]'
    wait_until 60 "it waits" is_due again
    stop reachd KILL
    stop redis KILL
    peer_rules '{"rules":[]}'
    start_redis
    start_reachd --config "$CONFIG"
    comes_to again reached
    equal '[["sms", "web", 2]]' "$(tries again)" "tries"
    is_due hour || fail "what waits longer is forgotten"
    [ "$(due_in_s hour)" -gt 3000 ] || fail "what was to wait for an hour waits for $(due_in_s hour) s now"
}

it_waits_for_evidence_in_the_same_set_over_a_restart_too() {
    start_over
    start_with '      - {channel: sms, success: delivered, wait: 3s}
      - {channel: email, success: sent, wait: 0s}'
    notice proof
    comes_to proof sent
    wait_until 60 "it waits" is_due proof
    stop reachd KILL
    stop redis KILL
    start_redis
    start_reachd --config "$CONFIG"
    comes_to proof reached
    equal '[["sms", "web", 1], ["email", "mail", 1]]' "$(tries proof)" "tries"
}

it_tries_each_channel_as_often_and_as_long_as_its_step_says() {
    start_over
    start_with '      - {channel: push, success: sent, wait: 0s, attempts: 4}
      - {channel: sms, success: sent, wait: 0s, attempts: 100, retry_for: 1s}
      - {channel: email, success: sent, wait: 0s}'
    peer_rules '{"rules":[{"phase":"http-read","channel":"sms","action":"reply","code":503}]}'
    notice limits
    comes_to limits reached
    equal '["push", "never", 4]' "$(tries limits | json - 'd[0]')" "attempts by push"
    equal true "$(tries limits | json - '0 < d[1][2] < 100')" "attempts by SMS within a second or so"
    equal '["email", "mail", 1]' "$(tries limits | json - 'd[2]')" "the last step"
    contains "$(ctl notice show limits)" "retry" "timeline"
}

it_lets_an_operator_open_a_breaker_which_closes_by_itself_when_messages_get_through() {
    start_over
    start_with '      - {channel: email, success: sent, wait: 0s}'
    ctl gateway open mail --reason 'it answers and loses' || fail "gateway open"
    wait_until 60 "reachd knows" grep -q 'gateway mail: nothing is sent there' "$T/reachd.log"
    contains "$(ctl gateway list)" "it answers and loses" "the reason"
    notice first
    comes_to first reached
    wait_until 60 "it is tried by later messages and closes" tried_until_closed
}
N=0
tried_until_closed() {
    N=$((N + 1))
    notice "probe-$N"
    gateway_is mail closed
}

it_lets_critical_notices_through_in_quiet_hours_and_keeps_the_others() {
    local hour
    start_over
    hour=$(date -u -d '+12 hours' +%H)
    start_with '      - {channel: email, success: sent, wait: 0s}' "quiet_hours:
  - {channel: email, send: [\"mon-sun $hour:00-$hour:59\"]}"
    notice critical
    comes_to critical reached
    notice plain reminder '{}'
    comes_to plain planned
    contains "$(ctl notice show plain)" "quiet hours" "timeline"
    wait_until 60 "it waits for the morning" is_due plain
    [ "$(due_in_s plain)" -gt 30000 ] || fail "it waits for $(due_in_s plain) s"
    equal '[]' "$(tries plain)" "tries"
}

it_stops_in_order() {
    equal 0 "$(ctl --json status | json - 'd["unaccounted"]')" "unaccounted"
    stop reachd
    equal 0 "$STATUS" "exit status of reachd"
}

run_cases
