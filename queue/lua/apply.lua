-- apply: changes a batch of different notices.
--
-- KEYS  1 notices  2 jobs  3 due  4 last  5 previous  6 counters  7 events  8 intake  9 intake:bulk
-- ARGV  1 prefix  2 group  3 length of events  4 number of items  5 specification  6 number of count lists, the lists, then the rows
--       specification: 24 characters an item: token seen (16), due, job, ack, event flags, index of counts (2), number of effects (2);
--       the two-character numbers are base 64 from '0' on
--       row: id, record [, due time] [, job] [, stream id] [, event] [, effects, five arguments each]
--
-- Before: a record is `<state letter><token, 16 hex digits> <customer> <text>`, or there is none.
-- After, for every item whose record carried the token seen (none at all for token 0): the new record is there with the job, the
-- due time, the counters, the events and the effects that belong to it, and its stream entry is acknowledged. An item
-- whose record already carries the new token was applied by an earlier try of the same call: it answers A and nothing is
-- done again. Any other item is S, stale: nothing of it is done. Answer: one letter an item.
-- accepted = sum of all state:* holds before and after.

local NOTICES, JOBS, DUE, LAST, PREVIOUS, COUNTERS, EVENTS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local LANES = {[48] = KEYS[8], [49] = KEYS[9]}
local byte, sub, find = string.byte, string.sub, string.find
local NONE = '0000000000000000'

local prefix, group = ARGV[1], ARGV[2]
local n, spec = tonumber(ARGV[4]), ARGV[5]
local n_lists = tonumber(ARGV[6])

-- Where each row begins; the effects' keys are looked at on the way.
local ids, rows = {}, {}
local at = 7 + n_lists
for i = 1, n do
    local due, job, ack, event, _, _, effects_high, effects_low = byte(spec, 24 * i - 7, 24 * i)
    local n_effects = (effects_high - 48) * 64 + effects_low - 48
    ids[i], rows[i] = ARGV[at], at
    at = at + 2
    if due == 49 then at = at + 1 end
    if job == 49 then at = at + 1 end
    if ack ~= 45 then at = at + 1 end
    if event == 49 then at = at + 1 end
    if n_effects > 0 then
        demand_effects(prefix, at, n_effects)
        at = at + 5 * n_effects
    end
end
demand_keys()

local held = read_fields(NOTICES, ids)
local answer, records, jobs_set, jobs_gone, due_set, due_gone = {}, {}, {}, {}, {}, {}
local acks, events, effects, tally, lists, customers, newcomers = {[48] = {}, [49] = {}}, {}, {}, {}, {}, {}, {}

local function grant(i, id, record, old)
    local row = rows[i] + 2
    local due, job, ack, event, counts_high, counts_low, effects_high, effects_low = byte(spec, 24 * i - 7, 24 * i)
    records[#records + 1] = id
    records[#records + 1] = record
    if old then
        add(tally, 'state:' .. sub(old, 1, 1), -1)
    else
        add(tally, 'accepted', 1)
        newcomers[#newcomers + 1] = id
        customers[#customers + 1] = sub(record, 19, find(record, ' ', 19, true) - 1)
    end
    add(tally, 'state:' .. sub(record, 1, 1), 1)
    if due == 49 then
        due_set[#due_set + 1] = ARGV[row]
        due_set[#due_set + 1] = id
        row = row + 1
    elseif due == 48 then
        due_gone[#due_gone + 1] = id
    end
    if job == 49 then
        jobs_set[#jobs_set + 1] = id
        jobs_set[#jobs_set + 1] = ARGV[row]
        row = row + 1
    elseif job == 48 then
        jobs_gone[#jobs_gone + 1] = id
    end
    if ack ~= 45 then
        local lane = acks[ack]
        lane[#lane + 1] = ARGV[row]
        row = row + 1
    end
    if event == 49 then
        events[#events + 1] = ARGV[row]
        row = row + 1
    end
    local list = (counts_high - 48) * 64 + counts_low - 48
    if list > 0 then
        lists[list] = (lists[list] or 0) + 1
    end
    local n_effects = (effects_high - 48) * 64 + effects_low - 48
    if n_effects > 0 then
        effects[#effects + 1] = {row, n_effects}
    end
end

for i = 1, n do
    local record, old, seen = ARGV[rows[i] + 1], held[i], sub(spec, 24 * i - 23, 24 * i - 8)
    if old and sub(old, 2, 17) == sub(record, 2, 17) then
        answer[i] = 'A'
    elseif (old and sub(old, 2, 17) == seen) or (not old and seen == NONE) then
        answer[i] = 'A'
        grant(i, ids[i], record, old)
    else
        answer[i] = 'S'
    end
end

-- A new notice is linked in front of its customer's earlier ones.
local function link_newcomers()
    local newest, last, previous = read_fields(LAST, customers), {}, {}
    local seen, releases = {}, {}
    for i = 1, #newcomers do
        local customer, id = customers[i], newcomers[i]
        local before = seen[customer] or newest[i]
        if before and before ~= id then
            previous[#previous + 1] = id
            previous[#previous + 1] = before
            releases[#releases + 1] = prefix .. 'release:{' .. customer .. '}' -- something of theirs is open again (P7)
        end
        seen[customer] = id
        last[#last + 1] = customer
        last[#last + 1] = id
    end
    write_all('HSET', LAST, nil, last)
    write_all('HSET', PREVIOUS, nil, previous)
    for from = 1, #releases, CHUNK do
        redis.call('DEL', unpack(releases, from, math.min(from + CHUNK - 1, #releases)))
    end
end

write_all('HSET', NOTICES, nil, records)
write_all('HSET', JOBS, nil, jobs_set)
write_all('HDEL', JOBS, nil, jobs_gone)
write_all('ZADD', DUE, nil, due_set)
write_all('ZREM', DUE, nil, due_gone)
link_newcomers()
for lane, entries in pairs(acks) do
    write_all('XACK', LANES[lane], group, entries)
end
for list, times in pairs(lists) do
    add_names(tally, ARGV[6 + list], times)
end
write_counters(COUNTERS, tally)
for _, effect in ipairs(effects) do
    do_effects(prefix, effect[1], effect[2])
end
write_events(EVENTS, ARGV[3], events)
return table.concat(answer)
