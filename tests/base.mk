# test, lint, format, docs. Included by the Makefile.

# ---- test --------------------------------------------------------------------------------------------------------------
# C tests and scripts run against a build with sanitizers; a script that asks for it ("run-tests: plain") against the usual one.
#   T=conf    only tests whose path holds "conf"        TEST_JOBS=1  one after the other
TEST_B := $(if $(SAN),$(B),$(B)-san)
TEST_JOBS ?= 2
SHELL_TESTS := $(wildcard tests/*/test_*.sh)
PICKED = $(if $(T),$(foreach t,$(1),$(if $(findstring $(T),$(t)),$(t))),$(1))

.PHONY: test test-programs lint format check-format check-includes check-scripts tidy
test-programs: $(PROGRAMS) $(TESTS)

test: all ## build everything and run all tests
	@$(if $(SAN),,+$(MAKE) --no-print-directory B=$(TEST_B) SAN=address,undefined DEPS=skip) test-programs
	@B=$(TEST_B) B_PLAIN=$(B) tests/run-tests.sh -j $(TEST_JOBS) $(call PICKED,$(patsubst $(B)/%,$(TEST_B)/%,$(TESTS)) $(SHELL_TESTS))

# ---- lint --------------------------------------------------------------------------------------------------------------
C_FILES = $(shell git ls-files '*.c' '*.h' 2>/dev/null || find base channels cli dispatcher queue templates tests -name '*.[ch]')
TIDY_FILES = $(filter %.c,$(C_FILES))
SCRIPTS = $(shell git ls-files '*.sh' .ci/run 2>/dev/null)

lint: check-includes check-format check-scripts tidy ## clang-tidy, clang-format, include directions, shellcheck

check-includes:
	@deploy/check-includes.sh

check-format:
	@clang-format --dry-run -Werror $(C_FILES)

check-scripts:
	@if command -v shellcheck >/dev/null; then shellcheck -x -P SCRIPTDIR -S warning $(SCRIPTS); else echo 'lint: no shellcheck here: scripts not looked at'; fi

tidy: $(B)/gen/queue_scripts.h
	@printf '%s\n' $(TIDY_FILES) | xargs -P 2 -n 1 deploy/tidy.sh $(filter-out -Werror -fstack-protector-strong,$(ALL_CFLAGS))

format: ## format all C files
	clang-format -i $(C_FILES)

# ---- docs --------------------------------------------------------------------------------------------------------------
.PHONY: docs
docs: $(B)/reachd ## write docs/configuration.md anew from the tables in the code
	@{ sed '/^## Top level/,$$d' docs/configuration.md; $(B)/reachd --help-config; } > $(B)/configuration.md
	@mv $(B)/configuration.md docs/configuration.md
