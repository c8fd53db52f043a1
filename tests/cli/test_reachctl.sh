#!/bin/bash
# reachctl against a real Redis: exit codes, JSON shapes, what goes to stdout and what to stderr. No reachd is needed.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachctl

CTL=$B/reachctl
NOW_MS=$(($(date +%s) * 1000))

# A configuration with the test's Redis and one own domain.
write_config() {
    CONFIG=$T/reachd.yaml
    cat >"$CONFIG" <<YAML
redis:
  address: unix:$REDIS_SOCK
  connect_timeout: 2s
own_domains:
  - domain: walton.example
    aliases: [walton.co.example]
    plus_addressing: true
gateways:
  - {name: drain, channel: email, driver: "null"}
YAML
}

# job ID CUSTOMER CONTACTS: one notice job on one line.
job() {
    printf '{"v":1,"type":"notice","id":"%s","notice":"mail-password-disabled","customer":{"id":"%s","locale":"en","contacts":%s},"disables":{"accounts":["%s@walton.example"]}}\n' \
        "$1" "$2" "$3" "$2"
}

# hold_notice ID LETTER CUSTOMER RECORD [JOB]: puts a notice into Redis as reachd writes it (queue/PROTOCOL.md).
hold_notice() {
    rcli hset reach:notices "$1" "$2$(printf '%016x' 7) $3 $4" >/dev/null
    [ -z "${5:-}" ] || rcli hset reach:jobs "$1" "$5" >/dev/null
}

it_without_a_command_is_a_usage_error() {
    equal 2 "$(status_of "$CTL")" "no command"
    equal 2 "$(status_of "$CTL" explode)" "unknown command"
    contains "$(cat "$T/err")" 'no command "explode"' "the message"
    equal 2 "$(status_of "$CTL" notice)" "a noun alone"
    equal 2 "$(status_of "$CTL" notice show)" "a missing argument"
    equal 2 "$(status_of "$CTL" notice show a b)" "an argument too many"
    equal 2 "$(status_of "$CTL" status --wach)" "a misspelt option"
    equal 2 "$(status_of "$CTL" push --lane sideways -)" "a lane that does not exist"
    equal 2 "$(status_of "$CTL" clearance check)" "no account"
    equal 2 "$(status_of "$CTL" notice list --state happy)" "a state that does not exist"
    equal '' "$(cat "$T/out")" "stdout of a usage error"
}

it_explains_itself() {
    equal 0 "$(status_of "$CTL" --help)" "--help"
    contains "$(cat "$T/out")" 'clearance check' "--help"
    equal 0 "$(status_of "$CTL" --version)" "--version"
    equal 0 "$(status_of "$CTL" notice show --help)" "help of a command"
    contains "$(cat "$T/out")" 'reachctl notice show' "help of a command"
}

it_ends_with_5_and_one_line_when_redis_is_not_there() {
    local command
    for command in status stranded 'notice show x' 'customer show x' 'desk list' 'dead list' 'clearance check a@walton.example'; do
        # shellcheck disable=SC2086
        equal 5 "$(status_of "$CTL" --redis "unix:$T/nobody.sock" $command)" "$command"
        equal 1 "$(wc -l <"$T/err")" "lines on stderr of $command"
        equal '' "$(cat "$T/out")" "stdout of $command"
    done
    job n1 C1 '[]' >"$T/jobs"
    equal 5 "$(status_of "$CTL" --redis "unix:$T/nobody.sock" push "$T/jobs")" "push"
}

it_refuses_a_configuration_with_a_fault_and_names_the_line() {
    printf 'redis:\n  adress: unix:/x\n' >"$T/bad.yaml"
    equal 1 "$(status_of "$CTL" --config "$T/bad.yaml" status)" "a misspelt key"
    contains "$(cat "$T/err")" 'bad.yaml:2' "the message"
    equal 1 "$(status_of "$CTL" --config "$T/none.yaml" status)" "a missing file"
    equal 1 "$(REACHD_CONFIG=$T/bad.yaml status_of "$CTL" status)" "a fault in the file of REACHD_CONFIG"
}

