#!/bin/bash
# A bounce becomes a receipt on the stream: by pipe and from a Maildir; a forged one and a lost Redis change nothing.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachctl smtp-send sandbox-peer redis-server

KEY=000102030405060708090a0b0c0d0e0f

# write_report ADDRESS ACTION STATUS: a delivery report that came back to ADDRESS.
write_report() {
    cat <<MAIL
Return-Path: <>
Delivered-To: $1
From: MAILER-DAEMON@mx.example
To: $1
Date: Sat, 21 Nov 2026 22:54:06 +0000
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; ghost@example.org
Action: $2
Status: $3
Diagnostic-Code: smtp; 550 $3 <ghost@example.org>: no such user

--b--
MAIL
}

bounce() { "$B/reachctl" --config "$T/reachd.yaml" "$@"; }
receipts() { rcli XLEN reach:receipts; }

it_sends_a_mail_and_learns_its_envelope() {
    (umask 077 && echo "a secret of our own" >"$T/envelope-key")
    start_peer
    start_redis
    cat >"$T/gateway.yaml" <<YAML
name: relay
channel: email
driver: smtp
host: 127.0.0.1
port: $SMTP_PORT
tls: plaintext-on-loopback
from_address: notices@walton.example
envelope: bounce@bounces.walton.example
envelope_key_file: $T/envelope-key
YAML
    { printf 'redis:\n  address: unix:%s\ngateways:\n  - ' "$REDIS_SOCK"; sed '1!s/^/    /' "$T/gateway.yaml"; } >"$T/reachd.yaml"
    chmod 600 "$T/reachd.yaml"
    printf '{"key":"%s","to":"ghost@example.org","subject":"x","text":"y"}\n' "$KEY" | "$B/smtp-send" "$T/gateway.yaml" >"$T/outcome"
    contains "$(cat "$T/outcome")" '"outcome":"sent"' "outcome"
    ENVELOPE=$(peer_index 'd[0]["from"]')
    [[ $ENVELOPE == bounce+$KEY-????????????????@bounces.walton.example ]] || fail "envelope sender: $ENVELOPE"
}

it_takes_a_bounce_from_a_pipe() {
    write_report "$ENVELOPE" failed 5.1.1 | bounce receipt bounce --pipe --recipient "$ENVELOPE"
    equal 1 "$(receipts)" "receipts"
    local receipt
    receipt=$(rcli XRANGE reach:receipts - + | tail -n 1)
    contains "$receipt" '"gateway":"relay"' "gateway"
    contains "$receipt" "\"ref\":\"$KEY\"" "ref"
    contains "$receipt" '"status":"bounced"' "status"
    lacks "$receipt" "ghost" "an address"
}

it_finds_the_recipient_in_the_header() {
    write_report "$ENVELOPE" failed 4.4.7 | bounce receipt bounce
    contains "$(rcli XREVRANGE reach:receipts + - COUNT 1)" '"status":"failed"' "status"
}

it_leaves_a_delay_alone() {
    write_report "$ENVELOPE" delayed 4.4.1 | bounce receipt bounce
    equal 2 "$(receipts)" "receipts"
}

it_refuses_a_forged_one() {
    local forged="bounce+$KEY-0123456789abcdef@bounces.walton.example"
    write_report "$forged" failed 5.1.1 >"$T/forged"
    equal 1 "$(status_of bash -c "'$B/reachctl' --config '$T/reachd.yaml' receipt bounce <'$T/forged'")" "exit"
    contains "$(cat "$T/err")" "refused" "what it says"
    bounce receipt bounce --pipe <"$T/forged" || fail "a mail system must not bounce it"
    equal 2 "$(receipts)" "receipts"
}

it_empties_a_maildir() {
    mkdir -p "$T/mail"/{new,cur,tmp}
    write_report "$ENVELOPE" failed 5.2.1 >"$T/mail/new/1.a"
    write_report "$ENVELOPE" delayed 4.4.1 >"$T/mail/new/2.b"
    write_report "bounce+$KEY@bounces.walton.example" failed 5.1.1 >"$T/mail/new/3.c"
    bounce receipt bounce --maildir "$T/mail" 2>"$T/err"
    contains "$(cat "$T/err")" "1 receipts, 1 mails with nothing to report, 1 refused" "the sum"
    equal 3 "$(receipts)" "receipts"
    equal "1.a:2,S 2.b:2,S 3.c:2,S" "$(find "$T/mail/cur" -type f -printf '%f\n' | sort | paste -sd' ')" "filed away"
}

it_keeps_everything_while_redis_is_away() {
    stop redis
    write_report "$ENVELOPE" failed 5.1.1 >"$T/mail/new/4.d"
    equal 5 "$(status_of "$B/reachctl" --config "$T/reachd.yaml" receipt bounce --maildir "$T/mail")" "exit"
    [ -e "$T/mail/new/4.d" ] || fail "the mail is gone"
    equal 75 "$(status_of bash -c "'$B/reachctl' --config '$T/reachd.yaml' receipt bounce --pipe <'$T/mail/new/4.d'")" "exit for a pipe"
    start_redis
    bounce receipt bounce --maildir "$T/mail"
    equal 4 "$(receipts)" "receipts"
}

run_cases
