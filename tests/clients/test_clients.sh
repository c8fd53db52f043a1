#!/bin/bash
# run-tests: timeout=180
# The three clients of docs/examples push jobs into a running reachd and follow what becomes of them; and everything that reachd
# writes where others read is held against the schemas.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachd reachctl reachd-mailer redis-server redis-cli
need_npm
"$PYTHON" -c 'import redis' 2>/dev/null || skip 'python3-redis is not installed'
EXAMPLES=$TOP/docs/examples

job() { # job ID CUSTOMER CONTACT...: writes $T/ID.json; the account is CUSTOMER@walton.example
    local id=$1 customer=$2
    shift 2
    "$PYTHON" -c 'import json, sys
id, customer, *contacts = sys.argv[1:]
account = customer.lower() + "@walton.example"
print(json.dumps({"v": 1, "type": "notice", "id": id, "notice": "mail-password-disabled",
    "customer": {"id": customer, "name": "Zoë", "locale": "en-GB", "accounts": [account],
        "contacts": [{"channel": "email", "address": account}] + [dict(zip(("channel", "address"), c.split("=", 1))) for c in contacts]},
    "disables": {"accounts": [account]}, "data": {"reset_url": "https://walton.example/reset"}}, indent=1))' "$id" "$customer" "$@" >"$T/$id.json"
}

# follows ID LAST-STATE STATUS COMMAND...: the client shows the notice's events up to LAST-STATE and ends with STATUS.
follows() {
    local id=$1 state=$2 expected=$3
    shift 3
    equal "$expected" "$(status_of "$@")" "exit status of $1 ($(tail -n 3 "$T/err"))"
    grep -E '"type": ?"notice"' "$T/out" | tail -n 1 | grep -qE "\"state\": ?\"$state\"" || fail "$1 did not see $id end as $state: $(cat "$T/out")"
    equal 0 "$(grep '^{' "$T/out" | grep -cvF "$id" || true)" "events of other notices in the output of $1"
}

it_starts() {
    # shellcheck disable=SC2119
    start_peer
    CONFIG=$T/reachd.yaml
    make_config "$CONFIG" "$T/ports.json" "$T/state/redis.sock"
    mkdir "$T/state"
    start_reachd --standalone "$T/state" --config "$CONFIG"
    REDIS_SOCK=$T/state/redis.sock
}

it_takes_a_job_from_redis_cli() {
    job cli-1 CLI1 email=cli@example.org
    follows cli-1 reached 0 sh "$EXAMPLES/push_job.sh" "$T/cli-1.json" cli-1 cli1@walton.example -s "$REDIS_SOCK"
    job cli-2 CLI2
    follows cli-2 stranded 4 sh "$EXAMPLES/push_job.sh" "$T/cli-2.json" cli-2 cli2@walton.example -s "$REDIS_SOCK"
    contains "$(cat "$T/out")" 'must not be disabled' 'what push_job.sh says'
}

it_takes_a_job_from_python() {
    job py-1 PY1 email=py@example.org
    follows py-1 reached 0 "$PYTHON" "$EXAMPLES/push_job.py" "unix:$REDIS_SOCK" "$T/py-1.json" py1@walton.example
    job py-2 PY2 email=Py2+x@mail.walton.example
    follows py-2 stranded 4 "$PYTHON" "$EXAMPLES/push_job.py" "unix:$REDIS_SOCK" "$T/py-2.json" py2@walton.example
}

it_takes_a_job_from_node() {
    job js-1 JS1 email=js@example.org
    follows js-1 reached 0 node "$EXAMPLES/push_job.js" "unix:$REDIS_SOCK" "$T/js-1.json" js1@walton.example
    job js-2 JS2
    follows js-2 stranded 4 node "$EXAMPLES/push_job.js" "unix:$REDIS_SOCK" "$T/js-2.json" js2@walton.example
}

it_sent_what_the_clients_asked_for_and_nothing_else() {
    equal '["cli@example.org", "js@example.org", "py@example.org"]' "$(peer_index 'sorted(line["recipient"] for line in d)')" 'recipients'
    contains "$(cat "$PEER_DIR"/mail/*py@example.org.eml)" 'Subject:' 'the mail'
}

it_tells_every_client_of_a_job_it_cannot_use() {
    job bad-1 BAD1
    sed -i 's/"contacts"/"contact"/' "$T/bad-1.json"
    follows bad-1 dead 0 "$PYTHON" "$EXAMPLES/push_job.py" "unix:$REDIS_SOCK" "$T/bad-1.json"
    contains "$(cat "$T/out")" 'customer.contact' 'the member at fault'
    sed -i 's/bad-1/bad-2/' "$T/bad-1.json"
    follows bad-2 dead 0 node "$EXAMPLES/push_job.js" "unix:$REDIS_SOCK" "$T/bad-1.json"
}

