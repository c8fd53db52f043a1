-- audit: looks whether every notice that was counted is there, and which are not.
--
-- KEYS  1 notices  2 counters; or, for the names, the hash they stand in
-- ARGV  1 cursor, '' for the counters  2 how many at a time, about  3 where the names stand: f fields, v values, b both
--
-- Changes nothing. Answer for the counters: number of records, then the counters; both of one moment. For the names: next cursor, then the
-- names that have no record.

if ARGV[1] == '' then
    return {redis.call('HLEN', KEYS[1]), redis.call('HGETALL', KEYS[2])}
end
local page = redis.call('HSCAN', KEYS[2], ARGV[1], 'COUNT', ARGV[2])
local names, answer = {}, {page[1]}
for i = 1, #page[2], 2 do
    if ARGV[3] ~= 'v' then
        names[#names + 1] = page[2][i]
    end
    if ARGV[3] ~= 'f' then
        names[#names + 1] = page[2][i + 1]
    end
end
local records = read_fields(KEYS[1], names)
for i = 1, #names do
    if not records[i] then
        answer[#answer + 1] = names[i]
    end
end
return answer
