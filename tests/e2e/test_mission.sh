#!/bin/bash
# The mission, step by step, with a real Redis and gateways that swallow everything: who is stranded, what new contact points, receipts
# and control jobs change, and that nothing is cleared or released too early. What messages look like is tested elsewhere.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

setup_reachd() {
    start_redis
    CONFIG=$T/reachd.yaml
    cat >"$CONFIG" <<EOF
redis: {address: "unix:$REDIS_SOCK", lease: 2s}
templates: {directory: $TOP/templates/messages}
own_domains:
  - {domain: walton.example, aliases: [mail.walton.example], plus_addressing: true}
gateways:
  - {name: mail, channel: email, driver: "null"}
  - {name: sms, channel: sms, driver: "null"}
emergency:
  notice: account-compromised
  data: {reset_url: "https://walton.example/secure"}
routes:
  - name: security
    steps:
      - {channel: email, success: sent, wait: 0s}
      - {channel: sms, success: sent, wait: 0s}
      - {channel: banner, success: seen, wait: 7d}
  - name: patient
    steps:
      - {channel: email, success: delivered, wait: 60s}
      - {channel: sms, success: sent, wait: 0s}
default_route: security
EOF
    start_reachd --config "$CONFIG"
}

job() { rcli XADD reach:intake '*' job "$1" >"$T/xadd"; }
receipt() { rcli XADD reach:receipts '*' receipt "$1" >"$T/xadd"; }

# notice ID CUSTOMER CONTACTS [MORE]: a job that disables CUSTOMER's mailbox at walton.example
notice() {
    job "{\"v\":1,\"type\":\"notice\",\"id\":\"$1\",\"notice\":\"mail-password-disabled\",\"customer\":{\"id\":\"$2\",\"locale\":\"en\",
        \"contacts\":[$3]},\"disables\":{\"accounts\":[\"$2@walton.example\"]},\"data\":{\"reset_url\":\"https://walton.example/reset\"}${4:-}}"
}
EMAIL='{"channel":"email","address":"someone@example.org"}'
PHONE='{"channel":"sms","address":"+441632960001"}'

state_of() { ctl --json notice show "$1" 2>/dev/null | json - 'd["state"]'; }
state_is() { [ "$(state_of "$1")" = "$2" ]; }
comes_to() { wait_until 15 "notice $1 is $2" state_is "$1" "$2"; }
allowed() { rcli FCALL reach_allowed 1 "reach:$1:{$2}"; }
in_hash() { [ "$(rcli HEXISTS "reach:$1" "$2")" = 1 ]; }
not_in_hash() { ! in_hash "$1" "$2"; }
is_allowed() { [ "$(allowed "$1" "$2")" = "$3" ]; }

it_clears_an_account_once_its_customer_was_reached() {
    setup_reachd
    notice n1 ada "$EMAIL"
    comes_to n1 reached
    equal 1 "$(allowed clearance ada@walton.example)" "clearance"
    equal 1 "$(allowed release ada)" "release"
    ctl clearance check ADA+x@mail.walton.example >/dev/null
}

it_releases_contact_data_whatever_the_values_of_a_notice_are_called() {
    job '{"v":1,"type":"notice","id":"hd1","notice":"mail-password-disabled","customer":{"id":"hank","locale":"en","contacts":['"$EMAIL"']},
        "disables":{"accounts":["hank@walton.example"]},"data":{"reset_url":"https://walton.example/reset","hold":true}}'
    comes_to hd1 reached
    equal 1 "$(allowed release hank)" "release"
}

it_strands_a_customer_whose_other_address_is_the_same_mailbox() {
    notice n2 bob '{"channel":"email","address":"Bob+shop@MAIL.walton.example"}'
    comes_to n2 stranded
    in_hash holds bob@walton.example || fail "no hold"
    in_hash desk n2 || fail "no desk case"
    contains "$(rcli GET 'reach:banner:{bob}')" '"notice":"n2"' "banner"
    equal 0 "$(allowed clearance bob@walton.example)" "clearance"
    equal 0 "$(allowed release bob)" "release"
    equal 4 "$(status_of ctl clearance check ada@walton.example bob@walton.example)" "exit of clearance check"
}

