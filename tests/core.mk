# The core's own targets. Included by the Makefile.

# ---- model -------------------------------------------------------------------------------------------------------------
# TROUBLES=2: twice the bad luck, some minutes.
TROUBLES ?= 1

.PHONY: model
model: ## check the model of the clearance gate (Debian's spin)
	@tests/model/check.sh $(TROUBLES)
