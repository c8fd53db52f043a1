#!/bin/bash
# run-tests: plain
# The preview page in a real Chromium: every channel, keyboard, right-to-left, dark, live reload, axe-core, no outside request.
# SHOTS=DIR keeps the screenshots.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need chromium reachctl
need_npm
cd "$TOP" || exit

it_shows_a_writer_what_customers_will_see() {
    local shots=${SHOTS:-$T/shots}
    mkdir -p "$shots"
    cp -r templates/messages "$T/words"
    start preview "$B/reachctl" template serve "$T/words"
    wait_until 60 'the address of the preview' grep -q '^http' "$T/preview.log"
    node tests/templates/check_preview.js "$(head -1 "$T/preview.log")" "$T/words" "$shots" "$(command -v chromium)"
    stop preview INT
    equal 0 "$STATUS" 'how the preview ended after its page had gone'
}

run_cases
