# postfix.sh: a private Postfix for a shell test: own configuration, queue, log and ports, loopback only. Source it after lib.sh.
#
# The machine's own Postfix, if it runs, is not touched; everything is below $PF and goes with the test.
# shellcheck shell=bash
PATH=$PATH:/usr/sbin:/sbin
PF=$T/postfix

# need_postfix: skips the test where it cannot be started.
need_postfix() {
    command -v postfix >/dev/null || skip "postfix is not installed"
    [ "$(id -u)" = 0 ] || skip "postfix wants to be started by root"
    chmod 755 "$T" # Postfix's own users must get through
    mkdir -p "$PF"/{etc,queue,data,log,mail}
    chown postfix "$PF/data" "$PF/mail"
}

# postfix_service NAME PORT OPTION...: prints one smtpd for master.cf.
postfix_service() {
    local name=$1 port=$2 option
    shift 2
    printf '127.0.0.1:%s inet n - n - - smtpd\n -o syslog_name=%s\n' "$port" "$name"
    for option in "$@"; do printf ' -o %s\n' "$option"; done
}

# postfix_fails: prints a transport "fails" for master.cf: it takes mail and then finds that the mailbox is gone.
postfix_fails() {
    printf '#!/bin/sh\necho "5.1.1 the mailbox burned down"\nexit 67\n' >"$PF/fails"
    chmod 755 "$PF/fails"
    printf 'fails unix - n n - - pipe\n flags= user=nobody argv=%s\n' "$PF/fails"
}

postfix_main_cf() {
    cat <<CF
compatibility_level = 3.6
queue_directory = $PF/queue
data_directory = $PF/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = $PF/log/mail.log
maillog_file_prefixes = $PF/log
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
myhostname = mx.post.example
mydestination =
alias_maps =
local_recipient_maps =
smtp_tls_security_level = none
smtpd_peername_lookup = no
smtpd_sender_restrictions =
smtpd_error_sleep_time = 0
bounce_queue_lifetime = 0
CF
}

postfix_master_cf() {
    cat <<'CF'
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
virtual   unix  -       n       n       -       -       virtual
anvil     unix  -       -       n       -       1       anvil
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
postlog   unix-dgram n  -       n       -       1       postlogd
CF
}

# start_postfix PORT MAIN_CF MASTER_CF: with these lines beside the common ones; waits until it answers on that port.
start_postfix() {
    { postfix_main_cf; printf '%s\n' "$2"; } >"$PF/etc/main.cf"
    { printf '%s\n' "$3"; postfix_master_cf; } >"$PF/etc/master.cf"
    postfix -c "$PF/etc" check >"$T/check.log" 2>&1 || fail "Postfix does not like its configuration"
    start postfix setsid /usr/lib/postfix/sbin/master -c "$PF/etc" -d
    wait_until 20 "Postfix answers" "$PYTHON" -c "import socket; s = socket.create_connection(('127.0.0.1', $1), 1); assert s.recv(3) == b'220'"
}
