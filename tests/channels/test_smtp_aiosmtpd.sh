#!/bin/bash
# A second opinion on the smtp driver: Python's aiosmtpd with STARTTLS and AUTH.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need smtp-send openssl
"$PYTHON" -c 'import aiosmtpd' 2>/dev/null || skip "python3-aiosmtpd is not installed"

# send_to PASSWORD ADDRESS...: one mail to each; outcomes in $T/outcomes.
send_to() {
    local address number=0
    (umask 077 && printf '%s\n' "$1" >"$T/password")
    shift
    cat >"$T/gateway.yaml" <<YAML
name: test
channel: email
driver: smtp
host: localhost
port: $(cat "$T/aio/port")
ca_file: $T/cert.pem
username: reachd
password_file: $T/password
from_address: notices@walton.example
sessions: 2
YAML
    for address in "$@"; do
        number=$((number + 1))
        printf '{"key":"%032x","to":"%s","subject":"Ihr Postfach – Größe","text":"Guten Tag,\\n.\\nbis später\\n","html":"<p>Größe</p>\\n"}\n' \
            "$number" "$address"
    done | "$B/smtp-send" "$T/gateway.yaml" >"$T/outcomes"
}

outcome_of() { grep "\"to\":\"$1\"" "$T/outcomes"; }

it_starts() {
    mkdir "$T/aio"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/key.pem" -out "$T/cert.pem" -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost 2>"$T/openssl.log" || fail "no certificate"
    start aiosmtpd "$PYTHON" "$TOP/tests/support/aiosmtpd_sink.py" "$T/aio" "$T/cert.pem" "$T/key.pem" reachd s3cret
    wait_until 20 "aiosmtpd is ready" test -s "$T/aio/port"
}

it_carries_a_mail_that_is_read_as_it_was_meant() {
    send_to s3cret ada@example.org
    contains "$(outcome_of ada@example.org)" '"outcome":"sent"' "outcome"
    equal "Ihr Postfach – Größe" "$(json "$T/aio/1.json" 'd["subject"]')" "Subject"
    equal "<00000000000000000000000000000001@walton.example>" "$(json "$T/aio/1.json" 'd["message_id"]')" "Message-ID"
    equal "notices+00000000000000000000000000000001@walton.example" "$(json "$T/aio/1.json" 'd["from"]')" "envelope sender"
    equal "reachd" "$(json "$T/aio/1.json" 'd["login"]')" "login"
    equal "TLSv1.3" "$(json "$T/aio/1.json" 'd["tls"]')" "TLS"
    equal "text/plain text/html" "$(json "$T/aio/1.json" '" ".join(p[0] for p in d["parts"])')" "parts"
    equal "Guten|Tag,|.|bis|später" "$(json "$T/aio/1.json" '"|".join(d["parts"][0][1].split())')" "text"
    equal "[]" "$(json "$T/aio/1.json" 'd["defects"]')" "defects"
}

it_tells_refusals_apart() {
    send_to s3cret gone@example.org bob@example.org later@example.org spam@example.org cyd@example.org
    contains "$(outcome_of gone@example.org)" '"outcome":"rejected","blame":"contact","code":"550 5.1.1"' "gone"
    contains "$(outcome_of later@example.org)" '"outcome":"retry","blame":"none","code":"451 4.7.1"' "later"
    contains "$(outcome_of spam@example.org)" '"outcome":"rejected","blame":"none","code":"554 5.7.1"' "spam"
    contains "$(outcome_of bob@example.org)" '"outcome":"sent"' "bob"
    contains "$(outcome_of cyd@example.org)" '"outcome":"sent"' "cyd"
    lacks "$(cut -d, -f5- "$T/outcomes")" "example.org" "an address in a reason"
}

it_stops_at_a_wrong_password() {
    send_to wrong ada@example.org
    contains "$(outcome_of ada@example.org)" '"outcome":"retry","blame":"account","code":"535 5.7.8"' "outcome"
}

it_carries_two_hundred_mails() {
    local addresses=()
    for number in $(seq 200); do addresses+=("customer$number@example.org"); done
    send_to s3cret "${addresses[@]}"
    equal 200 "$(grep -c '"outcome":"sent"' "$T/outcomes")" "mails sent"
    equal 203 "$(find "$T/aio" -name '*.json' | wc -l)" "mails kept"
}

run_cases
