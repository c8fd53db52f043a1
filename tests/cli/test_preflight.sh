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
    equal '["address", "channel", "reason", "survives"]' "$(json "$T/out" 'sorted(d["stranded"][0]["contacts"][0])')" "a contact point"
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
        echo '{"id":"C3","contacts":[{"channel":"email","address":"no address"}]}'
        echo '{"id":"C4","contacts":[{"channel":"pigeon","address":"x"}]}'
        echo '{"id":"C5","id":"C6"}'
        printf '{"id":"C7","name":"a\x01b"}\n'
        echo '{"id":"C8"'
    } >"$BOOK"
    equal 1 "$(preflight)" "nobody lost, six not judged"
    equal '[1, 6, ["2", "3", "4", "5", "6", "7"]]' \
        "$(json "$T/out" '[d["customers"], d["unusable"], [u["where"] for u in d["unusable_customers"]]]')" "who was not judged"
    contains "$(cat "$T/err")" "$BOOK:3: contacts[0].address: " "file, line and member"
    lacks "$(cat "$T/err")" 'no address"' "the value in the open"
}

it_stands_absurd_customers() {
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

run_cases
