#!/bin/bash
# Finished notices leave Redis for the archive: they are still found, their ids are still known, nothing of them is left in Redis, and a
# crash between the two archives a notice twice, never zero times. The walk that finds them begins anew with each connection, so each
# step starts reachd again.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachd reachctl redis-server redis-cli
N=40
CONFIG=$T/reachd.yaml

configure() {
    cat >"$CONFIG" <<EOF
redis: {address: "unix:$REDIS_SOCK", lease: 2s, retention: 1s, remember_ids: 30d}
$1
templates: {directory: $TOP/templates/messages}
own_domains:
  - {domain: walton.example, plus_addressing: true}
gateways:
  - {name: mail, channel: email, driver: "null"}
routes:
  - name: security
    steps:
      - {channel: email, success: sent, wait: 0s}
      - {channel: banner, success: seen, wait: 7d}
EOF
}

job() { # job ID CUSTOMER ADDRESS [MORE]
    printf '{"v":1,"type":"notice","id":"%s","notice":"mail-password-disabled","customer":{"id":"%s","locale":"en","contacts":[{"channel":"email","address":"%s"}]},"disables":{"accounts":["%s@walton.example"]},"data":{"reset_url":"https://walton.example/reset"}%s}\n' \
        "$1" "$2" "$3" "$2" "${4:-}"
}
push() { ctl push "$1" 2>"$T/err" || fail "$(cat "$T/err")"; }
status() { ctl --json status | json - "$1"; }
states_are() { [ "$(status "$1")" = "$2" ]; }
in_redis() { rcli HLEN reach:notices; }
records_are() { [ "$(in_redis)" = "$1" ]; }
not_in_hash() { [ "$(rcli HEXISTS "reach:$1" "$2")" = 0 ]; }
log_says() { grep -q "$1" "$T/reachd.log"; }
age() { sleep 2.1; } # what has finished gets older than redis.retention, counted in whole seconds
again() { stop reachd; start_reachd --config "$CONFIG"; }

it_finishes_notices_without_an_archive_and_keeps_them() {
    local i
    start_redis
    configure ''
    start_reachd --config "$CONFIG"
    for ((i = 0; i < N; i++)); do job "n$i" "c$((i / 2))" "someone$i@example.org"; done >"$T/jobs.ndjson"
    job stranded lost lost@walton.example >>"$T/jobs.ndjson"
    push "$T/jobs.ndjson"
    wait_until 30 'all are reached' states_are 'd["states"]["reached"]' "$N"
    wait_until 30 'one is stranded' states_are 'd["stranded"]' 1
    age
    again
    equal $((N + 1)) "$(in_redis)" 'records'
    cp "$T/jobs.ndjson" "$T/same.ndjson"
}

it_archives_what_is_finished_and_old_enough() {
    configure "archive: {directory: $T/archive}"
    again
    wait_until 30 'finished notices have left Redis' records_are 1
    equal 0 "$(status 'd["unaccounted"]')" 'unaccounted'
    equal "$N" "$(status 'd["retired"]')" 'retired'
    equal $((N + 1)) "$(status 'd["accepted"]')" 'accepted'
    equal "$N" "$(cat "$T"/archive/*.ndjson | wc -l)" 'lines'
    equal 700 "$(stat -c %a "$T/archive")" 'the directory'
    equal 600 "$(stat -c %a "$T"/archive/*.ndjson | sort -u)" 'the files'
    "$PYTHON" -c 'import json,sys
for line in sys.stdin:
    d = json.loads(line)
    assert set(d) == {"id", "customer", "state", "archived_at", "token", "record"}, d' < <(cat "$T"/archive/*.ndjson) || fail 'lines'
}

it_leaves_nothing_of_them_in_redis() {
    equal 1 "$(rcli HLEN reach:last)" 'newest notices of customers'
    equal 0 "$(rcli EXISTS reach:previous)" 'chains'
    equal 1 "$(rcli HLEN reach:jobs)" 'jobs'
    equal 1 "$(rcli EXISTS reach:archived)" 'remembered ids'
}

it_still_finds_them() {
    equal reached "$(ctl --json notice show n7 | json - 'd["state"]')" 'state'
    contains "$(ctl notice show n7)" 'archived at' 'notice show'
    contains "$(ctl notice show n7)" 'Timeline' 'notice show'
    equal '["n1", "n0"]' "$(ctl --json customer show c0 | json - '[n["id"] for n in sorted(d["notices"], key=lambda n: -int(n["id"][1:]))]')" 'notices of c0'
    contains "$(ctl --json customer show c0)" 'archived_at' 'customer show'
    equal 1 "$(status_of ctl notice show nobody)" 'an unknown one'
}

it_has_doctor_look_at_the_directory() {
    contains "$(ctl --json doctor | json - '[f for f in d if f["check"] == "archive"][0]')" "$T/archive" 'doctor'
    equal true "$(ctl --json doctor | json - '[f["ok"] for f in d if f["check"] == "conservation"][0]')" 'records counted'
    chmod 755 "$T/archive"
    equal 1 "$(status_of ctl doctor)" 'doctor when others may read it'
    contains "$(cat "$T/out")" 'chmod 700' 'what to do'
    chmod 700 "$T/archive"
}

