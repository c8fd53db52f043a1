#!/bin/bash
# run-tests: timeout=240
# Redis Sentinel: a master, a replica and three sentinels. reachd and reachctl find the master through the sentinels, follow a failover, and
# lose nothing but what Redis itself had not replicated.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need redis-server redis-cli

PASSWORD=open-sesame

# node NAME PORT [OPTION...]: a redis-server on a loopback port
node() {
    local name=$1 port=$2
    shift 2
    mkdir -p "$T/$name"
    start "$name" redis-server --port "$port" --bind 127.0.0.1 --dir "$T/$name" --appendonly yes --appendfsync everysec \
        --maxmemory-policy noeviction --save '' --daemonize no --loglevel warning --requirepass "$PASSWORD" --masterauth "$PASSWORD" \
        --repl-diskless-sync-delay 0 "$@"
    wait_until 20 "$name answers" rc "$port" ping
}
rc() { REDISCLI_AUTH=$PASSWORD redis-cli -h 127.0.0.1 -p "$1" "${@:2}"; }
sentinel() { REDISCLI_AUTH=guard redis-cli -h 127.0.0.1 -p "$S1" "$@"; }

# guard NAME PORT: a sentinel that watches the master on $A
guard() {
    cat >"$T/$1.conf" <<CONF
port $2
bind 127.0.0.1
dir $T
requirepass guard
sentinel sentinel-pass guard
sentinel monitor reach-main 127.0.0.1 $A 2
sentinel auth-pass reach-main $PASSWORD
sentinel down-after-milliseconds reach-main 600
sentinel failover-timeout reach-main 1500
CONF
    start "$1" redis-server "$T/$1.conf" --sentinel
    wait_until 20 "$1 answers" guard_is_quick "$2"
}
# Ten times as often as by default (Redis 7): the test waits for what they notice.
guard_is_quick() { REDISCLI_AUTH=guard redis-cli -h 127.0.0.1 -p "$1" SENTINEL DEBUG info-period 300 publish-period 200 ask-period 100 | grep -q OK; }
master_port() { sentinel SENTINEL GET-MASTER-ADDR-BY-NAME reach-main | tail -n 1; }
master_is() { [ "$(master_port)" = "$1" ]; }
master() { rc "$(master_port)" "$@"; }
knows() { sentinel SENTINEL MASTER reach-main | tr '\n' ' ' | grep -q "num-slaves $1 num-other-sentinels 2 "; }
in_step() { rc "$1" INFO replication | tr -d '\r' | grep -q '^master_link_status:up'; }
out_of_step() { rc "$1" INFO replication | tr -d '\r' | grep -q '^master_link_status:down'; }

notice() {
    echo "{\"v\":1,\"type\":\"notice\",\"id\":\"$1\",\"notice\":\"mail-password-disabled\",\"customer\":{\"id\":\"$1\",\"locale\":\"en\",
        \"contacts\":[{\"channel\":\"email\",\"address\":\"$1@example.org\"}]},\"disables\":{\"accounts\":[\"$1@walton.example\"]},
        \"data\":{\"reset_url\":\"https://walton.example/reset\"}}" | tr -d '\n'
    echo
}
# push PREFIX COUNT
push() {
    local i
    for ((i = 0; i < $2; i++)); do notice "$1$i"; done >"$T/push.ndjson"
    ctl push "$T/push.ndjson" >"$T/push.out" 2>&1 || fail "$(cat "$T/push.out")"
}
finished() { [ "$(ctl --json status 2>/dev/null | json - 'd["finished"]')" -ge "$1" ]; }
mails() { peer_index "sum(1 for m in d if m['recipient'].startswith('$1'))" 2>/dev/null || echo 0; }
mails_at_least() { [ "$(mails "$1")" -ge "$2" ]; }

it_starts_through_the_second_sentinel_when_the_first_is_not_there() {
    A=$(free_port) B_PORT=$(free_port) S1=$(free_port) S2=$(free_port) S3=$(free_port) NOBODY=$(free_port)
    node a "$A"
    node b "$B_PORT" --replicaof 127.0.0.1 "$A"
    wait_until 20 "b is in step" in_step "$B_PORT"
    guard s1 "$S1"
    guard s2 "$S2"
    guard s3 "$S3"
    wait_until 30 "the sentinels know each other and the replica" knows 1
    start_peer
    printf '%s\n' "$PASSWORD" >"$T/password"
    printf 'guard\n' >"$T/sentinel-password"
    chmod 600 "$T/password" "$T/sentinel-password"
    CONFIG=$T/reachd.yaml
    cat >"$CONFIG" <<YAML
redis: {sentinels: ["127.0.0.1:$NOBODY", "127.0.0.1:$S1", "127.0.0.1:$S2", "127.0.0.1:$S3"], master: reach-main,
  sentinel_password_file: "$T/sentinel-password", password_file: "$T/password", lease: 5s, consumer: one}
worker: {in_flight_max: 20, retry_base: 50ms, retry_cap: 200ms}
journal: {directory: "$T/journal"}
$(mail_only)
YAML
    start_reachd --config "$CONFIG"
    push first 10
    wait_until 20 "they are finished" finished 10
    equal 10 "$(mails first)" messages
}

