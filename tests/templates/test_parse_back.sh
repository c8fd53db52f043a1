#!/bin/bash
# run-tests: timeout=600
# Hostile values in finished mails, parsed back with npm mailparser, parse5 (a DOM) and html-validate; the Mustache engine beside npm mustache.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachctl
need_npm
cd "$TOP" || exit

# Every tenth of 37,000 values in four channels each; WORDS_CORPUS=all takes every third (a minute or more).
it_parses_back_with_the_shape_it_had() {
    local every=10 least=14000
    [ "${WORDS_CORPUS:-}" = all ] && every=3 least=49000
    "$B/tests/templates/test_injection" --dump "$T/messages.ndjson" $every >"$T/injection.log" 2>&1 || fail "$(cat "$T/injection.log")"
    node tests/templates/check_parse_back.js "$T/messages.ndjson" $least
}

it_gives_what_npm_mustache_gives() {
    node tests/templates/make_mustache_cases.js "$T/cases.json"
    "$B/reachctl" template check-mustache "$T/cases.json" | tee "$T/tally"
    grep -q '^1200 passed, 0 failed$' "$T/tally" || fail "the engines differ"
}

run_cases
