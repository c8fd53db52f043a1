#!/bin/bash
# The JSON Schema of gateway descriptions: made from the table that checks them, taken by a validator that we did not write, and of one mind
# with reachctl about the files that come with reachd, about the example of the documentation, and about what is wrong.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need_npm
"$PYTHON" -c 'import yaml' 2>/dev/null || skip "python3-yaml is not there"

# as_json FILE...: each YAML file as one line of JSON.
as_json() {
    "$PYTHON" -c 'import json, sys, yaml
for path in sys.argv[1:]:
    print(json.dumps(yaml.safe_load(open(path, encoding="utf-8"))))' "$@"
}
conforms() { as_json "$@" | node "$TOP/tests/clients/check_schemas.js" gateway >"$T/out" 2>&1; }
lints() { "$B/reachctl" gateway lint "$@" >"$T/out" 2>&1; }

it_is_what_reachctl_prints() {
    "$B/reachctl" gateway schema >"$T/schema"
    diff -u "$TOP/docs/schema/gateway.schema.json" "$T/schema" >&2 || fail "docs/schema/gateway.schema.json is old: run make docs"
}

it_takes_every_description_that_comes_with_reachd() {
    conforms "$TOP"/channels/gateways/*.yaml || fail "$(cat "$T/out")"
    lints "$TOP"/channels/gateways/*.yaml || fail "$(cat "$T/out")"
}

it_takes_the_example_of_the_documentation() {
    sed -n '/^# brevo.yaml$/,/^```$/{/^```$/d;p}' "$TOP/docs/gateways.md" >"$T/brevo.yaml"
    [ "$(wc -l <"$T/brevo.yaml")" -gt 20 ] || fail "there is no example"
    conforms "$T/brevo.yaml" || fail "$(cat "$T/out")"
    lints "$T/brevo.yaml" || fail "$(cat "$T/out")"
}

it_refuses_what_reachctl_refuses() {
    local n=0 line
    while IFS= read -r line; do
        { echo 'url: "https://provider.example/"'; echo "$line"; } >"$T/wrong.yaml"
        ! conforms "$T/wrong.yaml" || fail "the schema takes: $line"
        ! lints "$T/wrong.yaml" || fail "reachctl takes: $line"
        n=$((n + 1))
    done <<'END'
sucess_status: ["200"]
body: xml
auth: digest
http2: perhaps
validity_max: soon
fields: [a, b]
codes: text
receipt_signature: gpg
END
    equal 8 "$n" "wrong files"
    echo 'method: GET' >"$T/wrong.yaml"
    ! conforms "$T/wrong.yaml" || fail "the schema takes a description without url"
    ! lints "$T/wrong.yaml" || fail "reachctl takes a description without url"
}

run_cases
