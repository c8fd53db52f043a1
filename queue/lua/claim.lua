-- claim: hands out notices that are due, and with each a lease.
--
-- KEYS  1 notices  2 jobs  3 due
-- ARGV  1 now (ms)  2 end of the lease (ms)  3 how many at most  4 how many at most of those that a worker was lost over
--
-- Before: due holds when each waiting notice wants attention, or when the lease of the one who has it in hand is over: then with how many
-- workers will have been lost over it (common.lua: lost_of).
-- After: every notice handed out is due again at the end of the lease, so whoever dies holding it loses nothing, and counts as lost; the
-- change that the holder makes is fenced by the record's token. An id without a record leaves the set (nothing could be done with it).
-- What workers were lost over comes first, and in company that it cannot get into trouble: one that two were lost over alone; those that
-- one was lost over among themselves; else what is left. Those that three were lost over come in any case: nobody looks at them any more.
-- Answer: the time of the earliest notice left before its lease, or -1; then id, record, job (or nil), lost of each.

local NOTICES, JOBS, DUE = KEYS[1], KEYS[2], KEYS[3]
local SUSPECT, DEAD = 2, 3
local rows = redis.call('ZRANGEBYSCORE', DUE, '-inf', ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[3])

-- What is handed out together: of `found[n]`, ids that n workers were lost over, the most suspicious kind.
local found = {[0] = {}, {}, {}, {}}
for i = 1, #rows, 2 do
    local kind = found[math.min(lost_of(tonumber(rows[i + 1])), DEAD)]
    kind[#kind + 1] = rows[i]
end
local ids, losts = {}, {}
local function take(lost, most)
    for i = 1, math.min(#found[lost], most) do
        ids[#ids + 1], losts[#losts + 1] = found[lost][i], lost
    end
end
take(DEAD, #found[DEAD])
if #found[SUSPECT] > 0 then
    take(SUSPECT, 1)
elseif #found[1] > 0 then
    take(1, tonumber(ARGV[4]))
else
    take(0, #found[0])
end

local records, jobs = read_fields(NOTICES, ids), read_fields(JOBS, ids)
local leases, gone, answer = {}, {}, {-1}
for i, id in ipairs(ids) do
    if records[i] then
        leases[#leases + 1] = due_score(ARGV[2], losts[i] + 1)
        leases[#leases + 1] = id
        answer[#answer + 1] = id
        answer[#answer + 1] = records[i]
        answer[#answer + 1] = jobs[i]
        answer[#answer + 1] = losts[i]
    else
        gone[#gone + 1] = id
    end
end
write_all('ZADD', DUE, leases)
write_all('ZREM', DUE, gone)
local first = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
if first[2] then
    answer[1] = first[2]
end
return answer
