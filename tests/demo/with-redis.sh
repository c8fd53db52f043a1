#!/bin/bash
# Runs a command beside the Redis that a demo run left behind, and stops that Redis again.
#
#   with-redis.sh DIR COMMAND...        DIR: what `reachd --standalone DIR` was given; $REDIS_SOCK tells the command where it is
#
# Where a reachd (or another of these) is running there, its Redis is used and left alone. Nothing but Redis is started: nothing is
# sent and no notice moves while one looks around.
set -euo pipefail

dir=$(cd "$1" && pwd)
shift
export REDIS_SOCK=$dir/redis.sock
answers() { redis-cli -s "$REDIS_SOCK" ping 2>/dev/null | grep -q PONG; }

if answers; then
    exec "$@"
fi

exec 9>>"$dir/lock"
flock -w 10 9 || { echo "$dir is in use, and its Redis does not answer" >&2; exit 1; }
redis-server --port 0 --unixsocket "$REDIS_SOCK" --unixsocketperm 700 --dir "$dir" --appendonly yes --save '' --daemonize no \
    --logfile "$dir/redis.log" </dev/null >/dev/null &
redis=$!
trap 'kill "$redis" 2>/dev/null; wait "$redis" 2>/dev/null || true' EXIT
for _ in {1..200}; do
    answers && break
    kill -0 "$redis" 2>/dev/null || { echo "redis-server did not start; see $dir/redis.log" >&2; exit 1; }
    sleep 0.05
done
status=0
"$@" 9>&- || status=$?
exit "$status"
