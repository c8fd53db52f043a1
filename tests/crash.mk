# The crash campaign. Included by the Makefile.
#   CRASH_NOTICES=100000  CRASH_KILLS=205  CRASH_SEED=20261223
CRASH_NOTICES ?= 100000
CRASH_KILLS ?= 205
CRASH_SEED ?= 20261223
.PHONY: crash
crash: all ## 100,000 notices while reachd, its mailers and Redis are killed 205 times; some minutes, checked
	@B=$(B) python3 tests/crash/crash.py $(B)/crash $(CRASH_NOTICES) $(CRASH_KILLS) $(CRASH_SEED)