it_shows_an_empty_reachd_as_all_zero() {
    start_redis
    write_config
    ctl status --json >"$T/status"
    equal '[0, 0, 0, 0, 0, 0, 0]' \
        "$(json "$T/status" '[d[k] for k in "accepted finished in_flight unaccounted stranded dead duplicates".split()]')" "the numbers"
    equal true "$(json "$T/status" 'all(isinstance(d[k], dict) for k in "lanes channels gateways campaigns".split())')" "the groups"
    equal '["banner", "email", "push", "sms"]' "$(json "$T/status" 'sorted(d["channels"])')" "the channels"
    equal '["drain"]' "$(json "$T/status" 'list(d["gateways"])')" "the gateways"
    contains "$(ctl status)" 'unaccounted 0' "the text"
}

it_pushes_what_is_good() {
    job n1 C1 '[{"channel":"email","address":"c1@example.org"}]' >"$T/jobs"
    job n2 C2 '[{"channel":"sms","address":"+441632960001"}]' >>"$T/jobs"
    equal 0 "$(status_of ctl push "$T/jobs")" "push"
    equal '' "$(cat "$T/out")" "stdout"
    equal 2 "$(rcli xlen reach:intake)" "urgent lane"
    equal "$(head -1 "$T/jobs")" "$(rcli xrange reach:intake - + count 1 | tail -1)" "the job as Redis holds it"
    ctl push --bulk - --json <"$T/jobs" >"$T/out"
    equal '[2, 0, "bulk"]' "$(json "$T/out" '[d["pushed"], d["bad"], d["lane"]]')" "the report"
    equal 2 "$(rcli xlen reach:intake:bulk)" "bulk lane"
    ctl push --lane bulk /dev/stdin < <(cat "$T/jobs") 2>/dev/null
    equal 4 "$(rcli xlen reach:intake:bulk)" "bulk lane after a pipe"
}

it_pushes_nothing_while_a_line_is_bad() {
    rcli del reach:intake >/dev/null
    { job n1 C1 '[]'; echo '{"v":1'; job n2 C2 '[{"channel":"pigeon","address":"x"}]'; echo; job n3 C3 '[]'; } >"$T/jobs"
    equal 1 "$(status_of ctl push "$T/jobs")" "push of bad lines"
    contains "$(cat "$T/err")" "jobs:2: not valid JSON" "the first fault"
    contains "$(cat "$T/err")" "jobs:3: customer.contacts[0].channel" "the second fault"
    equal 0 "$(rcli xlen reach:intake)" "urgent lane"
    equal 1 "$(status_of ctl push --partial --json "$T/jobs")" "push --partial"
    equal '[2, 2, [2, 3]]' "$(json "$T/out" '[d["pushed"], d["bad"], [e["line"] for e in d["errors"]]]')" "the report"
    equal 2 "$(rcli xlen reach:intake)" "urgent lane after --partial"
    head -c 70000 /dev/zero | tr '\0' 'x' >"$T/jobs"
    equal 1 "$(status_of ctl push "$T/jobs")" "a line over 64 KiB"
    equal 1 "$(status_of ctl push "$T/no-such-file")" "no such file"
    equal 1 "$(status_of ctl push "$T")" "a directory"
}

it_pushes_a_large_file_through_a_pipe_whole() {
    rcli del reach:intake:bulk >/dev/null
    "$PYTHON" -c 'for i in range(20000): print("{\"v\":1,\"type\":\"cancel\",\"id\":\"c%d\",\"notice\":\"n%d\"}" % (i, i))' |
        ctl push --bulk - 2>/dev/null
    equal 20000 "$(rcli xlen reach:intake:bulk)" "bulk lane"
    contains "$(rcli xrevrange reach:intake:bulk + - count 1)" '"c19999"' "the last job"
}

it_shows_one_notice_with_its_timeline() {
    hold_notice n1 t C1 '{"c":"C1","n":"mail-password-disabled","at":'$NOW_MS',"route":"security","v":"reachable","why":"waiting for a bounce","a":["c1@walton.example"],"tries":[{"s":0,"k":"00","ch":"email","g":"drain","to":"c••@example.org","n":2,"o":"sent","ev":"sent","at":'$NOW_MS',"why":"accepted"}],"log":[['$NOW_MS',"accepted"],['$NOW_MS',"sent","email through drain"]]}'
    ctl notice show n1 --json >"$T/out"
    equal '["n1", "sent", "C1", "reachable"]' "$(json "$T/out" '[d[k] for k in ("id","state","customer","verdict")]')" "the head"
    equal '[2, "sent", "drain", 1]' "$(json "$T/out" '[d["tries"][0][k] for k in ("attempts","outcome","gateway","step")]')" "the try"
    equal '["accepted", "sent"]' "$(json "$T/out" '[l["what"] for l in d["timeline"]]')" "the timeline"
    lacks "$(cat "$T/out")" 'c1@walton' "an address in the open"
    contains "$(ctl notice show n1)" 'email through drain' "the text"
    equal 1 "$(status_of ctl notice show nobody)" "an unknown notice"
    equal '["n1"]' "$(ctl notice list --state sent --json | json - '[n["id"] for n in d]')" "the list"
    equal '[]' "$(ctl notice list --state reached --json | json - d)" "an empty list"
}

