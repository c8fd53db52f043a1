# Targets of the dispatcher.
.PHONY: bench-book

bench-book: $(B)/tests/bench/bench_book ## what a customer in the contact book costs in memory (N=customers, default 1000000)
	$< $(N)
