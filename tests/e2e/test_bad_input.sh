#!/bin/bash
# run-tests: timeout=300
# Bad input is answered (P12). The cases are in bad_input_cases.py.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachd reachctl reachd-mailer redis-server
# shellcheck disable=SC2119
start_peer
CONFIG=$T/reachd.yaml
mkdir "$T/state"
make_config "$CONFIG" "$T/ports.json" "$T/state/redis.sock"
start_reachd --standalone "$T/state" --config "$CONFIG"
PYTHONPATH=$TOP/tests/support "$PYTHON" -B "$TOP/tests/e2e/bad_input_cases.py" "$T/state/redis.sock" "$PEER_DIR/index.ndjson" 2>&1
stop reachd
equal 0 "$STATUS" 'exit status of reachd after SIGTERM'
# the sample number that explains the form is nobody's
if sed 's/(E\.164, such as [^)]*)//' "$T/reachd.log" | grep -E 'example\.(org|net)|\+44163'; then fail 'an address in the log'; fi
