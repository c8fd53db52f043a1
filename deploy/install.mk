# install. Included by the Makefile.
#   make install PREFIX=/usr DESTDIR=/tmp/package
# Nothing is started, no user is made and an existing /etc/reachd/reachd.yaml is never overwritten.
SYSCONFDIR ?= /etc
UNITDIR ?= /lib/systemd/system
MAN_SRC := $(wildcard docs/man/*.scd)
INSTALL := install -D

# Paths in what is installed follow PREFIX.
placed = sed -e 's|/usr/local|$(PREFIX)|g' -e 's|/etc/reachd|$(SYSCONFDIR)/reachd|g' $(1)

.PHONY: install install-man
install: $(B)/reachd $(B)/reachctl $(B)/reachd-mailer install-man ## install below DESTDIR and PREFIX (/usr/local)
	$(INSTALL) -m 755 $(B)/reachd $(DESTDIR)$(PREFIX)/bin/reachd
	$(INSTALL) -m 755 $(B)/reachctl $(DESTDIR)$(PREFIX)/bin/reachctl
	$(INSTALL) -m 755 $(B)/reachd-mailer $(DESTDIR)$(PREFIX)/libexec/reachd/reachd-mailer
	cd templates/messages && find . -type f -exec $(INSTALL) -m 644 {} $(abspath $(DESTDIR)$(PREFIX))/share/reachd/messages/{} \;
	for f in channels/gateways/*.yaml; do \
	    test ! -e $$f || $(INSTALL) -m 644 $$f $(DESTDIR)$(PREFIX)/share/reachd/gateways/$${f##*/} || exit 1; \
	done
	@mkdir -p $(DESTDIR)$(SYSCONFDIR)/reachd $(DESTDIR)$(UNITDIR) $(DESTDIR)$(PREFIX)/share/doc/reachd
	$(call placed,deploy/reachd.example.yaml) > $(DESTDIR)$(PREFIX)/share/doc/reachd/reachd.example.yaml
	test -e $(DESTDIR)$(SYSCONFDIR)/reachd/reachd.yaml || \
	    cp $(DESTDIR)$(PREFIX)/share/doc/reachd/reachd.example.yaml $(DESTDIR)$(SYSCONFDIR)/reachd/reachd.yaml
	$(INSTALL) -m 644 deploy/reachd.acl $(DESTDIR)$(PREFIX)/share/reachd/deploy/reachd.acl
	$(INSTALL) -m 644 deploy/stunnel-redis.conf $(DESTDIR)$(PREFIX)/share/reachd/deploy/stunnel-redis.conf
	$(INSTALL) -m 755 deploy/redis-users.sh $(DESTDIR)$(PREFIX)/share/reachd/deploy/redis-users.sh
	$(INSTALL) -m 755 deploy/redis-mend-aof.sh $(DESTDIR)$(PREFIX)/share/reachd/deploy/redis-mend-aof.sh
	@mkdir -p $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(B)/reachctl completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/reachctl
	$(call placed,deploy/reachd.service) > $(DESTDIR)$(UNITDIR)/reachd.service

# Manual pages need scdoc; without it the programs are installed alone.
install-man: $(MAN_SRC)
	@for page in $(MAN_SRC); do \
	    command -v scdoc >/dev/null || { echo "install: no scdoc here: the manual pages are left out"; exit 0; }; \
	    name=$$(basename $$page .scd); dir=$(DESTDIR)$(PREFIX)/share/man/man$${name##*.}; \
	    mkdir -p $$dir && scdoc < $$page > $$dir/$$name || exit 1; \
	done
