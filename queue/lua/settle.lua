-- settle: acknowledges entries that change no notice: refused jobs, duplicates, control jobs, receipts.
--
-- KEYS  1 notices  2 jobs  3 due  4 last  5 previous  6 counters  7 events  8 intake  9 intake:bulk  10 receipts  11 dead  12 leases
-- ARGV  1 prefix  2 length of events  3 number of items  4 specification  5 number of count lists, the lists, then the rows
--       specification: 7 characters an item: state letter or -, dead letter flag (2: unless its notice has begun), event flag, index of
--       counts (2), number of effects (2)
--       row: lane, lease, 1, the id before, stream id [, job, reason, member, id, time] [, event] [, effects, five arguments each]
--
-- Before: the entry is open in the lease that is named, or it is not, or that lease is gone.
-- After, for every entry that was open: it is acknowledged, its dead letter is in `dead`, and it is counted as accepted and in its final
-- state (state letter given), with its counters, event and effects. Answer: one letter an item:
--   A  done
--   B  (flag 2) this very entry has made a notice, which was counted when it began: the entry is acknowledged and nothing else is counted
--      or told. A notice in flight goes on without it: its job is kept and it is due now, as one that two workers were lost over
--   S  nothing was done. The entry was settled earlier, or belongs to another worker by now; or it would write a contact book entry, or
--      rests on a customer's reached notices, that are not what was read any more
-- So a repeated call counts nothing twice.

local COUNTERS, EVENTS, DEAD = KEYS[6], KEYS[7], KEYS[11]
local byte = string.byte

local prefix = ARGV[1]
local n, spec = tonumber(ARGV[3]), ARGV[4]
local n_lists = tonumber(ARGV[5])

local ORIGIN = {urgent = '0/', bulk = '1/', receipts = '2/'}

-- Calls each(i, row, state, dead, event, list, number of effects, unless begun) and steps from row to row.
local function walk(each)
    local at = 6 + n_lists
    for i = 1, n do
        local state, dead, event, counts_high, counts_low, effects_high, effects_low = byte(spec, 7 * i - 6, 7 * i)
        local list = (counts_high - 48) * 64 + counts_low - 48
        local n_effects = (effects_high - 48) * 64 + effects_low - 48
        each(i, at, string.char(state), dead > 48, event == 49, list, n_effects, dead == 50)
        at = at + 5 + (dead > 48 and 5 or 0) + (event == 49 and 1 or 0) + 5 * n_effects
    end
end

demand_keys()
walk(function(_, row, _, dead, event, _, n_effects)
    demand_lane(ARGV[row])
    demand_effects(prefix, row + 5 + (dead and 5 or 0) + (event and 1 or 0), n_effects, 5)
end)

-- The notice that an entry has made and its record, or nil. The job is read here, since reading it may be what kills a worker.
local function begun(lane, stream_id, job)
    local id = decoded(job).id
    local record = type(id) == 'string' and redis.call('HGET', KEYS[1], id)
    if record and decoded(string.sub(record, text_at(record))).x == ORIGIN[lane] .. stream_id then
        return id, record
    end
end

local ENDED = {R = true, H = true, E = true, C = true, V = true}
local function go_on(id, record, job)
    if not ENDED[string.sub(record, 1, 1)] then
        local time = redis.call('TIME')
        redis.call('HSET', KEYS[2], id, job)
        redis.call('ZADD', KEYS[3], due_score(tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), 2), id)
    end
end

local answer, events, tally, lists = {}, {}, {}, {}
walk(function(i, row, state, dead, event, list, n_effects, unless_begun)
    local lane, stream_id = ARGV[row], ARGV[row + 4]
    local effects = row + 5 + (dead and 5 or 0) + (event and 1 or 0)
    if not all_is_as_seen(effects, n_effects) or acknowledge(row, row, tally) == 0 then
        answer[i] = 'S'
        return
    end
    answer[i] = 'A'
    row = row + 5
    if unless_begun then
        local id, record = begun(lane, stream_id, ARGV[row])
        if id then
            answer[i] = 'B'
            go_on(id, record, ARGV[row])
            return
        end
    end
    if dead then
        redis.call('XADD', DEAD, '*', 'job', ARGV[row], 'reason', ARGV[row + 1], 'member', ARGV[row + 2], 'id', ARGV[row + 3],
            'at', ARGV[row + 4], 'lane', lane)
        row = row + 5
    end
    if state ~= '-' then
        add(tally, 'accepted', 1)
        add(tally, 'state:' .. state, 1)
    end
    if event then
        events[#events + 1] = ARGV[row]
        row = row + 1
    end
    if list > 0 then
        lists[list] = (lists[list] or 0) + 1
    end
    do_effects(prefix, row, n_effects, events)
end)

write_leases()
for list, times in pairs(lists) do
    add_names(tally, ARGV[5 + list], times)
end
write_counters(COUNTERS, tally)
write_events(EVENTS, ARGV[2], events)
return table.concat(answer)
