#!/bin/bash
# Runs clang-tidy over some files: deploy/tidy.sh FLAG... FILE.c...   Quiet where it finds nothing; exit 1 where it does.
set -euo pipefail

flags=()
files=()
for word in "$@"; do
    if [[ $word == *.c ]]; then
        files+=("$word")
    else
        flags+=("$word")
    fi
done
# clang-tidy counts what it suppresses on stderr; only its findings (stdout) matter.
out=$(clang-tidy --quiet --warnings-as-errors='*' "${files[@]}" -- "${flags[@]}" 2>/dev/null) && exit 0
printf '%s\n' "$out"
exit 1
