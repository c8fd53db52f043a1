#!/bin/bash
# run-tests: timeout=300
# Two gateways of one channel, neither of which fails: one of them is slow. Load moves away from it in steps and drifts back, for slow answers
# and for slow delivery reports, as `reachctl gateway list` and `reachctl status` show.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# gateway NAME FAILOVER
gateway() {
    cat <<EOF
  - {name: $1, channel: sms, driver: http, description: webhook, variables: {target: "http://127.0.0.1:$HTTP_PORT/sms/$1"},
     allow_insecure: true, allow_private: true, weight: 10, failover: {$2}}
EOF
}
# configure FAILOVER [SUCCESS WAIT]: of the gateway that is slow; what is slow for it would be fast for the other
configure() {
    CONFIG=$T/reachd.yaml
    cat >"$CONFIG" <<EOF
redis: {address: "unix:$REDIS_SOCK", lease: 60s}
templates: {directory: $TOP/templates/messages}
own_domains: [{domain: walton.example}]
gateways:
$(gateway lame "step: 25, slow_percent: 100, slow_every: 10ms, $1")
$(gateway brisk 'slow_answer: 1h, slow_delivery: 24h')
routes:
  - name: security
    steps:
      - {channel: sms, success: ${2:-sent}, wait: ${3:-0s}}
EOF
}
# reload FAILOVER...: the running reachd takes another one.
reload() {
    local before
    before=$(grep -c 'have their new settings' "$T/reachd.log" || true)
    configure "$@"
    kill -HUP "${PID[reachd]}"
    wait_until 60 "the new settings are taken" sh -c "[ \"\$(grep -c 'have their new settings' '$T/reachd.log')\" -gt $before ]"
}

PUSHED=0
# push PREFIX COUNT: so many notices more.
push() {
    "$PYTHON" -c 'import json, sys
for i in range(int(sys.argv[2])):
    print(json.dumps({"v": 1, "type": "notice", "id": f"{sys.argv[1]}-{i}", "notice": "mail-password-disabled", "customer": {
        "id": f"{sys.argv[1]}{i}", "locale": "en", "contacts": [{"channel": "sms", "address": "+4416329%05d" % i}]},
        "data": {"reset_url": "https://walton.example/reset"}}))' "$1" "$2" | ctl push - >"$T/push.out" 2>&1 || fail "$(cat "$T/push.out")"
    PUSHED=$((PUSHED + $2))
}
are() { [ "$(ctl --json status | json - "d['states']['$1']")" = "$2" ]; }
all_are() { are "$1" "$PUSHED"; }
share() { ctl --json gateway list | json - "[g['share'] for g in d if g['name'] == '$1'][0]"; }
share_is() { [ "$(share "$1")" = "$2" ]; }
counted() { local n; n=$(rcli HGET reach:counters "count:gateway.$1"); echo "${n:-0}"; }
# The shares that were told of, in order.
told() { rcli XRANGE reach:events - + | grep '^\[' | "$PYTHON" -c 'import json, sys
print([e["share"] for line in sys.stdin for e in json.loads(line) if e["type"] == "gateway" and e["gateway"] == "lame"])'; }

# The share that reachd counts with, by its log.
logged() { { echo 100; grep -o 'gateway lame: has [0-9]*' "$T/reachd.log" || true; } | tail -n 1 | grep -o '[0-9]*$'; }

# send_until SHARE: pushes rounds of 60 notices until the slow gateway has no more than this of its weight.
send_until() {
    local round
    for round in {1..12}; do
        [ "$(share lame)" -gt "$1" ] || return 0
        push "r$1-$round" 60
        wait_until 60 "all are reached" all_are reached
        wait_until 60 "Redis knows the share" share_is lame "$(logged)"
    done
    wait_until 10 "the slow gateway has $1 %" share_is lame "$1"
}

it_moves_load_away_from_slow_answers_in_steps() {
    start_redis
    start_peer
    peer_rules '{"rules":[{"phase":"http-answer","path":"/sms/lame*","action":"delay","delay_ms":60}]}'
    configure 'slow_answer: 20ms, back_every: 24h'
    start_reachd --config "$CONFIG"
    equal 100 "$(share lame)" "share before"
    send_until 25
    wait_until 10 "three steps are told" sh -c "[ \"\$(redis-cli -s $REDIS_SOCK HGET reach:counters count:gateway.lame.share-down)\" = 3 ]"
    equal '[75, 50, 25]' "$(told)" "steps"
    equal 100 "$(share brisk)" "share of the other"
    equal 0 "$(counted lame.retry)" "failures"
    contains "$(ctl gateway list)" "10 (25 %)" "reachctl gateway list"
    equal 25 "$(ctl --json status | json - "d['gateways']['lame']['share']")" "reachctl --json status"
    contains "$(grep 'has 25 % of its weight now' "$T/reachd.log")" "gateway lame" "log"
}

it_divides_the_load_by_what_is_left_of_the_weight() {
    local before
    reload 'slow_answer: 1h, back_every: 24h'
    before=$(counted lame.sent)
    push divided 100
    wait_until 60 "all are reached" all_are reached
    before=$(($(counted lame.sent) - before))
    [ "$before" -ge 18 ] && [ "$before" -le 22 ] || fail "$before of 100 messages went through the slow gateway, 20 were its share"
}

it_gives_the_load_back_in_steps_when_nothing_is_slow_any_more() {
    reload 'slow_answer: 1h, back_every: 300ms'
    wait_until 60 "it has its whole weight again" share_is lame 100
    equal '[75, 50, 25, 50, 75, 100]' "$(told)" "steps"
    equal 3 "$(counted lame.share-up)" "steps up"
    local before
    before=$(counted lame.sent)
    push even 100
    wait_until 60 "all are reached" all_are reached
    before=$(($(counted lame.sent) - before))
    [ "$before" -ge 48 ] && [ "$before" -le 52 ] || fail "$before of 100 messages went through a gateway with half of the weight"
}

# deliver GATEWAY: a delivery report for each of its messages.
deliver() {
    rcli HVALS reach:notices | "$PYTHON" -c 'import json, sys
for text in sys.stdin:
    record = json.loads(text[text.index("{"):]) if "{" in text else {"tries": []}
    for t in record["tries"]:
        if t["g"] == sys.argv[1]:
            receipt = json.dumps({"v": 1, "gateway": t["g"], "ref": t["ref"], "status": "delivered"})
            print("XADD reach:receipts * receipt", json.dumps(receipt))' "$1" | rcli >"$T/xadd"
}

it_moves_load_away_from_slow_deliveries_too() {
    stop reachd
    rcli FLUSHALL >"$T/flush"
    PUSHED=0
    peer_rules '{"rules":[]}'
    configure 'slow_answer: 1h, slow_delivery: 1ms, back_every: 24h' delivered 1h
    start_reachd --config "$CONFIG"
    push late 48
    wait_until 60 "all are sent" all_are sent
    equal 24 "$(counted lame.sent)" "messages of the slow gateway"
    deliver brisk
    wait_until 60 "half of them are reached" are reached 24
    equal 100 "$(share lame)" "share before anything was late"
    deliver lame
    wait_until 60 "all are reached" all_are reached
    wait_until 10 "it has lost a step" share_is lame 75
    equal '[75]' "$(told)" "steps"
    equal 100 "$(share brisk)" "share of the other"
    reload 'slow_answer: 1h, slow_delivery: 24h, back_every: 300ms' delivered 1h
    wait_until 60 "it has its whole weight again" share_is lame 100
}

it_stops_in_order() {
    stop reachd
    equal 0 "$STATUS" "exit status of reachd"
}

run_cases
