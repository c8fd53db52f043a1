#!/bin/bash
# Checks the model of the clearance gate, and that the check can fail: every guard that is taken out must be missed.
#
#   check.sh          one unforeseen event in a run; for P4 a contact point is lost in one way only (half a minute)
#   check.sh N        N of them in one run, and every way (1: a minute, 2: some minutes)
#
# Exit 0 all as it should be, 1 not, 77 no spin here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
troubles=${1:-1}
quick=${1:+no}

if ! command -v spin >/dev/null; then
    echo 'skipped: no spin here (Debian: spin)'
    exit 77
fi
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
failed=0

# run NAME PROPERTY DEFINE...: prints "ok" or "broken", and what was looked at. PROPERTY `assertions` stands for those in the model.
run() {
    local dir=$T/$1 property=$2 defines=("${@:3}" "-DTROUBLES=$troubles") flags=(-w)
    local args=(-a -f -N "$property")
    case $property in
    assertions) flags+=(-DSAFETY -DNOCLAIM) args=() ;;
    taken_back) flags+=(-DSAFETY) args=(-N "$property") ;; # an invariant needs no fairness
    *) flags+=(-DNFAIR=3) && [[ $quick == no ]] || defines+=(-DQUICK) ;;
    esac
    if ((${#defines[@]} > 1)) && [[ "${defines[*]}" == *BREAK* ]]; then flags+=(-O0); else flags+=(-O2); fi # what is broken is found soon
    if ((troubles > 1)); then flags+=(-DCOLLAPSE); fi # slower, but it needs a third less memory
    mkdir "$dir"
    cp gate.pml "$dir"
    (
        cd "$dir"
        spin "${defines[@]}" -a gate.pml >/dev/null
        ${CC:-cc} "${flags[@]}" -o pan pan.c
        ./pan "${args[@]}" -m1000000 -w24 >log 2>&1 || true
        if ! grep -q 'errors: ' log || grep -q 'max search depth too small\|out of memory\|search not completed' log; then
            cat log >&2
            echo "not finished"
        elif grep -q 'errors: 0' log; then
            echo "ok $(awk '/states, stored/ {print $1; exit}' log)"
        else
            echo broken
        fi
    )
}

expect() { # expect WORD NAME PROPERTY DEFINE...
    local word=$1 got
    got=$(run "${@:2}")
    if [[ $got == "$word"* ]]; then
        printf '  %-28s %s\n' "$2" "$got${4:+, as it must be}"
    else
        printf '  %-28s %s, but should be %s\n' "$2" "$got" "$word"
        failed=1
    fi
}

echo "the gate holds (states looked at, $troubles unforeseen):"
expect ok taken_back taken_back # and the assertions
expect ok looked_after looked_after
expect ok planned_again planned_again
echo 'and is seen to fail where a guard is taken out:'
expect broken doomed-is-no-evidence assertions -DBREAK_DOOMED_COUNTS -DBREAK_EARLY_WARNING
expect broken checked-again-at-boundary assertions -DBREAK_BOUNDARY
expect broken fence taken_back -DBREAK_FENCE
expect broken fence-on-contact-changes taken_back -DBREAK_CONTACT_FENCE
expect broken withdrawal taken_back -DBREAK_WITHDRAWAL
expect broken desk looked_after -DBREAK_DESK
expect broken lease-of-the-dead looked_after -DBREAK_LEASE
exit "$failed"
