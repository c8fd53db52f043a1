#!/bin/bash
# reachctl preflight over a file and over the contact book: verdicts, shapes, exit codes, bad input, the page, memory.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachctl

CONFIG=$T/reachd.yaml
BOOK=$T/book.ndjson
JOB=$T/job.json

write_config() {
    cat >"$CONFIG" <<YAML
redis: {address: "unix:$T/redis.sock", connect_timeout: 2s}
templates: {directory: $TOP/templates/messages}
own_domains:
  - {domain: walton.example, aliases: [walton.co.example], plus_addressing: true}
gateways:
  - {name: relay, channel: email, driver: "null", expected_rate: 10}
  - {name: texts, channel: sms, driver: "null"}
YAML
}

# change MEMBERS: the campaign job with these members added.
change() {
    printf '{"v":1,"type":"campaign","id":"pw-2026","notice":"mail-password-disabled","audience":"all",%s}\n' "$1" >"$JOB"
}

# preflight OPTION...: over $BOOK, JSON into $T/out; prints the exit code.
preflight() { status_of "$B/reachctl" --config "$CONFIG" preflight "$JOB" --contacts "$BOOK" --json "$@"; }

it_counts_verdicts_and_lists_who_is_lost_in_order() {
    write_config
    change '"disables":{"domains":["walton.example"]},"effective_at":"2026-12-23T18:00:00Z","promise":"PT30M"'
    cat >"$BOOK" <<'NDJSON'
{"id":"C4","locale":"en","contacts":[{"channel":"email","address":"c4@example.org"},{"channel":"email","address":"c4@walton.example"}]}
{"id":"C3","locale":"de","contacts":[{"channel":"sms","address":"+441632960003","status":"unverified"}]}
{"id":"C2","locale":"xx","contacts":[{"channel":"banner","address":"c2@walton.example"},{"channel":"email","address":"C2+x@WALTON.co.example"}]}

{"id":"C1","contacts":[{"channel":"email","address":"ada@walton.example"}]}
NDJSON
    equal 3 "$(preflight)" "exit code"
    equal '[4, {"reachable": 1, "weak": 1, "passive": 1, "stranded": 1}, {"email": 1, "sms": 1, "push": 0}]' \
        "$(json "$T/out" '[d["customers"], d["verdicts"], d["channels"]]')" "the counts"
    equal '[["C1", "stranded"], ["C2", "passive"]]' "$(json "$T/out" '[[s["customer"], s["verdict"]] for s in d["stranded"]]')" "the lost"
    equal '["C3"]' "$(json "$T/out" '[s["customer"] for s in d["weak"]]')" "the weak"
    equal '["address", "address_masked", "channel", "reason", "survives"]' "$(json "$T/out" 'sorted(d["stranded"][0]["contacts"][0])')" "a contact point"
    equal '["a••@walton.example", false]' "$(json "$T/out" '[d["stranded"][0]["contacts"][0][k] for k in ("address", "survives")]' |
        "$PYTHON" -c 'import json,sys; print(json.dumps(json.load(sys.stdin), ensure_ascii=False))')" "a masked address"
    lacks "$(cat "$T/out" "$T/err")" 'ada@' "an address in the open"
    equal '[{"locale": "xx", "customers": 1}]' "$(json "$T/out" 'd["words"]["missing_locales"]')" "words missing"
    equal '{"en": {"customers": 1, "lost": 0}, "de": {"customers": 1, "lost": 0}, "xx": {"customers": 1, "lost": 1}, "(none)": {"customers": 1, "lost": 1}}' \
        "$(json "$T/out" 'd["locales"]')" "locales"
}

it_tells_the_same_as_text() {
    equal 3 "$(status_of "$B/reachctl" --config "$CONFIG" preflight "$JOB" --contacts "$BOOK")" "exit code"
    contains "$(cat "$T/out")" 'stranded' "the table"
    contains "$(cat "$T/out")" 'is a mailbox of walton.example' "the reason"
    contains "$(cat "$T/err")" '2 of 4 customers would be cut off' "the sum"
}