it_lets_reachctl_find_the_master_too() {
    contains "$(ctl doctor 2>&1 || true)" "at 127.0.0.1:$A" 'reachctl doctor'
}

it_follows_fault_11_a_demotion_and_fault_12_while_it_waits_for_work() {
    local before
    before=$(times_ready)
    equal OK "$(sentinel SENTINEL FAILOVER reach-main)" 'the failover'
    wait_until 30 "the other one is the master" master_is "$B_PORT"
    wait_until 30 "reachd takes work again" is_ready_again "$before"
    push second 10
    wait_until 20 "they are finished" finished 20
    equal 10 "$(mails second)" messages
    equal 20 "$(rc "$B_PORT" HGET reach:counters accepted)" 'accepted by the new master'
}

it_goes_on_when_the_master_is_killed_under_load() {
    wait_until 30 "the old master follows the new one" in_step "$A"
    wait_until 30 "the sentinels know it" knows 1
    peer_rules '{"rules":[{"phase":"after-dot","action":"delay","delay_ms":20}]}'
    push load 400
    wait_until 30 "it is in the middle" mails_at_least load 60
    stop b KILL
    wait_until 60 "the other one is the master" master_is "$A"
    wait_until 90 "all are finished" finished 420
    equal 0 "$(ctl --json status | json - 'd["unaccounted"]')" unaccounted
    equal 420 "$(ctl --json status | json - 'd["accepted"]')" accepted
    [ "$(mails load)" -ge 400 ] || fail "something was not sent"
    peer_rules '{"rules":[]}'
}

it_knows_by_its_journal_what_fault_21_a_stale_replica_has_lost_and_sends_nothing_twice() {
    node b "$B_PORT" --replicaof 127.0.0.1 "$A"
    wait_until 30 "it is in step" in_step "$B_PORT"
    wait_until 30 "the sentinels know it" knows 1
    # The entries reach the replica, the work on them does not: its link is cut in between.
    stop reachd
    push stale 40
    wait_until 10 "the replica has the entries" sh -c "[ \"\$(REDISCLI_AUTH=$PASSWORD redis-cli -p $B_PORT XLEN reach:intake)\" -ge 40 ] || [ \"\$(REDISCLI_AUTH=$PASSWORD redis-cli -p $B_PORT XLEN reach:intake:bulk)\" -ge 40 ]"
    rc "$B_PORT" CONFIG SET masterauth wrong >"$T/cut"
    rc "$B_PORT" CLIENT KILL TYPE master >"$T/cut"
    wait_until 10 "its link is cut" out_of_step "$B_PORT"
    start_reachd --config "$CONFIG"
    wait_until 30 "they are sent" mails_at_least stale 40
    wait_until 30 "and recorded" finished 460
    local before
    before=$(times_ready)
    stop a KILL
    wait_until 60 "the stale one is the master" master_is "$B_PORT"
    wait_until 60 "reachd takes work again" is_ready_again "$before"
    wait_until 60 "all are finished again" finished 460
    equal 40 "$(mails stale)" 'messages: the replica knew of none of them more than the job, the journal of all'
    equal 40 "$(grep -c 'notice stale[0-9]*: sent, by the journal: Redis has lost' "$T/reachd.log")" 'lost records that are listed in the log'
    equal 0 "$(ctl --json status | json - 'd["unaccounted"]')" unaccounted
}

it_says_what_is_wrong_when_no_sentinel_knows_the_name() {
    sed 's/master: reach-main/master: reach-other/' "$CONFIG" >"$T/other.yaml"
    chmod 600 "$T/other.yaml"
    local status=0
    "$B/reachctl" --config "$T/other.yaml" status >"$T/out" 2>&1 || status=$?
    equal 5 "$status" 'exit status'
    contains "$(cat "$T/out")" 'knows no master named reach-other' 'the error'
    sed 's/consumer: one/consumer: two/' "$T/other.yaml" >"$T/two.yaml"
    chmod 600 "$T/two.yaml"
    start two "$B/reachd" --config "$T/two.yaml"
    wait_until 10 'reachd tells it as well' grep -q 'knows no master named reach-other' "$T/two.log"
    stop two
}

it_refuses_what_does_not_go_together() {
    printf 'redis: {sentinels: ["127.0.0.1:1"]}\n' >"$T/bad.yaml"
    contains "$("$B/reachd" --config "$T/bad.yaml" --check-config 2>&1)" 'needs redis.master' 'without a name'
    printf 'redis: {sentinels: ["127.0.0.1"], master: m}\n' >"$T/bad.yaml"
    contains "$("$B/reachd" --config "$T/bad.yaml" --check-config 2>&1)" 'must be host:port' 'without a port'
    printf 'redis: {sentinels: ["127.0.0.1:1"], master: m, address: "unix:/x"}\n' >"$T/bad.yaml"
    contains "$("$B/reachd" --config "$T/bad.yaml" --check-config 2>&1)" 'exclude each other' 'with an address'
    printf 'redis: {master: m}\n' >"$T/bad.yaml"
    contains "$("$B/reachd" --config "$T/bad.yaml" --check-config 2>&1)" 'needs redis.sentinels' 'a name alone'
}

run_cases
