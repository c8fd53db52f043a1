#!/bin/bash
# SIGHUP: gateways get new settings, descriptions and secrets while messages are on their way; a configuration with a fault changes nothing.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

PROVIDER=$TOP/tests/e2e/provider.py
PUBLIC=https://hooks.walton.example/receipts/sms-main

# configure FROM [MORE...]: the configuration with that sender; MORE: further lines of gateway sms-main.
configure() {
    local from=$1
    shift
    cat >"$CONFIG" <<END
redis: {address: "unix:$REDIS_SOCK", lease: 30s}
templates: {directory: $TOP/templates/messages}
listener: {address: "127.0.0.1:$LISTEN"}
own_domains: [{domain: walton.example}]
gateways:
  - name: sms-main
    channel: sms
    driver: http
    description_file: mine.yaml
    username: AC1
    secret_file: secret
    from: "$from"
    receipt_url: $PUBLIC
    variables: {base: "http://127.0.0.1:$PORT"}
    allow_insecure: true
    allow_private: true
$(printf '    %s\n' "$@")
  - {name: mail, channel: email, driver: "null"}
routes:
  - name: security
    steps:
      - {channel: sms, success: sent, wait: 0s}
  - name: by-mail
    steps:
      - {channel: email, success: sent, wait: 0s}
END
}
# describe LINE...: the provider's description, with further lines.
describe() {
    cat >"$T/mine.yaml" <<'END'
needs: [base, from]
url: "{{base}}/2010-04-01/Accounts/AC1/Messages.json"
auth: basic
body: form
fields: {To: "{{to}}", From: "{{from}}", Body: "{{text}}"}
success_status: ["201"]
id: /sid
receipt_signature: twilio
receipt_ref: field:MessageSid
receipt_status: field:MessageStatus
receipt_statuses: {delivered: delivered, failed: failed}
END
    printf '%s\n' "$@" >>"$T/mine.yaml"
}

setup() {
    start_redis
    LISTEN=$(free_port)
    CONFIG=$T/reachd.yaml
    printf 'first\n' >"$T/secret"
    chmod 600 "$T/secret"
    start provider "$PYTHON" "$PROVIDER" serve "$T/provider.port" "http://127.0.0.1:$LISTEN/receipts/sms-main" "$PUBLIC" first
    wait_until 20 "the provider listens" test -s "$T/provider.port"
    PORT=$(cat "$T/provider.port")
    describe
    configure One
    start_reachd --config "$CONFIG"
}

