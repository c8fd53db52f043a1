# What tests of reachctl link beside libreach.a: every room of the program but its main().
CTL_LIB := $(B)/libreachctl.a
CTL_TESTS := $(filter $(B)/tests/cli/% $(B)/tests/bench/bench_preflight,$(TESTS) $(BENCHES))

$(CTL_LIB): $(call obj,$(filter-out cli/main.c,$(CTL_SRC)))
	@rm -f $@
	ar rcs $@ $^

$(CTL_TESTS): $(CTL_LIB)
$(CTL_TESTS): LIBS_CLI := $(CTL_LIB) $(LIB) $(LIBS_CLI)

.PHONY: bench-preflight
bench-preflight: $(B)/tests/bench/bench_preflight $(B)/reachctl ## what a preflight costs a customer, beside parsing the customer with jansson
	@$(B)/tests/bench/bench_preflight 1000000 $(B)/reachctl
