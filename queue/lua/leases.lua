-- leases: the part of common that knows leases, groups and entry ids; changes nothing by itself. Its users have the twelve keys of
-- demand_keys() where they call acknowledge() and write_leases().

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
-- `<after>,<to>`: what comes behind the entry `after`, up to `to`; they are in order, with `;` between, and behind them a `!` where somebody
-- has changed a notice that had begun under the lease (apply.lua). The field `<lane>` is
-- `<id> <entries>`: up to that id everything has been in a lease, and that is how many entries the group had read by then (or -).
local function lease_read(text)
    local deliveries, over, open, ranges, touched, consumer = string.match(text, '^(%d+) (%d+) (%d+) ([^ !]+)(!?) (.*)$')
    local lease = {deliveries = tonumber(deliveries), over = tonumber(over), open = tonumber(open), consumer = consumer, ranges = {},
        touched = touched == '!'}
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
        redis.call('HSET', leases, field, string.format('%d %.0f %d %s%s %s', lease.deliveries, lease.over, math.max(lease.open, 1),
            table.concat(ranges, ';'), lease.touched and '!' or '', lease.consumer))
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

local LANE_KEY = {urgent = 8, bulk = 9, receipts = 10} -- places in KEYS
-- Like demand(), for the stream of a lane that a row names; once a lane.
local lanes_seen = {}
local function demand_lane(lane)
    if not lanes_seen[lane] then
        lanes_seen[lane] = true
        demand(KEYS[LANE_KEY[lane]], 'stream')
    end
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

-- The same, but nothing (answer 0) where somebody has changed a notice that had begun under one of those leases.
local function acknowledge_untouched(first, last, tally)
    for i = first, last, 5 do
        local lease = lease_of(ARGV[i] .. '/' .. ARGV[i + 1])
        if not lease or lease.touched then
            return 0
        end
    end
    return acknowledge(first, last, tally)
end

-- Somebody changes a notice that has begun under this lease (field; nil: under none) from this entry. Where that is not open in the lease any
-- more, nobody can take the lease for a lock of the notice.
local function touch(field, id)
    local lease, open = field and lease_of(field), false
    for _, range in ipairs(lease and lease.ranges or {}) do
        open = open or behind(id_of(id), id_of(range[1])) and not behind(id_of(id), id_of(range[2]))
    end
    if open then
        lease.touched, lease.changed_in = true, KEYS[LANE_KEY[string.match(field, '^%a+')]]
    end
end

local function write_leases()
    for field, lease in pairs(leases_read) do
        if lease and lease.changed_in then
            lease_prune(lease, lease.changed_in)
            lease_write(KEYS[12], field, lease)
        end
    end
end
