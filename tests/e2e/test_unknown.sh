#!/bin/bash
# run-tests: timeout=300
# Attempts that may or may not have gone out: the peer takes the message, and no answer comes. What `on_unknown` says for each gateway is done:
# wait for a receipt, send again under the same key, or go on. All of it is counted and listed.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# gateway NAME POLICY: an SMS gateway at the peer; messages for it name it.
gateway() {
    cat <<EOF
  - {name: $1, channel: sms, driver: http, description: webhook, variables: {target: "http://127.0.0.1:$HTTP_PORT/sms"},
     allow_insecure: true, allow_private: true, on_unknown: $2, breaker: {failures: 0}}
EOF
}

setup() {
    start_redis
    start_peer
    CONFIG=$T/reachd.yaml
    cat >"$CONFIG" <<EOF
redis: {address: "unix:$REDIS_SOCK", lease: 20s}
worker: {retry_base: 50ms, retry_cap: 200ms}
templates: {directory: $TOP/templates/messages}
own_domains: [{domain: walton.example}]
gateways:
$(gateway waits wait)
$(gateway resends resend)
$(gateway goes-on next)
  - {name: mail, channel: email, driver: "null"}
routes:
  - name: patient
    steps:
      - {channel: sms, success: delivered, wait: 1h, attempts: 3}
      - {channel: email, success: sent, wait: 0s}
  - name: hasty
    steps:
      - {channel: sms, success: delivered, wait: 1s, attempts: 3}
      - {channel: email, success: sent, wait: 0s}
  - name: asking
    steps:
      - {channel: sms, success: delivered, wait: 1s, attempts: 3}
      - {channel: email, success: acknowledged, wait: 1h}
EOF
    start_reachd --config "$CONFIG"
}

