#!/bin/bash
# Names of domains: what ICU makes of them here against what Node makes of them, name by name (idna_oracle.js says how).
# run-tests: plain
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${B:=build}"

if ! command -v node >/dev/null; then
    echo 'skipped: no node here'
    exit 77
fi
node --no-deprecation tests/core/idna_oracle.js "$PWD/${B#"$PWD"/}/tests/core/test_idna"