it_leaves_clearance_release_and_hold_as_they_were() {
    equal 1 "$(rcli FCALL reach_allowed 1 'reach:clearance:{c3@walton.example}')" 'clearance'
    equal 1 "$(rcli FCALL reach_allowed 1 'reach:release:{c3}')" 'release'
    equal 0 "$(rcli FCALL reach_allowed 1 'reach:clearance:{lost@walton.example}')" 'clearance of the stranded'
    equal 0 "$(rcli FCALL reach_allowed 1 'reach:release:{lost}')" 'release of the stranded'
}

it_takes_the_same_jobs_for_duplicates() {
    push "$T/same.ndjson"
    wait_until 30 'all are duplicates' states_are 'd["duplicates"]' $((N + 1))
    equal 1 "$(in_redis)" 'records'
    equal 0 "$(status 'd["unaccounted"]')" 'unaccounted'
}

it_answers_control_jobs_about_them() {
    printf '{"v":1,"type":"resolve","id":"r1","notice":"n3"}\n' >"$T/r.ndjson"
    push "$T/r.ndjson"
    wait_until 30 'it is a dead letter' states_are 'd["dead"]' 1
    contains "$(ctl --json dead list)" 'in the archive' 'reason'
}

it_refuses_another_job_of_the_same_id() {
    job n3 c3 elsewhere@example.org >"$T/reused.ndjson"
    push "$T/reused.ndjson"
    wait_until 30 'it is a dead letter' states_are 'd["dead"]' 2
    contains "$(ctl --json dead list)" 'id-reused' 'reason'
    equal 1 "$(in_redis)" 'records'
    equal 0 "$(status 'd["unaccounted"]')" 'unaccounted'
}

it_archives_twice_and_never_zero_times_when_it_dies_between_archive_and_redis() {
    job late c99 late@example.org >"$T/late.ndjson"
    push "$T/late.ndjson"
    wait_until 30 'it is reached' states_are 'd["states"]["reached"]' $((N + 1))
    # retire.lua refuses to begin while a key of its own is of another kind: the archive is written, Redis is not
    rcli RENAME reach:archived gone-aside >/dev/null
    rcli SET reach:archived x >/dev/null
    age
    again
    wait_until 30 'Redis refused' log_says 'archived notices stay in Redis'
    equal 1 "$(grep -c '"id":"late"' < <(cat "$T"/archive/*.ndjson))" 'lines before the crash'
    equal 2 "$(in_redis)" 'records'
    stop reachd KILL
    rcli RENAME gone-aside reach:archived >/dev/null
    start_reachd --config "$CONFIG"
    wait_until 30 'it has left Redis' records_are 1
    equal 2 "$(grep -c '"id":"late"' < <(cat "$T"/archive/*.ndjson))" 'lines after it'
    equal reached "$(ctl --json notice show late | json - 'd["state"]')" 'state'
    equal 1 "$(ctl --json customer show c99 | json - 'len(d["notices"])')" 'notices of the customer'
    equal 0 "$(status 'd["unaccounted"]')" 'unaccounted'
}

it_makes_the_index_of_what_a_crash_left() {
    local name
    again
    for name in "$T"/archive/*.ndjson; do
        [ -s "$name" ] || continue
        [ -s "${name%.ndjson}.idx" ] || fail "$name has no index"
    done
}

it_keeps_a_notice_that_still_holds_an_account() {
    job never held held@walton.example ",\"expires_at\":\"$(date -u -d '+2 seconds' +%Y-%m-%dT%H:%M:%SZ)\"" >"$T/never.ndjson"
    push "$T/never.ndjson"
    wait_until 30 'it has expired' states_are 'd["states"]["stranded-handed-to-desk"]' 1
    equal 1 "$(rcli HEXISTS reach:desk never)" 'desk case'
    ctl desk "done" never --as Grace --yes >"$T/done.out" 2>&1 || fail "$(cat "$T/done.out")"
    wait_until 30 'its desk case is closed' not_in_hash desk never
    age
    again
    sleep 1 # the walk begins 100 ms after the start; nothing is to happen
    equal 2 "$(in_redis)" 'records'
    equal 1 "$(rcli HEXISTS reach:holds held@walton.example)" 'hold'
    equal 0 "$(rcli FCALL reach_allowed 1 'reach:release:{held}')" 'release'
}

it_takes_a_release_back_whose_notices_are_all_in_the_archive() {
    equal 1 "$(rcli FCALL reach_allowed 1 'reach:release:{c4}')" 'release'
    equal 0 "$(rcli HEXISTS reach:last c4)" 'notices of c4 in Redis'
    job opens c4 c4@walton.example >"$T/opens.ndjson"
    local gone='{"channel":"email","status":"withdrawn","address":"someone8@example.org"},{"channel":"email","status":"withdrawn","address":"someone9@example.org"}'
    sed -i "s/\"contacts\":\[/&$gone,/" "$T/opens.ndjson"
    push "$T/opens.ndjson"
    wait_until 30 'it is stranded' states_are 'd["stranded"]' 2
    equal 0 "$(rcli FCALL reach_allowed 1 'reach:release:{c4}')" 'release while a notice is open'
}

run_cases
