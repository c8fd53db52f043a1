#!/bin/bash
# Checks that the rooms include one another only as CONTRIBUTING.md draws it:
#
#   base <- {queue, channels, templates, dispatcher/core} <- dispatcher, cli
#
# and that each foreign library has its one place. Prints every line that breaks a rule; exit 1 where there is one.
#
#   deploy/check-includes.sh [DIR]     the tree to look at; without: the one this script is in
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}"

# shellcheck disable=SC2016  # the program is for awk
find base queue channels templates dispatcher cli -name '*.[ch]' -print0 | sort -z | xargs -0 awk '
    BEGIN {
        may["base"] = "base"
        may["queue"] = "base queue"
        may["channels"] = "base channels"
        may["templates"] = "base templates"
        may["dispatcher/core"] = "base dispatcher/core"
        may["dispatcher"] = "base queue channels templates dispatcher/core dispatcher"
        may["cli"] = "base queue channels templates dispatcher/core dispatcher cli"
        # library header: where it may stand, and in how many files at most
        home["hiredis/"] = "queue/";                 most["hiredis/"] = 99
        home["curl/curl.h"] = "channels/";           most["curl/curl.h"] = 1
        home["libesmtp.h"] = "channels/mailer/";     most["libesmtp.h"] = 1
        home["sqlite3.h"] = "cli/";                  most["sqlite3.h"] = 1
    }
    function room_of(path) {
        if (path ~ /^dispatcher\/core\//) return "dispatcher/core"
        sub(/\/.*/, "", path)
        return path
    }
    function complain(what) {
        printf "check-includes: %s:%d: %s\n", FILENAME, FNR, what
        bad = 1
    }
    /^[ \t]*#[ \t]*include[ \t]*"/ {
        header = $0
        sub(/^[^"]*"/, "", header)
        sub(/".*/, "", header)
        if (header == "queue_scripts.h" && room_of(FILENAME) == "queue") next
        if (header == "mend_aof.h" && FILENAME == "dispatcher/standalone.c") next
        if (header !~ /\//) complain("\"" header "\" is not written from the top (room/file.h)")
        else if (index(" " may[room_of(FILENAME)] " ", " " room_of(header) " ") == 0)
            complain(room_of(FILENAME) " may not include " header)
    }
    /^[ \t]*#[ \t]*include[ \t]*</ {
        header = $0
        sub(/^[^<]*</, "", header)
        for (library in home) {
            if (index(header, library) != 1) continue
            if (index(FILENAME, home[library]) != 1) complain("only " home[library] " may include <" library ">")
            if (++seen[library] > most[library]) complain("<" library "> is already included by another file")
        }
    }
    END { exit bad }
'
