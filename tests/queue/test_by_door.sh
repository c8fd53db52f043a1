#!/bin/bash
# The tests of changes, locks, leases and trouble once more, with every record going by the door (queue/door.c), which else only large batches do.
# run-tests: timeout=300
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need redis-server

export KIT_DOOR_BYTES=1

run_by_door() { # run_by_door TEST: a program of this room
    "$B/tests/queue/$1" >"$T/$1.log" 2>&1 || { tail -n 40 "$T/$1.log"; return 1; }
}

it_changes() { run_by_door test_queue_apply; }
it_locks() { run_by_door test_queue_lock; }
it_locks_in_races() { run_by_door test_queue_lock_races; }
it_leases() { run_by_door test_queue_leases; }
it_loses_nothing_with_redis() { run_by_door test_queue_lost; }
it_goes_through_trouble() { run_by_door test_queue_trouble; }
it_finds_what_has_vanished() { run_by_door test_queue_vanished; }
it_sweeps() { run_by_door test_queue_sweep; }
it_audits() { run_by_door test_queue_audit; }

run_cases