# notice ID GATEWAY ROUTE: a number at that gateway, and a mail address.
notice() {
    rcli XADD reach:intake '*' job "{\"v\":1,\"type\":\"notice\",\"id\":\"$1\",\"notice\":\"mail-password-disabled\",\"route\":\"$3\",
        \"customer\":{\"id\":\"$1\",\"locale\":\"en\",\"contacts\":[{\"channel\":\"sms\",\"address\":\"$(number "$1")\",\"gateway\":\"$2\"},
        {\"channel\":\"email\",\"address\":\"$1@example.org\"}]},
        \"disables\":{\"accounts\":[\"$1@walton.example\"]},\"data\":{\"reset_url\":\"https://walton.example/reset\"}}" >"$T/xadd"
}
number() { printf '+4416329%05d' "$(printf '%s' "$1" | cksum | cut -c1-5)"; }

# keys ID: the key of each copy of its SMS that the peer has taken, one a line.
keys() { peer_index "'\\n'.join(x['key'] for x in d if x['channel'] == 'sms' and x['recipient'] == '$(number "$1")')"; }
copies_are() { [ "$(keys "$1" | grep -c .)" = "$2" ]; }
# try_of ID: attempts, unknown outcomes and the last outcome of its SMS, as reachctl tells.
try_of() { ctl --json notice show "$1" | json - '[[t["attempts"], t.get("unknown_outcomes", 0), t["outcome"]] for t in d["tries"] if t["channel"] == "sms"][0]'; }
try_is() { [ "$(try_of "$1")" = "$2" ]; }
comes_to() { wait_until 60 "notice $1 is $2" state_is "$1" "$2"; }
timeline() { ctl notice show "$1"; }
receipt() { rcli XADD reach:receipts '*' receipt "$1" >"$T/xadd"; }
# The seconds from now until the notice is taken up again by itself.
due_in_s() { echo $(($(rcli ZSCORE reach:due "$1" | cut -d. -f1) / 1000 - $(date +%s))); }
is_due() { [ -n "$(rcli ZSCORE reach:due "$1")" ]; }
no_answer() { peer_rules '{"rules":[{"phase":"http-answer","channel":"sms","action":"drop"}]}'; }

it_sends_nothing_while_it_waits_for_a_receipt_and_the_receipt_moves_it() {
    setup
    no_answer
    notice ada waits patient
    wait_until 60 "it is in doubt" try_is ada '[1, 1, "unknown"]'
    wait_until 60 "it waits" is_due ada
    [ "$(due_in_s ada)" -gt 3000 ] || fail "it is taken up again in $(due_in_s ada) s, which is before the wait is over"
    state_is ada planned || fail "its state is not planned"
    copies_are ada 1 || fail "copies: $(keys ada)"
    receipt "{\"v\":1,\"gateway\":\"waits\",\"ref\":\"$(keys ada)\",\"status\":\"delivered\"}"
    comes_to ada reached
    copies_are ada 1 || fail "copies: $(keys ada)"
    lacks "$(timeline ada)" "email through mail" "timeline"
}

it_takes_a_receipt_that_names_the_notice_as_well() {
    notice bea waits patient
    wait_until 60 "it is in doubt" try_is bea '[1, 1, "unknown"]'
    receipt '{"v":1,"notice":"bea","customer":"bea","status":"delivered"}'
    comes_to bea reached
    copies_are bea 1 || fail "copies: $(keys bea)"
}

it_goes_on_at_once_when_the_receipt_says_failed() {
    notice cem waits patient
    wait_until 60 "it is in doubt" try_is cem '[1, 1, "unknown"]'
    receipt "{\"v\":1,\"gateway\":\"waits\",\"ref\":\"$(keys cem)\",\"status\":\"failed\"}"
    comes_to cem reached
    contains "$(timeline cem)" "email through mail" "timeline"
    copies_are cem 1 || fail "copies: $(keys cem)"
}

it_goes_on_to_the_next_step_without_a_second_copy_when_the_wait_is_over() {
    notice dan waits hasty
    comes_to dan reached
    contains "$(timeline dan)" "no receipt" "timeline"
    contains "$(timeline dan)" "email through mail" "timeline"
    equal '[1, 1, "rejected"]' "$(try_of dan)" "attempts, unknown outcomes, what it counts as"
    copies_are dan 1 || fail "copies: $(keys dan)"
}

it_takes_a_receipt_for_evidence_that_comes_after_the_wait() {
    notice eva waits asking
    comes_to eva sent
    contains "$(timeline eva)" "email through mail" "timeline"
    receipt "{\"v\":1,\"gateway\":\"waits\",\"ref\":\"$(keys eva)\",\"status\":\"delivered\"}"
    comes_to eva reached
}

it_does_not_send_again_what_was_on_its_way_when_reachd_was_killed() {
    peer_rules '{"rules":[{"phase":"http-answer","channel":"sms","action":"hang"}]}'
    notice fay waits hasty
    wait_until 60 "the peer has it" copies_are fay 1
    kill -KILL "${PID[reachd]}"
    finish reachd
    peer_rules '{"rules":[]}'
    start_reachd --config "$CONFIG"
    comes_to fay reached
    equal '[1, 1, "rejected"]' "$(try_of fay)" "attempts, unknown outcomes, what it counts as"
    copies_are fay 1 || fail "copies: $(keys fay)"
    contains "$(timeline fay)" "email through mail" "timeline"
}

it_sends_again_under_the_same_key_where_the_policy_says_so() {
    peer_rules '{"rules":[{"phase":"http-answer","channel":"sms","first":1,"action":"drop"}]}'
    notice gus resends patient
    wait_until 60 "the peer has two copies" copies_are gus 2
    equal 1 "$(keys gus | sort -u | grep -c .)" "keys of two copies"
    comes_to gus sent
    equal '[2, 1, "sent"]' "$(try_of gus)" "attempts, unknown outcomes, outcome"
    receipt "{\"v\":1,\"gateway\":\"resends\",\"ref\":\"$(keys gus | sort -u)\",\"status\":\"delivered\"}"
    comes_to gus reached
    copies_are gus 2 || fail "copies: $(keys gus)"
}

it_goes_on_at_once_where_the_policy_says_so() {
    no_answer
    notice hal goes-on patient
    comes_to hal reached
    contains "$(timeline hal)" "email through mail" "timeline"
    equal '[1, 1, "rejected"]' "$(try_of hal)" "attempts, unknown outcomes, what it counts as"
    copies_are hal 1 || fail "copies: $(keys hal)"
}

it_counts_and_lists_them() {
    equal 5 "$(rcli HGET reach:counters count:gateway.waits.unknown)" "counted where the answer was missed"
    equal 1 "$(rcli HGET reach:counters count:gateway.resends.unknown)" "counted"
    equal 1 "$(rcli HGET reach:counters count:gateway.goes-on.unknown)" "counted"
    equal '["ada", "bea", "cem", "dan", "eva", "fay", "gus", "hal"]' "$(ctl --json notice list --unknown | json - 'sorted(n["id"] for n in d)')" "listed"
    equal 0 "$(ctl --json status | json - 'd["unaccounted"]')" "unaccounted"
}

run_cases
