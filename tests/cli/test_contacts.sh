#!/bin/bash
# reachctl contacts: what an import keeps, marks and rejects; that it can be interrupted; that an export reads back the same.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachctl

CONFIG=$T/reachd.yaml
BOOK=$T/book.ndjson

# show CUSTOMER EXPRESSION: a Python expression on what `customer show` prints.
show() { ctl customer show "$1" --json | json - "$2"; }

# import FILE OPTION...: the exit code; the report in $T/out.
import() { status_of ctl contacts import --json "$@"; }

it_begins_with_an_empty_book() {
    start_redis
    cat >"$CONFIG" <<YAML
redis: {address: "unix:$REDIS_SOCK", connect_timeout: 2s}
own_domains:
  - {domain: walton.example, aliases: [walton.co.example], plus_addressing: true}
YAML
    cat >"$BOOK" <<'NDJSON'
{"id":"C1","name":"Ada","locale":"en-GB","time_zone":"Europe/London","accounts":["Ada@walton.co.example"],"attributes":{"tier":"gold"},"contacts":[{"channel":"email","address":"ada@example.org","verified_at":"2026-01-02T03:04:05Z"},{"channel":"sms","address":"+441632960001","gateway":"texts","depends_on":["ada@walton.example"]}]}
{"id":"C2","contacts":[{"channel":"email","address":"bo@example.org"},{"channel":"email","address":"bo@alumni.example","status":"unverified","forwards_to":["bo@walton.example","bo@example.net"]}]}
NDJSON
    equal 0 "$(import "$BOOK")" "exit code"
    equal '[2, 0, 0, 0]' "$(json "$T/out" '[d[k] for k in ("new", "changed", "unchanged", "rejected")]')" "the report"
    equal '["contact book", "reachable", 2]' "$(show C1 '[d["source"], d["verdict"], len(d["contacts"])]')" "the first customer"
    equal C1 "$(rcli hget reach:accounts ada@walton.example)" "whose account it is"
    equal 0 "$(find "$T" -name 'book.ndjson.*' | wc -l)" "no note and no rejects are left"
}

it_changes_nothing_the_second_time() {
    equal 0 "$(import "$BOOK")" "exit code"
    equal '[0, 0, 2, 0]' "$(json "$T/out" '[d[k] for k in ("new", "changed", "unchanged", "rejected")]')" "the report"
}

it_marks_what_vanished_and_never_deletes() {
    echo '{"id":"C2","contacts":[{"channel":"email","address":"BO@example.org"}]}' >"$T/later.ndjson"
    equal 0 "$(import "$T/later.ndjson")" "exit code"
    equal 1 "$(json "$T/out" 'd["changed"]')" "the report"
    equal '[[false, true], [true, true]]' "$(show C2 '[[c.get("vanished", False), c["survives"]] for c in d["contacts"]]')" "both are there"
    equal '{}' "$(show C1 '{k: c for c in d["contacts"] for k in c if k == "vanished"}')" "the other customer"
}

it_remembers_the_address_that_another_took_the_place_of() {
    echo '{"id":"C1","contacts":[{"channel":"email","address":"ada@new.example"},{"channel":"sms","address":"+441632960001"}]}' >"$T/later.ndjson"
    equal 0 "$(import "$T/later.ndjson")" "exit code"
    ctl contacts export - >"$T/out" 2>/dev/null
    grep '"C1"' "$T/out" >"$T/c1"
    equal '[["ada@example.org", null, true], ["ada@new.example", "ada@example.org", false]]' \
        "$(json "$T/c1" '[[c["address"], c.get("previous_address"), c.get("vanished", False)] for c in d["contacts"] if c["channel"] == "email"]')" "old and new"
    equal '["Ada", {"tier": "gold"}]' "$(json "$T/c1" '[d["name"], d["attributes"]]')" "what the news left out stays"
}

it_says_who_is_missing_only_when_the_file_is_complete() {
    grep C2 "$BOOK" >"$T/half.ndjson"
    equal 0 "$(import "$T/half.ndjson")" "exit code"
    equal 0 "$(json "$T/out" 'd["vanished"]')" "without --complete"
    equal 0 "$(import "$T/half.ndjson" --complete)" "exit code"
    equal 1 "$(json "$T/out" 'd["vanished"]')" "with --complete"
    equal true "$(show C1 'all(c["vanished"] and c["survives"] for c in d["contacts"])')" "all of them are marked, and usable"
    equal 0 "$(import "$BOOK")" "they come back"
    equal '[true]' "$(show C1 '[not c.get("vanished") for c in d["contacts"] if c["address"] == "a••@example.org"]')" "and are not vanished"
}

