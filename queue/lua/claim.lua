-- claim: hands out notices that are due, and with each a lease.
--
-- KEYS  1 notices  2 jobs  3 due
-- ARGV  1 now (ms)  2 end of the lease (ms)  3 how many at most
--
-- Before: due holds when each waiting notice wants attention.
-- After: every notice handed out is due again at the end of the lease, so whoever dies holding it loses nothing; the change
-- that the holder makes is fenced by the record's token. An id without a record leaves the set (nothing could be done with it).
-- Answer: the time of the earliest notice left before its lease, or -1; then id, record, job (or nil) of each.

local NOTICES, JOBS, DUE = KEYS[1], KEYS[2], KEYS[3]
local ids = redis.call('ZRANGEBYSCORE', DUE, '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
local records, jobs = read_fields(NOTICES, ids), read_fields(JOBS, ids)
local leases, gone, answer = {}, {}, {-1}
for i, id in ipairs(ids) do
    if records[i] then
        leases[#leases + 1] = ARGV[2]
        leases[#leases + 1] = id
        answer[#answer + 1] = id
        answer[#answer + 1] = records[i]
        answer[#answer + 1] = jobs[i]
    else
        gone[#gone + 1] = id
    end
end
write_all('ZADD', DUE, nil, leases)
write_all('ZREM', DUE, nil, gone)
local first = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
if first[2] then
    answer[1] = first[2]
end
return answer
