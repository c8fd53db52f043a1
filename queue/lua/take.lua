-- take: gives the caller a lease on what it has just read. Stands behind XREADGROUP ... NOACK in one MULTI/EXEC, which loads it as well
-- (SCRIPT LOAD): it cannot be missing in that moment. So it is short, and stands without common.lua.
--
-- KEYS  1 the stream  2 counters  3 leases
-- ARGV  1 group  2 lane  3 token of the lease  4 consumer  5 length of the lease (ms)
--
-- Before: the group's cursor (last-delivered-id) is the last entry that was read, whoever read it.
-- After: everything up to the cursor is, or was, in a lease. One new lease holds all that came behind the last one; that is what the caller
-- has read. It is more where somebody has read in our group by hand, or another take could not be made: then that is open in it like the
-- rest. Where the cursor was set back by hand, or `leases` was lost, the lease begins at the stream's beginning: what was finished is found
-- to be finished. Nothing is pending in the group: what somebody left there is in the lease.
-- Answer: nothing where nothing was read; else the end of the lease (ms), the id behind which it begins, how many entries are in it.

local stream, leases, lane = KEYS[1], KEYS[3], ARGV[2]
local call = redis.call

local function our_group()
    local answer = call('XINFO', 'GROUPS', stream)
    for i = 1, #answer do
        local group = {}
        for k = 1, #answer[i], 2 do
            group[answer[i][k]] = answer[i][k + 1]
        end
        if group['name'] == ARGV[1] then
            return group
        end
    end
end

local function behind(a, b)
    local a_ms, a_seq = string.match(a, '^(%d+)-(%d+)$')
    local b_ms, b_seq = string.match(b, '^(%d+)-(%d+)$')
    return a_ms ~= b_ms and tonumber(a_ms) > tonumber(b_ms) or a_ms == b_ms and tonumber(a_seq) > tonumber(b_seq)
end

local group = our_group()
if not group then
    return false
end
local last, read = group['last-delivered-id'], tonumber(group['entries-read'] or nil)
local after, read_before = string.match(call('HGET', leases, lane) or '', '^(%S+) (%S+)$')
if last == (after or '0-0') then
    return false
end
if not after or behind(after, last) then
    after, read_before = '0-0', nil
end

-- In pages: there may be a whole stream to be counted.
local function count()
    local n, from = 0, after
    repeat
        local page = call('XRANGE', stream, '(' .. from, last, 'COUNT', 1000)
        n = n + #page
        from = #page > 0 and page[#page][1] or from
    until #page < 1000
    return n
end

local n = read and tonumber(read_before) and read - tonumber(read_before) or 0
if n < 1 then
    n = count()
end
local function drop_pending()
    repeat
        local page, ids = call('XPENDING', stream, ARGV[1], '-', '+', 1000), {}
        for i, row in ipairs(page) do
            ids[i] = row[1]
        end
        if #ids > 0 then
            call('XACK', stream, ARGV[1], unpack(ids))
        end
    until #page < 1000
end
if group['pending'] > 0 then
    drop_pending()
end
call('HSET', leases, lane, last .. ' ' .. (read or '-'))
if n == 0 then
    return false
end
local time = call('TIME')
local over = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[5]))
call('HSET', leases, lane .. '/' .. ARGV[3], '1 ' .. over .. ' ' .. n .. ' ' .. after .. ',' .. last .. ' ' .. ARGV[4])
return {over, after, n}