it_rejects_a_bad_line_precisely_and_takes_the_rest() {
    {
        echo '{"id":"C3","contacts":[{"channel":"email","address":"c3@example.org"}]}'
        echo '{"id":"C4","contacts":["c4@example.org"]}'
        echo
        echo '{"id":"C5","colour":"red"}'
        printf '{"id":"C6","name":"\xff"}\n'
        echo '{"id":"C7"'
    } >"$T/bad.ndjson"
    equal 1 "$(import "$T/bad.ndjson" --complete)" "exit code"
    equal '[1, 4, 0, false]' "$(json "$T/out" '[d[k] for k in ("new", "rejected", "vanished", "complete")]')" "the report"
    "$PYTHON" -c 'import json,sys; print(json.dumps([[r["line"], r.get("member")] for r in map(json.loads, sys.stdin)]))' <"$T/bad.ndjson.rejects" >"$T/rejected"
    equal '[[2, "contacts[0]"], [4, "colour"], [5, null], [6, null]]' "$(cat "$T/rejected")" "the reject file"
    equal 600 "$(stat -c %a "$T/bad.ndjson.rejects")" "who may read it"
    equal false "$(show C1 'all(c.get("vanished", False) for c in d["contacts"])')" "nobody is missing after a rejected line"
    equal 0 "$(import "$BOOK")" "a good file"
    equal 2 "$(status_of ctl contacts import "$BOOK" --format xml)" "a format that does not exist"
    equal 1 "$(import "$T/nothing.ndjson")" "no such file"
}

it_rejects_a_contact_point_that_cannot_be_and_takes_the_rest_of_its_customer() {
    {
        echo '{"id":"B1","name":"Bo","contacts":[{"channel":"email","address":"no address"},{"channel":"sms","address":"+441632960021"},{"channel":"sms","address":"0163"}]}'
        echo '{"id":"B2","contacts":[{"channel":"email","address":"b2@"}]}'
        echo '{"id":"B3","contacts":[{"channel":"email","address":"b3@example.org"}]}'
    } >"$T/part.ndjson"
    equal 1 "$(import "$T/part.ndjson")" "exit code"
    equal '[3, 0, 3]' "$(json "$T/out" '[d[k] for k in ("new", "rejected", "rejected_contacts")]')" "the report"
    equal '[["sms", "••21"]]' "$(show B1 '[[c["channel"], c["address"]] for c in d["contacts"]]' | "$PYTHON" -c 'import json,sys; print(json.dumps(json.load(sys.stdin), ensure_ascii=False))')" "what is left of the first"
    equal '["stranded", []]' "$(show B2 '[d["verdict"], d["contacts"]]')" "the second is known, and stranded"
    "$PYTHON" -c 'import json,sys; print(json.dumps([[r["line"], r["member"], json.loads(r.get("input", "{}")).get("id")] for r in map(json.loads, sys.stdin)]))' <"$T/part.ndjson.rejects" >"$T/rejected"
    equal '[[1, "contacts[0].address", "B1"], [1, "contacts[2].address", null], [2, "contacts[0].address", "B2"]]' "$(cat "$T/rejected")" "the reject file"
    contains "$(cat "$T/err")" 'part.ndjson:2: contacts[0].address: ' "what is said"
    printf 'id,email,sms\nB4,b4@example.org,12\n' >"$T/part.csv"
    equal 1 "$(import "$T/part.csv")" "CSV"
    equal '["email"]' "$(show B4 '[c["channel"] for c in d["contacts"]]')" "what is left"
}

it_writes_a_long_line_down_once_however_much_is_wrong_with_it() {
    "$PYTHON" -c 'import json; print(json.dumps({"id": "B5", "contacts": [{"channel": "sms", "address": str(i)} for i in range(10000)]}))' >"$T/wide.ndjson"
    equal 1 "$(import "$T/wide.ndjson")" "exit code"
    equal '[1, 0, 10000]' "$(json "$T/out" '[d[k] for k in ("new", "rejected", "rejected_contacts")]')" "the report"
    equal 10000 "$(wc -l <"$T/wide.ndjson.rejects")" "all are told"
    [ "$(stat -c %s "$T/wide.ndjson.rejects")" -lt 4000000 ] || fail "$(stat -c %s "$T/wide.ndjson.rejects") bytes of rejects"
}

it_says_so_when_what_was_rejected_cannot_be_written_down() {
    local said
    said=$(
        trap '' XFSZ
        ulimit -f 0
        ctl contacts import "$T/part.ndjson" 2>&1 || echo "exit $?"
    )
    contains "$said" 'part.ndjson.rejects: File too large' "what is said"
    contains "$said" 'exit 1' "exit code"
    lacks "$said" 'what was rejected is in' "no word of a file that is not there"
}