it_reaches_a_stranded_customer_as_soon_as_a_new_contact_point_appears() {
    job '{"v":1,"type":"contact","id":"c1","customer":{"id":"bob","accounts":["bob@walton.example"],"contacts":['"$PHONE"']}}'
    comes_to n2 reached
    not_in_hash holds bob@walton.example || fail "the hold stays"
    not_in_hash desk n2 || fail "the desk case stays"
    equal 1 "$(allowed clearance bob@walton.example)" "clearance"
}

it_knows_from_the_contact_book_what_a_later_job_does_not_say() {
    job '{"v":1,"type":"notice","id":"n3","notice":"mail-password-disabled","customer":{"id":"bob","locale":"en"},
        "disables":{"accounts":["bob@walton.example"]},"data":{"reset_url":"https://walton.example/reset"}}'
    comes_to n3 reached
    job '{"v":1,"type":"notice","id":"n4","notice":"mail-password-disabled","customer":{"id":"nobody"},
        "disables":{"accounts":["bob@walton.example"]},"data":{"reset_url":"https://walton.example/reset"}}'
    wait_until 10 "the unknown customer is a dead letter" sh -c "redis-cli -s $REDIS_SOCK XRANGE reach:dead - + | grep -q 'customer.id'"
}

it_takes_the_clearance_back_when_a_bounce_comes_late() {
    receipt '{"v":1,"notice":"n1","status":"bounced","detail":"550 5.1.1"}'
    wait_until 10 "the clearance is gone" is_allowed clearance ada@walton.example 0
    in_hash desk n1 || fail "no desk case"
    in_hash holds ada@walton.example || fail "no hold"
    equal 0 "$(allowed release ada)" "release"
    state_is n1 reached || fail "a final state was left"
}

it_takes_the_clearance_back_when_the_contact_point_is_lost() {
    notice n15 meg "$EMAIL"
    comes_to n15 reached
    equal 1 "$(allowed clearance meg@walton.example)" "clearance"
    job '{"v":1,"type":"contact","id":"c3","customer":{"id":"meg","contacts":['"$EMAIL,$PHONE"']}}'
    job '{"v":1,"type":"contact","id":"c4","customer":{"id":"meg","contacts":['"$PHONE"',
        {"channel":"email","address":"someone@example.org","status":"withdrawn"}]}}'
    wait_until 10 "the clearance is gone" is_allowed clearance meg@walton.example 0
    in_hash desk n15 || fail "no desk case"
    contains "$(ctl notice show n15)" "does not work any more" "timeline"
}

it_takes_a_new_name_without_touching_the_contact_points() {
    job '{"v":1,"type":"contact","id":"c6","customer":{"id":"bob","name":"Robert"}}'
    wait_until 10 "the book has the name" sh -c "redis-cli -s $REDIS_SOCK HGET reach:contacts bob | grep -q Robert"
    contains "$(rcli HGET reach:contacts bob)" "10-+441632960001" "the telephone number, active and not vanished"
}

it_waits_for_the_evidence_that_the_route_asks_for() {
    notice n5 cleo "$EMAIL,$PHONE" ',"route":"patient"'
    comes_to n5 sent
    equal 0 "$(allowed clearance cleo@walton.example)" "clearance before the receipt"
    receipt '{"v":1,"notice":"n5","status":"delivered"}'
    comes_to n5 reached
    equal 1 "$(allowed clearance cleo@walton.example)" "clearance after the receipt"
}

it_counts_evidence_from_a_contact_point_that_only_the_contact_book_knows() {
    notice n22 rae '' ',"route":"patient"'
    comes_to n22 stranded
    job '{"v":1,"type":"contact","id":"c5","customer":{"id":"rae","contacts":['"$EMAIL"']}}'
    comes_to n22 sent
    receipt '{"v":1,"notice":"n22","status":"delivered"}'
    comes_to n22 reached
    equal 1 "$(allowed clearance rae@walton.example)" "clearance"
}