notice() {
    rcli XADD reach:intake '*' job "{\"v\":1,\"type\":\"notice\",\"id\":\"$1\",\"notice\":\"mail-password-disabled\",\"route\":\"${3:-security}\",
        \"customer\":{\"id\":\"$1\",\"locale\":\"en\",\"contacts\":[{\"channel\":\"sms\",\"address\":\"$2\"},
        {\"channel\":\"email\",\"address\":\"$1@example.org\"}]},\"data\":{\"reset_url\":\"https://walton.example/reset\"}}" >"$T/xadd"
}
ctl() { "$B/reachctl" --config /dev/null --redis "unix:$REDIS_SOCK" "$@"; } # the configuration may be a broken one
comes_to() { wait_until 20 "notice $1 is $2" state_is "$1" "$2"; }

# sent EXPRESSION: evaluated on the list `d` of what the provider took.
sent() {
    "$PYTHON" -c 'import json, sys, urllib.request
d = json.load(urllib.request.build_opener(urllib.request.ProxyHandler({})).open("http://127.0.0.1:%s/sent" % sys.argv[1], timeout=10))
print(eval(sys.argv[2]))' "$PORT" "$1"
}
sent_is() { [ "$(sent "$1")" = "$2" ]; }
senders() { sent "[m['From'] for m in d if m['To'] == '$1']"; }
lines() { grep -c "$1" "$T/reachd.log" || true; }
more_lines() { [ "$(lines "$1")" -gt "$2" ]; }

# reload WORDS: SIGHUP, and the log's next line with WORDS.
reload() {
    local before
    before=$(lines "$1")
    kill -HUP "${PID[reachd]}"
    wait_until 20 "the log says: $1" more_lines "$1" "$before"
}
TAKEN="have their new settings"
REFUSED="the new configuration is refused, all gateways go on as they were"

it_answers_what_is_on_its_way_by_the_old_settings_and_sends_with_the_new() {
    setup
    notice n1 +441632960014
    wait_until 20 "the message is on its way" sent_is len\(d\) 1
    configure Two
    reload "$TAKEN"
    notice n2 +441632960023
    comes_to n2 reached
    equal "['Two']" "$(senders +441632960023)" "sender after the reload"
    state_is n1 sending || fail "n1 is not on its way any more"
    touch "$T/provider.port.go"
    comes_to n1 reached
    equal "['One']" "$(senders +441632960014)" "messages to who was on the way"
    wait_until 20 "the old settings are given back" grep -q "no message on its way any more" "$T/reachd.log"
}

it_refuses_a_broken_description_with_file_and_line_and_goes_on() {
    describe 'sucess_field: /status'
    configure Three
    reload "$REFUSED"
    contains "$(tail -n 3 "$T/reachd.log")" "$T/mine.yaml:12" "log"
    contains "$(tail -n 3 "$T/reachd.log")" "did you mean success_field" "log"
    notice n3 +441632960033
    comes_to n3 reached
    equal "['Two']" "$(senders +441632960033)" "sender after a refused reload"
    notice n4 +441632960043 by-mail
    comes_to n4 reached
}

it_refuses_a_template_error_a_missing_secret_and_an_http_url() {
    describe 'headers: {X: "{{nothing}}"}'
    reload "$REFUSED"
    contains "$(tail -n 1 "$T/reachd.log")" "mine.yaml:12" "log of the template error"
    describe
    rm "$T/secret"
    reload "$REFUSED"
    contains "$(tail -n 1 "$T/reachd.log")" "secret_file" "log of the missing secret"
    printf 'first\n' >"$T/secret"
    chmod 600 "$T/secret"
    sed -i 's,allow_insecure: true,allow_insecure: false,' "$CONFIG"
    reload "$REFUSED"
    contains "$(tail -n 1 "$T/reachd.log")" "use https" "log of the http url"
    notice n5 +441632960053
    comes_to n5 reached
    equal "['Two']" "$(senders +441632960053)" "sender"
}

it_refuses_a_gateway_that_is_new_or_gone_and_says_what_to_do() {
    configure Three
    sed -i '/name: mail/a\  - {name: more, channel: email, driver: "null"}' "$CONFIG"
    reload "$REFUSED"
    contains "$(tail -n 1 "$T/reachd.log")" "more: is new; restart reachd" "log"
    configure Three
    sed -i '/name: mail,/d' "$CONFIG"
    reload "$REFUSED"
    contains "$(tail -n 1 "$T/reachd.log")" "restart reachd to take one away" "log"
}

it_takes_the_mended_configuration() {
    configure Three
    reload "$TAKEN"
    notice n6 +441632960063
    comes_to n6 reached
    equal "['Three']" "$(senders +441632960063)" "sender"
}

it_checks_receipts_with_the_new_secret() {
    receipt() { "$PYTHON" "$PROVIDER" send "http://127.0.0.1:$LISTEN/receipts/sms-main" "$PUBLIC" "$1" "$(sent 'd[-1]["sid"]')" delivered; }
    equal "200 None" "$(receipt first)" "signed with the secret of the start"
    printf 'second\n' >"$T/secret"
    reload "$TAKEN"
    equal "403 None" "$(receipt first)" "signed with the old secret"
    equal "200 None" "$(receipt second)" "signed with the new secret"
}

it_loses_and_doubles_nothing_while_many_are_on_their_way() {
    local i
    for i in {1..300}; do
        printf 'XADD reach:intake * job "{\\"v\\":1,\\"type\\":\\"notice\\",\\"id\\":\\"m%s\\",\\"notice\\":\\"mail-password-disabled\\",\\"customer\\":{\\"id\\":\\"m%s\\",\\"locale\\":\\"en\\",\\"contacts\\":[{\\"channel\\":\\"sms\\",\\"address\\":\\"+4416329%05d\\"}]},\\"data\\":{\\"reset_url\\":\\"https://walton.example/reset\\"}}"\n' \
            "$i" "$i" "$((i * 10 + 3))"
    done | rcli >/dev/null
    for i in {1..8}; do
        configure "S$i"
        reload "$TAKEN"
    done
    wait_until 60 "all are finished" sh -c "'$B/reachctl' --config '$CONFIG' --json status | grep -q '\"in_flight\": *0'"
    equal 305 "$(sent 'len(d)')" "messages, with those of before"
    equal "$(sent 'len(d)')" "$(sent "len({m['To'] for m in d})")" "every number once"
    equal 0 "$(ctl --json status | json - 'd["unaccounted"]')" "unaccounted"
}

it_stops_in_order() {
    stop reachd
    equal 0 "$STATUS" "exit"
}

run_cases
