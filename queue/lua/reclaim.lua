-- reclaim: hands out again what a lease left open: one that is over, or one that the caller had in an earlier life.
--
-- KEYS  1 the stream  2 counters  3 leases
-- ARGV  1 lane  2 token of the new lease  3 consumer  4 length of the new lease (ms)  5 the consumer's own leases with a lower token than
--       this; '': those that are over, whoever had them
--       6 how many entries at most  7 from how many deliveries on entries are handed out alone (0: never)  8 field that holds the body
--       9 ... what the caller has in hand, and is left out: token of the lease and entry id of each
--
-- Before: a lease says what of it is open, and how often that was handed out.
-- After: of the oldest such lease, as many entries as were asked for (one, where it was handed out too often) are in a new lease of the
-- caller's, their count of deliveries raised by one; the others stay where they were. The old token acknowledges nothing of them any more.
-- Answer: 1 where there is more to be handed out; how many entries are no longer in the stream (somebody trimmed it); end of the lease
-- (ms); the id behind which it begins; deliveries; id and body (or nil) of each entry.

local stream, leases, lane = KEYS[1], KEYS[3], ARGV[1]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local in_hand, is_in_hand = {}, {}
for i = 9, #ARGV, 2 do
    in_hand[ARGV[i]] = (in_hand[ARGV[i]] or 0) + 1
    is_in_hand[ARGV[i + 1]] = true
end

local function is_wanted(name, lease)
    if lease.open <= (in_hand[name] or 0) then
        return false
    elseif ARGV[5] == '' then
        return lease.over <= now
    end
    return lease.consumer == ARGV[3] and name < ARGV[5]
end

local wanted = {} -- {token, lease}, the oldest first
for name, lease in pairs(leases_of(leases, lane)) do
    if is_wanted(name, lease) then
        wanted[#wanted + 1] = {name, lease}
    end
end
table.sort(wanted, function(a, b) return earlier(a[2].ranges[1][1], b[2].ranges[1][1]) end)

local token, old, most, new, left -- of the lease that is looked at
local answer, gone, more = {}, 0, false

local function put(lease, after, to)
    local last = lease.ranges[#lease.ranges]
    if last and last[2] == after then
        last[2] = to
    else
        lease.ranges[#lease.ranges + 1] = {after, to}
    end
end

local function body_of(fields)
    for k = 1, #fields, 2 do
        if fields[k] == ARGV[8] then
            return fields[k + 1]
        end
    end
    return false
end

-- The entries of one range, into the new lease or back into the old one. Page by page: what is in hand may stand here under the caller's
-- token for it and not under this lease's, so nobody knows how much of a page it takes.
local function share_out(range)
    local after = range[1]
    repeat
        local page = most - new.open + (in_hand[token] or 0) + 1
        local rows = redis.call('XRANGE', stream, '(' .. after, range[2], 'COUNT', page)
        for _, row in ipairs(rows) do
            if new.open == most then
                break
            end
            if is_in_hand[row[1]] then
                put(left, after, row[1])
                left.open = left.open + 1
            else
                put(new, after, row[1])
                new.open = new.open + 1
                answer[4 + 2 * new.open], answer[5 + 2 * new.open] = row[1], body_of(row[2])
            end
            after = row[1]
        end
    until new.open == most or #rows < page
    if new.open == most and after ~= range[2] then
        put(left, after, range[2])
    end
end

-- What one lease has for the caller.
local function hand_out(name, lease)
    token, old = name, lease
    most = ARGV[7] ~= '0' and old.deliveries >= tonumber(ARGV[7]) and 1 or tonumber(ARGV[6])
    new = {deliveries = old.deliveries + 1, over = now + tonumber(ARGV[4]), open = 0, consumer = ARGV[3], ranges = {}}
    left = {ranges = {}, open = 0}
    local at = 1
    while at <= #old.ranges and new.open < most do
        share_out(old.ranges[at])
        at = at + 1
    end
    for i = at, #old.ranges do
        put(left, old.ranges[i][1], old.ranges[i][2])
    end
    if new.open < most then -- all of it was looked at
        gone = gone + math.max(old.open - new.open - left.open, 0)
    else
        left.open = old.open - new.open
        more = #left.ranges > 0
    end
    old.ranges, old.open = left.ranges, left.open
    lease_write(leases, lane .. '/' .. token, old)
    if new.open > 0 then
        lease_write(leases, lane .. '/' .. ARGV[2], new)
    end
end

-- A lease may hold nothing but what the caller has in hand under another token: the next one must not wait for that.
for i = 1, #wanted do
    hand_out(wanted[i][1], wanted[i][2])
    if new.open > 0 then
        more = more or i < #wanted
        break
    end
end
if not new then
    return {0, 0, 0, '0-0', 0}
end
if gone > 0 then -- nobody will acknowledge them; without this the sum of the stream (trim) would be off by them
    redis.call('HINCRBY', KEYS[2], 'acked:' .. lane, gone)
end
answer[1] = more and 1 or 0
answer[2] = gone
answer[3] = string.format('%.0f', new.over)
answer[4] = new.ranges[1] and new.ranges[1][1] or '0-0'
answer[5] = new.deliveries
return answer