it_takes_receipts_as_the_contract_says() {
    job seen-1 SEEN1 banner=seen1@walton.example
    rcli XADD reach:intake '*' job "$(tr -d '\n' <"$T/seen-1.json")" >"$T/xadd.out"
    wait_until 10 'a banner is there' test -n "$(banner_of SEEN1)"
    rcli XADD reach:receipts '*' receipt '{"v":1,"notice":"seen-1","customer":"SEEN1","status":"seen"}' >"$T/xadd.out"
    wait_until 10 'the notice is reached by the banner' notice_is seen-1 reached
    rcli XADD reach:receipts '*' receipt '{"v":1,"notice":"seen-1","status":"read"}' >"$T/xadd.out"
    wait_until 10 'a receipt with an unknown status is a dead letter' dead_letters_mention status
}
banner_of() { wait_until 10 "a banner for $1" rcli_has "reach:banner:{$1}"; rcli GET "reach:banner:{$1}"; }
rcli_has() { [ "$(rcli EXISTS "$1")" = 1 ]; }
notice_is() { [ "$(ctl --json notice show "$1" | json - 'd["state"]')" = "$2" ]; }
dead_letters_mention() { rcli --json XRANGE reach:dead - + | grep -q "$1"; }

# against_schema NAME FILE: every line of FILE obeys the schema, and there is at least one.
against_schema() {
    node "$TOP/tests/clients/check_schemas.js" "$1" <"$2" >"$T/schema.out" || fail "$1: $(head -n 5 "$T/schema.out")"
}

it_writes_records_that_obey_the_schemas() {
    # shellcheck disable=SC2016 # Lua and Python, not the shell's
    redis_lines() { rcli --json "$@" | "$PYTHON" -c 'import json, sys
for value in json.load(sys.stdin): print(value)'; }
    redis_lines HVALS reach:holds >"$T/holds"
    redis_lines HVALS reach:desk >"$T/desk"
    rcli --json EVAL 'local out = {} for _, k in ipairs(redis.call("KEYS", ARGV[1])) do out[#out + 1] = redis.call("GET", k) end return out' 0 'reach:clearance:*' |
        "$PYTHON" -c 'import json, sys; print("\n".join(json.load(sys.stdin)))' >"$T/clearances"
    rcli --json EVAL 'local out = {} for _, k in ipairs(redis.call("KEYS", ARGV[1])) do out[#out + 1] = redis.call("GET", k) end return out' 0 'reach:banner:*' |
        "$PYTHON" -c 'import json, sys; print("\n".join(json.load(sys.stdin)))' >"$T/banners"
    rcli --json XRANGE reach:events - + | "$PYTHON" -c 'import json, sys
for _, fields in json.load(sys.stdin):
    assert fields[0::2] == ["events"], fields
    for event in json.loads(fields[1]): print(json.dumps(event))' >"$T/events"
    rcli --json XRANGE reach:dead - + | "$PYTHON" -c 'import json, sys
for _, fields in json.load(sys.stdin): print(json.dumps(dict(zip(fields[0::2], fields[1::2]))))' >"$T/dead"
    against_schema hold "$T/holds"
    against_schema desk-case "$T/desk"
    against_schema clearance "$T/clearances"
    against_schema banner "$T/banners"
    against_schema event "$T/events"
    against_schema dead-letter "$T/dead"
}

it_puts_no_address_into_an_event() {
    lacks "$(cat "$T/events")" '@' 'the events'
}

it_reads_the_examples_as_it_says_they_are_read() {
    local file
    for file in "$EXAMPLES"/jobs/notice.json "$EXAMPLES"/jobs/contact.json "$EXAMPLES"/jobs/resolve.json; do
        rcli XADD reach:intake '*' job "$(tr -d '\n' <"$file")" >"$T/xadd.out"
    done
    wait_until 10 'the example notice is taken and resolved' notice_is pw-2026-12-C123 resolved
}

it_refuses_what_the_schema_refuses() {
    local dead n line=0 job
    node "$TOP/tests/clients/check_schemas.js" spoiled >"$T/spoiled.ndjson"
    n=$(wc -l <"$T/spoiled.ndjson")
    [ "$n" -ge 15 ] || fail "only $n spoiled jobs"
    while read -r job; do
        line=$((line + 1))
        printf '%s\n' "$job" >"$T/one.ndjson"
        equal 1 "$(status_of ctl push "$T/one.ndjson")" "reachctl push of spoiled job $line ($job)"
    done <"$T/spoiled.ndjson"
    dead=$(rcli XLEN reach:dead)
    while read -r job; do
        printf '%s' "$job" | rcli -x XADD reach:intake '*' job >"$T/xadd.out"
    done <"$T/spoiled.ndjson"
    wait_until 20 'all of them are dead letters' dead_letters_are $((dead + n))
}
dead_letters_are() { [ "$(rcli XLEN reach:dead)" = "$1" ]; }

it_accepts_what_the_schema_accepts() {
    local file
    for file in "$EXAMPLES"/jobs/*.json; do
        tr -d '\n' <"$file"
        printf '\n'
    done >"$T/examples.ndjson"
    equal 0 "$(status_of ctl push "$T/examples.ndjson")" "reachctl push of the examples ($(cat "$T/err"))"
}

run_cases
