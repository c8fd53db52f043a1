# Targets of the queue room.
.PHONY: bench-queue

bench-queue: $(B)/tests/bench/bench_queue ## what the queue's guarantees cost, beside a bare loop (N="numbers", default 10000 100000 1000000)
	$< $(N)

.PHONY: bench-retention
bench-retention: $(B)/tests/bench/bench_retention ## what finished notices cost: in Redis, remembered, archived (N="number rounds", default 250000 4)
	$< $(N)
