# lib.sh: what every shell test needs. Source it first:
#
#   # shellcheck source=tests/support/lib.sh
#   . "$(dirname "$0")/../support/lib.sh"
#
# It gives a private directory $T, ends every process it started by its pid when the test ends however it ends, and prints the logs of
# a test that failed. A test is a list of functions whose names start with it_ and read as sentences; `run_cases` runs them in
# the order they are written in and ends with the line "N passed, N failed".
#
#   B        where the programs were built (default build)
#   KEEP=1   leave $T behind and say where it is
#
# Everything listens on loopback or on unix sockets below $T. Nothing here waits for a fixed time where it can wait for a fact.
# shellcheck shell=bash
set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
B=${B:-build}
case $B in /*) ;; *) B=$TOP/$B ;; esac
PYTHON=${PYTHON:-/usr/bin/python3}
T=$(mktemp -d "${TMPDIR:-/tmp}/reachd-test.XXXXXX")
declare -A PID=()   # name -> pid of what start() started
export B TOP T PYTHON
export NO_COLOR=1 LC_ALL=C.UTF-8
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy

say() { printf '%s\n' "$*" >&2; }

# Ends the test as failed.
fail() { say "FAILED: $*"; exit 1; }

# Ends the test as skipped, with the reason in one line.
skip() { printf 'skipped: %s\n' "$*"; exit 77; }

# need PROGRAM...: skips the test where one is not installed.
need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || [ -x "$B/$program" ] || skip "$program is not there"
    done
}

# need_npm: the modules of tests/package.json, installed once per checkout; skips the test where they cannot be had.
need_npm() {
    need node npm
    local modules=$TOP/tests/node_modules
    (
        flock 9
        cmp -s "$TOP/tests/package-lock.json" "$modules/.installed" && exit 0
        npm ci --prefix "$TOP/tests" >"$T/npm.log" 2>&1 && cp "$TOP/tests/package-lock.json" "$modules/.installed"
    ) 9>"${TMPDIR:-/tmp}/reachd-npm-$(id -u).lock" || skip "npm ci did not work: $(grep -m1 -i 'error' "$T/npm.log" || echo 'see npm ci --prefix tests')"
    export NODE_PATH=$modules
}

# wait_until SECONDS WHAT COMMAND...: runs COMMAND until it succeeds; fails naming WHAT. SECONDS is what it takes at most on an idle machine;
# a busy one gets a minute at least, since waiting costs nothing where the fact comes.
wait_until() {
    local seconds=$1 what=$2 end
    shift 2
    [ "$seconds" -ge 60 ] || seconds=60
    end=$((SECONDS + seconds))
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || fail "waited $seconds s in vain: $what"
        sleep 0.05
    done
}

alive() { [ -n "${PID[$1]:-}" ] && ! ended "${PID[$1]}"; }
gone() { ! alive "$1"; }

# start NAME COMMAND...: runs it in the background, output in $T/NAME.log.
start() {
    local name=$1
    shift
    "$@" >>"$T/$name.log" 2>&1 </dev/null &
    PID[$name]=$!
}

# finish NAME: waits for its end; its exit status in $STATUS.
finish() {
    STATUS=0
    # shellcheck disable=SC2034 # for the caller
    wait "${PID[$1]}" 2>/dev/null || STATUS=$?
    unset "PID[$1]"
}

# Whether a child of this shell has ended (it may be waiting to be waited for).
ended() { ! grep -q '^State:[[:space:]]*[^Z[:space:]]' "/proc/$1/status" 2>/dev/null; }

# stop NAME [SIGNAL [SECONDS]]: ends it; its exit status in $STATUS. KILL where it does not end in time, and that is a failure.
stop() {
    local name=$1 pid=${PID[$1]:-} end=$((SECONDS + ${3:-60}))
    [ -n "$pid" ] || fail "$name was not started"
    kill "-${2:-TERM}" "$pid" 2>/dev/null || true
    until ended "$pid"; do
        if [ "$SECONDS" -ge "$end" ]; then
            kill -KILL "$pid"
            fail "$name did not end within ${3:-60} s"
        fi
        sleep 0.02
    done
    finish "$name"
}

clean_up() {
    local status=$? name
    trap - EXIT
    set +e
    for name in "${!PID[@]}"; do kill -TERM "${PID[$name]}" 2>/dev/null; done
    for name in "${!PID[@]}"; do
        for _ in {1..200}; do ended "${PID[$name]}" && break; sleep 0.05; done
        kill -KILL "${PID[$name]}" 2>/dev/null
        wait "${PID[$name]}" 2>/dev/null
    done
    if [ "$status" -ne 0 ] && [ "$status" -ne 77 ]; then
        for name in "$T"/*.log; do
            [ -s "$name" ] && [ "$name" != "$T/npm.log" ] && { say "---- the end of $(basename "$name")"; tail -n 20 "$name" >&2; }
        done
    fi
    if [ -n "${KEEP:-}" ]; then say "left behind: $T"; else rm -rf "$T"; fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# run_cases: every function it_*, in the order of the file. One that fails ends the test (what it started is in no known state).
run_cases() {
    local case_name passed=0
    while read -r case_name; do
        printf '  %s ... ' "${case_name//_/ }"
        if ! run_case "$case_name"; then
            printf 'FAILED\n%d passed, 1 failed\n' "$passed"
            exit 1
        fi
        printf 'ok\n'
        passed=$((passed + 1))
    done < <(grep -o '^it_[a-zA-Z0-9_]*' "$0")
    printf '%d passed, 0 failed\n' "$passed"
}

# Not in a subshell: a case may start servers for the next one. `fail` and `set -e` end the whole test, after its name was printed.
run_case() { "$1"; }

# equal EXPECTED ACTUAL WHAT
equal() { [ "$1" = "$2" ] || fail "$3: expected '$1', got '$2'"; }

# contains TEXT PART WHAT
contains() { case $1 in *"$2"*) ;; *) fail "$3: '$2' is not in '$1'" ;; esac; }

# lacks TEXT PART WHAT
lacks() { case $1 in *"$2"*) fail "$3: '$2' is in '$1'" ;; esac; }

# status_of COMMAND...: its exit status, its output in $T/out and $T/err.
status_of() {
    local status=0
    "$@" >"$T/out" 2>"$T/err" </dev/null || status=$?
    printf '%s' "$status"
}

# json FILE|- EXPRESSION: evaluates a Python expression on the document `d`.
json() {
    "$PYTHON" -c 'import json,sys
d = json.load(sys.stdin if sys.argv[1] == "-" else open(sys.argv[1]))
v = eval(sys.argv[2])
print(v if isinstance(v, str) else json.dumps(v))' "$1" "$2"
}

# free_port: a loopback port that was free a moment ago, for programs that cannot choose one themselves.
free_port() {
    "$PYTHON" -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# ---- Redis ---------------------------------------------------------------------------------------------------------------
# shellcheck disable=SC2120 # options are seldom needed
# start_redis [OPTION...]: a private redis-server with AOF on $REDIS_SOCK, data in $T/redis. Starting it again keeps the data.
start_redis() {
    need redis-server redis-cli
    REDIS_SOCK=$T/redis.sock
    mkdir -p "$T/redis"
    start redis redis-server --port 0 --unixsocket "$REDIS_SOCK" --unixsocketperm 700 --dir "$T/redis" --appendonly yes \
        --appendfsync everysec --maxmemory-policy noeviction --save '' --daemonize no --loglevel warning "$@"
    wait_until 20 "redis-server answers" rcli ping
}

# rcli COMMAND...: redis-cli on it.
rcli() { redis-cli -s "$REDIS_SOCK" "$@"; }

# open_in LANE N: whether exactly N entries of the lane (urgent, bulk, receipts) are in leases.
open_in() {
    [ "$(rcli HGETALL reach:leases | awk -v lane="$1/" 'NR % 2 == 0 && index(field, lane) == 1 { n += $3 } { field = $0 } END { print n + 0 }')" = "$2" ]
}

# ---- the sandbox peer ------------------------------------------------------------------------------------------------------
# shellcheck disable=SC2120
# start_peer [OPTION...]: messages in $PEER_DIR, ports in $SMTP_PORT and $HTTP_PORT.
start_peer() {
    need sandbox-peer
    PEER_DIR=$T/peer
    rm -f "$T/ports.json"
    start peer "$B/sandbox-peer" --dir "$PEER_DIR" --smtp 127.0.0.1:0 --http 127.0.0.1:0 --ports-file "$T/ports.json" "$@"
    wait_until 20 "sandbox-peer is ready" test -s "$T/ports.json"
    SMTP_PORT=$(json "$T/ports.json" 'd["smtp"]')
    HTTP_PORT=$(json "$T/ports.json" 'd["http"]')
    export SMTP_PORT HTTP_PORT PEER_DIR
}

# peer_rules JSON: replaces the peer's rules ('{"rules":[]}' for none).
peer_rules() {
    "$PYTHON" -c 'import sys, urllib.request
urllib.request.urlopen("http://127.0.0.1:%s/_control" % sys.argv[1], sys.argv[2].encode(), 10).read()' "$HTTP_PORT" "$1" ||
        fail "the peer did not take the rules"
}

# peer_control EXPRESSION: evaluates it on what GET /_control tells (d["counts"], d["rules"]).
peer_control() {
    "$PYTHON" -c 'import sys, urllib.request
sys.stdout.write(urllib.request.urlopen("http://127.0.0.1:%s/_control" % sys.argv[1], None, 10).read().decode())' "$HTTP_PORT" |
        json - "$1"
}

# peer_index EXPRESSION: evaluates it on the list `d` of index lines.
peer_index() {
    "$PYTHON" -c 'import json, sys
d = [json.loads(line) for line in open(sys.argv[1])]
v = eval(sys.argv[2])
print(v if isinstance(v, str) else json.dumps(v))' "$PEER_DIR/index.ndjson" "$1"
}

# ---- reachd ------------------------------------------------------------------------------------------------------------------
# make_config FILE PORTS.json SOCKET: a configuration made from deploy/reachd.example.yaml, its gateways pointed at the peer.
make_config() {
    "$PYTHON" "$TOP/tests/demo/make_config.py" "$TOP/deploy/reachd.example.yaml" "$2" "$3" >"$1" || fail "no configuration"
    chmod 600 "$1"
}

# mail_only: the part of a configuration that every reachd has whose only channel is mail to the peer ($SMTP_PORT).
mail_only() {
    cat <<YAML
templates: {directory: $TOP/templates/messages}
own_domains: [{domain: walton.example}]
gateways:
  - {name: mail, channel: email, driver: smtp, host: 127.0.0.1, port: $SMTP_PORT, tls: plaintext-on-loopback, from_address: security@walton.example}
routes:
  - name: security
    steps: [{channel: email, success: sent, wait: 0s, attempts: 50, retry_for: 60s}]
YAML
}

# start_reachd OPTION...: a daemon; it is up once it says that it takes work (again, after a restart).
start_reachd() {
    need reachd reachctl
    local before
    touch "$T/reachd.log"
    before=$(times_ready)
    start reachd "$B/reachd" "$@"
    wait_until 60 "reachd takes work" is_ready_again "$before"
}
times_ready() { grep -c ' ready: ' "$T/reachd.log" || true; }
is_ready_again() { [ "$(times_ready)" -gt "$1" ]; }

# ctl ARGUMENT...: reachctl with the configuration of this test ($CONFIG).
ctl() { "$B/reachctl" --config "$CONFIG" "$@"; }

# state_is ID STATE: whether the notice is in that state.
state_is() { [ "$(ctl --json notice show "$1" 2>/dev/null | json - 'd["state"]')" = "$2" ]; }