it_ends_with_0_when_everybody_survives() {
    grep C4 "$BOOK" >"$T/one"
    mv "$T/one" "$BOOK"
    equal 0 "$(preflight)" "exit code"
    equal '[]' "$(json "$T/out" 'd["stranded"]')" "nobody is lost"
    : >"$BOOK"
    equal 0 "$(preflight)" "an empty file"
    equal 0 "$(json "$T/out" 'd["customers"]')" "nobody is there"
}

it_knows_whether_the_promise_can_be_kept() {
    "$PYTHON" -c 'for i in range(1000): print("{\"id\":\"C%d\",\"contacts\":[{\"channel\":\"email\",\"address\":\"c%d@example.org\"}]}" % (i, i))' >"$BOOK"
    equal 0 "$(preflight)" "exit code"
    equal '[100, true]' "$(json "$T/out" '[d["first_messages"][k] for k in ("seconds", "keeps_promise")]')" "1,000 at 10 a second"
    change '"disables":{"domains":["walton.example"]},"promise":"PT1M"'
    equal 0 "$(preflight)" "exit code"
    equal false "$(json "$T/out" 'd["first_messages"]["keeps_promise"]')" "within a minute"
    change '"disables":{"domains":["walton.example"]}'
    equal 0 "$(preflight)" "exit code"
    equal null "$(json "$T/out" 'd["first_messages"]["keeps_promise"]')" "without a promise"
}

it_tells_what_the_service_desk_will_face() {
    sed -i '/^desk:/d' "$CONFIG"
    echo 'desk: {time_zone: Europe/London, hours: ["mon-fri 09:00-17:00"], closed: ["2036-12-24..2037-01-06"], people: 2, case: 10m}' >>"$CONFIG"
    change '"disables":{"domains":["walton.example"]},"effective_at":"2036-12-23T18:00:00Z"'
    "$PYTHON" -c 'for i in range(12): print("{\"id\":\"C%d\",\"contacts\":[{\"channel\":\"email\",\"address\":\"c%d@walton.example\"}]}" % (i, i))' >"$BOOK"
    equal 3 "$(preflight --html "$T/page.html")" "exit code"
    equal '[12, 3600, false, "2037-01-07T09:00:00Z"]' \
        "$(json "$T/out" '[d["desk"][k] for k in ("cases", "work_seconds", "open_at_effective", "opens_at")]')" "the desk"
    contains "$(cat "$T/page.html")" 'It is closed when the change comes into force' "the page"
    sed -i 's/mon-fri 09:00/mon-fri 9/' "$CONFIG"
    equal 1 "$(preflight)" "hours that make no sense"
    contains "$(cat "$T/err")" 'hours' "the message"
    sed -i '/^desk:/d' "$CONFIG"
}

it_lets_a_spouses_mailbox_die_in_the_same_change() {
    cat >"$BOOK" <<'NDJSON'
{"id":"C1","accounts":["ada@walton.example"],"contacts":[{"channel":"email","address":"bob@walton.example"}]}
{"id":"C2","accounts":["Bob+home@walton.co.example"],"contacts":[{"channel":"email","address":"bob@example.org"}]}
NDJSON
    change '"disables":{"audience_accounts":true}'
    equal 3 "$(preflight)" "exit code"
    equal '["C1"]' "$(json "$T/out" '[s["customer"] for s in d["stranded"]]')" "who is lost"
    echo '{"id":"C3","accounts":["not an address"],"contacts":[{"channel":"email","address":"c3@example.org"}]}' >>"$BOOK"
    equal 3 "$(preflight)" "exit code with an account nobody can compare"
    equal '[1, "accounts[0]"]' "$(json "$T/out" '[d["unusable"], d["unusable_customers"][0]["member"]]')" "it is told"
    equal 1 "$(status_of "$B/reachctl" --config "$CONFIG" preflight "$JOB" --contacts <(cat "$BOOK"))" "a pipe cannot be read twice"
}

it_takes_a_notice_job_as_well() {
    printf '{"v":1,"type":"notice","id":"n1","notice":"x","customer":{"id":"C1"},"disables":{"accounts":["bob@walton.example"]}}' >"$JOB"
    equal 3 "$(preflight)" "exit code"
    equal '["C1"]' "$(json "$T/out" '[s["customer"] for s in d["stranded"]]')" "who is lost"
    printf '{"v":1,"type":"cancel","id":"n1","notice":"x"}' >"$JOB"
    equal 1 "$(preflight)" "a job that changes nothing"
}

