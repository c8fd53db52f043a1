-- epoch: gives a connection the upper part of its tokens.
--
-- KEYS  1 epoch
-- ARGV  1 the highest epoch this worker has had  2 prefix
--
-- Before: the counter is at least the highest epoch given out; or Redis has lost its last writes and it is a little lower.
-- After: the counter is higher than before, higher than the worker's own, and at least Redis's time in 64ths of a second; that
-- is the answer. So an epoch is not given out twice even where the last writes before a crash were lost. In a Redis that no reachd has ever
-- seen, `releases` has begun: it has the empty name, which says that no release is missing in it.
--
-- And the door of `notices` (apply.lua) is open. It always is, but in the past of a Redis that was killed while it wrote a transaction to its
-- file: when it starts it leaves out the end of that transaction, but keeps its beginning in the file, as if it went on with whatever is
-- written next. So when it starts again, it does that beginning: the door closes, and stays closed for all that was done since. But every
-- connection begins with this script, which opens such a door, also in the file, before anything else is done. Where there are records on
-- either side of the door, it refuses: somebody has made a key of this name by hand.

local function set(epoch)
    redis.call('SET', KEYS[1], string.format('%.0f', epoch))
    return epoch
end

local function open_door(notices)
    redis.pcall('RENAMENX', notices, notices .. ':aside') -- fails where there are no records
    redis.pcall('SADD', notices, 'closed')                -- these two where the key holds something that is not ours
    redis.pcall('SREM', notices, 'closed')
    redis.pcall('RENAMENX', notices .. ':aside', notices)
    if redis.call('EXISTS', notices .. ':aside') == 1 then
        error({err = 'REACHDOOR somebody has made the key ' .. notices .. ':aside, which stands in the way of the records: delete it'})
    end
end

open_door(ARGV[2] .. 'notices')
local epoch = redis.call('INCR', KEYS[1])
if epoch == 1 and redis.call('EXISTS', ARGV[2] .. 'counters', ARGV[2] .. 'releases') == 0 then
    redis.call('ZADD', ARGV[2] .. 'releases', '+inf', '')
end
local time = redis.call('TIME')
local least = math.max(tonumber(time[1]) * 64 + math.floor(tonumber(time[2]) / 15625), tonumber(ARGV[1]) + 1)
return epoch < least and set(least) or epoch
