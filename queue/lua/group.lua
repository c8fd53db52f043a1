-- group: makes our group of a stream, and the stream with it, where it is not there.
--
-- KEYS  1 the stream  2 counters  3 leases
-- ARGV  1 group  2 lane
--
-- Before: the group is there, or it is not (a new Redis, or somebody has taken the group or the stream away).
-- After: it is there. Where it was not, it reads from the beginning and the lane has no leases: whatever is in the stream counts as new, and
-- what was finished is found to be finished. Answer: 1 where it was made.

local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if made.err then
    if string.find(made.err, 'BUSYGROUP', 1, true) then
        return 0
    end
    return made
end
local fields = {ARGV[2]}
for token in pairs(leases_of(KEYS[3], ARGV[2])) do
    fields[#fields + 1] = ARGV[2] .. '/' .. token
end
write_all('HDEL', KEYS[3], fields)
return 1
