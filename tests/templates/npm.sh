# npm.sh: need_words_npm for the tests of the words; source it after tests/support/lib.sh.
# shellcheck shell=bash

# The modules of tests/templates/package.json, installed once per checkout; skips the test where they cannot be had.
need_words_npm() {
    need node npm
    local here=$TOP/tests/templates
    (
        flock 9
        cmp -s "$here/package-lock.json" "$here/node_modules/.installed" && exit 0
        PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --prefix "$here" >"$T/npm.log" 2>&1 && cp "$here/package-lock.json" "$here/node_modules/.installed"
    ) 9>"${TMPDIR:-/tmp}/reachd-words-npm-$(id -u).lock" || skip "npm ci did not work: $(grep -m1 -i 'error' "$T/npm.log" || echo 'see npm ci --prefix tests/templates')"
    export NODE_PATH=$here/node_modules
}
