# demo. Included by the Makefile.
.PHONY: demo
demo: all ## 2,000 customers of a retailer whose mailboxes die: a whole run in under a minute, checked
	@B=$(B) tests/demo/run.sh

.PHONY: sandbox
sandbox: all ## a reachd to play with: its own Redis, and a peer that keeps every message
	@B=$(B) tests/demo/sandbox.sh
