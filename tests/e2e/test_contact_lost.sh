#!/bin/bash
# A contact point goes away while a message to it is under way, before, or after: whatever comes first, no clearance rests on it, and the
# notice goes on with what is left (P3, P4).
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

job() { rcli XADD reach:intake '*' job "$1" >"$T/xadd"; }
receipt() { rcli XADD reach:receipts '*' receipt "$1" >"$T/xadd"; }
# notice ID CONTACTS [MORE]: a job that disables ID's mailbox at walton.example; the customer has the same name
notice() {
    job "{\"v\":1,\"type\":\"notice\",\"id\":\"$1\",\"notice\":\"mail-password-disabled\",\"customer\":{\"id\":\"$1\",\"locale\":\"en\"
        ${2:+,\"contacts\":[$2]}},\"disables\":{\"accounts\":[\"$1@walton.example\"]},\"data\":{\"reset_url\":\"https://walton.example/reset\"}${3:-}}"
}
# contacts CUSTOMER CONTACTS: all that is known of the customer now
contacts() {
    job "{\"v\":1,\"type\":\"contact\",\"id\":\"contact-$1-$((++JOBS))\",\"customer\":{\"id\":\"$1\",\"contacts\":[$2]}}"
}
JOBS=0
# email NAME [MEMBERS]
email() { printf '{"channel":"email","address":"%s@example.org"%s}' "$1" "${2:+,$2}"; }
PHONE='{"channel":"sms","address":"+441632960001"}'
comes_to() { wait_until 20 "notice $1 is $2" state_is "$1" "$2"; }
allowed() { rcli FCALL reach_allowed 1 "reach:clearance:{$1@walton.example}"; }
is_allowed() { [ "$(allowed "$1")" = "$2" ]; }
evidence() { rcli GET "reach:clearance:{$1@walton.example}" | json - 'd["evidence"]'; }
mails_to() { peer_index "sum(1 for m in d if m['recipient'].startswith('$1@'))" 2>/dev/null || echo 0; }
under_way() { [ "$(mails_to "$1")" = 1 ]; }
book_has() { rcli HGET reach:contacts "$1" | grep -q -- "$2"; }
in_desk() { [ "$(rcli HEXISTS reach:desk "$1")" = 1 ]; }
not_in_desk() { ! in_desk "$1"; }

it_does_not_clear_on_a_contact_point_that_went_while_the_message_was_under_way() {
    start_redis
    start_peer
    CONFIG=$T/reachd.yaml
    cat >"$CONFIG" <<END
redis: {address: "unix:$REDIS_SOCK", lease: 30s}
templates: {directory: $TOP/templates/messages}
own_domains: [{domain: walton.example}]
gateways:
  - {name: mail, channel: email, driver: smtp, host: 127.0.0.1, port: $SMTP_PORT, tls: plaintext-on-loopback, from_address: security@walton.example}
  - {name: sms, channel: sms, driver: "null"}
routes:
  - name: security
    steps: [{channel: email, success: sent, wait: 0s}, {channel: sms, success: sent, wait: 0s}]
  - name: patient
    steps: [{channel: email, success: delivered, wait: 60s}, {channel: sms, success: sent, wait: 0s}]
END
    start_reachd --config "$CONFIG"
    peer_rules '{"rules":[{"phase":"after-dot","action":"delay","delay_ms":6000}]}'
    for who in ann ben cat dan; do notice $who "$(email $who)"; done
    for who in ann ben cat dan; do wait_until 20 "the mail to $who is under way" under_way $who; done
    contacts ann "$(email ann '"status":"withdrawn"'),$PHONE"
    contacts ben "$(email ben '"status":"bounced"')"
    contacts cat "$(email cat '"forwards_to":["cat@walton.example"]')"
    contacts dan "$(email dan),$PHONE" # nothing is lost
    wait_until 20 "ann's change is in the book" book_has ann +441632960001
    wait_until 20 "ben's change is in the book" book_has ben 02-ben
    wait_until 20 "cat's change is in the book" book_has cat cat@walton.example
    for who in ann ben cat dan; do state_is $who sending || fail "the mail to $who was not under way any more"; done
    comes_to ann reached
    comes_to ben stranded
    comes_to cat stranded
    comes_to dan reached
    contains "$(evidence ann)" sms "ann's evidence"
    equal 0 "$(allowed ben)" "ben's clearance"
    equal 0 "$(allowed cat)" "cat's clearance"
    contains "$(evidence dan)" email "dan's evidence"
    in_desk ben || fail "no desk case for ben"
    in_desk cat || fail "no desk case for cat"
    for who in ann ben cat dan; do equal 1 "$(mails_to $who)" "mails to $who"; done
    peer_rules '{"rules":[]}'
}

it_takes_a_clearance_back_when_the_contact_point_turns_out_to_lead_only_to_what_dies() {
    notice eli "$(email eli)"
    comes_to eli reached
    equal 1 "$(allowed eli)" "clearance"
    contacts eli "$(email eli '"forwards_to":["ELI@walton.example"]')"
    wait_until 15 "the clearance is gone" is_allowed eli 0
    in_desk eli || fail "no desk case"
    notice fay "$(email fay),$PHONE"
    comes_to fay reached
    contacts fay "$(email fay),{\"channel\":\"sms\",\"address\":\"+441632960001\",\"depends_on\":[\"fay@walton.example\"]}"
    wait_until 15 "the change is in the book" book_has fay fay@walton.example
    equal 1 "$(allowed fay)" "clearance, whose evidence came by mail"
}

it_goes_on_with_what_the_book_says_and_not_with_what_the_job_said_once() {
    notice gus "$(email gus)" ',"route":"patient"'
    comes_to gus sent
    contacts gus "$(email gus '"status":"withdrawn"')"
    comes_to gus stranded
    receipt '{"v":1,"notice":"gus","status":"delivered"}'
    wait_until 15 "the receipt is on record" sh -c "redis-cli -s $REDIS_SOCK HGET reach:notices gus | grep -q delivered"
    wait_until 15 "the notice was looked at again" sh -c "redis-cli -s $REDIS_SOCK HGET reach:notices gus | grep -q '^n'"
    equal 0 "$(allowed gus)" "clearance"
    book_has gus 04-gus || fail "the book lost what the customer took back"
}

it_does_not_write_to_what_was_taken_back_although_a_later_job_lists_it() {
    contacts hal "$(email hal '"status":"withdrawn"')"
    wait_until 15 "the book knows hal" book_has hal 04-hal
    notice hal "$(email hal)"
    comes_to hal stranded
    equal 0 "$(mails_to hal)" "mails"
}

it_takes_a_clearance_back_when_an_import_brings_the_loss() {
    notice ida "$(email ida)"
    comes_to ida reached
    equal 1 "$(allowed ida)" "clearance"
    printf '{"id":"ida","contacts":[%s]}\n' "$(email ida '"status":"withdrawn"')" >"$T/import.ndjson"
    ctl contacts import "$T/import.ndjson" >"$T/import.out"
    wait_until 15 "the clearance is gone" is_allowed ida 0
    in_desk ida || fail "no desk case"
}

it_lets_a_person_close_the_case_of_a_notice_that_had_ended() {
    ctl desk "done" ida --as kim --note 'told by letter' --yes >"$T/desk.out" 2>&1 || fail "desk done: $(cat "$T/desk.out")"
    wait_until 15 "the case is closed" not_in_desk ida
    equal 0 "$(allowed ida)" "clearance"
    job '{"v":1,"type":"resolve","id":"resolve-ida","notice":"ida"}'
    wait_until 15 "the hold is gone" sh -c "redis-cli -s $REDIS_SOCK HEXISTS reach:holds ida@walton.example | grep -qx 0"
    equal 0 "$(ctl --json status | json - 'd["unaccounted"]')" "unaccounted"
}

run_cases
