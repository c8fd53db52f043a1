-- retire: takes finished notices out of Redis that are in the archive already.
--
-- KEYS  1 notices  2 jobs  3 due  4 last  5 previous  6 counters  7 archived  8 desk  9 audit  10 releases
-- ARGV  1 today, in days since 1970  2 the last day whose ids are forgotten, or -1: ids are not remembered at all  3 prefix
--       then a row each: id, token, bucket, mark (8 bytes)
--
-- Before: the archive has the record with this token, on disk.
-- After, where no recount is under way (audit is not there), for every row whose record is finished, carries that token and has no open
-- desk case: nothing of the notice is left in Redis but one
-- in `retired`, in `retired:` of its state, and in its state's counter, and its mark in `archived`, and its customer's chain leads past it. Answer: one letter a row: A gone
-- (or gone before), S stays.
-- records + retired = sum of the state:* that have records, and so for each final state, before and after.
--
-- archived: bucket (4 hex digits of the id's hash) -> 10 bytes an id, oldest first: 6 of the hash and 2 of the job's (the mark), 2 of the day
-- on which it left.

local NOTICES, JOBS, DUE, LAST, PREVIOUS, GONE, DESK = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[7], KEYS[8]
local call, byte, sub = redis.call, string.byte, string.sub
local FINAL = {R = true, H = true, E = true, C = true, V = true}
local MOST = 1000
local today, forgotten = tonumber(ARGV[1]), tonumber(ARGV[2])
local day = string.char(math.floor(today / 256) % 256, today % 256)

-- The customer has no notice left, but may have a release.
local NEVER = '9000000000000000'
local function keep_release(customer)
    local left = call('PTTL', ARGV[3] .. 'release:{' .. customer .. '}')
    if left ~= -2 then
        local clock = call('TIME')
        note_release(KEYS[10], customer, left < 0 and NEVER or string.format('%.0f', tonumber(clock[1]) * 1000 + 1000 + left))
    end
end

local function unlink(id, customer)
    local before = call('HGET', PREVIOUS, id)
    local newer, steps = call('HGET', LAST, customer), 0
    if newer == id then
        if before then
            call('HSET', LAST, customer, before)
        else
            call('HDEL', LAST, customer)
            keep_release(customer)
        end
    end
    while newer and newer ~= id and steps < MOST do
        local next_ = call('HGET', PREVIOUS, newer)
        if next_ == id then
            if before then
                call('HSET', PREVIOUS, newer, before)
            else
                call('HDEL', PREVIOUS, newer)
            end
        end
        newer, steps = next_, steps + 1
    end
    call('HDEL', PREVIOUS, id)
end

-- Adds the mark to its bucket, which loses what is to be forgotten on the way.
local function remember(bucket, mark)
    local held = call('HGET', GONE, bucket) or ''
    local from = 1
    while from < #held and byte(held, from + 8) * 256 + byte(held, from + 9) <= forgotten do
        from = from + 10
    end
    call('HSET', GONE, bucket, sub(held, from) .. mark .. day)
end

local function may_leave(id, token)
    local record = call('HGET', NOTICES, id)
    if not record then
        return false, 'A'
    end
    local fits = FINAL[sub(record, 1, 1)] and sub(record, 2, 17) == token and call('HEXISTS', DESK, id) == 0
    return fits and record, 'S'
end

for i = 1, 6 do
    demand(KEYS[i], KINDS[i])
end
for i = 7, 9 do
    demand(KEYS[i], 'hash')
end
demand(KEYS[10], 'zset')
if call('EXISTS', KEYS[9]) == 1 then
    return string.rep('S', (#ARGV - 3) / 4)
end
local answer, gone, tally = {}, 0, {}
for at = 4, #ARGV, 4 do
    local id = ARGV[at]
    local record, letter = may_leave(id, ARGV[at + 1])
    if record then
        unlink(id, sub(record, 19, string.find(record, ' ', 19, true) - 1))
        call('HDEL', NOTICES, id)
        call('HDEL', JOBS, id)
        call('ZREM', DUE, id)
        if forgotten >= 0 then
            remember(ARGV[at + 2], ARGV[at + 3])
        end
        add(tally, 'retired:' .. sub(record, 1, 1), 1)
        gone, letter = gone + 1, 'A'
    end
    answer[#answer + 1] = letter
end
if gone > 0 then
    add(tally, 'retired', gone)
    write_counters(KEYS[6], tally)
end
return table.concat(answer)
