-- requeue: finds entries that were handed out and are neither in a lease nor acknowledged, and puts them into a lease again.
--
-- KEYS  1 the stream  2 counters  3 leases
-- ARGV  1 group  2 lane  3 token of the lease  4 where to begin: the id before ('0-0')  5 how many at most
--
-- Before: trim has found the sum of the stream wrong: somebody has deleted a lease. Which entries were acknowledged cannot be told any more.
-- After: of the page looked at, every entry that was handed out and is in no lease is in one that is over and belongs to nobody: whoever is
-- first hands them out again (reclaim). Those among them that were acknowledged after all are known by their id and end as duplicates. With
-- the last page the counters are set so that the sum is right again. Answer: where to go on ('' at the end), how many were found.

local stream, counters, leases, lane = KEYS[1], KEYS[2], KEYS[3], ARGV[2]
local upto = leased_up_to(leases, lane)
if not upto then
    return {'', 0}
end

local open = {}
for _, lease in pairs(leases_of(leases, lane)) do
    for _, range in ipairs(lease.ranges) do
        open[#open + 1] = range
    end
end
local function is_open(id)
    for _, range in ipairs(open) do
        if earlier(range[1], id) and not earlier(range[2], id) then
            return true
        end
    end
end

local lost = {deliveries = 1, over = 0, open = 0, consumer = '-', ranges = {}}
local before, in_a_row = ARGV[4], false
local rows = redis.call('XRANGE', stream, '(' .. before, upto, 'COUNT', ARGV[5])
for _, row in ipairs(rows) do
    if is_open(row[1]) then
        in_a_row = false
    else
        if in_a_row then
            lost.ranges[#lost.ranges][2] = row[1]
        else
            lost.ranges[#lost.ranges + 1] = {before, row[1]}
        end
        lost.open, in_a_row = lost.open + 1, true
    end
    before = row[1]
end
if lost.open > 0 then
    lease_write(leases, lane .. '/' .. ARGV[3], lost)
end
if #rows == tonumber(ARGV[5]) then
    return {before, lost.open}
end
for _, group in ipairs(groups_of(stream)) do
    if group['name'] == ARGV[1] and group['lag'] and group['last-delivered-id'] == upto then
        local kept = redis.call('XLEN', stream) - group['lag']
        for _, lease in pairs(leases_of(leases, lane)) do
            kept = kept - lease.open
        end
        redis.call('HINCRBY', counters, 'acked:' .. lane, kept - kept_acked(counters, lane))
    end
end
return {'', lost.open}
