#!/bin/bash
# run-tests: timeout=300
# The smtp driver against a real Postfix: a private instance with its own configuration, queue and ports, loopback only.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
# shellcheck source=tests/support/postfix.sh
. "$(dirname "$0")/../support/postfix.sh"
need smtp-send openssl
need_postfix

# ---- the instance ----------------------------------------------------------------------------------------------------------
CA=$T/certs/ca

# make_cert NAME SAN DAYS [self]: certificate and key $T/certs/NAME.{pem,key}, by our CA or by itself.
make_cert() {
    local sign=(-CA "$CA.pem" -CAkey "$CA.key" -CAcreateserial)
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/certs/$1.key" -out "$T/certs/$1.csr" -subj "/CN=$1"
    [ "${4:-}" = self ] && sign=(-signkey "$T/certs/$1.key")
    openssl x509 -req -in "$T/certs/$1.csr" "${sign[@]}" -days "$3" -out "$T/certs/$1.pem" -extfile <(printf 'subjectAltName=%s' "$2")
}

make_certs() {
    mkdir -p "$T/certs"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$CA.key" -out "$CA.pem" -days 2 -subj /CN=ca
    make_cert good DNS:localhost 2
    make_cert expired DNS:localhost -1
    make_cert wrong DNS:other.example 2
    make_cert self DNS:localhost 2 self
}

tls_service() {
    postfix_service "$1" "$2" smtpd_tls_security_level=may smtpd_tls_cert_file="$T/certs/$1.pem" smtpd_tls_key_file="$T/certs/$1.key" "${@:3}"
}

main_cf() {
    cat <<CF
default_transport = error:5.1.2 no way out of this test
recipient_delimiter = +
relay_domains =
virtual_mailbox_domains = post.example bounces.walton.example fails.example
virtual_mailbox_base = $PF/mail
virtual_mailbox_maps = inline:{ada@post.example=ada/, bob@post.example=bob/, bounce@bounces.walton.example=bounces/, ghost@fails.example=ghost/}
virtual_minimum_uid = 1
virtual_uid_maps = static:$(id -u postfix)
virtual_gid_maps = static:$(id -g postfix)
transport_maps = inline:{fails.example=fails:}
smtpd_recipient_restrictions = check_recipient_access inline:{{later@post.example = 451 4.7.1 greylisted, come back},
 {off@post.example = 550 5.2.1 mailbox disabled}, {full@post.example = 452 4.2.2 mailbox full}}, reject_unauth_destination
smtpd_sasl_type = dovecot
smtpd_sasl_path = $PF/auth.sock
smtpd_tls_auth_only = yes
smtpd_tls_received_header = yes
CF
}

master_cf() {
    postfix_service plain "$PLAIN_PORT"
    tls_service good "$GOOD_PORT"
    tls_service expired "$EXPIRED_PORT"
    tls_service wrong "$WRONG_PORT"
    tls_service self "$SELF_PORT"
    tls_service good "$WRAPPED_PORT" smtpd_tls_wrappermode=yes
    tls_service good "$AUTH_PORT" smtpd_sasl_auth_enable=yes smtpd_recipient_restrictions=permit_sasl_authenticated,reject
    postfix_fails
}

it_starts() {
    PLAIN_PORT=$(free_port) GOOD_PORT=$(free_port) EXPIRED_PORT=$(free_port) WRONG_PORT=$(free_port) SELF_PORT=$(free_port)
    AUTH_PORT=$(free_port) WRAPPED_PORT=$(free_port)
    make_certs >"$T/certs.log" 2>&1 || fail "no certificates"
    start auth "$PYTHON" "$TOP/tests/support/dovecot_auth.py" "$PF/auth.sock" reachd s3cret
    wait_until 10 "the authentication server" test -S "$PF/auth.sock"
    start_postfix "$PLAIN_PORT" "$(main_cf)" "$(master_cf)"
}

