# e-mail: benchmark. Included by the Makefile.

# The bare loop that the driver is compared with links libesmtp itself.
$(B)/tests/bench/bench_smtp: LIBS_CLI += -lesmtp

.PHONY: bench-smtp
bench-smtp: all $(B)/tests/bench/bench_smtp ## e-mail: mails a second and CPU beside a bare loop around libesmtp
	$(B)/tests/bench/bench_smtp
