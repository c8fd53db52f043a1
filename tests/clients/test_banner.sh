#!/bin/bash
# run-tests: timeout=240
# The banner from reachd to a customer's eyes and back: the website of docs/examples/banner in a real Chromium, a real reachd and Redis.
# SHOTS=DIR keeps the screenshots.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachd reachctl redis-server redis-cli chromium
need_npm
CONFIG=$T/reachd.yaml
KEY='a key of the example, at least 32 bytes'

# job ID CUSTOMER LOCALE NAME [NOTICE]: somebody whom nothing but the website reaches
job() {
    "$PYTHON" -c 'import json, sys
id, customer, locale, name, notice = sys.argv[1:]
account = customer + "@walton.example"
data = {"mail-password-disabled": {"reset_url": "https://walton.example/reset"}}.get(notice, {"contact_url": "https://walton.example/contacts"})
print(json.dumps({"v": 1, "type": "notice", "id": id, "notice": notice, "customer": {"id": customer, "name": name, "locale": locale,
    "contacts": [{"channel": "email", "address": account}]}, "disables": {"accounts": [account]}, "data": data}))' \
        "$1" "$2" "$3" "$4" "${5:-mail-password-disabled}" | ctl push - 2>"$T/err" || fail "$(cat "$T/err")"
}
control() { ctl push - <<<"$1" 2>"$T/err" || fail "$(cat "$T/err")"; }
state_of() { ctl --json notice show "$1" 2>/dev/null | json - 'd["state"]'; }
state_is() { [ "$(state_of "$1")" = "$2" ]; }
hash_of() { "$PYTHON" -c 'import hashlib, hmac, sys; print(hmac.new(sys.argv[1].encode(), sys.argv[2].encode(), hashlib.sha256).hexdigest())' "$KEY" "$1"; }
banner() { rcli GET "reach:banner:{$1}"; }
login_banner() { rcli GET "reach:login-banner:{$(hash_of "$1")}"; }
shows() { [ -n "$(banner "$1")" ] && [ "$(banner "$1" | json - 'd["notice"]')" = "$2" ]; }
no_banner() { [ -z "$(banner "$1")" ] && [ -z "$(login_banner "$1@walton.example")" ]; }
has_schema() { tr -d '\n' | NODE_PATH=$TOP/tests/node_modules node "$TOP/tests/clients/check_schemas.js" "$1" >"$T/schema" || fail "$(cat "$T/schema")"; }

it_starts() {
    # shellcheck disable=SC2119
    start_redis
    printf '%s\n' "$KEY" >"$T/login-key"
    chmod 600 "$T/login-key"
    cat >"$CONFIG" <<YAML
redis: {address: "unix:$REDIS_SOCK", lease: 5s}
templates: {directory: $TOP/templates/messages}
banner: {login_key_file: $T/login-key}
own_domains: [{domain: walton.example}]
gateways: [{name: mail, channel: email, driver: "null"}]
routes:
  - name: security
    steps:
      - {channel: email, success: sent, wait: 0s}
      - {channel: banner, success: seen, wait: 7d}
YAML
    start_reachd --config "$CONFIG"
    start website env PORT=0 node "$TOP/docs/examples/banner/server.js" "unix:$REDIS_SOCK" "$T/login-key"
    wait_until 60 'the website is up' grep -q '^http' "$T/website.log"
}

it_writes_records_that_obey_their_schemas() {
    job b1 ada en-GB 'Ada <b>{{x}}</b> Lovelace'
    wait_until 60 'the banner is there' shows ada b1
    banner ada | has_schema banner
    login_banner ada@walton.example | has_schema login-banner
    [ "$(rcli PTTL 'reach:banner:{ada}')" -gt 0 ] || fail 'the banner has no end'
    [ "$(rcli PTTL "reach:login-banner:{$(hash_of ada@walton.example)}")" -gt 0 ] || fail 'the login banner has no end'
}