it_explains_one_customer() {
    local contacts='[{"channel":"email","address":"c2@example.org"},{"channel":"email","address":"C2+shop@walton.co.example"},{"channel":"sms","address":"+441632960002","status":"unverified"}]'
    hold_notice n2 p C2 '{"c":"C2","n":"mail-password-disabled","at":'$NOW_MS',"a":["c2@walton.example"],"tries":[],"log":[]}' "$(job n2 C2 "$contacts")"
    rcli hset reach:last C2 n2 >/dev/null
    rcli hset reach:holds c2@walton.example '{"notice":"n2","customer":"C2","since":"2026-11-21T10:00:00Z"}' >/dev/null
    rcli hset reach:holds x@walton.example '{"notice":"n9","customer":"C9","since":"2026-11-21T10:00:00Z"}' >/dev/null
    ctl customer show C2 --json >"$T/out"
    equal '["C2", "reachable", "newest notice"]' "$(json "$T/out" '[d[k] for k in ("customer","verdict","source")]')" "the head"
    equal '[true, false, true]' "$(json "$T/out" '[c["survives"] for c in d["contacts"]]')" "who survives"
    equal true "$(json "$T/out" 'all(c["reason"] for c in d["contacts"])')" "a reason for each"
    equal '["n2"]' "$(json "$T/out" '[n["id"] for n in d["notices"]]')" "the notices"
    equal 1 "$(json "$T/out" 'len(d["holds"])')" "the holds"
    lacks "$(cat "$T/out")" 'c2@' "an address in the open"
    contains "$(ctl customer show C2)" 'Contact points' "the text"
    equal 1 "$(status_of ctl customer show nobody)" "an unknown customer"
}

it_lists_the_stranded_with_the_reason() {
    hold_notice n3 n C3 '{"c":"C3","n":"x","at":'$NOW_MS',"v":"stranded","why":"no contact point survives","a":[],"tries":[],"log":[]}' '{"campaign":"pw"}'
    hold_notice n4 n C4 '{"c":"C4","n":"x","at":'$NOW_MS',"v":"passive","why":"only a banner","a":[],"tries":[],"log":[]}'
    ctl stranded --json >"$T/out"
    equal '["C3", "C4"]' "$(json "$T/out" 'sorted(n["customer"] for n in d)')" "who"
    equal true "$(json "$T/out" 'all(n["reason"] for n in d)')" "why"
    equal '["C3"]' "$(ctl stranded --campaign pw --json | json - '[n["customer"] for n in d]')" "one campaign"
    contains "$(ctl stranded 2>/dev/null)" 'no contact point survives' "the text"
}

it_lists_desk_cases_oldest_first() {
    rcli hset reach:desk n3 '{"notice":"n3","customer":"C3","reason":"stranded","owner":"desk","opened_at":"2026-11-20T10:00:00Z","state":"open"}' \
        n4 '{"notice":"n4","customer":"C4","reason":"passive","owner":"desk","opened_at":"2026-11-19T10:00:00Z","state":"claimed","claimed_by":"Eve"}' \
        n5 '{"notice":"n5","customer":"C5","reason":"x","owner":"desk","opened_at":"2026-11-18T10:00:00Z","state":"done"}' n6 'no JSON' >/dev/null
    equal '["n4", "n3", "n6"]' "$(ctl desk list --json | json - '[c["notice"] for c in d]')" "the order"
    equal '["n4"]' "$(ctl desk list --state claimed --json | json - '[c["notice"] for c in d]')" "one state"
    equal 2 "$(status_of ctl desk list --state lost)" "a state that does not exist"
    contains "$(ctl desk list 2>/dev/null)" 'Eve' "the text"
}

