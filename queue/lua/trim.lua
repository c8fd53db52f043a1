-- trim: gives back the memory of entries that every group of the stream is done with, and makes sure that nothing else goes.
--
-- KEYS  1 the stream  2 counters  3 leases
-- ARGV  1 our group  2 lane
--
-- Before: entries up to some id are in no lease any more, and acknowledged in every other group. The counters hold how many our group has
-- acknowledged (acked:*) and how many of those are gone again (trimmed:*).
-- After: the entries before the oldest one that somebody still needs are gone: the oldest one of a lease, the oldest pending one of another
-- group, or the first one not handed out yet. Never by length: what is open stays. Answer: how many went.
--
-- But nothing goes where the sum is not right:
--     in the stream = not handed out + in leases + acknowledged and not trimmed
-- More in the stream means entries that were handed out and are neither in a lease nor acknowledged: somebody deleted a lease. Answer: minus
-- their number. Fewer means that somebody else trimmed or deleted entries; that is noted and the sum is right again.

local stream, counters, leases, lane = KEYS[1], KEYS[2], KEYS[3], ARGV[2]

local function next_to(id)
    local ms, seq = string.match(id, '^(%d+)-(%d+)$')
    return ms .. '-' .. string.format('%.0f', tonumber(seq) + 1)
end

-- The oldest id that another group still needs.
local function needed_by(group)
    if group['pending'] > 0 then
        return redis.call('XPENDING', stream, group['name'])[2]
    end
    return next_to(group['last-delivered-id'])
end

-- The same of ours, and how many entries are in leases.
local function needed_by_us(group)
    local upto = leased_up_to(leases, lane) or '0-0'
    local oldest, open = earlier(group['last-delivered-id'], upto) and group['last-delivered-id'] or upto, 0
    for _, lease in pairs(leases_of(leases, lane)) do
        open = open + lease.open
        if earlier(lease.ranges[1][1], oldest) then
            oldest = lease.ranges[1][1]
        end
    end
    return next_to(oldest), open, upto == group['last-delivered-id']
end

if redis.call('TYPE', stream).ok ~= 'stream' then
    return 0
end
local keep_from = nil
for _, group in ipairs(groups_of(stream)) do
    local needed
    if group['name'] == ARGV[1] then
        local open, all_leased
        needed, open, all_leased = needed_by_us(group)
        if all_leased and group['lag'] then
            local off = redis.call('XLEN', stream) - group['lag'] - open - kept_acked(counters, lane)
            if off > 0 then
                return -off
            end
            if off < 0 then
                redis.call('HINCRBY', counters, 'trimmed:' .. lane, -off)
            end
        end
    else
        needed = needed_by(group)
    end
    if not keep_from or earlier(needed, keep_from) then
        keep_from = needed
    end
end
if not keep_from then
    return 0
end
local gone = redis.call('XTRIM', stream, 'MINID', '=', keep_from)
if gone > 0 then
    redis.call('HINCRBY', counters, 'trimmed:' .. lane, gone)
end
return gone