it_reads_spreadsheets_long_and_wide() {
    printf '\xef\xbb\xbfid,name,channel,address,status,depends_on,attributes.tier\r\n"S1","Smith, ""Jo""",email,jo@example.org,,,gold\r\nS1,,sms,+441632960011,unverified,jo@walton.example x@y.example,\r\n\r\nS2,"two\r\nlines",email,s2@example.org,,,\r\nS3,Kim,email,s3@example.org,,,\r\n' >"$T/long.csv"
    equal 1 "$(import "$T/long.csv")" "a name with a line end is refused"
    equal '[2, 1]' "$(json "$T/out" '[d["new"], d["rejected"]]')" "the report"
    equal '[5, "name"]' "$(json "$T/long.csv.rejects" '[d["line"], d["member"]]')" "the reject"
    equal '[["email", "active"], ["sms", "unverified"]]' "$(show S1 '[[c["channel"], c["status"]] for c in d["contacts"]]')" "both rows"
    ctl contacts export - 2>/dev/null | grep '"S1"' >"$T/s1"
    equal '["Smith, \"Jo\"", {"tier": "gold"}, ["jo@walton.example", "x@y.example"]]' \
        "$(json "$T/s1" '[d["name"], d["attributes"], d["contacts"][1]["depends_on"]]')" "all members"
    printf 'id,email,email,sms,locale\nW1,a@example.org,b@example.org,,de\nW2,,,+441632960012,\n' >"$T/wide.csv"
    equal 0 "$(import "$T/wide.csv")" "exit code"
    equal '[["email", "email"], "de"]' "$(show W1 '[[c["channel"] for c in d["contacts"]], d["locale"]]')" "side by side"
}

it_refuses_what_is_wrong_with_a_spreadsheet() {
    printf 'id,email,colour\nX1,a@example.org,red\n' >"$T/odd.csv"
    equal 1 "$(import "$T/odd.csv")" "an unknown column"
    contains "$(cat "$T/err")" 'colour' "the message"
    printf 'name,email\nAda,a@example.org\n' >"$T/odd.csv"
    equal 1 "$(import "$T/odd.csv")" "no column id"
    printf 'id,name,channel,address\nX1,Ada,email,a@example.org\nX1,Eve,sms,+441632960013\nX2,Bo,email\nX3,"Ki"m,email,k@example.org\nX4,Lu,email,lu@example.org\n' >"$T/odd.csv"
    equal 1 "$(import "$T/odd.csv")" "rows with faults"
    equal 1 "$(status_of ctl customer show X1)" "one name or the other"
    equal 1 "$(status_of ctl customer show X2)" "a field is missing"
    equal 1 "$(status_of ctl customer show X3)" "a quote in the wrong place"
    equal reachable "$(show X4 'd["verdict"]')" "reading goes on behind it"
    equal 3 "$(wc -l <"$T/odd.csv.rejects")" "rejects"
    printf 'id,email\nX5,a@example.org\nX6,"b@example.org' >"$T/odd.csv"
    equal 1 "$(import "$T/odd.csv")" "a file that ends inside quotes"
}

it_adds_up_a_customer_who_is_listed_in_two_places() {
    printf 'id,channel,address\nY1,email,one@example.org\nY2,email,y2@example.org\nY1,sms,+441632960014\n' >"$T/scattered.csv"
    equal 0 "$(import "$T/scattered.csv")" "exit code"
    equal '[["email", false], ["sms", false]]' "$(show Y1 '[[c["channel"], c.get("vanished", False)] for c in d["contacts"]]')" "nothing has vanished"
}

it_exports_what_an_import_reads_back() {
    ctl contacts export "$T/all.ndjson" 2>/dev/null
    equal 600 "$(stat -c %a "$T/all.ndjson")" "who may read it"
    rcli --raw hgetall reach:contacts | sed -e 's/^[0-9]*\([\x1e\x1f]\)/TIME\1/' -e 's/^[0-9]\{10\}$/TIME/' | sort >"$T/before"
    rcli del reach:contacts >/dev/null
    equal 0 "$(import "$T/all.ndjson")" "exit code"
    rcli --raw hgetall reach:contacts | sed -e 's/^[0-9]*\([\x1e\x1f]\)/TIME\1/' -e 's/^[0-9]\{10\}$/TIME/' | sort >"$T/after"
    diff "$T/before" "$T/after" >&2 || fail "the book is another after export and import"
    ctl contacts export "$T/all.csv" 2>/dev/null
    equal 0 "$(import "$T/all.csv")" "CSV"
    equal 0 "$(json "$T/out" 'd["new"] + d["changed"]')" "CSV tells the same"
    equal 1 "$(status_of ctl contacts export "$T/no/all.ndjson")" "a place that does not exist"
}

