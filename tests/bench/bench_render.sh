#!/bin/bash
# make bench-render: bench_render, and beside it npm mustache + marked for the words and nodemailer's MailComposer for the mail, on this
# machine in the same minute. The npm packages are those of tests/package.json; without them only our own figures are printed.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
cd "$TOP" || exit

ours=0
"$B/tests/bench/bench_render" || ours=$?
( need_npm ) >"$T/npm.told" 2>&1 || { say "no comparison: $(tail -1 "$T/npm.told")"; exit "$ours"; }
need_npm
"$B/tests/bench/bench_render" --dump "$T/words.json"
node tests/bench/bench_render.js "$T/words.json"
exit "$ours"