# ---- sending ---------------------------------------------------------------------------------------------------------------
# send_to HOST PORT EXTRA-YAML ADDRESS...: one mail to each; outcomes in $T/outcomes.
send_to() {
    local host=$1 port=$2 yaml=$3 address number=0
    shift 3
    cat >"$T/gateway.yaml" <<YAML
name: test
channel: email
driver: smtp
host: $host
port: $port
from_address: notices@walton.example
envelope: bounce@bounces.walton.example
$yaml
YAML
    for address in "$@"; do
        number=$((number + 1))
        printf '{"key":"%032x","to":"%s","created_at_ms":1795298400000,"subject":"Grüße","text":"Your password is off.\\n.\\nSee you.\\n","html":"<p>Off</p>"}\n' \
            "$number" "$address"
    done | "$B/smtp-send" "$T/gateway.yaml" >"$T/outcomes"
}

PLAIN_YAML='tls: plaintext-on-loopback
sessions: 1'

# outcome_of ADDRESS: "outcome blame code".
outcome_of() {
    "$PYTHON" -c 'import json, sys
for line in open(sys.argv[1]):
    d = json.loads(line)
    if d["to"] == sys.argv[2]:
        print(d["outcome"], d["blame"], d["code"])' "$T/outcomes" "$1"
}

# in_mailbox NAME: how many mails; the newest in $MAIL.
in_mailbox() { find "$PF/mail/$1/new" -type f 2>/dev/null | wc -l; }
newest() { find "$PF/mail/$1/new" -type f -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-; }
has_mail() { [ "$(in_mailbox "$1")" -ge "$2" ]; }

# ---- cases -----------------------------------------------------------------------------------------------------------------
it_delivers_into_a_real_mailbox() {
    send_to 127.0.0.1 "$PLAIN_PORT" "$PLAIN_YAML" ada@post.example
    equal "sent none 250 2.0.0" "$(outcome_of ada@post.example)" "outcome"
    wait_until 20 "the mail is in the mailbox" has_mail ada 1
    local mail
    mail=$(newest ada)
    contains "$(cat "$mail")" "Return-Path: <bounce+00000000000000000000000000000001@bounces.walton.example>" "envelope sender"
    contains "$(cat "$mail")" "Message-ID: <00000000000000000000000000000001@walton.example>" "Message-ID"
    contains "$(cat "$mail")" "Subject: =?UTF-8?B?R3LDvMOfZQ==?=" "Subject"
    contains "$(cat "$mail")" "=2E" "the lone dot"
}

it_tells_every_recipient_of_one_session_apart() {
    send_to 127.0.0.1 "$PLAIN_PORT" "$PLAIN_YAML" ada@post.example gone@post.example later@post.example bob@post.example off@post.example \
        full@post.example nobody@elsewhere.example bob@post.example
    equal "sent none 250 2.0.0" "$(outcome_of ada@post.example)" "ada"
    equal "rejected contact 550 5.1.1" "$(outcome_of gone@post.example)" "gone"
    equal "retry none 451 4.7.1" "$(outcome_of later@post.example)" "later"
    equal "rejected contact 550 5.2.1" "$(outcome_of off@post.example)" "off"
    equal "retry none 452 4.2.2" "$(outcome_of full@post.example)" "full"
    equal "rejected none 554 5.7.1" "$(outcome_of nobody@elsewhere.example)" "nobody"
    equal 2 "$(outcome_of bob@post.example | grep -c '^sent')" "bob's mails"
    lacks "$(cut -d, -f5- "$T/outcomes")" "post.example" "an address in a reason"
    wait_until 20 "bob has both" has_mail bob 2
}

it_gets_a_bounce_for_what_fails_later() {
    send_to 127.0.0.1 "$PLAIN_PORT" "$PLAIN_YAML" ghost@fails.example
    equal "sent none 250 2.0.0" "$(outcome_of ghost@fails.example)" "at first"
    wait_until 30 "the bounce is here" has_mail bounces 1
    cp "$(newest bounces)" "$T/bounce.eml"
    contains "$(cat "$T/bounce.eml")" "bounce+00000000000000000000000000000001@bounces.walton.example" "whom it is for"
    contains "$(cat "$T/bounce.eml")" "Status: 5.1.1" "status"
    contains "$(cat "$T/bounce.eml")" "Original-Envelope-Id: 00000000000000000000000000000001" "the envelope id"
}

