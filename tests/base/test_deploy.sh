#!/bin/bash
# What stands in deploy/ works: the bootstrap, the include check, the example configuration, the systemd unit, the Redis users, and an
# installation below DESTDIR.
# run-tests: plain
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachd reachctl

# ---- bootstrap -------------------------------------------------------------------------------------------------------------

# fake_debian INSTALLED...: a PATH on which exactly these packages are installed and sudo wants a password.
fake_debian() {
    mkdir -p "$T/fake"
    # shellcheck disable=SC2016  # $p is for the fake
    printf '#!/bin/sh\nfor p in %s; do echo "ii  $p"; done\n' "$*" >"$T/fake/dpkg-query"
    printf '#!/bin/sh\necho "apt-get $*" >>"%s"\n' "$T/apt.log" >"$T/fake/apt-get"
    printf '#!/bin/sh\nexit 1\n' >"$T/fake/sudo"
    chmod 755 "$T" "$T/fake" "$T"/fake/*
    : >"$T/apt.log"
}

# as_nobody COMMAND...: without root's rights.
as_nobody() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid=65534 --regid=65534 --clear-groups env PATH="$T/fake:$PATH" "$@"
    else
        PATH="$T/fake:$PATH" "$@"
    fi
}

all_packages() {
    sed -n 's/^\([a-z0-9][^ #]*\).*/\1/p' deploy/packages.txt | tr '\n' ' '
}

it_bootstrap_check_is_silent() {
    # shellcheck disable=SC2046
    fake_debian $(all_packages)
    cp -r deploy "$T/deploy"
    chmod -R a+rX "$T/deploy"
    equal 0 "$(status_of as_nobody "$T/deploy/bootstrap.sh" --check)" "nothing is missing"
    equal '' "$(cat "$T/out" "$T/err")" "what it says"
    fake_debian gcc make
    equal 1 "$(status_of as_nobody "$T/deploy/bootstrap.sh" --check)" "something is missing"
    equal '' "$(cat "$T/out" "$T/err")" "what it says"
}

it_bootstrap_prints_the_one_command_where_it_may_not_install() {
    fake_debian gcc make
    equal 1 "$(status_of as_nobody "$T/deploy/bootstrap.sh")" "the exit status"
    contains "$(cat "$T/err")" 'libesmtp-dev' "the missing packages"
    contains "$(cat "$T/err")" "Run:  sudo $T/deploy/bootstrap.sh build demo test" "the command"
    equal '' "$(cat "$T/apt.log")" "what was installed"
}

it_bootstrap_leaves_another_mail_system_alone() {
    fake_debian gcc make
    printf '#!/bin/sh\n' >"$T/fake/sendmail"
    chmod 755 "$T/fake/sendmail"
    equal 1 "$(status_of as_nobody "$T/deploy/bootstrap.sh" test)" "the exit status"
    lacks "$(cat "$T/err")" 'postfix' "the missing packages"
    rm "$T/fake/sendmail"
}

# ---- sources ---------------------------------------------------------------------------------------------------------------

it_the_rooms_include_one_another_in_one_direction() {
    deploy/check-includes.sh || fail "the tree breaks the rule"
}

it_an_include_in_the_wrong_direction_is_found() {
    local tree=$T/tree n=0 wrong
    while read -r file wrong; do
        rm -rf "$tree"
        mkdir -p "$tree"/{base,queue,channels/mailer,templates,dispatcher/core,cli}
        printf '#include %s\n' "$wrong" >"$tree/$file"
        printf 'int x;\n' >"$tree/cli/empty.c"
        [ "$(status_of deploy/check-includes.sh "$tree")" -ne 0 ] || fail "$file may include $wrong"
        contains "$(cat "$T/out" "$T/err")" "$file:1:" "the place"
        n=$((n + 1))
    done <<'CASES'
base/a.c "queue/queue.h"
queue/a.c "channels/channel.h"
channels/a.c "dispatcher/job.h"
templates/a.c "channels/channel.h"
dispatcher/core/a.c "queue/queue.h"
dispatcher/core/a.c "dispatcher/job.h"
dispatcher/a.c "cli/ctl.h"
queue/a.c "queue.h"
dispatcher/a.c <hiredis/hiredis.h>
cli/a.c <curl/curl.h>
channels/a.c <libesmtp.h>
CASES
    equal 11 "$n" "cases"
}

