#!/bin/bash
# run-tests: plain timeout=300
# Memory of a preflight has a bound that does not depend on the number of customers: twice as many take no more, for everything that a
# preflight must remember. Both sizes are beyond what is held in memory, so that the larger one has nothing left to grow by.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need reachctl
BOUND_KIB=$((100 * 1024)) # as docs/contract.md says

# make_customers KIND N: into $T/KIND-N, their ids into $T/KIND-N.ids. The texts that must be remembered are as long as they may be, so that
# few customers are enough.
make_customers() {
    "$PYTHON" - "$@" <<'PY'
import os, sys
kind, n = sys.argv[1], int(sys.argv[2])
path = os.environ["T"] + "/" + "-".join(sys.argv[1:])
account = "a-customer-with-a-name-of-many-letters-%07d@" + "a-department-with-a-long-name." * 6 + "example"
ident = "a-customer-whose-id-is-as-long-as-an-id-may-be-because-somebody-has-put-whole-sentences-into-it/" * 2
with open(path, "w") as book, open(path + ".ids", "w") as ids:
    for i in range(n):
        if kind == "accounts":
            mail = account % i
            book.write('{"id":"C%d","accounts":["%s"],"contacts":[{"channel":"%s"}]}\n' % (i, mail, 'sms","address":"+441632%06d' % (i % 1000000) if i % 2 else 'email","address":"' + mail))
        else:
            book.write('{"id":"%s%07d","contacts":[{"channel":"sms","address":"+441632960001"}]}\n' % (ident[:120], i))
            ids.write("%s%07d\n" % (ident[:120], i))
PY
}
job() { printf '{"v":1,"type":"campaign","id":"c","notice":"mail-password-disabled","audience":%s,"disables":%s}\n' "$2" "$3" >"$T/$1.json"; }

it_prepares() {
    printf 'redis: {address: "unix:%s"}\n' "$T/redis.sock" >"$T/reachd.yaml"
    job domains '"all"' "{\"domains\":[\"$(printf 'a-department-with-a-long-name.%.0s' 1 2 3 4 5 6)example\"]}"
    job accounts '"all"' '{"audience_accounts":true}'
    make_customers accounts 160000
    make_customers accounts 320000
}

# peak EXIT JOB [OPTION...]: the memory of the largest process, in KiB
peak() {
    "$PYTHON" - "$@" <<'PY'
import os, subprocess, sys
code, *words = sys.argv[1:]
child = subprocess.Popen([os.environ["B"] + "/reachctl", "--config", os.environ["T"] + "/reachd.yaml", "preflight", "--json"] + words,
                         stdout=subprocess.DEVNULL, stderr=open(os.environ["T"] + "/err", "w"))
_, status, usage = os.wait4(child.pid, 0)
assert os.waitstatus_to_exitcode(status) == int(code), (status, open(os.environ["T"] + "/err").read())
print(usage.ru_maxrss)
PY
}

# no_more WHAT FEW_KIB MANY_KIB
no_more() {
    printf '%s and %s KiB ... ' "$2" "$3"
    [ "$3" -lt $(($2 + $2 / 8)) ] || fail "$1: $2 KiB, and $3 KiB for twice as many customers"
    [ "$3" -lt "$BOUND_KIB" ] || fail "$1: $3 KiB"
}

# The list has every second customer, with all reasons, in order; the page the first of them.
it_needs_no_more_for_a_longer_list_and_its_page() {
    no_more 'a list and its page' "$(peak 3 "$T/domains.json" --contacts "$T/accounts-160000" --html "$T/page")" \
        "$(peak 3 "$T/domains.json" --contacts "$T/accounts-320000" --html "$T/page")"
}

it_needs_no_more_for_more_accounts_that_die_together() {
    no_more 'accounts of the audience' "$(peak 3 "$T/accounts.json" --contacts "$T/accounts-160000")" \
        "$(peak 3 "$T/accounts.json" --contacts "$T/accounts-320000")"
}

it_needs_no_more_for_a_longer_list_of_ids() {
    local n
    for n in 280000 560000; do
        make_customers ids $n
        job ids-$n "{\"file\":\"ids-$n.ids\"}" '{"accounts":["x@walton.example"]}'
    done
    no_more 'ids of the audience' "$(peak 0 "$T/ids-280000.json" --contacts "$T/ids-280000")" \
        "$(peak 0 "$T/ids-560000.json" --contacts "$T/ids-560000")"
}

run_cases