it_says_nothing_about_anybody_on_the_login_page() {
    local record part
    record=$(login_banner ada@walton.example)
    for part in Ada Lovelace ada b1 reset mailbox a••; do lacks "$record" "$part" "the login page's record"; done
    rcli --scan --pattern 'reach:login-banner:*' >"$T/keys"
    lacks "$(cat "$T/keys")" ada 'the keys'
}

it_is_seen_in_a_real_browser_and_the_notice_is_reached() {
    local shots=${SHOTS:-$T/shots}
    mkdir -p "$shots"
    state_is b1 stranded || fail "before it was seen: $(state_of b1)"
    job b2 amal ar 'أمل'
    wait_until 60 'the Arabic banner is there' shows amal b2
    node "$TOP/tests/clients/check_banner.js" "$(head -1 "$T/website.log")" "$shots" "$(command -v chromium)" || fail 'the page is not as it should be'
    wait_until 60 'the notice is reached' state_is b1 reached
    contains "$(ctl --json notice show b1 | json - '[l["what"] for l in d["timeline"]]')" seen 'the timeline'
}

it_is_gone_once_it_was_put_away() {
    wait_until 60 'the banner of the other customer is gone' no_banner amal
    wait_until 60 'the other notice is reached' state_is b2 reached
    shows ada b1 || fail 'the banner that was only seen is gone'
}

it_goes_when_the_customer_acts_also_after_it_was_seen() {
    control '{"v":1,"type":"resolve","id":"r1","notice":"b1"}'
    wait_until 60 'the banner is gone' no_banner ada
    equal reached "$(state_of b1)" 'the end of the notice stays'
}

it_shows_the_most_severe_of_two_and_then_the_other() {
    job c1 bo en Bo add-a-contact
    wait_until 60 'the first banner' shows bo c1
    job c2 bo en Bo
    wait_until 60 'the more severe one' shows bo c2
    equal c1 "$(banner bo | json - 'd["others"][0]["notice"]')" 'behind it'
    banner bo | has_schema banner
    login_banner bo@walton.example | has_schema login-banner
    control '{"v":1,"type":"cancel","id":"x2","notice":"c2"}'
    wait_until 60 'the first one again' shows bo c1
    control '{"v":1,"type":"resolve","id":"x1","customer":{"id":"bo"}}'
    wait_until 60 'none' no_banner bo
}

it_believes_no_receipt_about_another_customer() {
    job d1 cid en Cid
    wait_until 60 'the banner' shows cid d1
    rcli XADD reach:receipts '*' receipt '{"v":1,"notice":"d1","customer":"mallory","status":"seen"}' >"$T/xadd"
    wait_until 60 'it is a dead letter' in_dead "another customer"
    equal stranded "$(state_of d1)" 'state'
}

# What stands under the old key can still be found with it, and goes with its notice.
it_takes_a_new_login_key_with_a_reload() {
    local old=$KEY
    job e1 eli en Eli
    wait_until 60 'the banner of the old key' shows eli e1
    KEY='another key of the test, at least 32 bytes'
    printf '%s\n' "$KEY" >"$T/login-key"
    kill -HUP "${PID[reachd]}"
    wait_until 60 'it has reloaded' grep -q 'have their new settings' "$T/reachd.log"
    job f1 fay en Fay
    wait_until 60 'the banner' shows fay f1
    login_banner fay@walton.example | has_schema login-banner
    equal '' "$(login_banner eli@walton.example)" 'under the new key'
    KEY=$old
    equal '' "$(login_banner fay@walton.example)" 'under the old key'
    login_banner eli@walton.example | has_schema login-banner
    control '{"v":1,"type":"cancel","id":"x3","notice":"e1"}'
    wait_until 60 'it goes, under the old key too' no_banner eli
    chmod 644 "$T/login-key"
    kill -HUP "${PID[reachd]}"
    wait_until 60 'a key that others can read' grep -q 'configuration is refused.*login-key' "$T/reachd.log"
}
in_dead() { rcli XREVRANGE reach:dead + - COUNT 1 | grep -q "$1"; }

run_cases
