-- sweep: one page of a slow walk over all notices: finds work that no timer owns, and what has been finished long enough.
--
-- KEYS  1 notices  2 jobs  3 due
-- ARGV  1 now (ms)  2 cursor  3 how many at a time, about  4 age (s) from which work without a timer is picked up
--       5 age (s) from which finished notices are answered, 0: none are  6 key of the hash `archived`  7 of `desk`  8 of `audit`: while it is there,
--       none are either
--
-- A record's age: its token begins with the time at which its epoch was given out, in 64ths of a second, and epochs are renewed
-- every few minutes; so a record is at most that much younger than its token says.
--
-- Before: a notice in flight has a place in due, or it is in its first attempt and its stream entry is open in a lease, or it is stranded and
-- waits for a contact point.
-- After: a notice of the page that is in flight, not stranded, older than the age and not in due (its entry was trimmed, its
-- holder died in a way nobody thought of) is due now. Answer: next cursor, how many those were, whether ids of
-- notices that have left are remembered (1 or 0), then id and record of finished ones without an
-- open desk case.

local time = tonumber(redis.call('TIME')[1])
local function token_of(age)
    return string.format('%010x', math.max(0, time - tonumber(age)) * 64)
end

local FINAL = {R = true, H = true, E = true, C = true, V = true}
local lost_before = token_of(ARGV[4])
local old_before = ARGV[5] ~= '0' and redis.call('EXISTS', ARGV[8]) == 0 and token_of(ARGV[5]) or ''
local page = redis.call('HSCAN', KEYS[1], ARGV[2], 'COUNT', ARGV[3])
local answer, lost = {page[1], 0, redis.call('TYPE', ARGV[6]).ok == 'none' and 0 or 1}, {}
for i = 1, #page[2], 2 do
    local id, record = page[2][i], page[2][i + 1]
    local state, epoch = string.sub(record, 1, 1), string.sub(record, 2, 11)
    if FINAL[state] then
        if epoch < old_before and redis.call('HEXISTS', ARGV[7], id) == 0 then
            answer[#answer + 1] = id
            answer[#answer + 1] = record
        end
    elseif state ~= 'n' and epoch < lost_before and not redis.call('ZSCORE', KEYS[3], id) then
        lost[#lost + 1] = ARGV[1]
        lost[#lost + 1] = id
    end
end
answer[2] = write_all('ZADD', KEYS[3], lost)
return answer
