#!/bin/bash
# make sandbox: a reachd with a Redis of its own and the sandbox peer as mail server and gateways, to play with by hand. Runs until
# it is interrupted and leaves nothing running; the data stays in $B/sandbox and is taken up again the next time.
#
#   B   where the programs were built (default build)
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
B=${B:-build}
DIR=$B/sandbox
peer='' reachd=''

clean_up() {
    trap - EXIT INT TERM
    for pid in $reachd $peer; do
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}
trap clean_up EXIT
trap 'exit 0' INT TERM

wait_for_file() { # wait_for_file FILE WHAT
    for _ in {1..200}; do
        [ ! -s "$1" ] || return 0
        sleep 0.05
    done
    echo "sandbox: $2 did not come up; see the logs in $DIR" >&2
    exit 1
}

mkdir -p "$DIR/state"
rm -f "$DIR/ports.json"
"$B/sandbox-peer" --dir "$DIR/peer" --smtp 127.0.0.1:0 --http 127.0.0.1:0 --ports-file "$DIR/ports.json" --die-with-parent \
    >"$DIR/peer.log" 2>&1 &
peer=$!
wait_for_file "$DIR/ports.json" 'the sandbox peer'
python3 tests/demo/make_config.py deploy/reachd.example.yaml "$DIR/ports.json" "$DIR/state/redis.sock" >"$DIR/reachd.yaml"
printf '#!/bin/sh\nexec "%s/reachctl" --config "%s/reachd.yaml" "$@"\n' "$(cd "$B" && pwd)" "$(cd "$DIR" && pwd)" >"$DIR/ctl"
chmod +x "$DIR/ctl"
cat <<EOF
The sandbox is up. In another terminal:
  $DIR/ctl push FILE      hand jobs over             $DIR/ctl status    what has become of them
  ls $DIR/peer            every message that went out
Ctrl-C here ends it.
EOF
"$B/reachd" --standalone "$DIR/state" --config "$DIR/reachd.yaml" &
reachd=$!
wait "$reachd"
