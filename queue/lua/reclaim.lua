-- reclaim: hands out entries again that were handed out before: a consumer's own (after it came back), or those that lay with
-- any consumer longer than the lease.
--
-- KEYS  1 the stream
-- ARGV  1 group  2 consumer  3 how long they must have lain (ms), or -1 for the consumer's own  4 cursor  5 how many at most
--       6 name of the field that holds the body
--
-- Before: the entries are pending in the group.
-- After: those handed out are pending with this consumer, their delivery count raised by one. Entries that are no longer in
-- the stream (somebody trimmed it) are pending no more: their ids are answered so that it can be told.
-- Answer: next cursor ('' or '0-0': that was all), ids that are gone, then id, deliveries, body (or nil) of each.

local stream, group, consumer, idle = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local cursor, entries, gone = '', {}, {}

if idle < 0 then
    local reply = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', ARGV[5], 'STREAMS', stream, ARGV[4])
    for _, entry in ipairs(reply and reply[1][2] or {}) do
        cursor = entry[1]
        if entry[2] then
            entries[#entries + 1] = entry
        else
            gone[#gone + 1] = entry[1]
        end
    end
    write_all('XACK', stream, group, gone)
else
    local reply = redis.call('XAUTOCLAIM', stream, group, consumer, idle, ARGV[4], 'COUNT', ARGV[5])
    cursor, entries, gone = reply[1], reply[2], reply[3] or {}
end

-- Neither command tells the delivery count.
local deliveries = #entries > 0 and pending_between(stream, group, entries[1][1], entries[#entries][1], consumer) or {}

local answer = {cursor, gone}
for _, entry in ipairs(entries) do
    local body = false
    for i = 1, #entry[2], 2 do
        if entry[2][i] == ARGV[6] then
            body = entry[2][i + 1]
        end
    end
    answer[#answer + 1] = entry[1]
    answer[#answer + 1] = deliveries[entry[1]] or 1
    answer[#answer + 1] = body
end
return answer
