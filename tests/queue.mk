# Targets of the queue room.
.PHONY: bench-queue

bench-queue: $(B)/tests/bench/bench_queue ## what the queue's guarantees cost, beside a bare loop (N="small large", default 10000 1000000)
	$< $(N)
