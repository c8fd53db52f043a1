#!/bin/bash
# Gateways before they are used: what is wrong with a description or a configuration is told with file, line, key and remedy, by `reachctl gateway
# lint`, by `reachd --check-config` and at the start; and `reachctl gateway test` sends one real message.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

CONFIG=$T/reachd.yaml
printf 's3cret\n' >"$T/secret"
chmod 600 "$T/secret"

# description LINE...: $T/mine.yaml, which is in order but for the given lines, which begin with its sixth.
description() {
    cat >"$T/mine.yaml" <<'END'
channels: [sms]
needs: [secret, from]
url: "https://api.provider.example/v1/sms"
headers: {X-Key: "{{secret}}"}
body: json
END
    printf '%s\n' "$@" >>"$T/mine.yaml"
}
FIELDS='fields: {to: "{{to}}", from: "{{from}}", text: "{{text}}"}'

# configuration LINE...: one gateway that uses it; the lines are further keys.
configuration() {
    cat >"$CONFIG" <<END
redis: {address: "unix:$T/none.sock"}
templates: {directory: $TOP/templates/messages}
gateways:
  - name: sms-mine
    channel: sms
    driver: http
    description_file: mine.yaml
    from: Walton
END
    printf '    %s\n' "$@" >>"$CONFIG"
}

# refused FILE:LINE WORDS...: reachd does not start, its check and the lint say the same.
refused() {
    local where=$1 word
    shift
    equal 1 "$(status_of "$B/reachd" --config "$CONFIG")" "exit of reachd"
    for word in "$where" "$@"; do contains "$(cat "$T/err")" "$word" "reachd"; done
    equal 1 "$(status_of "$B/reachd" --config "$CONFIG" --check-config)" "exit of --check-config"
    contains "$(cat "$T/err")" "$where" "--check-config"
    equal 1 "$(status_of ctl gateway lint)" "exit of lint"
    for word in "$where" "$@"; do contains "$(cat "$T/err")" "$word" "lint"; done
}

it_finds_shipped_descriptions_in_order() {
    equal 0 "$(status_of "$B/reachctl" gateway lint "$TOP"/channels/gateways/*.yaml)" "exit"
    equal "$(ls "$TOP"/channels/gateways/*.yaml | wc -l)" "$(grep -c ': in order$' "$T/out")" "files in order"
}

it_tells_an_unknown_key_with_file_line_and_what_was_meant() {
    description "$FIELDS" 'sucess_status: ["200"]'
    configuration 'secret_file: secret'
    refused "mine.yaml:7" "sucess_status" "unknown key" "did you mean success_status"
    equal 1 "$(status_of ctl gateway lint "$T/mine.yaml")" "exit of lint of the file"
    contains "$(cat "$T/err")" "mine.yaml:7" "lint of the file"
}

it_tells_a_template_error() {
    description 'fields: {to: "{{too}}"}'
    configuration 'secret_file: secret'
    refused "mine.yaml:6" "{{too}} is not a placeholder" "known: to,"
    description 'fields: {to: "{{to"}'
    refused "mine.yaml:6" "{{ without }}"
}

it_tells_a_word_that_a_table_does_not_know() {
    description "$FIELDS" 'code: /code' 'codes: {"17": retyr}'
    configuration 'secret_file: secret'
    refused "mine.yaml:8" "retyr" "retry"
}

it_tells_an_http_url() {
    description "$FIELDS"
    sed -i 's,https://,http://,' "$T/mine.yaml"
    configuration 'secret_file: secret'
    refused "mine.yaml:3" "url" "use https"
}

it_tells_a_missing_secret() {
    description "$FIELDS"
    configuration
    refused "reachd.yaml:4" "gateways[0].secret_file" "is needed by this provider"
    configuration 'secret_file: nowhere'
    refused "reachd.yaml:4" "sms-mine" "secret_file" "nowhere: No such file"
    : >"$T/empty"
    chmod 600 "$T/empty"
    configuration 'secret_file: empty'
    refused "reachd.yaml:4" "sms-mine" "secret_file" "empty: the first line must be a secret"
}

