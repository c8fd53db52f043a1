#!lua name=reach
-- library: the one question that callers in any language ask, as a Redis function.
--
--   FCALL reach_allowed <n> reach:clearance:{<account>} ... reach:release:{<customer>} ...
--
-- Answer: one integer a key, 1 = yes, 0 = no. It fails closed: yes only where the record is there, is a JSON object that names when it
-- was granted, on what notice and until when, and that moment is still to come on Redis's clock. Accounts are asked for in canonical
-- form (lower case, main domain): another spelling names no account that reachd knows, and the answer is no. Changes nothing; ask the
-- master, a replica may be behind.

-- Redis's clock as `2026-12-20T09:10:00`. The days are counted from 1 March of the year 0, where a leap day is the last of its year.
local function now_text()
    local seconds = tonumber(redis.call('TIME')[1])
    local day, time = math.floor(seconds / 86400) + 719468, seconds % 86400
    local era = math.floor(day / 146097)
    day = day - era * 146097
    local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
    day = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
    local month = math.floor((5 * day + 2) / 153)
    day = day - math.floor((153 * month + 2) / 5) + 1
    year, month = year + era * 400 + (month >= 10 and 1 or 0), month < 10 and month + 3 or month - 9
    return string.format('%04d-%02d-%02dT%02d:%02d:%02d', year, month, day, math.floor(time / 3600), math.floor(time / 60) % 60, time % 60)
end

local function is_granted(key, now)
    local text = redis.pcall('GET', key)
    if type(text) ~= 'string' then
        return 0
    end
    local ok, record = pcall(cjson.decode, text)
    if not ok or type(record) ~= 'table' or type(record.granted_at) ~= 'string' or type(record.notice) ~= 'string' then
        return 0
    end
    local expires = record.expires_at
    if type(expires) ~= 'string' or not string.find(expires, '^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.?%d*Z$') then
        return 0
    end
    return string.sub(expires, 1, 19) > now and 1 or 0
end

redis.register_function{
    function_name = 'reach_allowed',
    callback = function(keys)
        local answer, now = {}, now_text()
        for i = 1, #keys do
            answer[i] = is_granted(keys[i], now)
        end
        return answer
    end,
    flags = {'no-writes'},
}
