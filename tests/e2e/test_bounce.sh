#!/bin/bash
# A bounce comes home, with nothing made up: reachd hands a mail to a real Postfix, which takes it, finds the mailbox gone and sends a
# delivery report (RFC 3464) to the notice's own envelope address; there Postfix pipes it into `reachctl receipt bounce`. The notice goes
# on to its next step, and a clearance that rested on that mail is withdrawn.
# run-tests: timeout=240
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
# shellcheck source=tests/support/postfix.sh
. "$(dirname "$0")/../support/postfix.sh"
need reachd reachctl reachd-mailer redis-server redis-cli
need_postfix

write_config() {
    (umask 077 && openssl rand -hex 32 >"$T/envelope-key")
    cat >"$CONFIG" <<EOF
redis: {address: "unix:$REDIS_SOCK", lease: 20s}
templates: {directory: $TOP/templates/messages}
own_domains: [{domain: walton.example}]
gateways:
  - name: relay
    channel: email
    driver: smtp
    host: 127.0.0.1
    port: $PORT
    tls: plaintext-on-loopback
    from_address: notices@walton.example
    envelope: bounce@bounces.walton.example
    envelope_key_file: $T/envelope-key
  - {name: sms, channel: sms, driver: "null"}
routes:
  - name: quick
    steps:
      - {channel: email, success: sent, wait: 0s}
      - {channel: sms, success: sent, wait: 0s}
  - name: patient
    steps:
      - {channel: email, success: delivered, wait: 10m}
      - {channel: sms, success: sent, wait: 0s}
default_route: quick
EOF
}

main_cf() {
    cat <<CF
virtual_mailbox_domains = post.example fails.example
virtual_mailbox_base = $PF/mail
virtual_mailbox_maps = inline:{ada@post.example=ada/, ghost@fails.example=ghost/}
virtual_minimum_uid = 1
virtual_uid_maps = static:$(id -u postfix)
virtual_gid_maps = static:$(id -g postfix)
relay_domains = bounces.walton.example
transport_maps = inline:{fails.example=fails:, bounces.walton.example=reachd-bounce:}
smtpd_recipient_restrictions = check_recipient_access inline:{{off@post.example = 550 5.2.1 mailbox disabled}}, reject_unauth_destination
CF
}

# The pipe as docs/email.md has it, with a copy of what comes through kept beside it. (Postfix's pipe(8) does not run programs as root.)
master_cf() {
    cat >"$PF/bounce" <<EOF
#!/bin/sh
tee -a "$T/bounces.eml" | "$B/reachctl" --config "$CONFIG" receipt bounce --pipe --recipient "\$1"
EOF
    chmod 755 "$PF/bounce"
    postfix_service relay "$PORT"
    postfix_fails
    printf 'reachd-bounce unix - n n - - pipe\n flags=Rq user=nobody argv=%s ${recipient}\n' "$PF/bounce"
}

job() { rcli XADD reach:intake '*' job "$1" >"$T/xadd"; }
# notice ID CUSTOMER ADDRESS ROUTE
notice() {
    job "{\"v\":1,\"type\":\"notice\",\"id\":\"$1\",\"notice\":\"mail-password-disabled\",\"route\":\"$4\",\"customer\":{\"id\":\"$2\",\"locale\":\"en\",
        \"contacts\":[{\"channel\":\"email\",\"address\":\"$3\"},{\"channel\":\"sms\",\"address\":\"+441632960001\"}]},
        \"disables\":{\"accounts\":[\"$2@walton.example\"]},\"data\":{\"reset_url\":\"https://walton.example/reset\"}}"
}
contacts_of() { ctl --json customer show "$1" | json - '" ".join(sorted(c["channel"] + ":" + c["status"] for c in d["contacts"]))'; }
contacts_are() { [ "$(contacts_of "$1")" = "$2" ]; }
shows() { ctl notice show "$1" 2>/dev/null | grep -q "$2"; }
cleared() { [ "$(rcli FCALL reach_allowed 1 "reach:clearance:{$1@walton.example}")" = "$2" ]; }

