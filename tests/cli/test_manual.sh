#!/bin/bash
# What is made from the table of commands: manual pages, help and shell completion agree with the programs.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachctl reachd

# complete WORD...: what bash would offer for the last of these words after "reachctl".
complete_words() {
    bash --norc -c 'source "$1"; shift; COMP_WORDS=(reachctl "$@"); COMP_CWORD=$(($# )); _reachctl; printf "%s\n" "${COMPREPLY[@]}"' \
        - "$T/completion" "$@" | sort | tr '\n' ' '
}

it_has_manual_pages_that_say_what_the_programs_say() {
    local page
    mkdir "$T/man"
    "$TOP/docs/man/generate.sh" "$B" "$T/man"
    for page in reachctl.1.scd reachd.yaml.5.scd; do
        diff -u "$TOP/docs/man/$page" "$T/man/$page" >&2 || fail "$page is old: run docs/man/generate.sh"
    done
}

it_has_manual_pages_that_scdoc_takes() {
    need scdoc
    local page
    for page in "$TOP"/docs/man/*.scd; do
        scdoc <"$page" >"$T/page" 2>"$T/err" || fail "$(basename "$page"): $(cat "$T/err")"
        contains "$(cat "$T/page")" '.SH NAME' "$(basename "$page")"
    done
}

it_names_every_option_of_reachd_in_its_manual() {
    local option
    for option in $("$B/reachd" --help | grep -o '^ *-., --[a-z-]*' | grep -o -- '--[a-z-]*'); do
        [ "$option" = --usage ] || contains "$(cat "$TOP/docs/man/reachd.8.scd")" "*$option*" "reachd(8)"
    done
}

it_explains_every_command_on_request() {
    local name count=0
    while read -r name; do
        # shellcheck disable=SC2086
        equal 0 "$(status_of "$B/reachctl" $name --help)" "$name --help"
        contains "$(cat "$T/out")" "Usage: reachctl $name" "$name --help"
        count=$((count + 1))
    done < <("$B/reachctl" manual | sed -n 's/^\*reachctl \(.*\)\*.*/\1/p')
    [ "$count" -gt 20 ] || fail "only $count commands"
}

it_completes_nouns_verbs_options_and_values() {
    "$B/reachctl" completion bash >"$T/completion"
    contains "$(complete_words '')" 'clearance ' "nouns"
    equal 'contacts customer ' "$(complete_words c | tr ' ' '\n' | grep '^c[ou][ns]' | sort | tr '\n' ' ')" "nouns with c"
    equal 'list show ' "$(complete_words notice '')" "verbs"
    equal '--state ' "$(complete_words notice list --s)" "options"
    equal 'urgent ' "$(complete_words push --lane u)" "values"
    equal 'claimed done open ' "$(complete_words desk list --state '')" "values of the desk"
    equal 'banner email push sms ' "$(complete_words template render x --channel '')" "channels"
    contains "$(complete_words --config x.yaml notice list --state st)" 'stranded-handed-to-desk' "behind a global option"
    contains "$(complete_words --json --)" '--config ' "global options"
    (cd "$TOP" && equal 'Makefile ' "$(complete_words push Makef)" "files")
    equal ' ' "$(complete_words status x)" "nothing where there is nothing"
}

run_cases