it_moves_to_the_next_step_when_the_mail_bounces() {
    notice n6 dora "$EMAIL,$PHONE" ',"route":"patient"'
    comes_to n6 sent
    receipt '{"v":1,"notice":"n6","status":"bounced"}'
    comes_to n6 reached
    contains "$(ctl notice show n6)" "sms through sms" "timeline"
}

it_counts_a_seen_banner_as_having_reached_a_stranded_customer() {
    notice n7 eve ''
    comes_to n7 stranded
    receipt '{"v":1,"notice":"n7","customer":"eve","status":"delivered"}'
    receipt '{"v":1,"notice":"n7","customer":"eve","status":"seen"}'
    comes_to n7 reached
    equal 1 "$(allowed clearance eve@walton.example)" "clearance"
}

it_applies_the_same_receipt_once() {
    receipt '{"v":1,"notice":"n7","customer":"eve","status":"seen"}'
    receipt '{"v":1,"notice":"n7","customer":"eve","status":"seen"}'
    wait_until 10 "the receipts are acknowledged" open_in receipts 0
    state_is n7 reached || fail "the state changed"
}

it_makes_a_desk_case_at_once_where_only_a_banner_survives() {
    notice n8 fay '{"channel":"banner","address":"fay@walton.example"}'
    wait_until 10 "desk case" in_hash desk n8
    equal 0 "$(allowed clearance fay@walton.example)" "clearance"
    comes_to n8 sent
    receipt '{"v":1,"notice":"n8","customer":"fay","status":"seen"}'
    comes_to n8 reached
    equal 1 "$(allowed clearance fay@walton.example)" "clearance"
    not_in_hash desk n8 || fail "the desk case stays"
}

it_ends_one_notice_or_all_of_a_customer_on_resolve_and_cancel() {
    notice n9 gil ''
    comes_to n9 stranded
    notice n10 gil ''
    comes_to n10 stranded
    job '{"v":1,"type":"cancel","id":"x1","notice":"n9"}'
    comes_to n9 cancelled
    equal 0 "$(allowed release gil)" "release while n10 is open"
    notice n11 gil ''
    comes_to n11 stranded
    job '{"v":1,"type":"resolve","id":"x2","customer":{"id":"gil"}}'
    comes_to n10 resolved
    comes_to n11 resolved
    equal 1 "$(allowed release gil)" "release"
    equal '' "$(rcli GET 'reach:banner:{gil}')" "banner"
    equal 0 "$(allowed clearance gil@walton.example)" "clearance"
}

it_lets_a_person_close_a_case_without_clearing_the_account() {
    notice n12 hal ''
    comes_to n12 stranded
    job '{"v":1,"type":"desk","id":"x3","notice":"n12","by":"kim","note":"told by letter"}'
    comes_to n12 stranded-handed-to-desk
    not_in_hash desk n12 || fail "the desk case stays"
    in_hash holds hal@walton.example || fail "the hold is gone"
    equal 0 "$(allowed clearance hal@walton.example)" "clearance"
}

it_keeps_contact_data_while_an_account_is_held_although_the_case_is_closed() {
    notice h1 ned "$EMAIL"
    comes_to h1 reached
    equal 1 "$(allowed release ned)" "release"
    receipt '{"v":1,"notice":"h1","status":"bounced"}'
    wait_until 10 "the desk case" in_hash desk h1
    job '{"v":1,"type":"desk","id":"x6","notice":"h1","by":"kim","note":"told by letter"}'
    wait_until 10 "the case is closed" not_in_hash desk h1
    notice h2 ned "$PHONE"
    comes_to h2 reached
    in_hash holds ned@walton.example || fail "the hold is gone"
    equal 0 "$(allowed release ned)" "release while h1 holds the account"
    job '{"v":1,"type":"resolve","id":"x7","notice":"h1"}'
    wait_until 10 "the hold is gone" not_in_hash holds ned@walton.example
    equal 1 "$(allowed release ned)" "release when nobody holds it"
}

