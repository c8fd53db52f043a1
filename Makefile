# reachd: build, test, demo. `make help` lists the targets.
#
#   CC=clang            another compiler            B=DIR          build somewhere else (default build/)
#   SAN=address,undefined  sanitizers               WERROR=1       warnings are errors (CI)
#   DEPS=skip           do not look for packages       V=1            print whole commands
#   FAILPOINTS=1        places where tests stop or kill the process (base/failpoint.h); the tests' own build has them
.DEFAULT_GOAL := all
SHELL := /bin/bash

CC ?= gcc
B ?= build$(if $(filter-out cc gcc,$(notdir $(CC))),-$(notdir $(CC)))$(if $(SAN),-san)
PREFIX ?= /usr/local
DESTDIR ?=
DEPS ?= auto

PKGS := libcurl libesmtp-1.0 hiredis jansson libevent libevent_openssl libcmark-gfm yaml-0.1 icu-uc icu-i18n libpsl libcrypto libssl \
        libjwt smartcols sqlite3 libsystemd gmime-3.0

# Packages are looked up once, when something is built; each goal brings the sections of deploy/packages.txt that it needs.
GOALS := $(or $(MAKECMDGOALS),all)
SECTIONS := build $(if $(filter demo crash,$(GOALS)),demo) $(if $(filter test test-programs model bench-% $(B)/tests/%,$(GOALS)),demo test) \
            $(if $(filter lint tidy analyze fuzz,$(GOALS)),test lint)
ifneq ($(filter-out help clean format check-includes deps,$(GOALS)),)
ifeq ($(DEPS),auto)
ifneq ($(shell deploy/bootstrap.sh --check $(SECTIONS) >/dev/null 2>&1 && echo ok),ok)
DEPS_DONE := $(shell deploy/bootstrap.sh $(SECTIONS) >&2 && echo ok)
ifneq ($(DEPS_DONE),ok)
$(error packages are missing; see the lines above)
endif
endif
endif
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS))
endif

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings \
        -Wformat=2 -Wundef -Wvla -Wconversion -Wno-sign-conversion -Wno-overlength-strings $(if $(WERROR),-Werror)
OPT := $(if $(SAN),-O1 -g -fno-omit-frame-pointer -fsanitize=$(SAN) -fno-sanitize-recover=all,-O2 -g -D_FORTIFY_SOURCE=2)
CFLAGS ?= $(OPT)
# Without the prefix map the path of the checkout would stand in every binary.
ALL_CFLAGS := -std=c17 -D_GNU_SOURCE -I. -I$(B)/gen $(WARN) -fstack-protector-strong -fPIE -ffile-prefix-map=$(CURDIR)=. $(CFLAGS) \
              $(if $(FAILPOINTS),-DFAILPOINTS) \
              $(EXTRA_CFLAGS) $(PKG_CFLAGS)
ALL_LDFLAGS := -pie $(if $(SAN),-fsanitize=$(SAN)) -Wl,-z,relro,-z,now,--as-needed $(LDFLAGS)

LIBS_CORE := -ljansson -lyaml -licuuc -licui18n -licudata -lpsl -lcrypto
LIBS_DAEMON := -lhiredis -levent -levent_openssl -lcurl -lssl -ljwt -lcmark-gfm -lcmark-gfm-extensions -lsystemd -lm $(LIBS_CORE)
LIBS_CLI := $(LIBS_DAEMON) -lsmartcols -lcsv -lsqlite3 -lgmime-3.0 -lgobject-2.0 -lglib-2.0
LIBS_MAILER := -lesmtp -lssl $(LIBS_CORE)

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-4s %s\n' '$(1)' '$(2)')

# ---- what is built from what -------------------------------------------------------------------------------------------
LIB_SRC := $(filter-out $(if $(FAILPOINTS),,base/failpoint.c),$(wildcard base/*.c)) $(wildcard dispatcher/core/*.c templates/*.c queue/*.c) \
           $(filter-out dispatcher/main.c,$(wildcard dispatcher/*.c)) $(wildcard channels/*.c)
REACHD_SRC := dispatcher/main.c
CTL_SRC := $(wildcard cli/*.c)
MAILER_SRC := $(wildcard channels/mailer/*.c)
PEER_SRC := $(wildcard tests/support/peer/*.c)
SUPPORT_SRC := $(wildcard tests/support/*.c)
TEST_SRC := $(wildcard tests/*/test_*.c)
BENCH_SRC := $(wildcard tests/bench/bench_*.c)
LUA := $(wildcard queue/lua/*.lua)

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))
LIB := $(B)/libreach.a
PROGRAMS := $(B)/reachd $(B)/reachctl $(B)/reachd-mailer $(B)/sandbox-peer
TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(TEST_SRC))
BENCHES := $(patsubst tests/%.c,$(B)/tests/%,$(BENCH_SRC))

.PHONY: all help clean deps
all: $(PROGRAMS) ## build reachd, reachctl, reachd-mailer and the sandbox peer

help: ## list the targets
	@awk -F':.*## ' '/^[a-zA-Z_-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## install the Debian packages that building and testing need
	deploy/bootstrap.sh

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# The Lua scripts become C strings, so that a program carries the scripts that fit it. ('?' is escaped because of C's trigraphs.)
$(B)/gen/queue_scripts.h: $(LUA) Makefile
	@mkdir -p $(@D)
	@{ for f in $(LUA); do n=$$(basename $$f .lua); printf 'static const char script_%s[] =\n' "$$n"; \
	   sed -e 's/[\\"?]/\\&/g' -e 's/^/    "/' -e 's/$$/\\n"/' $$f; echo '    ;'; done; } > $@.tmp && mv $@.tmp $@
$(call obj,$(wildcard queue/*.c)): $(B)/gen/queue_scripts.h

# What a host runs before its redis-server, --standalone runs too.
$(B)/gen/mend_aof.h: deploy/redis-mend-aof.sh Makefile
	@mkdir -p $(@D)
	@{ echo 'static const char mend_aof[] ='; sed -e 's/[\\"?]/\\&/g' -e 's/^/    "/' -e 's/$$/\\n"/' $<; echo '    ;'; } > $@.tmp && mv $@.tmp $@
$(call obj,dispatcher/standalone.c): $(B)/gen/mend_aof.h

$(LIB): $(call obj,$(LIB_SRC))
	@rm -f $@
	$(call say,AR,$@)
	$(Q)ar qcs $@ $^

$(B)/reachd: $(call obj,$(REACHD_SRC)) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ -o $@ $(LIBS_DAEMON)
$(B)/reachctl: $(call obj,$(CTL_SRC)) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ -o $@ $(LIBS_CLI)
$(B)/reachd-mailer: $(call obj,$(MAILER_SRC)) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ -o $@ $(LIBS_MAILER)
$(B)/sandbox-peer: $(call obj,$(PEER_SRC)) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ -o $@ -levent -levent_openssl -lssl $(LIBS_CORE)

$(TESTS) $(BENCHES): $(B)/tests/%: $(B)/obj/tests/%.o $(call obj,$(SUPPORT_SRC)) $(LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ -o $@ -lcmocka $(LIBS_CLI) -ldl

clean: ## remove what was built
	rm -rf build build-*

include $(wildcard deploy/*.mk tests/*.mk)

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