it_lets_one_person_claim_a_case() {
    equal 0 "$(status_of ctl desk claim n3 --as Ada)" "claim"
    equal '["claimed", "Ada", "C3"]' "$(rcli hget reach:desk n3 | json - '[d[k] for k in ("state", "claimed_by", "customer")]')" "the case"
    equal 0 "$(status_of ctl desk claim n3 --as Ada)" "the same person again"
    equal 1 "$(status_of ctl desk claim n3 --as Bob)" "somebody else"
    contains "$(cat "$T/err")" 'Ada has this case' "the message"
    equal 0 "$(status_of ctl desk claim n3 --as Bob --yes)" "taken over"
    equal 1 "$(status_of ctl desk claim nobody --as Bob)" "no such case"
    equal 1 "$(status_of ctl desk claim n6 --as Bob)" "a case that cannot be read"
    equal 2 "$(env -u LOGNAME -u USER "$PYTHON" -c 'import subprocess, sys; print(subprocess.call(sys.argv[1:]))' "$CTL" --config "$CONFIG" desk claim n3 2>/dev/null)" "nobody"
}

it_asks_reachd_to_close_a_case() {
    rcli del reach:intake reach:receipts >/dev/null
    equal 1 "$(status_of ctl desk 'done' n3 --as Bob)" "nobody there to answer"
    equal 0 "$(rcli xlen reach:intake)" "nothing is pushed"
    equal 1 "$(status_of ctl desk 'done' n3 --as Ada)" "somebody else's case"
    equal 0 "$(status_of ctl desk 'done' n3 --as Bob --note 'rang them' --reached --yes)" "done"
    rcli xrange reach:intake - + | tail -1 >"$T/job"
    equal '["desk", "n3", "Bob", "rang them"]' "$(json "$T/job" '[d[k] for k in ("type", "notice", "by", "note")]')" "the job"
    rcli xrange reach:receipts - + | tail -1 >"$T/receipt"
    equal '["n3", "acknowledged"]' "$(json "$T/receipt" '[d[k] for k in ("notice", "status")]')" "the receipt"
}

it_releases_only_what_has_a_live_record() {
    local later
    later=$(date -u -d '+1 hour' +%Y-%m-%dT%H:%M:%SZ)
    rcli set 'reach:release:{C1}' '{"granted_at":"2026-01-01T00:00:00Z","expires_at":"'"$later"'","notice":"n1"}' >/dev/null
    rcli set 'reach:release:{C2}' '{"expires_at":"'"$later"'"}' >/dev/null
    equal 0 "$(status_of ctl release check C1)" "a live release"
    equal 4 "$(status_of ctl release check C1 C2)" "a record that does not say on what notice"
    equal 4 "$(status_of ctl release check C3)" "no release"
    equal 4 "$(status_of ctl release check 'C 1')" "no id"
    equal C1 "$(ctl release check C1 --json | json - 'd[0]["customer"]')" "JSON"
}

it_clears_only_what_has_a_live_record() {
    local later earlier
    later=$(date -u -d '+1 hour' +%Y-%m-%dT%H:%M:%SZ)
    earlier=$(date -u -d '-1 hour' +%Y-%m-%dT%H:%M:%SZ)
    rcli set 'reach:clearance:{ok@walton.example}' '{"granted_at":"'"$earlier"'","expires_at":"'"$later"'","notice":"n1","evidence":"seen"}' >/dev/null
    rcli set 'reach:clearance:{old@walton.example}' '{"granted_at":"'"$earlier"'","expires_at":"'"$earlier"'","notice":"n1","evidence":"seen"}' >/dev/null
    rcli set 'reach:clearance:{odd@walton.example}' 'yes' >/dev/null
    equal 0 "$(status_of ctl clearance check ok@walton.example)" "a live clearance"
    equal 0 "$(status_of ctl clearance check 'OK+x@WALTON.co.example.')" "the same mailbox under another name"
    equal 4 "$(status_of ctl clearance check no@walton.example)" "no clearance"
    equal 4 "$(status_of ctl clearance check old@walton.example)" "an expired clearance"
    equal 4 "$(status_of ctl clearance check odd@walton.example)" "an unreadable clearance"
    equal 4 "$(status_of ctl clearance check ok@walton.example no@walton.example)" "one of two"
    equal 4 "$(status_of ctl clearance check 'not an address')" "no address"
    ctl clearance check --json ok@walton.example no@walton.example >"$T/out" || true
    equal '[true, false]' "$(json "$T/out" '[a["cleared"] for a in d]')" "the list"
    "$PYTHON" -c 'print("\n".join(["ok@walton.example"] * 2000))' | ctl clearance check --stdin >"$T/out" || fail "2,000 cleared accounts"
    equal 2000 "$(wc -l <"$T/out")" "2,000 answers"
    local status=0
    { "$PYTHON" -c 'print("\n".join(["ok@walton.example"] * 1999))'; echo no@walton.example; } | ctl clearance check --stdin >"$T/out" || status=$?
    equal 4 "$status" "one of 2,000"
    status=0
    printf '\n\n' | ctl clearance check --stdin 2>/dev/null || status=$?
    equal 2 "$status" "an empty list clears nothing"
    status=0
    printf 'ok@walton.example\0no@walton.example\n' | ctl clearance check --stdin >/dev/null || status=$?
    equal 4 "$status" "a NUL inside an account"
}