it_raises_the_alarm_when_an_account_is_disabled_without_clearance() {
    notice n13 ivy ''
    comes_to n13 stranded
    job '{"v":1,"type":"contact","id":"c2","customer":{"id":"jon","accounts":["jon@walton.example"],"contacts":['"$PHONE"']}}'
    wait_until 10 "the book knows whose account it is" in_hash accounts jon@walton.example
    job '{"v":1,"type":"disabled","id":"d1","account":"JON@mail.walton.example"}'
    comes_to emergency:d1 reached
    contains "$(rcli XRANGE reach:events - +)" '"type":"alarm"' "event"
    job '{"v":1,"type":"disabled","id":"d2","account":"ivy@walton.example"}'
    comes_to emergency:d2 stranded
    job '{"v":1,"type":"disabled","id":"d3","account":"whose@walton.example"}'
    wait_until 10 "a case asks whose it is" in_hash desk d3
    equal 3 "$(rcli HGET reach:counters count:alarm.disabled-without-clearance)" "alarms"
    job '{"v":1,"type":"disabled","id":"d4","account":"cleo@walton.example"}'
    wait_until 10 "the job is done" open_in urgent 0
    equal 3 "$(rcli HGET reach:counters count:alarm.disabled-without-clearance)" "alarms after a cleared account"
    lacks "$(cat "$T/reachd.log")" "ivy@walton" "log"
}

# Nothing of the urgent lane waits, and nothing of it is in hand.
all_is_done() { rcli XINFO GROUPS reach:intake | grep -A1 -x lag | grep -qx 0 && open_in urgent 0; }

# disabled ID MORE ALARMS: a `disabled` job for ID@walton.example; afterwards there have been so many alarms
disabled() {
    job "{\"v\":1,\"type\":\"disabled\",\"id\":\"$1\",\"account\":\"$1@walton.example\"$2}"
    wait_until 10 "the job $1 is done" all_is_done
    equal "$3" "$(rcli HGET reach:counters count:alarm.disabled-without-clearance)" "alarms after $1"
}

it_raises_the_alarm_where_the_clearance_did_not_cover_the_moment() {
    local record='{"granted_at":"2026-01-01T10:00:00.900Z","expires_at":"2099-01-01T00:00:00.000Z","notice":"n1","evidence":"x"}' who
    for who in t1 t2 t3 t4 t5; do rcli SET "reach:clearance:{$who@walton.example}" "$record" >"$T/set"; done
    disabled t1 '' 3
    disabled t2 ',"at":"2026-01-01T10:00:00Z"' 3 # whole seconds: within the second of the grant
    disabled t3 ',"at":"2026-01-01T09:59:59Z"' 4 # cleared only afterwards
    disabled t4 ',"at":"2098-12-31T23:59:59Z"' 4
    disabled t5 ',"at":"2099-01-01T00:00:00Z"' 5 # over by then
    rcli SET 'reach:clearance:{t6@walton.example}' "${record/2099/2026}" >"$T/set"
    disabled t6 '' 6 # over long since, and still there
    rcli SET 'reach:clearance:{t7@walton.example}' yes >"$T/set"
    disabled t7 '' 7 # no record of reachd's
    in_hash desk t3 || fail "no case asks whose t3 is"
    not_in_hash desk t4 || fail "a case although t4 was cleared"
}

it_clears_only_the_customers_own_account() {
    job '{"v":1,"type":"notice","id":"n14","notice":"mail-password-disabled","customer":{"id":"kai","accounts":["kai@walton.example"],
        "contacts":['"$PHONE"',{"channel":"email","address":"lea@walton.example"}]},
        "disables":{"domains":["walton.example"]},"data":{"reset_url":"https://walton.example/reset"}}'
    comes_to n14 reached
    equal 1 "$(allowed clearance kai@walton.example)" "own account"
    equal 0 "$(allowed clearance lea@walton.example)" "somebody else's account"
}

