-- retire: takes finished notices out of Redis that are in the archive already.
--
-- KEYS  1 notices  2 jobs  3 due  4 last  5 previous  6 counters
-- ARGV  rows of two: id, token
--
-- Before: the archive has the record with this token, on disk.
-- After, for every row whose record is finished and carries that token: nothing of the notice is left in Redis but one in
-- `retired` and its state's counter, and its customer's chain leads past it. Answer: one letter a row: A gone (or gone before), S changed
-- meanwhile, stays.
-- records + retired = sum of the state:* that have records, before and after.

local NOTICES, JOBS, DUE, LAST, PREVIOUS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local FINAL = {R = true, H = true, E = true, C = true, V = true}
local MOST = 1000

local function unlink(id, customer)
    local before = redis.call('HGET', PREVIOUS, id)
    local newer, steps = redis.call('HGET', LAST, customer), 0
    if newer == id then
        if before then
            redis.call('HSET', LAST, customer, before)
        else
            redis.call('HDEL', LAST, customer)
        end
    end
    while newer and newer ~= id and steps < MOST do
        local next_ = redis.call('HGET', PREVIOUS, newer)
        if next_ == id then
            if before then
                redis.call('HSET', PREVIOUS, newer, before)
            else
                redis.call('HDEL', PREVIOUS, newer)
            end
        end
        newer, steps = next_, steps + 1
    end
    redis.call('HDEL', PREVIOUS, id)
end

local answer, gone = {}, 0
for i = 1, 6 do
    demand(KEYS[i], KINDS[i])
end
for i = 1, #ARGV, 2 do
    local id = ARGV[i]
    local record = redis.call('HGET', NOTICES, id)
    if not record then
        answer[#answer + 1] = 'A'
    elseif FINAL[string.sub(record, 1, 1)] and string.sub(record, 2, 17) == ARGV[i + 1] then
        unlink(id, string.sub(record, 19, string.find(record, ' ', 19, true) - 1))
        redis.call('HDEL', NOTICES, id)
        redis.call('HDEL', JOBS, id)
        redis.call('ZREM', DUE, id)
        gone = gone + 1
        answer[#answer + 1] = 'A'
    else
        answer[#answer + 1] = 'S'
    end
end
if gone > 0 then
    redis.call('HINCRBY', KEYS[6], 'retired', gone)
end
return table.concat(answer)