it_shows_dead_letters_newest_first() {
    rcli xadd reach:dead '*' job '{"v":9}' reason 'must be 1' member v id j1 >/dev/null
    rcli xadd reach:dead '*' job '{' reason 'not valid JSON' member '' id '' >/dev/null
    ctl dead list --json >"$T/out"
    equal '["not valid JSON", "must be 1"]' "$(json "$T/out" '[l["reason"] for l in d]')" "the order"
    equal true "$(json "$T/out" 'all("job" not in l for l in d)')" "no job in the list"
    ctl dead show "$(json "$T/out" 'd[1]["entry"]')" --json >"$T/letter"
    equal '{"v":9}' "$(json "$T/letter" 'd["job"]')" "the job whole"
    equal '"must be 1"' "$(ctl dead show j1 --json | json - '[d["reason"]][0:1]' | tr -d '[]')" "by the job's id"
    equal 1 "$(status_of ctl dead show 1-1)" "an unknown dead letter"
    equal 1 "$(ctl dead list --limit 1 --json | json - 'len(d)')" "--limit"
}

it_lists_gateways_without_redis() {
    equal '[["drain", "email", "null"]]' \
        "$(ctl --redis unix:/nowhere gateway list --json | json - '[[g["name"], g["channel"], g["driver"]] for g in d]')" "the list"
    contains "$(ctl gateway list)" 'drain' "the text"
}

# on_terminal COMMAND...: its output when stdout is a terminal.
on_terminal() { script -qec "$*" /dev/null </dev/null; }

it_finds_what_is_wrong_with_an_installation() {
    equal 1 "$(status_of ctl doctor --json)" "no templates"
    equal '["templates"]' "$(json "$T/out" '[c["check"] for c in d if not c["ok"] and c["check"] == "templates"]')" "what is wrong"
    equal true "$(json "$T/out" 'all(c["ok"] for c in d if c["check"] in ("redis", "aof_enabled", "maxmemory_policy", "role"))')" "what is right"
    rcli config set maxmemory-policy allkeys-lru >/dev/null
    ctl doctor --json >"$T/out" || true
    equal '[false]' "$(json "$T/out" '[c["ok"] for c in d if c["check"] == "maxmemory_policy"]')" "a Redis that forgets"
    rcli config set maxmemory-policy noeviction >/dev/null
    equal 5 "$(status_of ctl --redis "unix:$T/nobody.sock" doctor)" "no Redis"
}