it_takes_look_alikes_and_tells_of_them() {
    {
        printf '{"id":"L1","contacts":[{"channel":"email","address":"l1@example.org"},{"channel":"email","address":"l1@w\xd0\xb0lton.example"}]}\n'
        printf '{"id":"L2","contacts":[{"channel":"email","address":"\xd0\xb0da@example.org"}]}\n'
        printf '{"id":"L3","contacts":[{"channel":"email","address":"\xd0\xb0\xd0\xbd\xd0\xbd\xd0\xb0@example.org"}]}\n'
    } >"$T/alike.ndjson" # a Cyrillic a in a domain of ours and in a name; a name that is Cyrillic throughout
    equal 0 "$(import "$T/alike.ndjson")" "exit code: they are taken"
    equal '[3, 0, 2]' "$(json "$T/out" '[d[k] for k in ("new", "rejected", "lookalikes")]')" "the report"
    contains "$(cat "$T/err")" 'alike.ndjson:1: warning: contacts[1].address: ' "line and member"
    contains "$(cat "$T/err")" 'alike.ndjson:2: warning: contacts[0].address: ' "line and member"
    lacks "$(cat "$T/err")" 'alike.ndjson:3:' "one script is no look-alike"
    printf '{"id":"L4","contacts":[{"channel":"sms","address":"1"},{"channel":"email","address":"l4@w\xd0\xb0lton.example"}]}\n' >"$T/both.ndjson"
    equal 1 "$(import "$T/both.ndjson")" "one that cannot be and one that looks like another"
    contains "$(cat "$T/err")" 'both.ndjson:1: warning: contacts[1].address: ' "the member as it stands in the file"
    equal '["reachable", [false, true]]' "$(show L1 '[d["verdict"], ["warning" in c for c in d["contacts"]]]')" "the customer"
    contains "$(show L1 'd["contacts"][1]["warning"]')" 'looks like one of our own' "what the service desk sees"
    contains "$(ctl customer show L1)" 'looks like one of our own' "the text"
    lacks "$(ctl customer show L3)" 'looks like' "the text of another"
}

it_says_who_hangs_on_a_single_route() {
    printf '%s\n' '{"id":"G1","contacts":[{"channel":"email","address":"g1@x.example"},{"channel":"email","address":"g2@X.example"}]}' \
        '{"id":"G2","contacts":[{"channel":"email","address":"g1@x.example"},{"channel":"sms","address":"+441632960015"}]}' >"$T/single.ndjson"
    equal 0 "$(import "$T/single.ndjson")" "exit code"
    equal '[true]' "$(show G1 '[d["single_route"]]')" "one mail domain"
    equal '[false]' "$(show G2 '[d.get("single_route", False)]')" "two ways"
    contains "$(ctl customer show G1)" 'single route' "the text"
    printf '{"v":1,"type":"campaign","id":"pw","notice":"x","audience":"all","disables":{"domains":["walton.example"]}}' >"$T/job.json"
    status_of ctl preflight "$T/job.json" --contacts "$T/single.ndjson" --json >"$T/status"
    equal '[2, 1]' "$(json "$T/out" '[d["customers"], d["single_route"]]')" "the preflight"
}

it_shows_how_far_it_is_on_a_terminal_only() {
    "$PYTHON" -c 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' \
        "$B/reachctl" --config "$CONFIG" contacts import "$BOOK" </dev/null >"$T/terminal" || fail "the import: $(cat "$T/terminal")"
    contains "$(cat "$T/terminal")" '[##############################] 100 %  2 customers' "the bar"
    equal 0 "$(import "$BOOK")" "without a terminal"
    lacks "$(cat "$T/err")" '%' "no bar"
}

