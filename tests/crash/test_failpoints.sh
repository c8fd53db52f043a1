#!/bin/bash
# run-tests: timeout=600
# fault_01: a worker that is killed, or stopped and resumed later, at each step of intent, send, result and acknowledgement in turn
# (tests/crash/failpoints.py). The points exist in the tests' build alone: what is installed has none of them.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachd reachctl reachd-mailer sandbox-peer redis-server
PLAIN=${B_PLAIN:-$TOP/build}
case $PLAIN in /*) ;; *) PLAIN=$TOP/$PLAIN ;; esac
PROGRAMS=(bin/reachctl bin/reachd libexec/reachd/reachd-mailer)

it_finds_no_failpoint_in_what_is_installed() {
    grep -q REACH_FAILPOINT "$B/reachd" || fail "this build has none either, so there is nothing to be learned: make test builds one that has"
    env -u MAKEFLAGS make -C "$TOP" --no-print-directory install B="$PLAIN" DEPS=skip DESTDIR="$T/root" PREFIX=/usr >"$T/install.log" 2>&1 ||
        fail "$(tail -n 5 "$T/install.log")"
    local program
    for program in "${PROGRAMS[@]}"; do
        [ -x "$T/root/usr/$program" ] || fail "$program is not installed"
        if grep -qa -e REACH_FAILPOINT -e failpoint_reached "$T/root/usr/$program"; then fail "$program has failpoints"; fi
    done
}

it_survives_fault_01_at_every_step() {
    B=$B "$PYTHON" "$TOP/tests/crash/failpoints.py" "$T/runs" >"$T/runs.out" 2>&1 || fail "$(cat "$T/runs.out")"
    printf '(%s) ' "$(tail -n 1 "$T/runs.out")"
}

run_cases
