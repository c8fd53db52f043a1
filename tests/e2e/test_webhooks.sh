#!/bin/bash
# run-tests: timeout=300
# Receipts over HTTP, from a provider's signed request to what becomes of the notice, the clearance, the contact point and the next step.
# The provider is provider.py (Twilio's interface); reachd listens on loopback, as behind an operator's proxy.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need openssl

PROVIDER=$TOP/tests/e2e/provider.py
PUBLIC=https://hooks.walton.example/receipts/sms-main
SECRET=twilio-s3cret

setup() {
    start_redis
    LISTEN=$(free_port)
    HOOK=http://127.0.0.1:$LISTEN/receipts
    printf '%s\n' "$SECRET" >"$T/secret"
    printf 'path-s3cret\n' >"$T/path-secret"
    chmod 600 "$T/secret" "$T/path-secret"
    start provider "$PYTHON" "$PROVIDER" serve "$T/provider.port" "$HOOK/sms-main" "$PUBLIC" "$SECRET"
    wait_until 20 "the provider listens" test -s "$T/provider.port"
    PORT=$(cat "$T/provider.port")
    cat >"$T/acks.yaml" <<END
needs: [base]
url: "{{base}}/2010-04-01/Accounts/x/Messages.json"
body: form
fields: {To: "+10000000003", Body: "{{text}}", Topic: "{{to}}"}
success_status: ["201"]
id: /sid
receipt_signature: secret-path
receipt_ref: /id
receipt_status: /what
receipt_statuses: {shown: seen, answered: acknowledged, gone: bounced}
END
    sed -e 's/secret-path/vonage-jwt/' -e 's/shown: seen/on-its-way: pending/' "$T/acks.yaml" >"$T/signed.yaml"
    CONFIG=$T/reachd.yaml
    cat >"$CONFIG" <<END
redis: {address: "unix:$REDIS_SOCK", lease: 5s}
worker: {retry_base: 50ms, retry_cap: 200ms, receipt_wait: 3s}
templates: {directory: $TOP/templates/messages}
listener: {address: "127.0.0.1:$LISTEN", timeout: 5s, connections: 16}
own_domains: [{domain: walton.example}]
gateways:
  - name: sms-main
    channel: sms
    driver: http
    description: twilio
    username: AC1
    secret_file: secret
    from: "+441632960999"
    receipt_url: $PUBLIC
    variables: {account_sid: AC1, base: "http://127.0.0.1:$PORT"}
    allow_insecure: true
    allow_private: true
    on_unknown: wait
  - name: push-main
    channel: push
    driver: http
    description_file: acks.yaml
    receipt_secret_file: path-secret
    variables: {base: "http://127.0.0.1:$PORT"}
    allow_insecure: true
    allow_private: true
  - name: push-signed
    channel: push
    weight: 0
    driver: http
    description_file: signed.yaml
    receipt_secret_file: path-secret
    variables: {base: "http://127.0.0.1:$PORT"}
    allow_insecure: true
    allow_private: true
  - {name: mail, channel: email, driver: "null"}
routes:
  - name: security
    steps:
      - {channel: sms, success: delivered, wait: 60s}
      - {channel: email, success: sent, wait: 0s}
  - name: hasty
    steps:
      - {channel: sms, success: delivered, wait: 1s}
      - {channel: email, success: sent, wait: 0s}
  - name: seen
    steps:
      - {channel: sms, success: seen, wait: 60s}
  - name: acknowledged
    steps:
      - {channel: push, success: acknowledged, wait: 60s}
      - {channel: email, success: sent, wait: 0s}
  - name: quick
    steps:
      - {channel: sms, success: sent, wait: 0s}
END
    start_reachd --config "$CONFIG"
}

