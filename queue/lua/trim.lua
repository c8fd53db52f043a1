-- trim: gives back the memory of entries that every group of the stream is done with, and makes sure that nothing else goes.
--
-- KEYS  1 the stream  2 counters
-- ARGV  1 our group  2 name of the stream in the counters
--
-- Before: entries up to some id are acknowledged in every group. The counters hold how many our group has acknowledged (acked:*)
-- and how many of those are gone again (trimmed:*).
-- After: the entries before the oldest one that somebody still needs are gone: the oldest pending one of any group, or the first
-- one not handed out yet. Never by length: what is pending stays. Answer: how many went.
--
-- But nothing goes where the sum is not right:
--     in the stream = not handed out + pending + acknowledged and not trimmed
-- More in the stream means entries that were handed out and are neither pending nor acknowledged: somebody deleted a consumer
-- with what it had pending (XGROUP DELCONSUMER). Answer: minus their number. Fewer means that somebody else trimmed or
-- deleted entries; that is noted and the sum is right again. (Redis before 7 does not tell what is not handed out: no sum.)

local stream, counters, name = KEYS[1], KEYS[2], ARGV[2]

local function parts(id)
    local ms, seq = string.match(id, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(seq)
end

local function earlier(a, b)
    local a_ms, a_seq = parts(a)
    local b_ms, b_seq = parts(b)
    return a_ms < b_ms or (a_ms == b_ms and a_seq < b_seq)
end

-- The oldest id that a group still needs.
local function needed_by(group)
    if group['pending'] > 0 then
        return redis.call('XPENDING', stream, group['name'])[2]
    end
    local ms, seq = string.match(group['last-delivered-id'], '^(%d+)-(%d+)$')
    return ms .. '-' .. string.format('%.0f', tonumber(seq) + 1)
end

if redis.call('TYPE', stream).ok ~= 'stream' then
    return 0
end
local keep_from = nil
for _, group in ipairs(groups_of(stream)) do
    local needed = needed_by(group)
    if not keep_from or earlier(needed, keep_from) then
        keep_from = needed
    end
    if group['name'] == ARGV[1] and group['lag'] then
        local off = redis.call('XLEN', stream) - group['lag'] - group['pending'] - kept_acked(counters, name)
        if off > 0 then
            return -off
        end
        if off < 0 then
            redis.call('HINCRBY', counters, 'trimmed:' .. name, -off)
        end
    end
end
if not keep_from then
    return 0
end
local gone = redis.call('XTRIM', stream, 'MINID', '=', keep_from)
if gone > 0 then
    redis.call('HINCRBY', counters, 'trimmed:' .. name, gone)
end
return gone
