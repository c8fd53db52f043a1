#!/bin/bash
# generate.sh BUILD [DIR]: writes the generated parts of the manual pages anew, in DIR (default: here).
#
# Between "; generated" and "; end" stands what the programs say of themselves: the commands of reachctl(1) and the keys of
# reachd.yaml(5). Everything else in the pages is written by hand.
set -euo pipefail
build=$1
here=$(cd "$(dirname "$0")" && pwd)
dir=${2:-$here}

# keys: the Markdown tables of `reachd --help-config` as scdoc.
keys() {
    "$build/reachd" --help-config | awk -F' [|] ' '
        function plain(text) { gsub(/`/, "", text); gsub(/[*_\[\]#\\]/, "\\\\&", text); return text }
        /^## / { print "## " toupper(plain(substr($0, 4))) "\n"; next }
        /^[|] `/ {
            key = plain(substr($1, 3)); default_ = plain($3); allowed = plain($4); help = $5
            sub(/ [|]$/, "", help)
            printf "*%s* (%s", key, plain($2)
            if (default_ != "-" && default_ != "required" && default_ != "") printf ", default %s", default_
            if (default_ == "required") printf ", required"
            if (allowed != "") printf ", %s", allowed
            help = plain(help)
            sub(/^-/, "\\-", help) # not the begin of a list
            printf ")\n\t%s.\n\n", help
            next
        }
        /^[|]/ || /^$/ { next }
        { print plain($0) "\n" }'
}

# replace PAGE COMMAND...: PAGE with the output of COMMAND between its marks.
replace() {
    local page=$1 made
    shift
    made=$("$@")
    { sed '/^; generated/q' "$here/$page"; printf '%s\n' "$made"; sed -n '/^; end/,$p' "$here/$page"; } >"$dir/$page.new"
    mv "$dir/$page.new" "$dir/$page"
}

replace reachctl.1.scd "$build/reachctl" manual
replace reachd.yaml.5.scd keys
