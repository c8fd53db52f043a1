#!/bin/bash
# make demo: the retailer whose mailboxes die, in miniature. See customers.py for the story and verify.py for what is checked.
#
#   B          where the programs were built (default build)
#   DEMO_DIR   where the run goes and stays (default $B/demo); an earlier run there is replaced
#   DEMO_COUNT how many customers (default 2000)
#
# Leaves the run's data behind for a look around, and nothing running. Exit 1 where a promise is broken or something did not work.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
B=${B:-build}
DIR=${DEMO_DIR:-$B/demo}
COUNT=${DEMO_COUNT:-2000}
here=tests/demo
ctl=("$B/reachctl" --config "$DIR/reachd.yaml")
peer='' reachd='' world=''

say() { printf '%s\n' "$*"; }
die() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

end_of() { # end_of PID: ends it in order; its status
    [ -n "$1" ] || return 0
    kill -TERM "$1" 2>/dev/null || true
    wait "$1"
}

clean_up() {
    local status=$?
    trap - EXIT
    end_of "$world" || true
    end_of "$reachd" || true
    end_of "$peer" || true
    if [ "$status" -ne 0 ]; then
        if [ -s "$DIR/reachd.log" ]; then tail -n 15 "$DIR/reachd.log" >&2; fi
        say "demo: failed; logs and data are in $DIR" >&2
    fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

wait_for() { # wait_for WHAT COMMAND...
    local what=$1
    shift
    for _ in {1..400}; do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.05
    done
    die "$what did not come up; see the logs in $DIR"
}

prepare() {
    for program in reachd reachctl reachd-mailer sandbox-peer; do
        [ -x "$B/$program" ] || die "$B/$program is not built; run make"
    done
    if [ -e "$DIR" ] && [ ! -e "$DIR/.reachd-demo" ]; then
        die "$DIR exists and is not an earlier demo; remove it or set DEMO_DIR"
    fi
    rm -rf "$DIR"
    mkdir -p "$DIR/state"
    touch "$DIR/.reachd-demo"
    locales=$(cd templates/messages/mail-password-disabled && for l in en-GB en-US de-DE de-AT fr-FR; do
        if [ -d "$l" ] || [ -d "${l%-*}" ]; then printf '%s,' "$l"; fi
    done)
    python3 "$here/customers.py" "$DIR" "${locales%,}" "$COUNT"
}

start_servers() {
    "$B/sandbox-peer" --dir "$DIR/peer" --smtp 127.0.0.1:0 --http 127.0.0.1:0 --rules "$DIR/rules.json" \
        --ports-file "$DIR/ports.json" --die-with-parent >"$DIR/peer.log" 2>&1 &
    peer=$!
    wait_for 'the sandbox peer' test -s "$DIR/ports.json"
    python3 "$here/make_config.py" deploy/reachd.example.yaml "$DIR/ports.json" "$DIR/state/redis.sock" >"$DIR/reachd.yaml"
    "$B/reachd" --standalone "$DIR/state" --config "$DIR/reachd.yaml" >"$DIR/reachd.log" 2>&1 &
    reachd=$!
    wait_for reachd "${ctl[@]}" status
    python3 "$here/world.py" "$DIR" "$DIR/state/redis.sock" >"$DIR/world.log" 2>&1 &
    world=$!
}

stop_servers() {
    end_of "$world" || die "the world did not end in order; see $DIR/world.log"
    world=''
    end_of "$reachd" || die "reachd did not end in order; see $DIR/reachd.log"
    reachd=''
    end_of "$peer" || die "the sandbox peer did not end in order; see $DIR/peer.log"
    peer=''
}

# A small command that stays behind: reachctl on what this run left.
leave_ctl() {
    cat >"$DIR/ctl" <<END
#!/bin/bash
# reachctl on what this demo run left behind; starts its Redis for as long as the command takes.
cd "$top" && exec "$here/with-redis.sh" "$DIR/state" "$B/reachctl" --config "$DIR/reachd.yaml" "\$@"
END
    chmod +x "$DIR/ctl"
}

explain() {
    say ''
    say "Look around. Nothing is running any more; $DIR/ctl starts the run's Redis for as long as a command takes."
    python3 "$here/pick.py" "$DIR"
}

began=$SECONDS
prepare
say "A retailer's mailboxes at walton.example are dead. $COUNT customers have to be told, and half of them have no other address."
say "  \$ $B/sandbox-peer --dir $DIR/peer ...      a mail server and an SMS and push gateway that refuse, delay and drop some"
say "  \$ $B/reachd --standalone $DIR/state --config $DIR/reachd.yaml"
start_servers
say "  \$ $B/reachctl push $DIR/jobs.ndjson          $COUNT jobs, and some of them a second time"
"${ctl[@]}" push "$DIR/jobs.ndjson" >"$DIR/push.log" 2>&1 || die "reachctl push failed: $(cat "$DIR/push.log")"
"${ctl[@]}" push "$DIR/twice.ndjson" >>"$DIR/push.log" 2>&1 || die "reachctl push failed: $(cat "$DIR/push.log")"
python3 "$here/watch.py" "$DIR" "$DIR/state/redis.sock" "${ctl[@]}" || die "it did not settle: $("${ctl[@]}" status 2>&1)"
status=0
python3 "$here/verify.py" "$DIR" "$DIR/state/redis.sock" | tee "$DIR/table.txt" || status=$?
stop_servers
leave_ctl
[ "$status" -eq 0 ] || die 'a promise is broken'
explain
say "Done in $((SECONDS - began)) s."
