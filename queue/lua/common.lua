-- common: put in front of every other script of this folder (but take). Helpers only: changes nothing by itself. Its parts leases.lua,
-- customers.lua and effects.lua stand behind it in the scripts that use them (queue/scripts.h).
--
-- Rule of all scripts: look first, write after. Redis does not roll a script back, so whatever can fail for a reason of its
-- own (a key of the wrong type) is looked at before the first write; what can only fail as a whole (no memory, read-only,
-- cannot save) fails at the first write, before anything has changed.

local CHUNK = 4000 -- arguments of one call; Lua's stack ends at 8,000

-- Reads the fields of a hash; the answer has `false` where there is none.
local function read_fields(key, fields)
    if #fields == 0 then
        return {}
    end
    if #fields <= CHUNK then
        return redis.call('HMGET', key, unpack(fields))
    end
    local all = {}
    for from = 1, #fields, CHUNK do
        local part = redis.call('HMGET', key, unpack(fields, from, math.min(from + CHUNK - 1, #fields)))
        for i = 1, #part do
            all[#all + 1] = part[i]
        end
    end
    return all
end

-- One variadic command over args[first..last] (all of them where not given). The sum of the answers (how many were added, removed).
local function write_all(command, key, args, first, last)
    local sum = 0
    last = last or #args
    for from = first or 1, last, CHUNK do
        sum = sum + redis.call(command, key, unpack(args, from, math.min(from + CHUNK - 1, last)))
    end
    return sum
end

-- Where a record's text begins, behind its head `<state letter><token, 16 hex digits> <customer> ` and, in one that has begun under a lease on
-- its entry, `@<lane>/<lease>,<stream id> `.
local function text_at(record)
    local at = (string.find(record, ' ', 19, true) or 0) + 1
    return string.sub(record, at, at) == '@' and (string.find(record, ' ', at, true) or 0) + 1 or at
end

-- Stops the script before it has written anything where `key` holds something else than `kind`.
local function demand(key, kind)
    local found = redis.call('TYPE', key).ok
    if found ~= kind and found ~= 'none' then
        error({err = 'REACHTYPE the key ' .. key .. ' holds a ' .. found .. ' and not a ' .. kind})
    end
end

-- The keys that every changing script gets, in this order, the last one only apply. Those of the lanes are looked at where they are needed (leases.lua): one that is
-- spoilt holds back no other.
local KINDS = {'hash', 'hash', 'zset', 'hash', 'hash', 'hash', 'stream', 'stream', 'stream', 'stream', 'stream', 'hash', 'hash'}
local function demand_keys()
    for i = 1, #KEYS do
        if i < 8 or i > 10 then
            demand(KEYS[i], KINDS[i])
        end
    end
end

-- Counters are summed up first and written once per name.
local function add(tally, name, by)
    tally[name] = (tally[name] or 0) + by
end

-- Adds `times` to count:<name> for every name in a blank-separated list.
local function add_names(tally, names, times)
    for name in string.gmatch(names, '%S+') do
        add(tally, 'count:' .. name, times)
    end
end

local function write_counters(key, tally)
    for name, by in pairs(tally) do
        if by ~= 0 then
            redis.call('HINCRBY', key, name, by)
        end
    end
end

-- One entry per batch: the events as one JSON array.
local function write_events(key, max, events)
    if #events > 0 then
        redis.call('XADD', key, 'MAXLEN', '~', max, '*', 'events', '[' .. table.concat(events, ',') .. ']')
    end
end

-- A score of the due set is a time in ms; its fraction, in sixteenths, says how many workers will have been lost over the notice where that
-- time comes without a change (0: it is a time to act and no lease). A change replaces the score, so a notice that goes on starts anew.
local function lost_of(score)
    return math.floor((score - math.floor(score)) * 16)
end

local function due_score(time, lost)
    return string.format('%.4f', math.floor(tonumber(time)) + math.min(lost, 15) / 16)
end