# shared ID CUSTOMER CONTACTS: a notice about an account that several customers use
shared() {
    job "{\"v\":1,\"type\":\"notice\",\"id\":\"$1\",\"notice\":\"mail-password-disabled\",\"customer\":{\"id\":\"$2\",\"locale\":\"en\",
        \"contacts\":[$3]},\"disables\":{\"accounts\":[\"family@walton.example\"]},\"data\":{\"reset_url\":\"https://walton.example/reset\"}}"
}

it_does_not_clear_an_account_that_another_notice_still_holds() {
    shared n16 nan ''
    comes_to n16 stranded
    shared n17 ole "$EMAIL"
    comes_to n17 reached
    equal 0 "$(allowed clearance family@walton.example)" "clearance while nan is stranded"
    shared n18 pam ''
    comes_to n18 stranded
    job '{"v":1,"type":"cancel","id":"x4","notice":"n18"}'
    comes_to n18 cancelled
    in_hash holds family@walton.example || fail "the hold of n16 went with n18"
    job '{"v":1,"type":"resolve","id":"x5","notice":"n16"}'
    comes_to n16 resolved
    not_in_hash holds family@walton.example || fail "the hold stays"
    shared n19 ole "$EMAIL"
    comes_to n19 reached
    equal 1 "$(allowed clearance family@walton.example)" "clearance when nobody holds it"
    shared n20 nan ''
    comes_to n20 stranded
    equal 0 "$(allowed clearance family@walton.example)" "clearance after a new hold"
}

it_does_not_clear_on_what_was_sent_to_an_unverified_address() {
    notice n21 quin '{"channel":"email","address":"someone@example.org","status":"unverified"}'
    comes_to n21 reached
    equal 0 "$(allowed clearance quin@walton.example)" "clearance"
    in_hash desk n21 || fail "no desk case"
    in_hash holds quin@walton.example || fail "no hold"
    equal 0 "$(allowed release quin)" "release"
}

# suspect ID CUSTOMER CONTACT: a notice after an attack that may have changed contact points
suspect() {
    job "{\"v\":1,\"type\":\"notice\",\"id\":\"$1\",\"notice\":\"mail-password-disabled\",\"customer\":{\"id\":\"$2\",\"locale\":\"en\",
        \"contacts\":[$3]},\"disables\":{\"accounts\":[\"$2@walton.example\"]},\"suspect_since\":\"2026-01-01T00:00:00Z\",
        \"data\":{\"reset_url\":\"https://walton.example/reset\"}}"
}

it_tells_the_previous_address_too_where_a_contact_point_was_changed_under_suspicion() {
    suspect n23 sue '{"channel":"email","address":"thief@example.net","changed_at":"2026-01-02T00:00:00Z","previous_address":"sue@example.org"}'
    comes_to n23 reached
    contains "$(ctl notice show n23)" "s••@example.org" "the previous address"
    contains "$(ctl notice show n23)" "t••@example.net" "the changed address"
    equal 1 "$(allowed clearance sue@walton.example)" "clearance on the previous address"
    suspect n24 tom '{"channel":"email","address":"thief@example.net","changed_at":"2026-01-02T00:00:00Z"}'
    comes_to n24 stranded
    equal 0 "$(allowed clearance tom@walton.example)" "clearance on a changed address alone"
}

it_answers_no_to_whatever_is_not_a_record_of_reachd() {
    rcli SET 'reach:clearance:{m@walton.example}' yes >/dev/null
    rcli SET 'reach:clearance:{n@walton.example}' '{"granted_at":"2026-01-01T00:00:00Z","notice":"n1"}' >/dev/null
    rcli HSET 'reach:clearance:{o@walton.example}' a b >/dev/null
    for account in m n o p; do
        equal 0 "$(allowed clearance $account@walton.example)" "clearance of $account"
    done
}

it_accounts_for_everything_at_the_end() {
    equal 0 "$(ctl --json status | json - 'd["unaccounted"]')" "unaccounted"
    stop reachd
    equal 0 "$STATUS" "exit of reachd"
}

run_cases