# mail LINE...: one gateway for mail; the lines are further keys.
mail() {
    cat >"$CONFIG" <<END
redis: {address: "unix:$T/none.sock"}
templates: {directory: $TOP/templates/messages}
gateways:
  - name: relay
    channel: email
    driver: smtp
    host: relay.example
    from_address: notices@walton.example
END
    printf '    %s\n' "$@" >>"$CONFIG"
}

it_tells_a_missing_secret_of_a_mail_gateway() {
    mail 'username: reachd' 'password_file: nowhere'
    refused "reachd.yaml:4" "relay" "password_file" "nowhere: No such file"
    mail 'envelope_key_file: nowhere'
    refused "reachd.yaml:4" "relay" "envelope_key_file" "nowhere: No such file"
    printf 'open to all\n' >"$T/open"
    chmod 644 "$T/open"
    mail 'username: reachd' 'password_file: open'
    refused "reachd.yaml:4" "relay" "password_file" "chmod"
    mail 'username: reachd' 'password_file: secret'
    equal 0 "$(status_of ctl gateway lint)" "exit of lint with the file in place"
    mail 'username: reachd' 'password_file: /run/credentials/reachd.service/smtp'
    equal 0 "$(status_of ctl gateway lint)" "exit of lint with a credential of the unit"
}

it_does_not_take_a_credential_of_the_unit_for_missing() {
    description "$FIELDS"
    configuration 'secret_file: /run/credentials/reachd.service/sms'
    equal 0 "$(status_of ctl gateway lint)" "exit of lint"
    contains "$(cat "$T/err")" "not looked at" "lint"
    equal 0 "$(status_of "$B/reachd" --config "$CONFIG" --check-config)" "exit of --check-config"
    equal 1 "$(status_of env CREDENTIALS_DIRECTORY="$T" "$B/reachd" --config "$CONFIG" --check-config)" "exit within the unit"
}

it_is_content_with_a_gateway_in_order() {
    description "$FIELDS"
    configuration 'secret_file: secret'
    equal 0 "$(status_of ctl gateway lint)" "exit of lint"
    contains "$(cat "$T/out")" "sms-mine: in order" "lint"
    equal true "$(ctl --json gateway lint | json - 'd[0]["ok"]')" "ok in JSON"
    equal 0 "$(status_of "$B/reachd" --config "$CONFIG" --check-config)" "exit of --check-config"
}

it_sends_a_test_message_only_when_told_so() {
    start_peer
    make_config "$CONFIG" "$T/ports.json" "$T/none.sock"
    equal 1 "$(status_of ctl gateway test sms-main +441632960001)" "exit without an answer"
    contains "$(cat "$T/err")" "--yes" "what it says"
    [ ! -s "$PEER_DIR/index.ndjson" ] || fail "something was sent"
    equal 0 "$(status_of ctl --yes gateway test sms-main +441632960001)" "exit"
    contains "$(cat "$T/out")" "sent" "outcome"
    equal '["+441632960001"]' "$(peer_index '[m["recipient"] for m in d]')" "what the provider got"
    equal sent "$(ctl --json --yes gateway test push-main some-token | json - 'd["outcome"]')" "outcome of the push"
    equal sent "$(ctl --json --yes gateway test relay ada@example.org | json - 'd["outcome"]')" "outcome of the mail"
    equal 3 "$(peer_index 'len(d)')" "messages"
}

it_tells_what_a_provider_refuses() {
    peer_rules '{"rules":[{"phase":"http-read","channel":"sms","action":"reply","code":422,"text":"{\"error\":{\"code\":\"no-such-number\"}}"}]}'
    equal 1 "$(status_of ctl --yes gateway test sms-main +441632960001)" "exit of a refusal"
    contains "$(cat "$T/out")" "rejected" "outcome"
    contains "$(cat "$T/out")" "no-such-number" "the provider's code"
    equal 2 "$(status_of ctl --yes gateway test nobody +441632960001)" "exit of an unknown gateway"
    equal 1 "$(status_of ctl --yes gateway test sms-main 01632)" "exit of a number that is none"
    stop peer
    equal 1 "$(status_of ctl --yes gateway test sms-main +441632960001)" "exit without a provider"
    contains "$(cat "$T/out")" "retry" "outcome"
}

run_cases
