#!/bin/bash
# run-tests: timeout=300
# The words while reachd runs: a version goes live, a set that is garbage stays out while a campaign goes on, what was sent can be made again
# byte for byte, a reset link is made anew for a retry, and publishing turns one link.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachd reachctl reachd-mailer sandbox-peer redis-server redis-cli
CONFIG=$T/reachd.yaml
WORDS=$T/words

job() { # job ID [LOCALE [MORE CONTACTS]]
    printf '{"v":1,"type":"notice","id":"%s","notice":"mail-password-disabled","customer":{"id":"C-%s","name":"Ada Lovelace","locale":"%s","time_zone":"Europe/London","contacts":[{"channel":"email","address":"%s@example.org"}%s]},"disables":{"accounts":["%s@walton.example"]},"data":{"reset_url":"https://walton.example/reset"}}\n' \
        "$1" "$1" "${2:-en-GB}" "$1" "${3:-}" "$1"
}
push() { ctl push "$1" 2>"$T/err" || fail "$(cat "$T/err")"; }
finished() { [ "$(ctl --json status | json - 'd["finished"]')" -ge "$1" ]; }
counter() { ctl --json status | json - "d['counters'].get('$1', 0)"; }
counter_is() { [ "$(counter "$1")" = "$2" ]; }
refused_some() { [ "$(counter templates.refused)" -ge 1 ]; }
# versions EXPRESSION: on the list of versions, `live` being the one in use here
versions() { ctl --json template list | json - "(lambda v, live: $1)(d['versions'], [x for x in d['versions'] if x['live']][0])"; }
events() { rcli XRANGE reach:events - + | grep -o '^\[.*\]$' | "$PYTHON" -c 'import json,sys
print(json.dumps([e for line in sys.stdin for e in json.loads(line) if e["type"] == "template"]))' | json - "$1"; }
# stored ID [N]: the N-th (default: last) mail to ID as the peer took it, without the two envelope lines that the peer puts first
stored() {
    local file
    file=$(peer_index "[l['file'] for l in d if l['recipient'] == '$1@example.org'][${2:--1}]")
    sed -e '/^X-Envelope-/d' "$PEER_DIR/$file"
}
# same_bytes ID [OPTION...]: what reachctl makes again is what the peer took
same_bytes() {
    ctl template render "$@" >"$T/again" 2>"$T/err" || fail "$1: $(cat "$T/err")"
    stored "$1" >"$T/stored"
    [ -s "$T/again" ] || fail "$1: nothing was made"
    cmp "$T/stored" "$T/again" || fail "$1: not the bytes that were sent"
}

it_prepares() {
    # shellcheck disable=SC2119
    start_peer
    # shellcheck disable=SC2119
    start_redis
    cp -r "$TOP/templates/messages" "$WORDS"
    printf 'reset_link:\n  url: https://walton.example/reset\n  email: 1h\n' >>"$WORDS/company.yaml"
    printf 'a secret of the test\n' >"$T/reset-key"
    chmod 600 "$T/reset-key"
    make_config "$T/made.yaml" "$T/ports.json" "$REDIS_SOCK"
    sed -e "s|^  directory: .*|  directory: $WORDS\n  reset_key_file: $T/reset-key|" -e "s|^  archive: .*|  archive: $T/archive|" "$T/made.yaml" >"$CONFIG"
    start_reachd --config "$CONFIG"
}

it_shows_what_is_counted_from_the_start() {
    wait_until 60 'both counters are there' counters_are '[0, 0]'
}
counters_are() { [ "$(ctl --json status | json - "[d['counters'].get('templates.' + name) for name in ('live', 'refused')]")" = "$1" ]; }

it_makes_a_sent_mail_again_byte_for_byte() {
    { job ada; job aml ar; job jean fr-FR; } >"$T/jobs"
    push "$T/jobs"
    wait_until 60 'all are reached' finished 3
    same_bytes ada
    same_bytes aml
    same_bytes jean
    contains "$(ctl template render aml --part text)" 'Ada Lovelace' 'the text part alone'
    equal "$(versions 'live["version"]')" "$(ctl --json template render ada | json - 'd["version"]')" 'version of the message'
}

it_says_why_a_message_cannot_be_made() {
    equal 1 "$(status_of ctl template render nobody)" 'unknown id'
    contains "$(cat "$T/err")" 'no notice' 'why'
    equal 1 "$(status_of ctl template render ada --channel sms)" 'not sent by SMS'
    contains "$(cat "$T/err")" 'no message of the notice ada went out by sms' 'why'
}

it_makes_no_mail_that_would_come_from_another_sender() {
    sed 's/^\( *from_name: \).*/\1Somebody else/' "$CONFIG" >"$T/sender.yaml"
    cmp -s "$CONFIG" "$T/sender.yaml" && fail 'no sender in the configuration'
    equal 1 "$(status_of "$B/reachctl" --config "$T/sender.yaml" template render ada)" 'another sender'
    contains "$(cat "$T/err")" 'another sender' 'why'
    same_bytes ada
}

it_lets_another_version_go_live_and_tells_it() {
    OLD=$(versions 'live["version"]')
    sed -i 's/^subject: .*/subject: "A new subject of {{company}}"/' "$WORDS"/mail-password-disabled/en/email.md
    wait_until 60 'a version goes live' counter_is templates.live 1
    NEW=$(versions 'live["version"]')
    [ "$OLD" != "$NEW" ] || fail 'the version is the same'
    equal "$NEW $OLD" "$(events '"%s %s" % (d[-1]["version"], d[-1]["previous"])')" 'the event'
    equal 'live' "$(events 'd[-1]["state"]')" 'the event'
}

it_counts_where_each_version_is_in_use() {
    job bea >"$T/jobs"
    push "$T/jobs"
    wait_until 60 'bea is reached' state_is bea reached
    contains "$(stored bea)" 'Subject: A new subject of Walton' 'the new words'
    equal '1 0' "$(versions '"%d %d" % (live["finished"], live["in_flight"])')" 'new version'
    equal '3 0' "$(versions "['%d %d' % (x['finished'], x['in_flight']) for x in v if x['version'] == '$OLD'][0]")" 'old version'
    contains "$(ctl template list)" "${OLD:0:16}" 'the table for people'
}

it_makes_old_mails_from_the_version_they_were_sent_with() {
    same_bytes ada
    same_bytes bea
}

it_moves_a_notice_in_flight_to_the_version_of_its_next_message() {
    job cleo en-GB ',{"channel":"sms","address":"+441632960001"}' >"$T/jobs"
    peer_rules '{"rules":[{"phase":"rcpt","recipient":"cleo@*","action":"reply","code":550,"text":"5.1.1 no"}]}'
    push "$T/jobs"
    wait_until 60 'cleo waits for the SMS to be delivered' state_is cleo sent
    equal '1 1' "$(versions '"%d %d" % (live["finished"], live["in_flight"])')" 'one in flight'
    ctl template render cleo >"$T/again" || fail 'an SMS of a notice in flight cannot be made again'
    equal "$(peer_index '[l["file"] for l in d if l["channel"] == "sms"][-1]' | xargs -I{} cat "$PEER_DIR/{}" | json - 'd["body"]["text"] if isinstance(d["body"], dict) else __import__("json").loads(d["body"])["text"]')" \
        "$(cat "$T/again")" 'the SMS'
    rcli XADD reach:receipts '*' receipt '{"v":1,"notice":"cleo","status":"delivered"}' >"$T/xadd"
    wait_until 60 'cleo is reached' state_is cleo reached
    equal '2 0' "$(versions '"%d %d" % (live["finished"], live["in_flight"])')" 'none in flight'
    peer_rules '{"rules":[]}'
}

it_loses_no_message_when_a_template_becomes_garbage_while_a_campaign_runs() {
    local i before
    before=$(ctl --json status | json - 'd["finished"]')
    for i in {1..400}; do job "camp-$i"; done >"$T/jobs"
    ctl push --bulk "$T/jobs" 2>"$T/err" || fail "$(cat "$T/err")"
    for i in {1..8}; do
        printf -- '---\nsubject: "{{#broken\n' >"$WORDS/mail-password-disabled/en/email.md"
        printf '{{unknown}} \xff\xfe' >"$WORDS/mail-password-disabled/en/sms.txt"
        rm -f "$WORDS/mail-password-disabled/de/email.md"
        finished $((before + i * 20)) || true
    done
    wait_until 60 'the garbage is refused' refused_some
    wait_until 60 'the whole campaign is reached' finished $((before + 400))
    equal "400" "$(peer_index 'len({l["recipient"] for l in d if l["recipient"].startswith("camp-")})')" 'mails'
    equal 0 "$(ctl --json status | json - 'd["dead"]')" 'dead'
    equal 0 "$(ctl --json status | json - 'd["unaccounted"]')" 'unaccounted'
    same_bytes camp-400
}

it_tells_of_the_refused_set_in_an_event_and_in_the_list() {
    equal 'refused' "$(events 'd[-1]["state"]')" 'the event'
    equal "$NEW" "$(events 'd[-1]["version"]')" 'the version that goes on serving'
    contains "$(events 'd[-1]["reason"]')" 'mail-password-disabled/' 'why'
    contains "$(versions 'live["live"][0]["refused"]')" 'mail-password-disabled/' 'in the list'
    equal "$NEW" "$(versions 'live["version"]')" 'in use'
}

it_is_well_again_when_the_words_are() {
    cp -r "$TOP/templates/messages/mail-password-disabled" "$WORDS"
    wait_until 60 'the first version is in use again' version_in_use "$OLD"
    equal "False" "$(versions '"%s" % ("refused" in live["live"][0])')" 'nothing refused any more'
}
version_in_use() { [ "$(versions 'live["version"]')" = "$1" ]; }

# The link works for an hour from when the message is made. The first try is refused for now; the second gets a link of its own.
it_makes_the_reset_link_anew_for_a_retry_fault_59() {
    sed -i 's/^\[\(.*\)\]({{reset_url}})$/{{#reset_link}}\n[\1]({{reset_link}})\n{{\/reset_link}}/' "$WORDS"/mail-password-disabled/*/email.md
    wait_until 60 'the link is in the words' counter_is templates.live 3
    peer_rules '{"rules":[{"phase":"after-dot","recipient":"dora@*","first":1,"store":true,"delay_ms":1500,"action":"reply","code":451,"text":"4.3.0 later"}]}'
    stop reachd
    start_reachd --config "$CONFIG"
    job dora >"$T/jobs"
    push "$T/jobs"
    wait_until 60 'dora is reached' state_is dora reached
    stored dora 0 >"$T/first"
    stored dora 1 >"$T/second"
    equal "$(grep -i '^Message-ID:' "$T/first")" "$(grep -i '^Message-ID:' "$T/second")" 'Message-ID'
    "$PYTHON" - "$T/first" "$T/second" "$T/reset-key" <<'PY' || fail 'the links are not as they should be'
import base64, email, email.policy, hashlib, hmac, re, sys, urllib.parse
def link(path):
    mail = email.message_from_binary_file(open(path, "rb"), policy=email.policy.default)
    text = mail.get_body(("plain",)).get_content()
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(re.search(r"https://walton.example/reset\?\S+", text)[0]).query))
first, second = link(sys.argv[1]), link(sys.argv[2])
key = open(sys.argv[3]).read().strip().encode()
for l in (first, second):
    assert (l["n"], l["c"], l["ch"]) == ("dora", "C-dora", "email"), l
    signed = "\n".join(["reach-reset-link-1", l["n"], l["c"], l["ch"], l["e"]]).encode()
    assert base64.urlsafe_b64encode(hmac.new(key, signed, hashlib.sha256).digest()).rstrip(b"=").decode() == l["s"], l
assert int(second["e"]) > int(first["e"]), (first, second)
PY
    same_bytes dora
    peer_rules '{"rules":[]}'
}

it_signs_with_a_new_key_after_a_reload_and_keeps_the_old_one_where_it_is_bad() {
    cp -p "$T/reset-key" "$T/old-key"
    printf 'another secret\n' >"$T/reset-key"
    kill -HUP "${PID[reachd]}"
    wait_until 60 'it has reloaded' grep -q 'have their new settings' "$T/reachd.log"
    job finn >"$T/jobs"
    push "$T/jobs"
    wait_until 60 'finn is reached' state_is finn reached
    same_bytes finn
    chmod 644 "$T/reset-key"
    kill -HUP "${PID[reachd]}"
    wait_until 60 'the key is refused' grep -q 'configuration is refused.*reset-key' "$T/reachd.log"
    chmod 600 "$T/reset-key"
    job gwen >"$T/jobs"
    push "$T/jobs"
    wait_until 60 'gwen is reached' state_is gwen reached
    same_bytes gwen
}

it_makes_no_mail_whose_link_another_key_would_sign() {
    equal 1 "$(status_of ctl template render dora)" 'a link of the old key'
    contains "$(cat "$T/err")" 'signed with a key that is not in templates.reset_key_file' 'why'
    contains "$(cat "$T/err")" '--reset-key FILE' 'the way out'
    equal '' "$(cat "$T/out")" 'nothing is shown'
    same_bytes dora --reset-key "$T/old-key"
    equal 1 "$(status_of ctl template render finn --reset-key "$T/old-key")" 'a link of the new key'
    contains "$(cat "$T/err")" 'not in the file of --reset-key' 'why'
    equal 1 "$(status_of ctl template render finn --part text --reset-key "$T/old-key")" 'a part of it'
    same_bytes ada # holds no link
    same_bytes bea --reset-key "$T/old-key"
    grep -v reset_key_file "$CONFIG" >"$T/keyless.yaml"
    equal 1 "$(status_of "$B/reachctl" --config "$T/keyless.yaml" template render finn)" 'no key at all'
    contains "$(cat "$T/err")" 'signed with a key' 'why'
    rcli HGETALL reach:notices >"$T/records" 2>&1
    contains "$(cat "$T/records")" '"mk":"' 'the marks'
    lacks "$(cat "$T/records")" "$(cat "$T/reset-key")" 'the records'
}

it_makes_a_mail_that_was_sent_without_a_key_without_a_link() {
    stop reachd
    start_reachd --config "$T/keyless.yaml"
    job hugo >"$T/jobs"
    push "$T/jobs"
    wait_until 60 'hugo is reached' state_is hugo reached
    lacks "$(ctl template render hugo --part text)" 'reset?' 'a signed link'
    same_bytes hugo # with a key configured for reachctl
    stop reachd
    start_reachd --config "$CONFIG"
}

it_does_not_start_with_a_key_that_others_can_read() {
    stop reachd
    chmod 644 "$T/reset-key"
    equal 1 "$(status_of "$B/reachd" --config "$CONFIG")" 'exit status'
    contains "$(cat "$T/err")" 'reset-key' 'why'
    chmod 600 "$T/reset-key"
}

it_publishes_a_whole_set_or_nothing() {
    sed -e "s|^  archive: .*|&\n  goes_live: published|" "$CONFIG" >"$T/published.yaml"
    CONFIG=$T/published.yaml
    printf '{{#broken' >"$WORDS/reminder/en/sms.txt"
    equal 1 "$(status_of ctl template publish)" 'a broken set'
    contains "$(cat "$T/err")" 'reminder/en/sms.txt:1:' 'where'
    [ ! -e "$T/archive/live" ] || fail 'a broken set was published'
    equal 1 "$(status_of "$B/reachd" --config "$CONFIG")" 'reachd without anything published'
    contains "$(cat "$T/err")" 'reachctl template publish' 'what to do'
    equal 1 "$(status_of "$B/reachd" --config "$CONFIG" --check-config)" 'the check of the configuration'
    contains "$(cat "$T/err")" 'nothing is published' 'what it says'
    cp "$TOP/templates/messages/reminder/en/sms.txt" "$WORDS/reminder/en/sms.txt"
    FIRST=$(ctl template publish 2>"$T/err") || fail "$(cat "$T/err")"
    start_reachd --config "$CONFIG"
    equal "$FIRST" "$(versions 'live["version"]')" 'in use'
    contains "$(ctl doctor 2>&1 || true)" "archive/live, version ${FIRST:0:12}" 'the doctor'
}

it_takes_what_is_published_and_not_what_is_saved() {
    sed -i 's/^subject: .*/subject: "Published by {{company}}"/' "$WORDS"/mail-password-disabled/en/email.md
    SECOND=$(ctl template publish "$WORDS" 2>"$T/err") || fail "$(cat "$T/err")"
    wait_until 60 'the published version is in use' version_in_use "$SECOND"
    sed -i 's/^subject: .*/subject: "Only saved by {{company}}"/' "$WORDS"/mail-password-disabled/en/email.md
    job eve >"$T/jobs"
    push "$T/jobs"
    wait_until 60 'eve is reached' state_is eve reached
    contains "$(stored eve)" 'Subject: Published by Walton' 'the words'
    ctl template publish --kept "$FIRST" >"$T/out" 2>"$T/err" || fail "$(cat "$T/err")"
    wait_until 60 'the version before is in use again' version_in_use "$FIRST"
    same_bytes eve
    equal 1 "$(status_of ctl template publish --kept "${FIRST//[0-9]/0}")" 'a version that is not kept'
}

run_cases
