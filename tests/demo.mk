# demo. Included by the Makefile.
.PHONY: demo
demo: all ## 2,000 customers of a retailer whose mailboxes die: a whole run in under a minute, checked
	@B=$(B) tests/demo/run.sh
