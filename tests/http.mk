# Benchmark of the http driver. Needs nginx.
.PHONY: bench-http
bench-http: $(B)/tests/bench/bench_http ## the http driver beside a bare libcurl multi loop, same nginx
	$(B)/tests/bench/bench_http
