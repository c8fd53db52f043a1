#!/bin/bash
# What other people's parsers make of our mails: npm mailparser and Python's email, field by field.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need smtp-send sandbox-peer
need_npm

HERE=$(cd "$(dirname "$0")" && pwd)

# The messages of mime_messages.py are sent through the driver to the peer; parsers look at what the peer kept.
it_sends_every_message() {
    start_peer
    cat >"$T/gateway.yaml" <<YAML
name: test
channel: email
driver: smtp
host: 127.0.0.1
port: $SMTP_PORT
tls: plaintext-on-loopback
from_address: notices@walton.example
from_name: Wältön & Söhne
reply_to: help@walton.example
envelope: bounce@bounces.walton.example
YAML
    "$PYTHON" "$HERE/mime_messages.py" >"$T/messages.ndjson"
    "$B/smtp-send" "$T/gateway.yaml" <"$T/messages.ndjson" >"$T/outcomes.ndjson"
    equal "$(wc -l <"$T/messages.ndjson")" "$(grep -c '"outcome":"sent"' "$T/outcomes.ndjson")" "mails sent"
}

it_means_the_same_to_mailparser() {
    node "$HERE/mime_compare.js" "$T/messages.ndjson" "$PEER_DIR" || fail "mailparser reads something else"
}

it_means_the_same_to_python_and_has_no_defects() {
    "$PYTHON" "$HERE/mime_compare.py" "$T/messages.ndjson" "$PEER_DIR" || fail "Python reads something else"
}

run_cases
