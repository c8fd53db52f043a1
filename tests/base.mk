# test, lint, format, docs. Included by the Makefile.

# ---- test --------------------------------------------------------------------------------------------------------------
# C tests and scripts run against a build with sanitizers and failpoints; a script that asks for it ("run-tests: plain") against the usual one.
#   T=conf    only tests whose path holds "conf"        TEST_JOBS=1  one after the other
comma := ,
TEST_SAN := $(if $(SAN),$(SAN),address$(comma)undefined)
TEST_B := $(if $(SAN),$(B),$(B)-san)
TEST_JOBS ?= 2
SHELL_TESTS := $(wildcard tests/*/test_*.sh)
PICKED = $(if $(T),$(foreach t,$(1),$(if $(findstring $(T),$(t)),$(t))),$(1))

.PHONY: test test-programs lint format check-format check-includes check-scripts tidy tidy-gen analyze
test-programs: $(PROGRAMS) $(TESTS)

test: all ## build everything and run all tests
	@+$(MAKE) --no-print-directory B=$(TEST_B) SAN=$(TEST_SAN) FAILPOINTS=1 DEPS=skip test-programs
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

# One stamp per file, so that only what has changed is looked at again. TIDY_GEN: generated headers that must be there.
TIDY_OK := $(patsubst %.c,$(B)/tidy/%.ok,$(TIDY_FILES))
TIDY_GEN += $(B)/gen/queue_scripts.h $(B)/gen/mend_aof.h
tidy: $(TIDY_OK)
$(TIDY_OK): $(B)/tidy/%.ok: %.c .clang-tidy deploy/tidy.sh | tidy-gen
	@mkdir -p $(@D)
	@deploy/tidy.sh $(filter-out -Werror -fstack-protector-strong,$(ALL_CFLAGS)) $< && touch $@
tidy-gen: ; @+$(MAKE) --no-print-directory DEPS=skip $(TIDY_GEN)

# Not among them: unix.Malloc takes TAILQ_REMOVE for a use after free (the sanitizers see the real ones), padding is a reader's order,
# and the C library has no memcpy_s.
ANALYZE := -*,clang-analyzer-*,-clang-analyzer-unix.Malloc,-clang-analyzer-optin.*,-clang-analyzer-security.insecureAPI.*
analyze: tidy-gen ## the clang static analyser over everything but the tests; some minutes
	@printf '%s\n' $(filter-out tests/%,$(TIDY_FILES)) | xargs -P 2 -n 1 deploy/tidy.sh --checks='$(ANALYZE)' \
	    $(filter-out -Werror -fstack-protector-strong,$(ALL_CFLAGS))

format: ## format all C files
	clang-format -i $(C_FILES)

# ---- docs --------------------------------------------------------------------------------------------------------------
.PHONY: docs
docs: $(B)/reachd $(B)/reachctl ## write docs/configuration.md and the manual pages anew from the tables in the code
	@{ sed '/^## Top level/,$$d' docs/configuration.md; $(B)/reachd --help-config; } > $(B)/configuration.md
	@mv $(B)/configuration.md docs/configuration.md
	@$(B)/reachctl gateway schema > docs/schema/gateway.schema.json
	@docs/man/generate.sh $(B)

# ---- fuzz --------------------------------------------------------------------------------------------------------------
# Each tests/fuzz/fuzz_X.c is a libFuzzer target; what it begins with: the files that FUZZ_SEEDS_X names. What is found stays in
# build-fuzz/found.
#   FUZZ_SECONDS=600    how long each
FUZZ_SECONDS ?= 60
FUZZ_B := build-fuzz
FUZZERS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SEEDS_conf := deploy/*.yaml channels/gateways/*.yaml
FUZZ_SEEDS_job := docs/examples/jobs/*.json
FUZZ_SEEDS_template := templates/messages/*/en/*.md
FUZZ_SEEDS_front_matter := templates/messages/*/en/*.md

.PHONY: fuzz fuzz-programs
fuzz-programs: $(FUZZERS)
$(FUZZERS): $(B)/tests/%: $(B)/obj/tests/%.o $(LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer $^ -o $@ $(LIBS_DAEMON)

fuzz: ## run every fuzz target for FUZZ_SECONDS (60); needs clang
	@+$(MAKE) --no-print-directory B=$(FUZZ_B) CC=clang SAN=address,undefined,fuzzer-no-link DEPS=skip fuzz-programs
	@mkdir -p $(FUZZ_B)/found
	@for f in $(patsubst $(B)/%,$(FUZZ_B)/%,$(FUZZERS)); do \
	    name=$${f##*/fuzz_}; corpus=$(FUZZ_B)/corpus/$$name; mkdir -p $$corpus; \
	    $(foreach s,$(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c)),test $$name != $(s) || cp $(FUZZ_SEEDS_$(s)) $$corpus 2>/dev/null;) \
	    echo "fuzz: $$name for $(FUZZ_SECONDS) s"; \
	    $$f -max_total_time=$(FUZZ_SECONDS) -timeout=5 -max_len=20000 -print_final_stats=1 -artifact_prefix=$(FUZZ_B)/found/$$name- $$corpus \
	        > $(FUZZ_B)/$$name.log 2>&1 || { tail -n 40 $(FUZZ_B)/$$name.log; exit 1; }; \
	    grep -E 'number_of_executed_units|average_exec_per_sec' $(FUZZ_B)/$$name.log; \
	done
