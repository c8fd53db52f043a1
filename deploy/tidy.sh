#!/bin/bash
# Runs clang-tidy over some files: deploy/tidy.sh [--checks=...] FLAG... FILE.c...   Quiet where it finds nothing; exit 1 where it does.
set -euo pipefail

options=(--quiet '--warnings-as-errors=*')
flags=()
files=()
for word in "$@"; do
    if [[ $word == *.c ]]; then
        files+=("$word")
    elif [[ $word == --checks=* ]]; then
        options+=("$word")
    else
        flags+=("$word")
    fi
done
# clang-tidy counts what it suppresses on stderr; only its findings (stdout) matter.
out=$(clang-tidy "${options[@]}" "${files[@]}" -- "${flags[@]}" 2>/dev/null) && exit 0
printf '%s\n' "$out"
exit 1
