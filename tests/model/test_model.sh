#!/bin/bash
# The model of the clearance gate holds, and can be seen to fail.
# run-tests: plain timeout=900
exec "$(dirname "${BASH_SOURCE[0]}")/check.sh"