it_refuses_a_job_with_a_fault_and_names_the_member() {
    change '"disables":{"domains":["walton.example"]},"effective_att":"2026-12-23T18:00:00Z"'
    equal 1 "$(preflight)" "a misspelt member"
    contains "$(cat "$T/err")" 'effective_att' "the message"
    change '"disables":{"domains":["walton..example"]}'
    equal 1 "$(preflight)" "a domain that cannot be one"
    contains "$(cat "$T/err")" 'disables.domains[0]' "the message"
    change '"disables":{"domains":["walton.example"]},"route":"scenic"'
    equal 1 "$(preflight)" "a route that does not exist"
    equal 1 "$(status_of "$B/reachctl" --config "$CONFIG" preflight "$T/none.json" --contacts "$BOOK")" "no such file"
    equal 2 "$(status_of "$B/reachctl" --config "$CONFIG" preflight)" "no job"
}

it_tells_every_line_it_cannot_judge_and_goes_on() {
    change '"disables":{"domains":["walton.example"]}'
    {
        echo '{"id":"C1","contacts":[{"channel":"email","address":"c1@example.org"}]}'
        printf '{"id":"C2","contacts":[{"channel":"email","address":"c2@ex\xffample.org"}]}\n'
        echo '{"id":"C4","contacts":[{"channel":"pigeon","address":"x"}]}'
        echo '{"id":"C5","id":"C6"}'
        printf '{"id":"C7","name":"a\x01b"}\n'
        echo '{"id":"C8"'
    } >"$BOOK"
    equal 1 "$(preflight)" "nobody lost, five not judged"
    equal '[1, 5, ["2", "3", "4", "5", "6"]]' \
        "$(json "$T/out" '[d["customers"], d["unusable"], [u["where"] for u in d["unusable_customers"]]]')" "who was not judged"
    contains "$(cat "$T/err")" "$BOOK:3: contacts[0].channel: " "file, line and member"
}

it_judges_a_customer_on_the_rest_where_one_address_cannot_be_valid() {
    cat >"$BOOK" <<'NDJSON'
{"id":"C1","contacts":[{"channel":"email","address":"no address"},{"channel":"email","address":"c1@example.org"}]}
{"id":"C2","name":"Zo\u00eb","contacts":[{"channel":"sms","address":"0163296"},{"channel":"email","address":"c2@example.org"}]}
{"id":"C3","contacts":[{"channel":"email","address":"not one"},{"channel":"email","address":"c3@walton.example"}]}
NDJSON
    equal 3 "$(preflight --html "$T/page.html")" "exit code"
    equal '[3, 0, 2, 1, 3, ["C3"]]' "$(json "$T/out" '[d["customers"], d["unusable"], d["verdicts"]["reachable"], d["verdicts"]["stranded"],
        d["contact_points"]["invalid"], [s["customer"] for s in d["stranded"]]]')" "the counts"
    equal '[["C1", "email"], ["C2", "sms"], ["C3", "email"]]' "$(json "$T/out" '[[c["customer"], c["channel"]] for c in d["invalid_contacts"]]')" \
        "which contact points"
    contains "$(json "$T/out" 'd["invalid_contacts"][1]["reason"]')" "E.164" "the reason"
    lacks "$(cat "$T/out" "$T/err" "$T/page.html")" 'not one' "the value in the open"
    contains "$(cat "$T/page.html")" 'Addresses that cannot be valid' "the page"
    equal 3 "$(status_of "$B/reachctl" --config "$CONFIG" preflight "$JOB" --contacts "$BOOK")" "exit code of the text"
    contains "$(cat "$T/out")" 'Addresses that cannot be valid' "the text"
}

