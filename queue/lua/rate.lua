-- rate: how many messages may go now through each of some gateways (GCRA, shared by all workers).
--
-- KEYS  1 rates
-- ARGV  rows of four: gateway, microseconds a message, burst (messages), messages wanted
--
-- rates holds for each gateway the time (microseconds, Redis's clock) at which everything that was granted is used up at its rate. A
-- message is granted while that time lies no more than a burst ahead; each one granted moves it on by one interval.
--
-- Before: that time is at most now + burst; where it is not (Redis's clock was set back), it counts as now + burst.
-- After: it has moved on by as many intervals as messages were granted. Answer, two numbers a row: how many were granted, and how many
-- microseconds until the next one can be (0: more were not wanted).
--
-- All numbers stay below 2^53, where Lua's doubles are exact.

demand(KEYS[1], 'hash')
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local answer = {}
for i = 1, #ARGV, 4 do
    local interval, burst, wanted = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
    local ahead = interval * burst
    local used = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or 0)
    used = math.min(math.max(used, now), now + ahead)
    local granted = math.min(wanted, math.floor((now + ahead - used) / interval))
    used = used + granted * interval
    if granted > 0 then
        redis.call('HSET', KEYS[1], ARGV[i], string.format('%.0f', used))
    end
    answer[#answer + 1] = granted
    answer[#answer + 1] = granted < wanted and math.max(0, used + interval - ahead - now) or 0
end
return answer
