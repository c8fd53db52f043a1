#!/bin/sh
# Pushes a job with redis-cli, follows what becomes of it, and asks whether an account may be disabled.
#
#   push_job.sh JOB.json NOTICE-ID ACCOUNT [redis-cli options, such as -s /run/redis/redis.sock]
#
# Exit 0 where the account may be disabled, 4 where it may not.
set -eu
job=$1 notice=$2 account=$3
shift 3

# Where the events are now, so that nothing that happens after the push is missed.
last=$(redis-cli "$@" --raw XREVRANGE reach:events + - COUNT 1 | head -n 1)

# -x: the last argument is read from standard input, byte for byte.
tr -d '\n' <"$job" | redis-cli "$@" -x XADD reach:intake '*' job >/dev/null

# Wait for events (at most 30 s) until one says how it ended; an entry's single field `events` holds a JSON array.
end=$(($(date +%s) + 30))
while [ "$(date +%s)" -lt "$end" ]; do
    events=$(redis-cli "$@" --raw XREAD BLOCK 1000 STREAMS reach:events "${last:-0}")
    id=$(printf '%s\n' "$events" | grep -E '^[0-9]+-[0-9]+$' | tail -n 1)
    last=${id:-$last}
    printf '%s\n' "$events" | grep -o '{[^{}]*}' | grep -F "\"notice\":\"$notice\"" || continue
    printf '%s\n' "$events" | grep -F "\"notice\":\"$notice\"" | grep -qE '"state":"(reached|stranded|expired|cancelled|resolved|duplicate|dead)"' && break
done

# Fail closed: only a record means yes. No record, no Redis, no answer: no.
if clearance=$(redis-cli "$@" --raw GET "reach:clearance:{$account}") && [ -n "$clearance" ]; then
    printf 'may be disabled: %s\n' "$clearance"
else
    printf 'must not be disabled\n'
    exit 4
fi