it_starts() {
    CONFIG=$T/reachd.yaml PORT=$(free_port)
    start_redis --unixsocketperm 777
    write_config
    : >"$T/bounces.eml"
    chown nobody "$CONFIG" "$T/envelope-key" "$T/bounces.eml" # the pipe runs as nobody
    chmod 600 "$CONFIG"
    start_postfix "$PORT" "$(main_cf)" "$(master_cf)"
    start_reachd --config "$CONFIG"
}

it_hears_nothing_of_a_mail_that_arrives() {
    notice n1 ada ada@post.example quick
    wait_until 20 "ada is reached" state_is n1 reached
    cleared ada 1 || fail "no clearance"
}

it_moves_a_notice_on_when_its_mail_bounces() {
    notice n2 bob ghost@fails.example patient
    wait_until 30 "the bounce has come home" shows n2 bounced
    wait_until 20 "bob is reached by SMS" state_is n2 reached
    contains "$(ctl notice show n2)" "sms" "timeline"
    wait_until 10 "bob's clearance" cleared bob 1
}

# The clearance may be there for a moment only: what counts is that it was granted, and that the bounce took it.
it_withdraws_a_clearance_that_rested_on_the_mail() {
    notice n3 cyd ghost@fails.example quick
    wait_until 30 "the bounce has come home" shows n3 bounced
    wait_until 10 "the clearance is gone" cleared cyd 0
    contains "$(rcli XRANGE reach:events - +)" '"notice":"n3","state":"granted"' "an event"
    contains "$(rcli XRANGE reach:events - +)" '"notice":"n3","customer":"cyd","state":"withdrawn"' "an event"
    [ "$(rcli HEXISTS reach:holds cyd@walton.example)" = 1 ] || fail "no hold"
}

it_marks_a_disabled_mailbox_and_takes_the_next_step() {
    notice n4 dan off@post.example quick
    wait_until 20 "dan is reached by SMS" state_is n4 reached
    contains "$(ctl notice show n4)" "mailbox disabled" "the server's words"
    wait_until 10 "the address is marked" contacts_are dan "email:bounced sms:active"
}

it_asked_for_reports_of_failures_with_its_own_reference() {
    local report
    report=$(cat "$T/bounces.eml")
    equal 2 "$(grep -c '^Content-Type: message/delivery-status' "$T/bounces.eml")" "reports: of failures and of nothing else"
    [[ $report =~ Original-Envelope-Id:\ [0-9a-f]{32} ]] || fail "no ENVID"
    contains "$report" 'Original-Recipient: rfc822;ghost@fails.example' "ORCPT"
    contains "$report" 'Content-Type: text/rfc822-headers' "RET=HDRS"
    lacks "$report" 'reset' "the words of the message"
    cleared ada 1 || fail "ada's clearance is gone"
}

# ada's message is not known for a while, as when the bounce is faster than the record of what was sent.
it_waits_with_a_bounce_until_the_message_is_known() {
    local key='' ref
    while read -r ref; do
        [ "$(rcli GET "$ref")" != n1 ] || key=$ref
    done < <(rcli --scan --pattern 'reach:ref:relay *')
    [ -n "$key" ] || fail "no message is known for n1"
    rcli RENAME "$key" elsewhere >"$T/rename"
    rcli XADD reach:receipts '*' receipt "{\"v\":1,\"gateway\":\"relay\",\"ref\":\"${key##* }\",\"status\":\"bounced\"}" >"$T/xadd"
    wait_until 10 "it is read" open_in receipts 1
    equal 0 "$(rcli XLEN reach:dead)" "dead letters"
    cleared ada 1 || fail "ada's clearance is gone"
    rcli RENAME elsewhere "$key" >"$T/rename"
    wait_until 10 "the clearance is gone" cleared ada 0
    equal 0 "$(rcli XLEN reach:dead)" "dead letters"
}

it_stops() {
    stop reachd
    equal 0 "$STATUS" "exit status"
}

run_cases
