-- effects: the part of common that carries out what becomes true together with a change (holds, clearances, releases, banners, the contact
-- book); changes nothing by itself. ARGV[1] is the prefix; needs customers.lua.

-- Effects: five arguments each (`width`; to demand_effects the first two will do), from ARGV[at] on: operation, key without the prefix, field,
-- value, time.
local EFFECT_KIND = {X = 'stream', K = 'stream', O = 'hash', o = 'hash', H = 'hash', h = 'hash', Z = 'zset', z = 'zset', N = 'string', n = 'string'}

-- Keys of ours that an effect reads or writes beside the one it names.
local EFFECT_READS = {B = {contacts = 'hash'}, F = {desk = 'hash', releases = 'zset'}, G = {holds = 'hash'}}

local function demand_effects(prefix, at, n, width)
    for i = at, at + width * (n - 1), width do
        local kind = EFFECT_KIND[ARGV[i]]
        if kind then
            demand(prefix .. ARGV[i + 1], kind)
        end
        for name, its_kind in pairs(EFFECT_READS[ARGV[i]] or {}) do
            demand(prefix .. name, its_kind)
        end
    end
end

-- Writes a customer's release, but only where no notice of theirs is open or still holds an account (one that was reached and bounced
-- afterwards does), and no desk case is left (P7). It runs after the records of the batch are written. Looked at: the newest 100;
-- whoever has more gets no release.
local FINISHED = {R = true, C = true, V = true}
local function is_done(record)
    return FINISHED[string.sub(record, 1, 1)] and not string.find(record, '"hold":true', 1, true)
end
local function release(key, customer, value, time)
    local newest, looked = redis.call('HGET', KEYS[4], customer), 0
    local id = newest
    while id do
        local record = redis.call('HGET', KEYS[1], id)
        looked = looked + 1
        if looked > 100 or (record and not is_done(record)) or redis.call('HEXISTS', ARGV[1] .. 'desk', id) == 1 then
            return
        end
        id = redis.call('HGET', KEYS[5], id)
    end
    redis.call('SET', key, value, 'PXAT', time)
    if not newest then
        note_release(ARGV[1] .. 'releases', customer, time)
    end
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