# ---- configuration ---------------------------------------------------------------------------------------------------------

# The example with the words of this checkout.
example() {
    sed "s|/usr/local/share/reachd/messages|$TOP/templates/messages|" deploy/reachd.example.yaml
}

# secrets DIR: those that the example names.
secrets() {
    mkdir -p "$1"
    printf 'token\n' | tee "$1/sms-token" >"$1/push-token"
    chmod 600 "$1"/*-token
}

it_the_example_configuration_is_in_order_once_its_secrets_are_there() {
    example >"$T/reachd.yaml"
    equal 1 "$(status_of "$B/reachd" --config "$T/reachd.yaml" --check-config)" "check-config without secrets"
    contains "$(cat "$T/err")" "sms-main: secret_file: $T/secrets/sms-token" "what is missing"
    secrets "$T/secrets"
    equal 0 "$(status_of "$B/reachd" --config "$T/reachd.yaml" --check-config)" "check-config: $(cat "$T/err")"
}

# Every value that the example shows in a comment is the default, unless the line says otherwise.
it_the_commented_values_are_the_defaults() {
    local key value n=0
    "$B/reachd" --help-config >"$T/reference"
    while IFS=: read -r key value; do
        value=$(sed 's/ *#.*//; s/^ *//; s/"//g' <<<"$value")
        grep -F "| \`$key\` |" "$T/reference" | grep -qF "| \`$value\` |" || fail "$key: the example says $value, the program does not"
        n=$((n + 1))
    done < <(grep -v 'no default\|without it' deploy/reachd.example.yaml | sed -n 's/^ *#\([a-z_]*\): /\1: /p')
    [ "$n" -gt 10 ] || fail "only $n values were looked at"
}

it_a_slip_in_the_configuration_is_told_with_file_line_and_key() {
    example | sed 's/^    port: 587/    prot: 587/' >"$T/reachd.yaml"
    local line
    line=$(grep -n 'prot: 587' "$T/reachd.yaml" | cut -d: -f1)
    equal 1 "$(status_of "$B/reachd" --config "$T/reachd.yaml")" "the exit status"
    contains "$(cat "$T/err")" "$T/reachd.yaml:$line: gateways[0].prot: unknown key (did you mean port? known: name, channel" "the message"
    equal 1 "$(wc -l <"$T/err")" "lines"
}

it_the_reference_is_what_the_program_says() {
    { cat docs/configuration.head.md 2>/dev/null || sed '/^## Top level/,$d' docs/configuration.md; "$B/reachd" --help-config; } >"$T/configuration.md"
    diff -u docs/configuration.md "$T/configuration.md" >"$T/out" || fail "docs/configuration.md is old (run make docs): $(head -n 20 "$T/out")"
}

# ---- systemd ---------------------------------------------------------------------------------------------------------------

it_the_unit_is_understood_by_systemd() {
    command -v systemd-analyze >/dev/null || return 0
    mkdir -p "$T/unit"
    sed "s|^ExecStart=[^ ]*|ExecStart=$B/reachd|" deploy/reachd.service >"$T/unit/reachd.service"
    # The manual page may not be installed here, and the machine's own units are not ours to judge.
    systemd-analyze verify --man=no --recursive-errors=no "$T/unit/reachd.service" >"$T/out" 2>&1 || fail "$(cat "$T/out")"
    lacks "$(cat "$T/out")" reachd.service "remarks"
}

# ---- Redis users -----------------------------------------------------------------------------------------------------------

# as USER COMMAND...: its answer.
as() {
    REDISCLI_AUTH=$(cat "$T/users/$1.password") redis-cli -s "$REDIS_SOCK" --user "$1" "${@:2}" 2>&1
}

