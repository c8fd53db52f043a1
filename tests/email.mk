# e-mail: a sender for shell tests, and the benchmark. Included by the Makefile.

SMTP_SEND_SRC := tests/support/tool/smtp_send.c tests/support/mail_peer.c
$(B)/smtp-send: $(call obj,$(SMTP_SEND_SRC)) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ -o $@ $(LIBS_DAEMON)
test-programs: $(B)/smtp-send

# The mailer, with answers of its own to some names.
$(B)/own-names/reachd-mailer: $(call obj,$(MAILER_SRC) tests/support/tool/own_names.c) $(LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ -o $@ $(LIBS_MAILER)
test-programs: $(B)/own-names/reachd-mailer

# The bare loop that the driver is compared with links libesmtp itself.
$(B)/tests/bench/bench_smtp: LIBS_CLI += -lesmtp

.PHONY: bench-smtp
bench-smtp: all $(B)/tests/bench/bench_smtp ## e-mail: mails a second and CPU beside a bare loop around libesmtp
	$(B)/tests/bench/bench_smtp
