-- customers: the part of common that follows a customer's notices; changes nothing by itself. KEYS 1 notices, 3 due, 4 last, 5 previous.

-- Has a customer's notices looked at again: those that wait, not those that a worker has in hand (its lease stands) nor the
-- finished ones. The newest 100 are looked at.
local WAITING = {p = true, t = true, d = true, k = true, n = true}
local function wake(customer, time)
    local id, looked = redis.call('HGET', KEYS[4], customer), 0
    while id and looked < 100 do
        local record = redis.call('HGET', KEYS[1], id)
        if record and WAITING[string.sub(record, 1, 1)] then
            redis.call('ZADD', KEYS[3], time, id)
        end
        id, looked = redis.call('HGET', KEYS[5], id), looked + 1
    end
end

-- Ids of a customer's notices in a wanted state, newest first, separated by blanks; false where there is none. The newest 100 are looked at.
local function notices_of(customer, wanted)
    local found, looked = {}, 0
    local id = redis.call('HGET', KEYS[4], customer)
    while id and looked < 100 do
        local record = redis.call('HGET', KEYS[1], id)
        if record and wanted(string.sub(record, 1, 1)) then
            found[#found + 1] = id
        end
        id, looked = redis.call('HGET', KEYS[5], id), looked + 1
    end
    return #found > 0 and table.concat(found, ' ')
end

local function reached_notices(customer)
    return notices_of(customer, function(state) return state == 'R' end)
end

-- Whose release a new notice has to take away is seen by their earlier notices (`last`). Who has a release and none of these any more, since
-- all are in the archive, stands in `releases`, until a day after it has expired (clocks may be set back). The set has the empty name, behind
-- all others, as long as nobody is missing in it; without that it tells nothing.
local DAY_MS, EXPIRED_MAX = 24 * 3600 * 1000, 100
local function note_release(releases, customer, time)
    if not redis.call('ZSCORE', releases, '') then
        return
    end
    local clock = redis.call('TIME')
    local over = string.format('%.0f', tonumber(clock[1]) * 1000 - DAY_MS)
    local expired = redis.call('ZRANGEBYSCORE', releases, '-inf', over, 'LIMIT', 0, EXPIRED_MAX)
    if #expired > 0 then
        redis.call('ZREM', releases, unpack(expired))
    end
    redis.call('ZADD', releases, time, customer)
end
