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
-- connection begins with this script, which opens such a door, also in the file, before anything else is done. Where there is something on
-- both sides of it, one of the two is not ours, and it refuses; so it does where this user may not open and close the door.

local function set(epoch)
    redis.call('SET', KEYS[1], string.format('%.0f', epoch))
    return epoch
end

-- Does it, where the key is such that it can be done; fails where the user may not.
local function try(...)
    local answer = redis.pcall(...)
    local err = type(answer) == 'table' and answer.err
    if err and not string.find(err, 'WRONGTYPE', 1, true) and not string.find(err, 'no such key', 1, true) then
        error(answer)
    end
end

local function open_door(notices, aside)
    try('SREM', notices, 'closed')
    if redis.call('EXISTS', aside) == 1 then
        if redis.call('EXISTS', notices) == 1 then
            error({err = 'REACHDOOR the keys ' .. notices .. ' and ' .. aside .. ' are both there: one of them is not reachd\'s; move it away'})
        end
        redis.call('RENAMENX', aside, notices)
    end
end

-- Once more what opens it, where that changes something, so that it stands in the file. First whatever is refused without a change.
local function open_in_file(notices, aside)
    local held = redis.call('TYPE', notices).ok
    try('SCARD', notices)
    if held == 'hash' then
        try('SADD', notices, 'closed')
    end
    if held == 'hash' or held == 'none' then
        try('RENAMENX', notices, aside)
        redis.call('SADD', notices, 'closed')
        open_door(notices, aside)
    end
end

local epoch = redis.call('INCR', KEYS[1]) -- first, since it is what a full Redis refuses
open_door(ARGV[2] .. 'notices', ARGV[2] .. 'notices:aside')
open_in_file(ARGV[2] .. 'notices', ARGV[2] .. 'notices:aside')
if epoch == 1 and redis.call('EXISTS', ARGV[2] .. 'counters', ARGV[2] .. 'releases') == 0 then
    redis.call('ZADD', ARGV[2] .. 'releases', '+inf', '')
end
local time = redis.call('TIME')
local least = math.max(tonumber(time[1]) * 64 + math.floor(tonumber(time[2]) / 15625), tonumber(ARGV[1]) + 1)
return epoch < least and set(least) or epoch
