-- giveback: leases of due notices that do not count: their worker is not lost.
--
-- KEYS  1 due
-- ARGV  a row each: id, end of the lease (ms), when it is to be handed out (ms), -1: at the end of the lease
--
-- Before: the worker has these notices in hand (it is being stopped, or still works on them).
-- After: of each whose lease is still the one named, one worker fewer counts as lost when it is over, and it is due at the time given.
-- Others are left alone: somebody has changed them, or holds them. Answer: how many were.

local DUE = KEYS[1]
local answer = 0
for i = 1, #ARGV, 3 do
    local score = tonumber(redis.call('ZSCORE', DUE, ARGV[i]) or '0')
    local lost = lost_of(score)
    if math.floor(score) == tonumber(ARGV[i + 1]) and lost > 0 then
        redis.call('ZADD', DUE, due_score(ARGV[i + 2] == '-1' and score or ARGV[i + 2], lost - 1), ARGV[i])
        answer = answer + 1
    end
end
return answer
