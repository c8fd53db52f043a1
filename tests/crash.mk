# The crash campaign. Included by the Makefile.
#   CRASH_NOTICES=100000  CRASH_KILLS=205  CRASH_SEED=20261223  CRASH_SLOW_DISK_MS=0 (how much longer each of Redis's syncs takes)
CRASH_NOTICES ?= 100000
CRASH_KILLS ?= 205
CRASH_SEED ?= 20261223
CRASH_SLOW_DISK_MS ?= 0
SLOW_DISK := $(B)/slow-disk.so

$(SLOW_DISK): tests/crash/slow_disk.c
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -std=c17 -D_GNU_SOURCE $(WARN) -O2 -fPIC -shared $< -o $@ -ldl
test test-programs: $(SLOW_DISK)

.PHONY: crash
crash: all $(SLOW_DISK) ## 100,000 notices while reachd, its mailers and Redis are killed 205 times; some minutes, checked
	@B=$(B) SLOW_DISK_MS=$(CRASH_SLOW_DISK_MS) python3 tests/crash/crash.py $(B)/crash $(CRASH_NOTICES) $(CRASH_KILLS) $(CRASH_SEED)
