-- requeue: finds entries that were handed out and are neither pending nor acknowledged, and makes them pending again.
--
-- KEYS  1 the stream  2 counters
-- ARGV  1 group  2 consumer  3 name of the stream in the counters  4 cursor ('' to begin)  5 how many at most
--
-- Before: trim has found the sum of the stream wrong. Which entries were acknowledged cannot be told any more.
-- After: of the page looked at, every entry that was handed out and is not pending is pending with this consumer. Those among them that
-- were acknowledged after all are known by their id and end as duplicates. With the last page the counters are set so
-- that the sum is right again. Answer: next cursor ('' at the end), how many became pending.

local stream, counters, name = KEYS[1], KEYS[2], ARGV[3]

local function our_group()
    for _, group in ipairs(groups_of(stream)) do
        if group['name'] == ARGV[1] then
            return group
        end
    end
end

local group = our_group()
if not group then
    return {'', 0}
end
local from = ARGV[4] == '' and '-' or '(' .. ARGV[4]
local rows = redis.call('XRANGE', stream, from, group['last-delivered-id'], 'COUNT', ARGV[5])
local pending = #rows > 0 and pending_between(stream, ARGV[1], rows[1][1], rows[#rows][1]) or {}
local found = 0
for i = 1, #rows do
    if not pending[rows[i][1]] then
        redis.call('XCLAIM', stream, ARGV[1], ARGV[2], 0, rows[i][1], 'FORCE', 'JUSTID')
        found = found + 1
    end
end
if #rows == tonumber(ARGV[5]) then
    return {rows[#rows][1], found}
end
group = our_group()
if group['lag'] then
    local off = redis.call('XLEN', stream) - group['lag'] - group['pending'] - kept_acked(counters, name)
    redis.call('HINCRBY', counters, 'acked:' .. name, off)
end
return {'', found}
