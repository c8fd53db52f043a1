#!/bin/bash
# queue/PROTOCOL.md lists every key and every script, and each script says what is true before and after it.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

keys() { sed -n 's/.*X(KEY_[A-Z_]*, "\([^"]*\)").*/\1/p' queue/keys.h; }
scripts() { for file in queue/lua/*.lua; do basename "$file" .lua; done | grep -vx 'common\|leases\|customers\|effects\|library'; }

it_lists_every_key() {
    [ "$(keys | wc -l)" -gt 15 ] || fail "keys.h is not read: $(keys)"
    local key
    for key in $(keys); do
        grep -q "^| .*\`$key\`.* |" queue/PROTOCOL.md || fail "queue/PROTOCOL.md does not list the key $key"
    done
}

it_lists_every_script() {
    [ "$(scripts | wc -l)" -gt 10 ] || fail "queue/lua is not read: $(scripts)"
    local script
    for script in $(scripts); do
        grep -q "^| .*\`$script\`.* |" queue/PROTOCOL.md || fail "queue/PROTOCOL.md does not list the script $script"
    done
}

it_finds_before_and_after_in_every_script_that_changes_something() {
    local script
    for script in $(scripts); do
        grep -q "^-- Changes nothing" "queue/lua/$script.lua" && continue
        grep -q "^-- Before" "queue/lua/$script.lua" || fail "queue/lua/$script.lua does not say what is true before it"
        grep -q "^-- After" "queue/lua/$script.lua" || fail "queue/lua/$script.lua does not say what is true after it"
    done
}

run_cases