it_goes_on_where_it_was_interrupted() {
    local status=0
    "$PYTHON" -c 'for i in range(60000): print("{\"id\":\"R%d\",\"contacts\":[{\"channel\":\"email\",\"address\":\"r%d@example.org\"}%s]}%s" % (i, i, ",{\"channel\":\"sms\",\"address\":\"1\"}" if i % 7 == 0 else "", "\n{}" if i % 11 == 0 else ""))' >"$T/many.ndjson"
    "$B/reachctl" --config "$CONFIG" contacts import "$T/many.ndjson" 2>"$T/err" &
    local pid=$!
    wait_until 60 "the import has begun" test -s "$T/many.ndjson.import"
    kill -TERM "$pid"
    wait "$pid" || status=$?
    equal 1 "$status" "interrupted"
    contains "$(cat "$T/err")" '--resume' "the way on"
    "$PYTHON" -c 'print("{\"line\":0,\"member\":\"of a batch that was not finished\"}")' >>"$T/many.ndjson.rejects"
    exec 9<"$T/many.ndjson.import"
    cp "$T/many.ndjson.import" "$T/note"
    equal 1 "$(import "$T/many.ndjson" --resume)" "resumed, with rejects"
    cmp "$T/note" - <&9 >&2 || fail "a note was written over: a kill between would have cost it"
    exec 9<&-
    equal '[5455, 8572]' "$(json "$T/out" '[d["rejected"], d["rejected_contacts"]]')" "rejects of both runs"
    equal '[14027, 14027]' "$("$PYTHON" -c 'import json,sys; r = [(d["line"], d["member"]) for d in map(json.loads, sys.stdin)]; print([len(r), len(set(r))])' <"$T/many.ndjson.rejects")" "each is listed once"
    [ "$(json "$T/out" 'd["new"]')" -lt 60000 ] || fail "it began at the beginning"
    equal 60000 "$(rcli --raw hkeys reach:contacts | grep -c '^R')" "all are there"
    equal 1 "$(import "$T/many.ndjson" --resume)" "nothing to resume"
}

it_goes_on_in_the_middle_of_a_spreadsheet() {
    local status=0
    "$PYTHON" -c 'print("id,channel,address")
for i in range(60000): print("Q%d,email,q%d@example.org\nQ%d,sms,+4416%08d" % (i, i, i, i))' >"$T/many.csv"
    "$B/reachctl" --config "$CONFIG" contacts import "$T/many.csv" 2>"$T/err" &
    local pid=$!
    wait_until 60 "the import has begun" test -s "$T/many.csv.import"
    kill -TERM "$pid"
    wait "$pid" || status=$?
    equal 1 "$status" "interrupted"
    equal 0 "$(import "$T/many.csv" --resume)" "resumed"
    equal 60000 "$(rcli --raw hkeys reach:contacts | grep -c '^Q')" "all are there"
    ctl contacts export - 2>/dev/null | grep '"Q' >"$T/q"
    equal 0 "$(grep -vc '"sms"' "$T/q" || true)" "everybody has both contact points"
    equal 0 "$(grep -c vanished "$T/q" || true)" "nothing has vanished"
}

it_does_not_revive_what_bounced_by_a_list_without_statuses() {
    statuses() { ctl contacts export - 2>/dev/null | grep '"NIGHTLY"' | json - '[c.get("status", "active") for c in d["contacts"]]'; }
    printf '{"id":"NIGHTLY","contacts":[{"channel":"email","address":"n@example.org","status":"bounced"},{"channel":"sms","address":"+441632960001","status":"withdrawn"}]}\n' >"$T/n.ndjson"
    equal 0 "$(import "$T/n.ndjson")" "what is known"
    sleep 1.1 # two imports within one second are one
    printf 'id,channel,address\nNIGHTLY,email,n@example.org\nNIGHTLY,sms,+441632960001\n' >"$T/n.csv"
    equal 0 "$(import "$T/n.csv")" "the nightly list"
    equal '["bounced", "withdrawn"]' "$(statuses)" "statuses after a list without any"
    sleep 1.1
    printf '{"id":"NIGHTLY","contacts":[{"channel":"email","address":"n@example.org","status":"active"},{"channel":"sms","address":"+441632960001"}]}\n' >"$T/n.ndjson"
    equal 0 "$(import "$T/n.ndjson")" "one that says it"
    equal '["active", "withdrawn"]' "$(statuses)" "statuses after one that says it"
}

it_judges_the_book_as_it_judges_the_file() {
    printf '{"v":1,"type":"campaign","id":"pw","notice":"x","audience":"all","disables":{"domains":["example.org"]}}' >"$T/job.json"
    ctl contacts export "$T/all.ndjson" 2>/dev/null
    equal 3 "$(status_of ctl preflight "$T/job.json" --json)" "the book"
    mv "$T/out" "$T/from-book"
    equal 3 "$(status_of ctl preflight "$T/job.json" --contacts "$T/all.ndjson" --json)" "the file"
    equal "$(json "$T/from-book" '[d["verdicts"], d["stranded"][:50]]')" "$(json "$T/out" '[d["verdicts"], d["stranded"][:50]]')" "the same answer"
}

run_cases