it_uses_tls_with_a_good_certificate() {
    send_to localhost "$GOOD_PORT" "ca_file: $CA.pem" ada@post.example
    equal "sent none 250 2.0.0" "$(outcome_of ada@post.example)" "outcome"
    wait_until 20 "the mail is in the mailbox" has_mail ada 3
    contains "$(cat "$(newest ada)")" "using TLSv1.3" "how it came"
}

it_refuses_every_other_certificate() {
    local name
    for name in EXPIRED WRONG SELF; do
        local port=${name}_PORT
        send_to localhost "${!port}" "ca_file: $CA.pem" ada@post.example
        equal "retry gateway " "$(outcome_of ada@post.example)" "$name"
        contains "$(cat "$T/outcomes")" "certificate" "$name"
    done
    send_to localhost "$PLAIN_PORT" "ca_file: $CA.pem" ada@post.example
    equal "retry gateway " "$(outcome_of ada@post.example)" "no STARTTLS"
}

it_logs_in() {
    (umask 077 && echo s3cret >"$T/password" && echo wrong >"$T/wrong-password")
    send_to localhost "$AUTH_PORT" "ca_file: $CA.pem
username: reachd
password_file: $T/password" ada@post.example
    equal "sent none 250 2.0.0" "$(outcome_of ada@post.example)" "right password"
    send_to localhost "$AUTH_PORT" "ca_file: $CA.pem
username: reachd
password_file: $T/wrong-password" ada@post.example bob@post.example
    equal "retry account 535 5.7.8" "$(outcome_of ada@post.example)" "wrong password"
    equal "retry account 535 5.7.8" "$(outcome_of bob@post.example)" "wrong password"
    send_to localhost "$AUTH_PORT" "ca_file: $CA.pem" ada@post.example
    equal "rejected none 554 5.7.1" "$(outcome_of ada@post.example)" "no login"
}

# start_stunnel CHECKHOST: as docs/email.md has it, on $STUNNEL_PORT.
start_stunnel() {
    STUNNEL_PORT=$(free_port)
    cat >"$T/stunnel.conf" <<CF
foreground = yes
pid =
[smtps]
client = yes
accept = 127.0.0.1:$STUNNEL_PORT
connect = 127.0.0.1:$WRAPPED_PORT
verifyChain = yes
CAfile = $CA.pem
checkHost = $1
sni = $1
sslVersionMin = TLSv1.2
CF
    start stunnel stunnel "$T/stunnel.conf"
    wait_until 10 "stunnel listens" "$PYTHON" -c "import socket; socket.create_connection(('127.0.0.1', $STUNNEL_PORT), 1)"
}

it_reaches_a_server_with_tls_from_the_first_byte_through_stunnel() {
    command -v stunnel >/dev/null || { printf '(no stunnel here) '; return; }
    start_stunnel localhost
    send_to 127.0.0.1 "$STUNNEL_PORT" "$PLAIN_YAML" ada@post.example
    equal "sent none 250 2.0.0" "$(outcome_of ada@post.example)" "through stunnel"
    stop stunnel
    start_stunnel other.example
    send_to 127.0.0.1 "$STUNNEL_PORT" "$PLAIN_YAML" ada@post.example
    equal "retry gateway " "$(outcome_of ada@post.example)" "a certificate for somebody else"
    stop stunnel
}

it_carries_a_thousand_mails() {
    local before addresses=()
    before=$(in_mailbox ada)
    for _ in $(seq 1000); do addresses+=(ada@post.example); done
    send_to 127.0.0.1 "$PLAIN_PORT" "tls: plaintext-on-loopback
in_flight_max: 1000
sessions: 8" "${addresses[@]}"
    equal 1000 "$(grep -c '"outcome":"sent"' "$T/outcomes")" "mails sent"
    wait_until 60 "all are in the mailbox" has_mail ada $((before + 1000))
}

run_cases