it_shows_addresses_that_look_like_others() {
    printf '{"id":"C1","contacts":[{"channel":"email","address":"c1@w\xd0\xb0lton.example"}]}\n' >"$BOOK" # a Cyrillic a
    equal 0 "$(preflight --html "$T/page.html")" "exit code: it survives"
    equal '[1, "C1"]' "$(json "$T/out" '[d["contact_points"]["lookalike"], d["lookalikes"][0]["customer"]]')" "the look-alike"
    contains "$(json "$T/out" 'd["lookalikes"][0]["reason"]')" 'looks like one of our own' "the reason"
    contains "$(cat "$T/page.html")" 'Look-alikes' "the page"
    equal 0 "$(status_of "$B/reachctl" --config "$CONFIG" preflight "$JOB" --contacts "$BOOK")" "exit code of the text"
    contains "$(cat "$T/out")" 'Look-alikes' "the text"
}

audience_book() {
    cat >"$BOOK" <<'NDJSON'
{"id":"C1","locale":"de-AT","accounts":["c1@walton.example"],"attributes":{"tier":"gold","n":1},"contacts":[{"channel":"email","address":"c1@example.org"}]}
{"id":"C2","locale":"de","time_zone":"Europe/Berlin","attributes":{"tier":"gold","n":2},"contacts":[{"channel":"email","address":"c2@walton.example"}]}
{"id":"C3","locale":"den","attributes":{"tier":"base","vip":true},"contacts":[{"channel":"email","address":"c3@walton.example"}]}
{"id":"C4","name":"Zo\u00eb","attributes":{"tier":"base"},"contacts":[{"channel":"email","address":"c4@example.org"}]}
NDJSON
}
# audience JSON: the campaign for that audience
audience() {
    printf '{"v":1,"type":"campaign","id":"pw-2026","notice":"mail-password-disabled","audience":%s,"disables":{"domains":["walton.example"]}}\n' "$1" >"$JOB"
}
# who WHERE [SOURCE OPTION...]: how many customers, and the lost
judged() { json "$T/out" '[d["customers"], [s["customer"] for s in d["stranded"]]]'; }
asks() { # asks AUDIENCE EXPECTED EXIT
    audience "$1"
    equal "$3" "$(preflight)" "exit code for $1"
    equal "$2" "$(judged)" "the audience $1"
}

it_takes_an_audience_by_what_is_known_of_the_customers() {
    audience_book
    asks '"all"' '[4, ["C2", "C3"]]' 3
    asks '{"where":{"locale":"de"}}' '[2, ["C2"]]' 3
    asks '{"where":{"locale":["de-AT","DEN"]}}' '[2, ["C3"]]' 3
    asks '{"where":{"locale":"de","attributes":{"n":[1,7]}}}' '[1, []]' 0
    asks '{"where":{"attributes":{"tier":"base"}}}' '[2, ["C3"]]' 3
    asks '{"where":{"attributes":{"vip":true}}}' '[1, ["C3"]]' 3
    asks '{"where":{"attributes":{"tier":"none"}}}' '[0, []]' 0
    asks '{"where":{"time_zone":"Europe/Berlin"}}' '[1, ["C2"]]' 3
    asks '{"where":{"account_domain":"WALTON.co.example"}}' '[1, []]' 0
    printf 'C2\n\n C4 \r\nC2\n{"id":"C1","contacts":[]}\nC9\n' >"$T/ids"
    asks '{"file":"ids"}' '[3, ["C2"]]' 3
    contains "$(json "$T/out" 'd["audience"]')" 'ids' "the audience in words"
    equal '[["C9", "is listed by the audience and not in this file"]]' "$(json "$T/out" '[[u["where"], u["reason"]] for u in d["unusable_customers"]]')" "who is not there"
    contains "$(cat "$T/err")" "$BOOK:C9: is listed by the audience" "who is not there"
    printf 'C4\nno id\n' >"$T/ids"
    asks '{"file":"ids"}' '[1, []]' 1
    contains "$(cat "$T/err")" "$T/ids:2: is no customer id" "the line"
}

it_lets_only_the_accounts_of_the_audience_die_with_audience_accounts() {
    cat >"$BOOK" <<'NDJSON'
{"id":"C1","locale":"de","accounts":["ada@walton.example"],"contacts":[{"channel":"email","address":"bob@walton.example"}]}
{"id":"C2","locale":"en","accounts":["bob@walton.example"],"contacts":[{"channel":"email","address":"ada@walton.example"}]}
NDJSON
    audience '"all"'
    sed -i 's/"disables":{[^}]*}/"disables":{"audience_accounts":true}/' "$JOB"
    equal 3 "$(preflight)" "exit code for all"
    equal '[2, ["C1", "C2"]]' "$(judged)" "all"
    audience '{"where":{"locale":"de"}}'
    sed -i 's/"disables":{[^}]*}/"disables":{"audience_accounts":true}/' "$JOB"
    equal 0 "$(preflight)" "exit code for one"
    equal '[1, []]' "$(judged)" "one"
}

