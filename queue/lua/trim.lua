-- trim: gives back the memory of entries that every group of the stream is done with.
--
-- KEYS  1 the stream
--
-- Before: entries up to some id are acknowledged in every group.
-- After: exactly those that lie before the oldest entry somebody still needs are gone: the oldest pending one of any group, or
-- the first one not handed out yet. Never by length: what is pending stays. Answer: how many went.

local function parts(id)
    local ms, seq = string.match(id, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(seq)
end

local function earlier(a, b)
    local a_ms, a_seq = parts(a)
    local b_ms, b_seq = parts(b)
    return a_ms < b_ms or (a_ms == b_ms and a_seq < b_seq)
end

if redis.call('TYPE', KEYS[1]).ok ~= 'stream' then
    return 0
end
local keep_from = nil
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local info = {}
    for i = 1, #group, 2 do
        info[group[i]] = group[i + 1]
    end
    local needed
    if info['pending'] > 0 then
        needed = redis.call('XPENDING', KEYS[1], info['name'])[2]
    else
        local ms, seq = string.match(info['last-delivered-id'], '^(%d+)-(%d+)$')
        needed = ms .. '-' .. string.format('%.0f', tonumber(seq) + 1)
    end
    if not keep_from or earlier(needed, keep_from) then
        keep_from = needed
    end
end
if not keep_from then
    return 0
end
return redis.call('XTRIM', KEYS[1], 'MINID', '=', keep_from)
