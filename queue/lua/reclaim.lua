-- reclaim: hands out entries again that were handed out before and that the caller has chosen out of XPENDING.
--
-- KEYS  1 the stream
-- ARGV  1 group  2 consumer  3 how long they must have lain (ms); 0 for the consumer's own  4 name of the field that holds the body
--       5 ... the ids, in their order
--
-- Before: the entries are pending in the group, or were when they were chosen.
-- After: those handed out are pending with this consumer, their delivery count raised by one. Entries that are no longer in
-- the stream (somebody trimmed it) are pending no more: their ids are answered so that it can be told.
-- Answer: ids that are gone, then id and body (or nil) of each.

local stream, group, consumer, idle = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local gone, answer, claimed = {}, {{}}, {}

for from = 5, #ARGV, CHUNK do
    local reply = redis.call('XCLAIM', stream, group, consumer, idle, unpack(ARGV, from, math.min(from + CHUNK - 1, #ARGV)))
    for _, entry in ipairs(reply) do
        if entry and entry[2] then
            local body = false
            for i = 1, #entry[2], 2 do
                if entry[2][i] == ARGV[4] then
                    body = entry[2][i + 1]
                end
            end
            claimed[entry[1]] = true
            answer[#answer + 1] = entry[1]
            answer[#answer + 1] = body
        end
    end
end

-- What was not claimed is gone, or somebody else was quicker.
for i = 5, #ARGV do
    if not claimed[ARGV[i]] and #redis.call('XRANGE', stream, ARGV[i], ARGV[i]) == 0 then
        gone[#gone + 1] = ARGV[i]
    end
end
write_all('XACK', stream, group, gone)
answer[1] = gone
return answer
