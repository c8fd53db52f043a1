# The core's own targets. Included by the Makefile.

# ---- model -------------------------------------------------------------------------------------------------------------
# TROUBLES=2: twice the bad luck, some minutes.
TROUBLES ?= 1

.PHONY: model
model: ## check the model of the clearance gate (Debian's spin)
	@tests/model/check.sh $(TROUBLES)

# ---- tests -------------------------------------------------------------------------------------------------------------
# Its own functions stand in the place of the arena's, so that any allocation can be made to fail.
$(B)/tests/core/test_memory: ALL_LDFLAGS += -Wl,--wrap=arena_alloc,--wrap=arena_array,--wrap=arena_strdup

# test_idna_oracle.sh runs it without sanitizers: two and a half million names.
test: $(B)/tests/core/test_idna