it_shows_the_words() {
    local words=$TOP/templates/messages
    equal 0 "$(status_of ctl template lint "$words")" "lint"
    equal 1 "$(status_of ctl template lint "$T/no-words")" "a directory that is not there"
    cp -r "$words" "$T/silent-words"
    printf 'Walton: hello{{#action_url}} {{action_url}}{{/action_url}}\n' >"$T/silent-words/reminder/en/sms.txt"
    equal 1 "$(status_of ctl template lint "$T/silent-words")" "a message that cannot be checked"
    contains "$(cat "$T/out")" 'reminder/en/sms.txt: the reader has no way to check' "a finding about a whole file has no line"
    contains "$(ctl template list "$words" --json | json - '[n["notice"] for n in d["notices"] if "de" in n["locales"]]')" 'mail-password-disabled' "list"
    printf '{"tests":[{"name":"a","desc":"","data":{"x":"y"},"template":"{{x}}","expected":"y"},{"name":"b","desc":"","data":{},"template":"a","expected":"b"}]}' >"$T/spec.json"
    equal 1 "$(status_of ctl template check-mustache "$T/spec.json")" "a case that fails"
    equal '1 passed, 1 failed' "$(cat "$T/out")" "the tally"
    printf 'templates: {directory: %s}\n' "$words" >"$T/words.yaml"
    contains "$("$CTL" --config "$T/words.yaml" template preview mail-password-disabled --locale en --in-force)" 'we have switched off your mailbox password' "preview"
    equal 2 "$("$CTL" --config "$T/words.yaml" template preview mail-password-disabled --locale en --json | json - 'd["sms"]["count"]["segments"]')" "segments in the preview"
    equal 1 "$(status_of "$CTL" --config "$T/words.yaml" template preview no-such-notice)" "preview of an unknown notice"
    printf '{"name":"Ada","account":"ada@walton.example","reset_url":"https://walton.example/reset","effective_at":"2026-12-23T18:00:00Z"}' >"$T/data.json"
    equal 0 "$(status_of "$CTL" --config "$T/words.yaml" template render mail-password-disabled --locale de-AT --channel sms --data "$T/data.json")" "render: $(cat "$T/err")"
    contains "$(cat "$T/out")" 'https://walton.example/reset' "the text"
    equal 1 "$(status_of "$CTL" --config "$T/words.yaml" template render mail-password-disabled --channel sms)" "values are missing"
    equal 2 "$(status_of "$CTL" --config "$T/words.yaml" template render x --channel pigeon)" "no such channel"
}

it_serves_the_words_on_loopback_until_it_is_stopped() {
    start preview "$CTL" --config "$CONFIG" template serve "$TOP/templates/messages"
    wait_until 20 "the page's address" grep -q '^http://127.0.0.1:' "$T/preview.log"
    "$PYTHON" -c 'import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], None, 10).read().decode())' \
        "$(head -1 "$T/preview.log")" >"$T/page"
    contains "$(cat "$T/page")" '<html' "the page"
    stop preview INT
    equal 0 "$STATUS" "interrupted"
    equal 2 "$(status_of ctl template serve --port x)" "no port"
}

it_writes_no_colours_into_a_pipe_or_where_they_are_unwanted() {
    need script
    lacks "$(on_terminal "NO_COLOR=1 TERM=xterm $CTL --config $CONFIG gateway list")" $'\e[' "NO_COLOR"
    lacks "$(on_terminal "env -u NO_COLOR TERM=xterm $CTL --config $CONFIG gateway list --no-color")" $'\e[' "--no-color"
    contains "$(on_terminal "env -u NO_COLOR TERM=xterm $CTL --config $CONFIG gateway list")" $'\e[' "a terminal"
    lacks "$(env -u NO_COLOR TERM=xterm "$CTL" --config "$CONFIG" gateway list)" $'\e[' "a pipe"
}

it_never_ends_with_0_when_the_answer_could_not_be_written() {
    local status=0
    ctl status --json >/dev/full 2>"$T/err" || status=$?
    equal 1 "$status" "a full disk"
    contains "$(cat "$T/err")" 'cannot write the answer' "the message"
    status=0
    ctl status --json >&- 2>/dev/null || status=$?
    equal 1 "$status" "a closed stdout"
    status=0
    ctl clearance check ok@walton.example >&- 2>/dev/null || status=$?
    equal 1 "$status" "a clearance that nobody could read"
}

it_watches_until_all_is_quiet() {
    rcli del reach:intake reach:intake:bulk reach:receipts >/dev/null
    rcli hdel reach:notices n1 n2 n3 n4 >/dev/null
    timeout 120 "$CTL" --config "$CONFIG" status --watch --until-idle --json >"$T/out" || fail "status --watch --until-idle"
    equal 0 "$(tail -1 "$T/out" | json - 'd["in_flight"]')" "the last line"
    equal 2 "$(status_of ctl status --until-idle)" "--until-idle without --watch"
}

it_fails_closed_when_redis_goes_away() {
    stop redis
    equal 5 "$(status_of ctl clearance check ok@walton.example)" "a clearance without Redis"
}

run_cases