it_each_redis_user_may_do_what_it_needs_and_nothing_else() {
    deploy/redis-users.sh "$T/users" 2>/dev/null
    equal 600 "$(stat -c %a "$T/users/reachd.password")" "mode of a password"
    lacks "$(cat "$T/users/users.acl")" "$(cat "$T/users/reachd.password")" "a password in the ACL file"
    need redis-server redis-cli
    REDIS_SOCK=$T/redis.sock
    mkdir -p "$T/redis"
    start redis redis-server --port 0 --unixsocket "$REDIS_SOCK" --unixsocketperm 700 --dir "$T/redis" --appendonly yes --save '' \
        --maxmemory-policy noeviction --aclfile "$T/users/users.acl" --loglevel warning
    wait_until 20 "redis-server answers" test -S "$REDIS_SOCK"
    contains "$(rcli ping 2>&1)" NOAUTH "a stranger"
    local user verdict answer n=0
    local -a command
    while read -r user verdict answer; do
        read -ra command <<<"$answer"
        answer=$(as "$user" "${command[@]}")
        case $verdict:$answer in
        may:*NOPERM* | may:*NOAUTH* | may:*WRONGPASS*) fail "$user may not: ${command[*]}: $answer" ;;
        not:*NOPERM*) ;;
        not:*) fail "$user may: ${command[*]}: $answer" ;;
        esac
        n=$((n + 1))
    done <<'CASES'
producer may XADD reach:intake * job {}
producer may XADD reach:intake:bulk * job {}
producer may GET reach:clearance:{ada@walton.example}
producer may XREAD COUNT 1 STREAMS reach:events 0
producer may HGET reach:holds ada@walton.example
producer not XADD reach:receipts * receipt {}
producer not XADD reach:dead * job {}
producer not XREAD COUNT 1 STREAMS reach:intake 0
producer not GET reach:banner:{C1}
producer not HGET reach:contacts C1
producer not HGET reach:notices x
producer not SET reach:clearance:{ada@walton.example} {}
producer not DEL reach:intake
producer not XADD reach:clearance:{ada@walton.example} * a b
producer not XTRIM reach:intake MAXLEN 0
website may GET reach:banner:{C1}
website may GET reach:login-banner:{0123}
website may XADD reach:receipts * receipt {}
website not XADD reach:intake * job {}
website not GET reach:clearance:{ada@walton.example}
website not SET reach:banner:{C1} x
website not HGETALL reach:desk
reachctl may HGETALL reach:counters
reachctl may XADD reach:intake * job {}
reachctl may XREVRANGE reach:dead + -
reachctl may INFO server
reachctl may HSET reach:desk n1 {}
reachctl not SET reach:clearance:{ada@walton.example} {}
reachctl not HSET reach:notices x y
reachctl not DEL reach:contacts
reachctl not DEL reach:notices
reachctl not GET other:key
reachctl not EVAL return 0
reachctl not XACK reach:intake reachd 1-1
reachctl not CONFIG GET *
reachd may XGROUP CREATE reach:intake reachd 0 MKSTREAM
reachd may SET reach:clearance:{ada@walton.example} {}
reachd may GET reach:clearance:{ada@walton.example}
reachd not XGROUP DELCONSUMER reach:intake reachd one
reachd not XGROUP DESTROY reach:intake reachd
reachd not EVAL return 0
reachd not FUNCTION FLUSH
reachd not FLUSHALL
reachd not FLUSHDB
reachd not CONFIG SET appendonly no
reachd not GET other:key
reachd not KEYS *
reachd not SHUTDOWN
reachd not SCRIPT KILL
reachd not SCRIPT FLUSH
reachd not ACL LIST
reachd not MODULE LIST
CASES
    equal 52 "$n" "cases"
}

