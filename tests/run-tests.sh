#!/bin/bash
# Runs tests and sums them up. A test is an executable: a C program (cmocka) or a shell script.
#
#   tests/run-tests.sh [-j N] [-t SECONDS] TEST...
#
# Exit 0 of a test is passed, 77 skipped (its last line says why), anything else failed. One line is printed per test, and the whole
# output of a test that failed. The last line is the sum, "N passed, N failed, N skipped": a C program counts with its test
# functions, a script with the cases of its own last line ("N passed, N failed"), else as one. Exit 0 only where nothing failed and
# something ran.
#
# A script may ask, in a comment of its first 20 lines, for
#   # run-tests: serial          not beside another test (it measures time or load)
#   # run-tests: timeout=300     more than the usual time
#   # run-tests: plain           the build without sanitizers
# It gets the build directory as $B, no standard input and no proxy; what it leaves running is ended with it.
#
# Environment: B (the build directory, with sanitizers where there is one), B_PLAIN (without; default: B).
set -euo pipefail

jobs=2
limit=180
: "${B:=build}"
: "${B_PLAIN:=$B}"

wish() { # wish TEST WORD: prints what the test asks for under that word
    [[ $1 == *.sh ]] || return 0
    sed -n "1,20s/^# run-tests:.*\\b$2\\(=\\([0-9]*\\)\\)\\{0,1\\}.*/\\2${3:-}/p" "$1" | head -n 1
}

# Counts of a finished test as "passed failed skipped".
count() { # count TEST LOG STATUS
    local passed=0 failed=0 skipped=0 sum='^([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$'
    if [[ $3 -eq 77 ]]; then
        skipped=1
    elif [[ $1 == *.sh && $(tail -n 1 "$2") =~ $sum ]]; then
        passed=${BASH_REMATCH[1]} failed=${BASH_REMATCH[2]} skipped=${BASH_REMATCH[4]:-0}
    elif [[ $1 != *.sh ]] && grep -q '^\[  PASSED  \]' "$2"; then
        passed=$(cmocka_count PASSED "$2") failed=$(cmocka_count FAILED "$2") skipped=$(cmocka_count SKIPPED "$2")
    elif [[ $3 -eq 0 ]]; then
        passed=1
    fi
    # What failed without saying so: a crash, a sanitizer's report at exit, a script that stopped in the middle.
    if [[ $3 -ne 0 && $3 -ne 77 && $failed -eq 0 ]]; then
        failed=1
    fi
    echo "$passed $failed $skipped"
}

cmocka_count() { # cmocka_count WORD LOG: a program may hold several groups of tests
    sed -n "s/^\[  $1 *\] \([0-9]*\) test(s).*/\1/p" "$2" | awk '{n += $1} END {print n + 0}'
}

tell() { # tell TEST LOG STATUS MILLISECONDS
    local word=ok why=''
    case $3 in
    0) ;;
    77)
        word=skipped
        why=" ($(tail -n 1 "$2"))"
        ;;
    124 | 137)
        word=FAILED
        why=' (took too long)'
        ;;
    *)
        word=FAILED
        why=" (exit $3)"
        ;;
    esac
    if [[ $word == FAILED ]]; then
        printf '%s\n' "---- output of $1 ----"
        cat "$2"
        printf '%s\n' "---- end of $1 ----"
    fi
    printf '%-8s %6s.%03d s  %s%s\n' "$word" $(($4 / 1000)) $(($4 % 1000)) "$1" "$why"
}

run_one() {
    local test=$1 name log begin end status=0 seconds build=$B
    name=${test#"$B"/}
    name=${name//[^A-Za-z0-9_-]/_}
    log=$LOGS/$name.log
    seconds=$(wish "$test" timeout)
    [[ -z $(wish "$test" plain yes) ]] || build=$B_PLAIN
    begin=$(date +%s%3N)
    # timeout(1) makes a process group and ends all of it, so servers of a test that hangs go with it.
    env -u http_proxy -u https_proxy -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY -u all_proxy -u MAKEFLAGS -u MFLAGS -u MAKELEVEL B="$build" \
        timeout -k 10 "${seconds:-$limit}" "$test" </dev/null >"$log" 2>&1 || status=$?
    end=$(date +%s%3N)
    count "$test" "$log" "$status" >"$LOGS/$name.count"
    flock "$LOGS/lock" bash -c 'cat' < <(tell "$test" "$log" "$status" $((end - begin)))
}

sum_up() {
    local passed failed skipped
    read -r passed failed skipped < <(cat "$LOGS"/*.count 2>/dev/null | awk '{p += $1; f += $2; s += $3} END {print p + 0, f + 0, s + 0}')
    if [[ $failed -gt 0 ]]; then
        echo 'failed:'
        grep -lE '^[0-9]+ [1-9]' "$LOGS"/*.count | sed 's|.*/|  |; s|\.count$||'
    fi
    echo "$passed passed, $failed failed, $skipped skipped"
    [[ $failed -eq 0 && $passed -gt 0 ]]
}

if [[ ${1:-} == --one ]]; then
    run_one "$2"
    exit 0
fi

while getopts j:t: option; do
    case $option in
    j) jobs=$OPTARG ;;
    t) limit=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))

export B B_PLAIN limit
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export LSAN_OPTIONS=${LSAN_OPTIONS:-print_suppressions=0}
LOGS=$B/test-logs
export LOGS
rm -rf "$LOGS"
mkdir -p "$LOGS"

together=()
alone=()
for test in "$@"; do
    if [[ -n $(wish "$test" serial yes) ]]; then
        alone+=("$test")
    else
        together+=("$test")
    fi
done
[[ ${#together[@]} -eq 0 ]] || printf '%s\0' "${together[@]}" | xargs -0 -n 1 -P "$jobs" "$0" --one
[[ ${#alone[@]} -eq 0 ]] || printf '%s\0' "${alone[@]}" | xargs -0 -n 1 -P 1 "$0" --one
sum_up
