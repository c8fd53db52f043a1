-- common: put in front of every other script of this folder. Helpers only: changes nothing by itself.
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

-- One variadic command over args[first..last] (all of them where not given); `group` stands before them where it is given. The
-- sum of the answers (how many were added, removed, acknowledged).
local function write_all(command, key, group, args, first, last)
    local sum = 0
    last = last or #args
    for from = first or 1, last, CHUNK do
        local to = math.min(from + CHUNK - 1, last)
        if group then
            sum = sum + redis.call(command, key, group, unpack(args, from, to))
        else
            sum = sum + redis.call(command, key, unpack(args, from, to))
        end
    end
    return sum
end

-- The groups of a stream, each as a table of what XINFO GROUPS tells.
local function groups_of(stream)
    local groups = {}
    for i, pairs_ in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
        groups[i] = {}
        for k = 1, #pairs_, 2 do
            groups[i][pairs_[k]] = pairs_[k + 1]
        end
    end
    return groups
end

-- Entry ids, as numbers and by age.
local function id_parts(id)
    local ms, seq = string.match(id, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(seq)
end

local function earlier(a, b)
    local a_ms, a_seq = id_parts(a)
    local b_ms, b_seq = id_parts(b)
    return a_ms < b_ms or (a_ms == b_ms and a_seq < b_seq)
end

-- Leases: field `<lane>/<token>` of the hash `leases`, text `<deliveries> <end, ms> <entries open> <ranges> <consumer>`. A range is
-- `<after>,<to>`: what comes behind the entry `after`, up to `to`; they are in order, with `;` between. The field `<lane>` is
-- `<id> <entries>`: up to that id everything has been in a lease, and that is how many entries the group had read by then (or -).
local function lease_read(text)
    local deliveries, over, open, ranges, consumer = string.match(text, '^(%d+) (%d+) (%d+) (%S+) (.*)$')
    local lease = {deliveries = tonumber(deliveries), over = tonumber(over), open = tonumber(open), consumer = consumer, ranges = {}}
    for after, to in string.gmatch(ranges, '([%d-]+),([%d-]+)') do
        lease.ranges[#lease.ranges + 1] = {after, to}
    end
    return lease
end

-- Writes a lease, or takes it away where nothing of it is open.
local function lease_write(leases, field, lease)
    local ranges = {}
    for i, range in ipairs(lease.ranges) do
        ranges[i] = range[1] .. ',' .. range[2]
    end
    if #ranges == 0 then
        redis.call('HDEL', leases, field)
    else
        redis.call('HSET', leases, field, string.format('%d %.0f %d %s %s', lease.deliveries, lease.over, math.max(lease.open, 1),
            table.concat(ranges, ';'), lease.consumer))
    end
end

-- Each id is read once: settle looks at a lease for each of its rows.
local ids_read = {}
local function id_of(text)
    local id = ids_read[text]
    if not id then
        local ms, seq = id_parts(text)
        id = {ms, seq, text}
        ids_read[text] = id
    end
    return id
end

local function behind(a, b)
    return a[1] > b[1] or a[1] == b[1] and a[2] > b[2]
end

-- How many entries an acknowledged row had open: what it says, where all of it was, which is nearly always so; else they are counted.
local function count_cut(stream, n, after, to, cut)
    if n == 1 then
        return #cut > 0 and cut[#cut][2] == to and 1 or 0
    elseif #cut == 1 and cut[1][1] == after and cut[1][2] == to then
        return n
    end
    local counted = 0
    for _, range in ipairs(cut) do
        counted = counted + #redis.call('XRANGE', stream, '(' .. range[1], range[2])
    end
    return counted
end

-- Closes what rows (see acknowledge) name in a lease: in one pass, since both are in order. Answer: how many entries were open.
local function lease_close(lease, stream, first, last)
    local ranges, left, closed, k = lease.ranges, {}, 0, 1
    local from, till -- of range k
    local function look()
        from, till = ranges[k] and id_of(ranges[k][1]), ranges[k] and id_of(ranges[k][2])
    end
    local function keep(a, b)
        local whole = ranges[k][1] == a[3] and ranges[k][2] == b[3]
        left[#left + 1] = whole and ranges[k] or {a[3], b[3]}
    end
    look()
    for i = first, last, 5 do
        local after, to, cut = id_of(ARGV[i + 3]), id_of(ARGV[i + 4]), {}
        while from and not behind(till, after) do
            keep(from, till)
            k = k + 1
            look()
        end
        while from and behind(to, from) do
            if behind(after, from) then
                keep(from, after)
                from = after
            end
            if behind(till, to) then
                cut[#cut + 1] = {from[3], to[3]}
                from = to
            else
                cut[#cut + 1] = {from[3], till[3]}
                k = k + 1
                look()
            end
        end
        closed = closed + count_cut(stream, tonumber(ARGV[i + 2]), after[3], to[3], cut)
    end
    while from do
        keep(from, till)
        k = k + 1
        look()
    end
    lease.ranges, lease.open = left, lease.open - closed
    return closed
end

-- Where all that was counted is closed, what is left of the ranges holds nothing; that is looked at rather than believed.
local function lease_prune(lease, stream)
    local full, open = {}, 0
    for _, range in ipairs(lease.open <= 0 and lease.ranges or {}) do
        local n = #redis.call('XRANGE', stream, '(' .. range[1], range[2])
        if n > 0 then
            full[#full + 1], open = range, open + n
        end
    end
    if lease.open <= 0 then
        lease.ranges, lease.open = full, open
    end
end

-- All leases of a lane: token -> lease.
local function leases_of(leases, lane)
    local all, prefix = {}, lane .. '/'
    local rows = redis.call('HGETALL', leases)
    for i = 1, #rows, 2 do
        if string.sub(rows[i], 1, #prefix) == prefix then
            all[string.sub(rows[i], #prefix + 1)] = lease_read(rows[i + 1])
        end
    end
    return all
end

-- Up to where everything of a lane has been in a lease; nil where nothing has.
local function leased_up_to(leases, lane)
    local text = redis.call('HGET', leases, lane)
    return text and string.match(text, '^%S+')
end

-- How many entries of a stream were acknowledged and not trimmed since.
local function kept_acked(counters, name)
    local acked = redis.call('HMGET', counters, 'acked:' .. name, 'trimmed:' .. name)
    return tonumber(acked[1] or 0) - tonumber(acked[2] or 0)
end

-- Stops the script before it has written anything where `key` holds something else than `kind`.
local function demand(key, kind)
    local found = redis.call('TYPE', key).ok
    if found ~= kind and found ~= 'none' then
        error({err = 'REACHTYPE the key ' .. key .. ' holds a ' .. found .. ' and not a ' .. kind})
    end
end

-- The twelve keys that every changing script gets, in this order.
local KINDS = {'hash', 'hash', 'zset', 'hash', 'hash', 'hash', 'stream', 'stream', 'stream', 'stream', 'stream', 'hash'}
local LANE_KEY = {urgent = 8, bulk = 9, receipts = 10}
local function demand_keys()
    for i = 1, #KEYS do
        demand(KEYS[i], KINDS[i])
    end
end

-- Counters are summed up first and written once per name.
local function add(tally, name, by)
    tally[name] = (tally[name] or 0) + by
end

-- Acknowledges entries, in any of the changing scripts: rows of five in ARGV[first..last]: lane, token of the lease, number of entries, the id
-- that comes before them, the last one's. Those of one lease follow one another. A lease that is not there any more belongs to somebody else
-- by now: then nothing is acknowledged. What was is added to `tally`; the answer is how many that were. Leases are read once, and written by
-- write_leases(), which must follow.
local leases_read = {}
local function lease_of(field)
    if leases_read[field] == nil then
        local text = redis.call('HGET', KEYS[12], field)
        leases_read[field] = text and lease_read(text)
    end
    return leases_read[field]
end

local function acknowledge(first, last, tally)
    local sum, i = 0, first
    while i <= last do
        local lane, token, from = ARGV[i], ARGV[i + 1], i
        repeat
            i = i + 5
        until i > last or ARGV[i + 1] ~= token or ARGV[i] ~= lane
        local field, stream = lane .. '/' .. token, KEYS[LANE_KEY[lane]]
        local lease = lease_of(field)
        if lease then
            local closed = lease_close(lease, stream, from, i - 1)
            lease.changed_in = stream
            add(tally, 'acked:' .. lane, closed)
            sum = sum + closed
        end
    end
    return sum
end

local function write_leases()
    for field, lease in pairs(leases_read) do
        if lease and lease.changed_in then
            lease_prune(lease, lease.changed_in)
            lease_write(KEYS[12], field, lease)
        end
    end
end

-- Effects: five arguments each, from ARGV[at] on: operation, key without the prefix, field, value, time.
local EFFECT_KIND = {X = 'stream', K = 'stream', O = 'hash', o = 'hash', H = 'hash', h = 'hash', Z = 'zset', z = 'zset', N = 'string', n = 'string'}

-- Keys of ours that an effect reads or writes beside the one it names.
local EFFECT_READS = {B = {'contacts', 'hash'}, F = {'desk', 'hash'}, G = {'holds', 'hash'}}

local function demand_effects(prefix, at, n)
    for i = at, at + 5 * (n - 1), 5 do
        local kind, read = EFFECT_KIND[ARGV[i]], EFFECT_READS[ARGV[i]]
        if kind then
            demand(prefix .. ARGV[i + 1], kind)
        end
        if read then
            demand(prefix .. read[1], read[2])
        end
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

-- Writes a customer's release, but only where no notice of theirs is open or still holds an account (one that was reached and bounced
-- afterwards does), and no desk case is left (P7). It runs after the records of the batch are written. Looked at: the newest 100;
-- whoever has more gets no release.
local FINISHED = {R = true, C = true, V = true}
local function is_done(record)
    return FINISHED[string.sub(record, 1, 1)] and not string.find(record, '"hold":true', 1, true)
end
local function release(key, customer, value, time)
    local id, looked = redis.call('HGET', KEYS[4], customer), 0
    while id do
        local record = redis.call('HGET', KEYS[1], id)
        looked = looked + 1
        if looked > 100 or (record and not is_done(record)) or redis.call('HEXISTS', ARGV[1] .. 'desk', id) == 1 then
            return
        end
        id = redis.call('HGET', KEYS[5], id)
    end
    redis.call('SET', key, value, 'PXAT', time)
end

-- Holds: field = account, value = {"notice", "customer", "since", "others": [the same of other notices]}. While any notice holds an
-- account it must not be disabled, so a hold takes away a clearance that stands, and a clearance is not granted against another
-- notice's hold (two customers may share a mailbox).
local function decoded(text)
    local ok, value = pcall(cjson.decode, text)
    return ok and type(value) == 'table' and value or {} -- damaged: a hold of nobody we know, so it stays in the way
end

local function hold(key, account, value)
    local text = redis.call('HGET', key, account)
    redis.call('DEL', ARGV[1] .. 'clearance:{' .. account .. '}')
    if not text then
        redis.call('HSET', key, account, value)
        return
    end
    local held, new = decoded(text), decoded(value)
    local others = held.others or {}
    for i = 1, #others do
        if others[i].notice == new.notice then
            return
        end
    end
    if held.notice ~= new.notice then
        others[#others + 1] = new
        held.others = others
        redis.call('HSET', key, account, cjson.encode(held))
    end
end

local function unhold(key, account, notice)
    local text = redis.call('HGET', key, account)
    if not text then
        return
    end
    local held = decoded(text)
    local others = {}
    for _, other in ipairs(held.others or {}) do
        if other.notice ~= notice then
            others[#others + 1] = other
        end
    end
    if held.notice == notice then
        held = table.remove(others, 1)
    end
    if not held then
        redis.call('HDEL', key, account)
        return
    end
    held.others = #others > 0 and others or nil
    redis.call('HSET', key, account, cjson.encode(held))
end

local function grant(key, account, value, time, events)
    local text, record = redis.call('HGET', ARGV[1] .. 'holds', account), decoded(value)
    local free = true
    if text then
        local held = decoded(text)
        free = held.notice == record.notice and #(held.others or {}) == 0
    end
    if free then
        redis.call('SET', key, value, 'PXAT', time)
    end
    events[#events + 1] = cjson.encode({
        type = 'clearance', at = record.granted_at, notice = record.notice, state = free and 'granted' or 'refused',
        reason = free and record.evidence or 'another notice still holds this account',
    })
end

-- Whether a customer's contact book entry is still the one that was read: `seen` is its SHA-1, '' for none. Two writers never cost
-- each other a contact point (P7): who comes second reads again.
local function book_is(customer, seen)
    local text = redis.call('HGET', ARGV[1] .. 'contacts', customer)
    return (text and redis.sha1hex(text) or '') == seen
end

-- Whether what the effects of a control job rest on is as it was when that was read: contact book entries, and which of a customer's
-- notices were reached (a clearance that was granted meanwhile may rest on the contact point that goes).
local function all_is_as_seen(at, n)
    for i = at, at + 5 * (n - 1), 5 do
        local op, seen, customer = ARGV[i], ARGV[i + 1], ARGV[i + 2]
        if op == 'B' and not book_is(customer, seen) or op == 'R' and (reached_notices(customer) or '') ~= seen then
            return false
        end
    end
    return true
end

-- Banners: a key shows one record at a time, the most severe one and of these the newest; the others of the same customer stand behind it
-- in its member `others`. Each belongs to a notice: `notice` names it, or `ref` where nobody may be named (login page).
local RANK = {critical = 3, warning = 2, info = 1}
local BANNERS_MAX = 8

-- All records of a key, without the one that belongs to `owner`.
local function banners_but(key, owner)
    local text = redis.call('GET', key)
    local shown, list = text and decoded(text) or {}, {}
    local behind = shown.others or {}
    shown.others = nil
    table.insert(behind, 1, shown)
    for _, banner in ipairs(behind) do
        local whose = banner.notice or banner.ref
        if whose and whose ~= owner then
            list[#list + 1] = banner
        end
    end
    return list
end

local function show_banners(key, list, expiry)
    table.sort(list, function(a, b)
        local a_rank, b_rank = RANK[a.severity] or 0, RANK[b.severity] or 0
        if a_rank ~= b_rank then
            return a_rank > b_rank
        end
        return tostring(a.since) > tostring(b.since)
    end)
    local shown = table.remove(list, 1)
    while #list >= BANNERS_MAX do
        table.remove(list)
    end
    shown.others = #list > 0 and list or nil
    redis.call('SET', key, cjson.encode(shown), 'PXAT', expiry)
end

-- When a key goes: a banner that stands behind may live longer than the one shown, which says itself until when it is.
local function expiry_of(key)
    local left = redis.call('PTTL', key)
    local time = redis.call('TIME')
    return left > 0 and tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + left or 0
end

local function put_banner(key, owner, value, time)
    local list = banners_but(key, owner)
    local expiry = math.max(expiry_of(key), tonumber(time))
    if #list == 0 then
        redis.call('SET', key, value, 'PXAT', time)
        return
    end
    list[#list + 1] = decoded(value)
    show_banners(key, list, string.format('%.0f', expiry))
end

local function take_banner(key, owner)
    local list = banners_but(key, owner)
    if #list == 0 then
        redis.call('DEL', key)
    else
        show_banners(key, list, string.format('%.0f', expiry_of(key)))
    end
end

local EFFECT = {
    S = function(key, _, value, time)
        if time == '0' then
            redis.call('SET', key, value)
        else
            redis.call('SET', key, value, 'PXAT', time)
        end
    end,
    D = function(key) redis.call('DEL', key) end,
    H = function(key, field, value) redis.call('HSET', key, field, value) end,
    h = function(key, field) redis.call('HDEL', key, field) end,
    Z = function(key, field, _, time) redis.call('ZADD', key, time, field) end,
    z = function(key, field) redis.call('ZREM', key, field) end,
    W = function(_, customer, _, time) wake(customer, time) end,
    X = function(key, field, value) redis.call('XADD', key, '*', field, value) end,
    K = function(key, what, job)
        local id, lane, at, reason = string.match(what, '^(%S+) (%S+) (%S+) (.*)$')
        redis.call('XADD', key, '*', 'job', job, 'reason', reason, 'member', '', 'id', id, 'at', at, 'lane', lane)
    end,
    F = function(key, customer, value, time) release(key, customer, value, time) end,
    B = function(_, customer, value, _, _, seen)
        if book_is(customer, seen) then
            redis.call('HSET', ARGV[1] .. 'contacts', customer, value)
        end
    end,
    R = function() end, -- only looked at before: all_is_as_seen()
    N = function(key, owner, value, time) put_banner(key, owner, value, time) end,
    n = function(key, owner) take_banner(key, owner) end,
    O = function(key, account, value) hold(key, account, value) end,
    o = function(key, account, notice) unhold(key, account, notice) end,
    G = function(key, account, value, time, events) grant(key, account, value, time, events) end,
}

-- What an effect has to tell goes to `events`.
local function do_effects(prefix, at, n, events)
    for i = at, at + 5 * (n - 1), 5 do
        EFFECT[ARGV[i]](prefix .. ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], events, ARGV[i + 1])
    end
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