it_lets_the_good_accounts_of_a_customer_die_who_has_a_bad_one() {
    cat >"$BOOK" <<'NDJSON'
{"id":"C1","accounts":["no address","ada@walton.example"],"contacts":[{"channel":"sms","address":"+441632960001"}]}
{"id":"C2","accounts":["bob@walton.example"],"contacts":[{"channel":"email","address":"Ada+x@walton.co.example"}]}
NDJSON
    audience '"all"'
    sed -i 's/"disables":{[^}]*}/"disables":{"audience_accounts":true}/' "$JOB"
    equal 3 "$(preflight)" "exit code"
    equal '[1, ["C2"]]' "$(judged)" "the lost"
    contains "$(cat "$T/err")" ':1: accounts[0]: ' "the bad one"
}

it_refuses_an_audience_that_is_none() {
    local audience
    for audience in '"everybody"' '{}' '{"file":"a","set":"b"}' '{"where":{}}' '{"where":{"local":"de"}}' '{"where":{"locale":[]}}' \
        '{"where":{"attributes":{"a":{}}}}' '{"where":{"attributes":{}}}' '{"where":{"account_domain":"a..b"}}' '{"set":"{x}"}' '7' '{"file":""}'; do
        audience "$audience"
        equal 1 "$(preflight)" "exit code for $audience"
        contains "$(cat "$T/err")" 'audience' "the member at fault of $audience"
    done
    audience '{"file":"nowhere"}'
    equal 1 "$(preflight)" "a file that is not there"
    sed -i 's/"audience":[^,]*,//' "$JOB"
    equal 1 "$(preflight)" "no audience at all"
    contains "$(cat "$T/err")" 'audience: is missing' "the message"
}

it_stands_absurd_customers() {
    change '"disables":{"domains":["walton.example"]}'
    "$PYTHON" - >"$BOOK" <<'PY'
import json
def line(id, contacts): print(json.dumps({"id": id, "contacts": contacts}))
line("many", [{"channel": "email", "address": "a%d@walton.example" % i} for i in range(10000)])
line("chain", [{"channel": "email", "address": "a%d@x.example" % i, "forwards_to": ["a%d@x.example" % (i + 1)]} for i in range(100000)])
line("loop", [{"channel": "email", "address": "a@x.example", "forwards_to": ["b@x.example"]},
              {"channel": "email", "address": "b@x.example", "forwards_to": ["a@x.example"]}])
PY
    equal 3 "$(preflight)" "exit code"
    equal '[["loop", "stranded"], ["many", "stranded"]]' "$(json "$T/out" '[[s["customer"], s["verdict"]] for s in d["stranded"]]')" "the lost"
    equal 9950 "$(json "$T/out" 'd["stranded"][1]["more_contacts"]')" "a list that is cut says so"
}

it_makes_a_page_that_stands_on_its_own() {
    cat >"$BOOK" <<'NDJSON'
{"id":"C1","locale":"<script>alert(1)</script>","contacts":[{"channel":"email","address":"ada@walton.example","gateway":"a"}]}
{"id":"C2","locale":"\"><img src=x>","contacts":[{"channel":"email","address":"c2@example.org"}]}
NDJSON
    equal 3 "$(preflight --html "$T/page.html")" "exit code"
    contains "$(cat "$T/page.html")" '<svg role="img"' "a chart"
    contains "$(cat "$T/page.html")" '1 of 2 customers would be cut off' "the verdict"
    contains "$(cat "$T/page.html")" "default-src 'none'" "a policy"
    lacks "$(cat "$T/page.html")" '<script' "a script"
    lacks "$(cat "$T/page.html")" '<img' "an image"
    lacks "$(cat "$T/page.html")" '://' "another server"
    lacks "$(cat "$T/page.html")" 'ada@' "an address in the open"
    equal 600 "$(stat -c %a "$T/page.html")" "who may read it"
    "$PYTHON" -c 'import sys, html.parser
class P(html.parser.HTMLParser):
    void = {"meta", "br"}
    stack = []
    def handle_starttag(self, tag, attrs):
        if tag not in self.void: self.stack.append(tag)
    def handle_endtag(self, tag):
        assert self.stack and self.stack.pop() == tag, tag
p = P(); p.feed(open(sys.argv[1]).read()); assert not p.stack, p.stack' "$T/page.html" || fail "the page is not well formed"
    equal 1 "$(preflight --html "$T/no/page.html")" "a place that does not exist"
}

