#!/bin/bash
# The sandbox peer itself: conversations byte by byte, rules, and what it keeps. The cases are in peer_cases.py.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need sandbox-peer openssl
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$T/key.pem" -out "$T/cert.pem" -days 2 -subj /CN=localhost \
    -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' 2>/dev/null || fail "no certificate"
PYTHONPATH=$TOP/tests/support/peer CERT=$T/cert.pem KEY=$T/key.pem "$PYTHON" -B "$TOP/tests/e2e/peer_cases.py" 2>&1
