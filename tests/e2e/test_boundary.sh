#!/bin/bash
# The boundary of promise P2: before effective_at a doomed mailbox may get an early warning, from that moment on it gets nothing,
# however late the intent was recorded, the relay answered or a retry came round.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# in_ms MILLISECONDS: the RFC 3339 time so far from now
in_ms() {
    "$PYTHON" -c 'import datetime, sys
t = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(milliseconds=int(sys.argv[1]))
print(t.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (t.microsecond // 1000))' "$1"
}

# notice ID EFFECTIVE-AT [CONTACT]: the customer's only mailbox dies at EFFECTIVE-AT
notice() {
    rcli XADD reach:intake '*' job "{\"v\":1,\"type\":\"notice\",\"id\":\"$1\",\"notice\":\"mail-password-disabled\",\"customer\":{\"id\":\"$1\",
        \"locale\":\"en\",\"contacts\":[{\"channel\":\"email\",\"address\":\"$1@walton.example\"}${3:+,$3}]},
        \"disables\":{\"accounts\":[\"$1@walton.example\"]},\"effective_at\":\"$2\",\"data\":{\"reset_url\":\"https://walton.example/reset\"}}" >"$T/xadd"
}
mails_to() { peer_index "sum(1 for m in d if m['recipient'].startswith('$1'))" 2>/dev/null || echo 0; }
tried() { peer_control 'd["counts"].get("command:RCPT", 0)'; }

it_warns_early_while_the_mailbox_still_works() {
    start_redis
    start_peer
    CONFIG=$T/reachd.yaml
    cat >"$CONFIG" <<EOF
redis: {address: "unix:$REDIS_SOCK", lease: 30s}
worker: {retry_base: 50ms, retry_cap: 200ms}
$(mail_only)
EOF
    start_reachd --config "$CONFIG"
    notice early "$(in_ms 60000)"
    wait_until 15 "early is stranded" state_is early stranded
    equal 1 "$(mails_to early@)" "early warnings"
    equal '' "$(rcli GET 'reach:clearance:{early@walton.example}')" "clearance"
    rcli HEXISTS reach:desk early | grep -qx 1 || fail "no desk case beside the early warning"
}

it_sends_nothing_to_a_mailbox_that_is_dead_already() {
    notice late "$(in_ms -1)"
    wait_until 15 "late is stranded" state_is late stranded
    equal 0 "$(mails_to late@)" "mails"
}

it_does_not_begin_a_mail_after_the_moment_even_if_it_was_intended_before() {
    peer_rules '{"rules":[{"phase":"banner","action":"delay","delay_ms":4000},{"phase":"ehlo","action":"delay","delay_ms":4000}]}'
    stop reachd
    start_reachd --config "$CONFIG"
    local when
    when=$(in_ms 2000)
    for i in 1 2 3 4 5; do notice "slow$i" "$when"; done
    for i in 1 2 3 4 5; do wait_until 40 "slow$i is stranded" state_is "slow$i" stranded; done
    equal 0 "$(mails_to slow)" "mails to mailboxes that died while the relay was slow"
    peer_rules '{"rules":[]}'
}

it_does_not_retry_across_the_moment() {
    peer_rules '{"rules":[{"phase":"rcpt","recipient":"retry*","action":"reply","code":451,"text":"4.2.0 later"}]}'
    local when before
    when=$(in_ms 1500)
    notice retry1 "$when"
    notice retry2 "$when"
    wait_until 20 "retry1 is stranded" state_is retry1 stranded
    sleep 2
    peer_rules '{"rules":[]}'
    before=$(tried)
    rcli ZADD reach:due 1 retry1 1 retry2 >"$T/zadd" # look at them again, long after the moment
    wait_until 15 "they were looked at" sh -c "redis-cli -s $REDIS_SOCK ZCOUNT reach:due -inf 1 | grep -qx 0"
    notice after "$(in_ms -1)" # goes the same way behind them: when it is done, so are they
    wait_until 15 "after is stranded" state_is after stranded
    equal "$before" "$(tried)" "attempts"
    equal 0 "$(mails_to retry)" "mails after the moment"
}

it_uses_the_surviving_address_and_not_the_doomed_one_across_the_moment() {
    notice both "$(in_ms 1000)" '{"channel":"email","address":"both@example.org"}'
    wait_until 15 "both is reached" state_is both reached
    equal 0 "$(mails_to both@walton)" "mails to the doomed address"
    equal 1 "$(mails_to both@example)" "mails to the surviving address"
}

run_cases