# notice ID NUMBER [ROUTE [RESET_URL [EXPIRES_AT]]]: the account of customer ID dies; a number and a mail address are on file.
notice() {
    rcli XADD reach:intake '*' job "{\"v\":1,\"type\":\"notice\",\"id\":\"$1\",\"notice\":\"mail-password-disabled\",\"route\":\"${3:-security}\",
        \"customer\":{\"id\":\"$1\",\"locale\":\"en\",\"contacts\":[{\"channel\":\"sms\",\"address\":\"$2\"},
        {\"channel\":\"push\",\"address\":\"token-$1\"},{\"channel\":\"email\",\"address\":\"$1@example.org\"}]},
        \"expires_at\":\"${5:-2126-01-01T00:00:00Z}\",
        \"disables\":{\"accounts\":[\"$1@walton.example\"]},\"data\":{\"reset_url\":\"${4:-https://walton.example/reset}\"}}" >"$T/xadd"
}
comes_to() { wait_until 20 "notice $1 is $2" state_is "$1" "$2"; }
cleared() { [ "$(rcli FCALL reach_allowed 1 "reach:clearance:{$1@walton.example}")" = "${2:-1}" ]; }
timeline() { ctl notice show "$1"; }

# sid FIELD VALUE: the provider's id of the message whose FIELD holds VALUE.
sid() {
    "$PYTHON" -c 'import json, sys, urllib.request
sent = json.load(urllib.request.build_opener(urllib.request.ProxyHandler({})).open("http://127.0.0.1:%s/sent" % sys.argv[1], timeout=10))
print([m["sid"] for m in sent if m.get(sys.argv[2]) == sys.argv[3]][-1])' "$PORT" "$1" "$2"
}
# receipt NUMBER STATUS [CODE]: a signed receipt for the last message to NUMBER; what reachd answers.
receipt() {
    local number=$1
    shift
    "$PYTHON" "$PROVIDER" send "$HOOK/sms-main" "$PUBLIC" "$SECRET" "$(sid To "$number")" "$@"
}
raw() { "$PYTHON" "$PROVIDER" raw "$@"; }
contact_status() { ctl --json customer show "$1" | json - '[c["status"] for c in d["contacts"] if c["channel"] == "'"$2"'"][0]'; }
contact_is() { [ "$(contact_status "$1" "$2")" = "$3" ]; }
counter() { ctl --json status | json - "d[\"gateways\"][\"$1\"].get(\"receipts-$2\", 0)"; }
counts() { [ "$(counter "$1" "$2")" -ge "$3" ]; }

it_reaches_the_customer_when_the_provider_says_delivered() {
    setup
    notice ada +441632960013
    comes_to ada sent
    cleared ada 0 || fail "cleared before the receipt"
    equal "200 None" "$(receipt +441632960013 sent)" "a receipt that means nothing yet"
    equal "200 None" "$(receipt +441632960013 delivered)" "the receipt"
    comes_to ada reached
    cleared ada || fail "no clearance"
}

# field NUMBER FIELD: what the provider was sent in it, to that number.
field() {
    "$PYTHON" -c 'import json, sys, urllib.request
sent = json.load(urllib.request.build_opener(urllib.request.ProxyHandler({})).open("http://127.0.0.1:%s/sent" % sys.argv[1], timeout=10))
print([m.get(sys.argv[3]) for m in sent if m["To"] == sys.argv[2]][-1])' "$PORT" "$1" "$2"
}

it_sends_the_gateways_sender_id_and_a_validity_that_ends_with_the_notice() {
    local soon left
    equal +441632960999 "$(field +441632960013 From)" "sender id"
    equal 36000 "$(field +441632960013 ValidityPeriod)" "validity of a notice that lasts longer than the provider allows"
    soon=$("$PYTHON" -c 'import datetime
print((datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"))')
    notice zoe +441632960203 security "" "$soon"
    comes_to zoe sent
    left=$(field +441632960203 ValidityPeriod)
    [ "$left" -gt 3000 ] && [ "$left" -le 3600 ] || fail "a notice that expires in an hour is valid for $left s"
}

it_does_not_send_an_sms_that_is_longer_than_its_notice_allows() {
    notice yan +441632960213 security "https://walton.example/reset?token=$(printf 'x%.0s' {1..450})"
    comes_to yan reached
    contains "$(timeline yan)" "messages long (" "timeline"
    contains "$(timeline yan)" "3 are allowed" "timeline"
    contains "$(timeline yan)" "email through mail" "timeline"
    ! field +441632960213 To >"$T/out" 2>&1 || fail "it was sent"
}

it_answers_a_duplicate_and_one_out_of_order_with_200_and_changes_nothing() {
    local before
    before=$(ctl --json notice show ada)
    equal "200 None" "$(receipt +441632960013 delivered)" "the same again"
    equal "200 None" "$(receipt +441632960013 queued)" "an earlier one"
    wait_until 10 "the receipts are through" open_in receipts 0
    equal "$before" "$(ctl --json notice show ada)" "the notice"
}

it_takes_the_next_step_when_the_provider_says_failed() {
    notice bea +441632960023
    comes_to bea sent
    equal "200 None" "$(receipt +441632960023 undelivered 30003)" "the receipt"
    comes_to bea reached
    contains "$(timeline bea)" "email through mail" "timeline"
    contact_is bea sms active || fail "a telephone that was off was marked dead"
}

it_marks_a_number_that_is_not_in_service_and_takes_the_next_step() {
    notice cem +441632960033
    comes_to cem sent
    equal "200 None" "$(receipt +441632960033 undelivered 30005)" "the receipt"
    comes_to cem reached
    contains "$(timeline cem)" "email through mail" "timeline"
    wait_until 10 "the number is marked" contact_is cem sms bounced
    contact_is cem email active || fail "the mail address was marked, too"
}

it_marks_a_number_that_the_provider_does_not_know_at_once() {
    notice dan +441632960040
    comes_to dan reached
    contains "$(timeline dan)" "email through mail" "timeline"
    wait_until 10 "the number is marked" contact_is dan sms bounced
}

it_does_not_bring_a_dead_number_back_to_life_with_the_next_notice() {
    rcli XADD reach:intake '*' job '{"v":1,"type":"notice","id":"dan2","notice":"mail-password-disabled","customer":{"id":"dan","locale":"en",
        "contacts":[{"channel":"sms","address":"+441632960040"}]},"data":{"reset_url":"https://walton.example/reset"}}' >"$T/xadd"
    comes_to dan2 reached
    contact_is dan sms bounced || fail "the number is $(contact_status dan sms)"
    lacks "$(timeline dan2)" "sms through" "timeline"
}

it_reaches_the_customer_when_the_message_was_read() {
    notice eva +441632960053 seen
    comes_to eva sent
    equal "200 None" "$(receipt +441632960053 delivered)" "delivered"
    comes_to eva delivered
    cleared eva 0 || fail "cleared by less than the route asks for"
    equal "200 None" "$(receipt +441632960053 read)" "read"
    comes_to eva reached
    cleared eva || fail "no clearance"
}

it_reaches_the_customer_when_the_message_was_acknowledged() {
    notice fay +441632960063 acknowledged
    comes_to fay sent
    equal "200 None" "$(raw POST "$HOOK/push-main/path-s3cret" "{\"id\":\"$(sid Topic token-fay)\",\"what\":\"answered\"}")" "the receipt"
    comes_to fay reached
    cleared fay || fail "no clearance"
}

it_marks_a_push_token_that_is_gone() {
    notice gus +441632960073 acknowledged
    comes_to gus sent
    equal "200 None" "$(raw POST "$HOOK/push-main/path-s3cret" "{\"id\":\"$(sid Topic token-gus)\",\"what\":\"gone\"}")" "the receipt"
    comes_to gus reached
    wait_until 10 "the token is marked" contact_is gus push bounced
}

it_takes_the_next_step_when_the_wait_is_over() {
    notice hal +441632960083 hasty
    comes_to hal reached
    contains "$(timeline hal)" "email through mail" "timeline"
}

it_does_not_lose_a_receipt_that_comes_before_the_message_is_recorded() {
    notice ida +441632960091
    comes_to ida reached
    contains "$(cat "$T/provider.log")" "early receipt: 200" "what the provider was told before it had answered"
    contains "$(timeline ida)" "delivered" "timeline"
    lacks "$(timeline ida)" "email through mail" "timeline"
}

it_takes_a_late_failure_as_a_reason_to_withdraw_and_leaves_the_final_state() {
    notice jan +441632960103 quick
    comes_to jan reached
    cleared jan || fail "no clearance"
    equal "200 None" "$(receipt +441632960103 undelivered 30006)" "the receipt"
    wait_until 10 "the clearance is gone" cleared jan 0
    state_is jan reached || fail "a final state was left"
    wait_until 10 "the number is marked" contact_is jan sms bounced
    equal "200 None" "$(receipt +441632960103 delivered)" "the other way round"
    wait_until 10 "the receipts are through" open_in receipts 0
    cleared jan 0 || fail "a clearance came back"
}

# signed AGE_S WORD: a receipt whose token was made so many seconds ago.
signed() { "$PYTHON" "$PROVIDER" vonage "$HOOK/push-signed" path-s3cret "$1" "{\"id\":\"x\",\"what\":\"$2\"}"; }

it_refuses_and_counts_what_is_forged_stale_or_garbled_fault_43() {
    local before
    notice kim +441632960113
    comes_to kim sent
    before=$(ctl --json notice show kim)
    equal "403 None" "$(raw POST "$HOOK/sms-main" "MessageSid=$(sid To +441632960113)&MessageStatus=delivered" "X-Twilio-Signature: AAAA")" "forged"
    equal "403 None" "$(raw POST "$HOOK/sms-main" "MessageSid=x&MessageStatus=delivered")" "unsigned"
    equal "403 None" "$("$PYTHON" "$PROVIDER" send "$HOOK/sms-main?x=1" "$PUBLIC" "$SECRET" "$(sid To +441632960113)" delivered)" "another address"
    equal "403 None" "$(raw POST "$HOOK/push-main/wrong" '{"id":"x","what":"shown"}')" "the wrong path"
    equal "200 None" "$(signed 10 on-its-way)" "signed ten seconds ago"
    equal "403 None" "$(signed 400 answered)" "stale"
    equal "403 None" "$(signed -400 answered)" "from the future"
    equal "400 None" "$(signed 10 teleported)" "genuine, and a word nobody knows"
    equal "400 None" "$(receipt +441632960113 teleported)" "a word nobody knows"
    equal "400 None" "$(raw POST "$HOOK/push-main/path-s3cret" 'no JSON')" "no JSON"
    equal "404 None" "$(raw GET "$HOOK/nobody")" "another path"
    wait_until 10 "forged ones are counted" counts sms-main forged 3
    wait_until 10 "the wrong path is counted" counts push-main forged 1
    wait_until 10 "stale ones are counted" counts push-signed forged 2
    wait_until 10 "garbled ones are counted" counts push-signed garbled 1
    wait_until 10 "garbled ones are counted" counts sms-main garbled 1
    wait_until 10 "garbled ones are counted" counts push-main garbled 1
    equal "$before" "$(ctl --json notice show kim)" "the notice"
    lacks "$(cat "$T/reachd.log")" "+441632960113" "log"
}

it_says_503_and_when_to_come_again_while_redis_is_away() {
    local answer
    stop redis
    answer=$(receipt +441632960113 delivered)
    equal 503 "${answer% *}" "while Redis is away"
    [ "${answer#* }" -gt 0 ] || fail "Retry-After is '${answer#* }'"
    start_redis
    taken() { [ "$(receipt +441632960113 delivered)" = "200 None" ]; }
    wait_until 30 "reachd takes receipts again" taken
    comes_to kim reached
}

it_applies_receipts_after_it_was_killed_and_started_anew() {
    notice lea +441632960123
    comes_to lea sent
    kill -KILL "${PID[reachd]}"
    finish reachd
    start_reachd --config "$CONFIG"
    equal "200 None" "$(receipt +441632960123 delivered)" "the receipt"
    comes_to lea reached
}

it_forgets_the_ids_of_messages_after_some_days() {
    local ttl
    ttl=$(rcli PTTL "reach:ref:sms-main $(sid To +441632960123)")
    [ "$ttl" -gt 86400000 ] && [ "$ttl" -le 1209600000 ] || fail "the id of a message stays for $ttl ms"
}

it_answers_a_receipt_about_an_unknown_message_and_says_so_in_the_end() {
    rcli XADD reach:receipts '*' receipt '{"v":1,"gateway":"sms-main","ref":"SM-of-somebody-else","status":"delivered"}' >"$T/xadd"
    wait_until 20 "it is in the dead letters" sh -c "redis-cli -s $REDIS_SOCK XRANGE reach:dead - + | grep -q 'SM-of-somebody-else'"
    equal 0 "$(ctl --json status | json - 'd["unaccounted"]')" "unaccounted"
}

it_takes_receipts_over_tls_without_a_proxy() {
    stop reachd
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$T/tls.key" -out "$T/tls.pem" -days 2 -subj /CN=hooks.walton.example \
        -addext subjectAltName=IP:127.0.0.1 >"$T/openssl.log" 2>&1
    chmod 600 "$T/tls.key"
    sed -i "s,^listener: {,&cert_file: $T/tls.pem\, key_file: $T/tls.key\, ," "$CONFIG"
    start_reachd --config "$CONFIG"
    notice max +441632960133
    comes_to max sent
    ! receipt +441632960133 delivered >"$T/out" 2>&1 || fail "plain HTTP was answered: $(cat "$T/out")"
    state_is max sent || fail "a receipt that came in the clear was taken"
    HOOK=https${HOOK#http}
    equal "200 None" "$(SSL_CERT_FILE=$T/tls.pem receipt +441632960133 delivered)" "the receipt"
    comes_to max reached
    equal "403 None" "$(SSL_CERT_FILE=$T/tls.pem raw POST "$HOOK/sms-main" "MessageSid=x&MessageStatus=delivered")" "unsigned"
}

run_cases
