#!/bin/bash
# run-tests: timeout=120
# TLS to Redis by the documented way: deploy/stunnel-redis.conf, with this test's names, between reachd and a Redis that speaks only TLS.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need stunnel openssl

# certificate NAME HOST: signed by the test's own authority
certificate() {
    openssl req -newkey rsa:2048 -nodes -keyout "$T/$1.key" -out "$T/$1.csr" -subj "/CN=$2" >>"$T/openssl.log" 2>&1
    printf 'subjectAltName=DNS:%s' "$2" >"$T/$1.ext"
    openssl x509 -req -in "$T/$1.csr" -CA "$T/ca.pem" -CAkey "$T/ca.key" -CAcreateserial -days 2 -extfile "$T/$1.ext" -out "$T/$1.pem" \
        >>"$T/openssl.log" 2>&1
}

# redis_tls NAME: Redis with that certificate on $PORT, and no other port
redis_tls() {
    mkdir -p "$T/redis"
    start redis redis-server --port 0 --tls-port "$PORT" --bind 127.0.0.1 --tls-cert-file "$T/$1.pem" --tls-key-file "$T/$1.key" \
        --tls-ca-cert-file "$T/ca.pem" --tls-auth-clients no --dir "$T/redis" --appendonly yes --maxmemory-policy noeviction --save '' \
        --requirepass open-sesame --daemonize no --loglevel warning
    wait_until 20 "Redis answers by TLS" tls_cli ping
}
tls_cli() { REDISCLI_AUTH=open-sesame redis-cli -h 127.0.0.1 -p "$PORT" --tls --cacert "$T/ca.pem" "$@"; }

notice() {
    tls_cli XADD reach:intake '*' job "{\"v\":1,\"type\":\"notice\",\"id\":\"$1\",\"notice\":\"mail-password-disabled\",\"customer\":{\"id\":\"$1\",
        \"locale\":\"en\",\"contacts\":[{\"channel\":\"email\",\"address\":\"$1@example.org\"}]},\"disables\":{\"accounts\":[\"$1@walton.example\"]},
        \"data\":{\"reset_url\":\"https://walton.example/reset\"}}" >"$T/xadd"
}

it_starts_through_the_example_of_deploy() {
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$T/ca.key" -out "$T/ca.pem" -days 2 -subj "/CN=Test CA" >>"$T/openssl.log" 2>&1
    certificate right redis.walton.example
    certificate wrong redis.evil.example
    PORT=$(free_port)
    redis_tls right
    sed -e "s|^accept = .*|accept = $T/stunnel.sock|" -e "s|^connect = .*|connect = 127.0.0.1:$PORT|" -e "s|^CAfile = .*|CAfile = $T/ca.pem|" \
        "$TOP/deploy/stunnel-redis.conf" >"$T/stunnel.conf"
    equal 3 "$(diff "$TOP/deploy/stunnel-redis.conf" "$T/stunnel.conf" | grep -c '^>')" 'lines of the example that were changed'
    start stunnel stunnel "$T/stunnel.conf"
    wait_until 10 "stunnel listens" test -S "$T/stunnel.sock"
    start_peer
    printf 'open-sesame\n' >"$T/password"
    chmod 600 "$T/password"
    CONFIG=$T/reachd.yaml
    cat >"$CONFIG" <<YAML
redis: {address: "unix:$T/stunnel.sock", password_file: "$T/password", lease: 5s}
journal: {directory: "$T/journal"}
$(mail_only)
YAML
    start_reachd --config "$CONFIG"
}

it_works_by_tls() {
    notice first
    wait_until 20 "it is reached" state_is first reached
    contains "$(ctl doctor 2>&1 || true)" "at unix:$T/stunnel.sock" 'reachctl doctor'
}

it_takes_no_redis_with_another_name() {
    stop redis KILL
    redis_tls wrong
    wait_until 20 "stunnel has refused it" grep -q 'Rejected by CERT at depth=0: CN=redis.evil.example' "$T/stunnel.log"
    equal 5 "$(status_of "$B/reachctl" --config "$CONFIG" status)" 'exit status of reachctl'
}

it_goes_on_when_the_right_one_is_back() {
    local before
    before=$(times_ready)
    stop redis KILL
    redis_tls right
    wait_until 30 "reachd takes work again" is_ready_again "$before"
    notice second
    wait_until 20 "it is reached" state_is second reached
}

it_refuses_the_key_tls_with_the_way_out() {
    printf 'redis: {tls: true}\n' >"$T/tls.yaml"
    contains "$("$B/reachd" --config "$T/tls.yaml" --check-config 2>&1)" 'deploy/stunnel-redis.conf' 'the way out'
}

run_cases
