#!/bin/bash
# run-tests: plain timeout=600
# A small crash campaign (tests/crash/crash.py; `make crash` is the large one): 2,000 notices while reachd, its mailers and Redis are killed
# twelve times. Redis's disk is slow, so each time Redis is killed it loses what it had answered in the last moment.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachd reachctl reachd-mailer sandbox-peer redis-server redis-check-aof

campaign() { # campaign SLOW_DISK_MS KILLS SEED
    SLOW_DISK_MS=$1 B=$B "$PYTHON" "$TOP/tests/crash/crash.py" "$T/crash" 2000 "$2" "$3" >"$T/campaign" 2>&1 || fail "$(cat "$T/campaign")"
    printf '(%s) ' "$(sed -n 's/^\(2000 notices, .*\); killed.*/\1/p' "$T/campaign")"
    contains "$(cat "$T/campaign")" 'lost 0, without intent 0, unexplained 0, misdirected 0' 'what was found'
}

it_loses_nothing_and_explains_every_copy_while_everything_is_killed_over_a_slow_disk() { campaign 700 12 20261126; }

run_cases
