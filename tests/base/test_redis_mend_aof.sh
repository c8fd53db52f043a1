#!/bin/bash
# A Redis that was killed in the middle of writing what a script changed: after deploy/redis-mend-aof.sh all of the script counts or nothing, at
# every later start (Redis 7.0 alone carries out the torn half at the start after next).
# run-tests: plain
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need redis-server redis-cli redis-check-aof

AOF=$T/redis/appendonlydir
FILE=$AOF/appendonly.aof.1.incr.aof

# Two keys in one script, as a record and its counter.
change() { rcli EVAL "redis.call('HSET','records',ARGV[1],'x') redis.call('HINCRBY','counters','all',1)" 0 "$1" >"$T/change"; }
is_whole() { equal "$(rcli HLEN records)" "$(rcli HGET counters all)" "records and their counter"; }

it_cuts_off_the_half_of_a_transaction() {
    start_redis
    change first
    stop redis
    start_redis
    change torn
    stop redis
    "$PYTHON" - "$FILE" <<'CUT'
import sys
data = open(sys.argv[1], "rb").read()
open(sys.argv[1], "wb").write(data[:data.rindex(b"HINCRBY") + 3])
CUT
    cp -r "$AOF" "$T/torn"
    deploy/redis-mend-aof.sh "$AOF" >"$T/mended"
    equal 1 "$(grep -c MULTI "$FILE")" "transactions that begin in the file"
    equal 1 "$(grep -c EXEC "$FILE")" "transactions that end in it"
}

it_counts_every_change_whole_at_the_start_after_next() {
    start_redis
    change second
    is_whole
    stop redis
    deploy/redis-mend-aof.sh "$AOF" >"$T/mended"
    start_redis
    is_whole
    equal 'first second' "$(rcli HKEYS records | sort | tr '\n' ' ' | sed 's/ $//')" "the records"
    stop redis
}

it_leaves_whole_files_and_damaged_ones_alone() {
    local before
    before=$(sha256sum "$FILE")
    deploy/redis-mend-aof.sh "$AOF" >"$T/mended"
    equal "$before" "$(sha256sum "$FILE")" "a whole file"
    sed -i '0,/^\*/s//x/' "$FILE"
    before=$(sha256sum "$FILE")
    deploy/redis-mend-aof.sh "$AOF" >"$T/mended"
    equal "$before" "$(sha256sum "$FILE")" "a damaged file"
    deploy/redis-mend-aof.sh "$T/nowhere" >"$T/mended"
}

it_is_done_by_standalone_too() {
    local file=$T/alone/appendonlydir/appendonly.aof.1.incr.aof
    mkdir -m 700 "$T/alone"
    cp -r "$T/torn" "$T/alone/appendonlydir"
    equal 2 "$(grep -c MULTI "$file")" "transactions that begin in the torn file"
    equal 1 "$(grep -c EXEC "$file")" "transactions that end in it"
    SMTP_PORT=$(free_port)
    mail_only >"$T/reachd.yaml"
    start_reachd --config "$T/reachd.yaml" --standalone "$T/alone"
    stop reachd
    equal "$(grep -c '^MULTI' "$file")" "$(grep -c '^EXEC' "$file")" "transactions that begin and that end"
    grep -q 'Successfully truncated' "$T/alone/redis.log" || fail "not mended: $(cat "$T/alone/redis.log")"
}

run_cases
