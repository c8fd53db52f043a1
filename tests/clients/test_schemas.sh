#!/bin/bash
# docs/schema/ against docs/examples/ and docs/contract.md, with a schema validator that we did not write.
# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
need_npm
node "$TOP/tests/clients/check_schemas.js" self