it_needs_no_more_memory_for_more_customers() {
    "$PYTHON" -c 'for i in range(150000): print("{\"id\":\"C%d\",\"locale\":\"l%d\",\"contacts\":[{\"channel\":\"email\",\"address\":\"c%d@example.org\"}]}" % (i, i % 1000, i))' >"$BOOK"
    "$PYTHON" - "$B/reachctl" "$CONFIG" "$JOB" "$BOOK" <<'PY' || fail "memory grew with the file"
import os, subprocess, sys
ctl, config, job, book = sys.argv[1:]
def largest(path):
    child = subprocess.Popen([ctl, "--config", config, "preflight", job, "--contacts", path, "--json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status
    return usage.ru_maxrss
small = book + ".small"
with open(book) as all_lines, open(small, "w") as out:
    for _ in range(2000):
        out.write(next(all_lines))
few, many = largest(small), largest(book)
sys.exit(0 if many < few + 4096 else "%d KiB for 2,000 customers, %d KiB for 150,000" % (few, many))
PY
}

it_reads_the_contact_book_when_no_file_is_given() {
    equal 5 "$(status_of "$B/reachctl" --config "$CONFIG" preflight "$JOB" --json)" "without Redis"
    start_redis
    equal 0 "$(status_of "$B/reachctl" --config "$CONFIG" preflight "$JOB" --json)" "an empty book"
    equal 0 "$(json "$T/out" 'd["customers"]')" "nobody is there"
}

book() { status_of "$B/reachctl" --config "$CONFIG" preflight "$JOB" --json; }

it_finds_the_same_in_the_contact_book_as_in_the_file() {
    local where
    audience_book
    status_of "$B/reachctl" --config "$CONFIG" contacts import "$BOOK" >"$T/status"
    for where in '"all"' '{"where":{"locale":"de"}}' '{"where":{"attributes":{"tier":"base"}}}' '{"where":{"account_domain":"walton.example"}}'; do
        audience "$where"
        preflight >"$T/status"
        judged >"$T/file"
        book >"$T/status"
        equal "$(cat "$T/file")" "$(judged)" "the audience $where"
    done
    printf 'C2\nC1\nC9\nC2\n' >"$T/ids"
    audience '{"file":"ids"}'
    equal 3 "$(book)" "exit code for ids"
    equal '[2, ["C2"]]' "$(judged)" "the audience of the file"
    equal '[["C9", "is not in the contact book"]]' "$(json "$T/out" '[[u["where"], u["reason"]] for u in d["unusable_customers"]]')" "who is not known"
    rcli SADD 'reach:audience:{team}' C3 C4 >"$T/sadd"
    audience '{"set":"team"}'
    equal 3 "$(book)" "exit code for the set"
    equal '[2, ["C3"]]' "$(judged)" "the audience of the set"
    equal 3 "$(preflight)" "exit code for the set and a file"
    equal '[2, ["C3"]]' "$(judged)" "the set and a file"
}

it_goes_by_the_previous_address_as_reachd_does() {
    echo '{"id":"C1","contacts":[{"channel":"email","address":"c1@walton.example","changed_at":"2026-02-01T00:00:00Z","previous_address":"c1@example.org"}]}' >"$BOOK"
    change '"disables":{"domains":["walton.example"]},"suspect_since":"2026-01-01T00:00:00Z"'
    equal 0 "$(preflight)" "exit code"
    change '"disables":{"domains":["walton.example"]}'
    equal 3 "$(preflight)" "without suspicion only what is listed counts"
}

run_cases