it_reachd_may_call_what_its_scripts_call() {
    local rules command n=0
    rules=" $(grep '^user reachd ' "$T/users/users.acl") "
    while read -r command; do
        contains "$rules" " +$command" "reachd.acl"
        n=$((n + 1))
    done < <(grep -ohE "(\bp?call|write_all)\('[A-Z]+'" queue/lua/*.lua | grep -oE '[A-Z]+' | tr '[:upper:]' '[:lower:]' | sort -u)
    [ "$n" -gt 10 ] || fail "only $n commands were found"
}

it_reachd_and_reachctl_work_as_these_users() {
    local user
    for user in reachd reachctl; do
        cat >"$T/$user.yaml" <<YAML
redis:
  address: unix:$REDIS_SOCK
  username: $user
  password_file: users/$user.password
templates:
  directory: $TOP/templates/messages
own_domains:
  - domain: walton.example
gateways:
  - name: nowhere
    channel: email
    driver: "null"
routes:
  - name: security
    steps: [{channel: email, success: sent, wait: 0s}]
YAML
    done
    as reachd DEL reach:intake reach:intake:bulk reach:receipts reach:desk 'reach:clearance:{ada@walton.example}' >/dev/null
    start reachd "$B/reachd" --config "$T/reachd.yaml"
    local contacts='[{"channel":"email","address":"ada@example.org"}]'
    cat >"$T/jobs" <<JOBS
{"v":1,"type":"notice","id":"n1","notice":"mail-password-disabled","customer":{"id":"C1","name":"Ada","contacts":$contacts},"disables":{"accounts":["ada@walton.example"]},"data":{"reset_url":"https://walton.example/reset"}}
{"v":1,"type":"notice","id":"n2","notice":"mail-password-disabled","customer":{"id":"C2","contacts":[{"channel":"email","address":"bo@walton.example"}]},"disables":{"accounts":["bo@walton.example"]},"data":{"reset_url":"https://walton.example/reset"}}
JOBS
    CONFIG=$T/reachctl.yaml
    ctl push "$T/jobs" || fail "push"
    echo '{"id":"C3","accounts":["cy@walton.example"],"contacts":[{"channel":"email","address":"cy@example.org"}]}' >"$T/book.ndjson"
    ctl contacts import "$T/book.ndjson" 2>/dev/null || fail "contacts import"
    wait_until 20 "both notices are decided" both_decided
    equal 0 "$(json - 'd["unaccounted"]' <<<"$(ctl status --json)")" "unaccounted"
    contains "$(as producer GET 'reach:clearance:{ada@walton.example}')" '"notice":"n1"' "the clearance"
    equal 1 "$(as producer FCALL reach_allowed 1 'reach:clearance:{ada@walton.example}')" "may the account be disabled"
    equal 0 "$(as producer FCALL reach_allowed 1 'reach:clearance:{bo@walton.example}')" "may the stranded one's"
    contains "$(as website GET 'reach:banner:{C2}')" '"notice":"n2"' "the banner"
    lacks "$(cat "$T/reachd.log")" NOPERM "the log"
    stop reachd
    equal 0 "$STATUS" "exit status of reachd"
}
both_decided() {
    ctl status --json | json - 'd["states"].get("reached", 0) == 1 and d["stranded"] == 1' | grep -q true
}

# ---- installation ----------------------------------------------------------------------------------------------------------

it_an_installation_is_complete_and_runs_from_its_place() {
    local root=$T/root
    make --no-print-directory -C "$TOP" install DESTDIR="$root" PREFIX=/opt/reach B="${B#"$TOP"/}" DEPS=skip >"$T/out" 2>&1 || fail "$(tail "$T/out")"
    local file
    for file in opt/reach/bin/reachd opt/reach/bin/reachctl opt/reach/libexec/reachd/reachd-mailer etc/reachd/reachd.yaml \
        lib/systemd/system/reachd.service opt/reach/share/reachd/messages/company.yaml; do
        test -e "$root/$file" || fail "$file was not installed"
    done
    contains "$(cat "$root/lib/systemd/system/reachd.service")" 'ExecStart=/opt/reach/bin/reachd --config /etc/reachd/reachd.yaml' "the unit"
    contains "$(cat "$root/etc/reachd/reachd.yaml")" '/opt/reach/share/reachd/messages' "the configuration"
    sed -i "s|/opt/reach|$root/opt/reach|" "$root/etc/reachd/reachd.yaml"
    secrets "$root/etc/reachd/secrets"
    "$root/opt/reach/bin/reachd" --config "$root/etc/reachd/reachd.yaml" --check-config >/dev/null || fail "check-config"
    echo '# mine' >"$root/etc/reachd/reachd.yaml"
    make --no-print-directory -C "$TOP" install DESTDIR="$root" PREFIX=/opt/reach B="${B#"$TOP"/}" DEPS=skip >"$T/out" 2>&1
    equal '# mine' "$(cat "$root/etc/reachd/reachd.yaml")" "the operator's configuration"
}

cd "$TOP"
run_cases
