-- apply: changes a batch of different notices, all of them or none.
--
-- KEYS  1 notices  2 jobs  3 due  4 last  5 previous  6 counters  7 events  8 intake  9 intake:bulk  10 receipts  11 dead  12 leases
--       13 notices:aside
-- ARGV  1 prefix  2 length of events  3 the events, a JSON array ('' for none)  4 number of items
--       5 tokens seen, 16 hex digits an item ('' where every notice is new). Sixteen @ instead: it has begun under the lease on the entry that is
--       acknowledged with it (a single @: all have)
--       6 how many items get which state: letter and number of each, one behind the other
--       7-15 how many rows of each kind there are, in this order:
--       due: time, id · due no more: id · job kept: id, job · job dropped: id · acknowledged: lane, lease, number, ids before and last · the same
--       for the items with @, one entry each · counted: names, times · effects: five arguments each (by the door: two, operation and key) ·
--       decided on: item, customer, contact book entry as read (its SHA-1, '' for none)
--       16 until when (ms, Redis's clock) new notices may begin, 0: for ever  17 the tokens from now on, 16 hex digits an item (where argument
--       5 is a single @: nothing)  18 how many tokens seen are 0  19 how many records are among the arguments: of all items, or 0 where they come
--       by the door; then the ids, then the customers of the items whose token seen is 0, then those rows, then id and record of each item
-- or, for the effects of a batch whose records came by the door:
-- ARGV  1, 2 as above  3 the word effects  4 how many  5 five arguments each
--
-- The door. Lua hashes every byte of every string it makes, which costs more than anything else here. So the records of a large batch are not
-- among the arguments: they come by a plain HSET behind this script, and it is this script that lets that pass or not. All of it is one
-- MULTI/EXEC (queue/door.c):
--
--       RENAMENX notices notices:aside · SADD notices closed     the door is closed: `notices` is a set, no HSET can write to it
--       EVALSHA apply ...                                        where it grants the batch, and only there, it opens the door
--       HSET notices id record ...                               fails where the door is closed
--       EVALSHA apply ... effects ...                            does nothing where the door is closed
--       SREM notices closed · RENAMENX notices:aside notices     opens it; both fail where it is open
--
-- Before: the door is closed where the records come by it, else open. A record is `<state letter><token, 16 hex digits> <customer> <text>`, or
-- there is none. The first one of a notice whose entry stays open has `@<lane>/<lease>,<stream id> ` in front of its text.
-- After, where every item's record carried the token seen (for token 0: no record, and it is not too late): the new records are there, or the
-- door is open to them, with the jobs, the due times, the counters, the events and the effects (by the door: with the second call) that
-- belong to them, and their stream entries are acknowledged where their lease is still there. Else nothing has changed and the door is
-- as it was. Answer: one letter an item:
--   A  done; also where the record already carries the new token: an earlier try of this same call did it, with all the others
--   S  stale: somebody else has changed the notice
--   M  the contact book entry that it was decided on is another one by now (a clearance must not rest on a contact point that is gone)
--   R  would be granted; call again without those that are S or M
-- accepted = sum of all state:* holds before and after the transaction.
--
-- The lease is the lock: nobody begins a notice twice, and whoever changes one that has begun under a lease, by its token, marks the lease, unless
-- the entry is acknowledged by that. So while an unmarked lease has the entries open, their records are what its holder has made them, and need
-- not be read: that is nearly always so. Where it is not, all items are answered R, with nothing changed: call again with the tokens instead of
-- the @.

local A, call, sub, byte, find, match = ARGV, redis.call, string.sub, string.byte, string.find, string.match
local NOTICES, JOBS, DUE, LAST, PREVIOUS, COUNTERS, EVENTS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local ASIDE = KEYS[13]
local RELEASES = A[1] .. 'releases'
local NONE = '0000000000000000'
local FIRST = 20
local SENDING, AT = byte('s'), byte('@')

-- Behind the new records, which it may look at.
local function carry_out(first, n_effects)
    local told = {}
    do_effects(A[1], first, n_effects, told)
    write_events(EVENTS, A[2], told)
end

if A[3] == 'effects' then
    if call('TYPE', NOTICES).ok == 'set' or call('EXISTS', ASIDE) == 1 then
        return 0
    end
    call('HDEL', NOTICES, '') -- changes nothing, but SCRIPT KILL leaves alone what may have written: half a change must not be left
    carry_out(5, tonumber(A[4]))
    return 1
end

local n, seen = tonumber(A[4]), A[5]
local all_locked, some_locked = seen == '@', find(seen, '@', 1, true)
local held, n_locked = {}, all_locked and n or 0

-- What `notices` holds is in ASIDE by now: records, nothing, or what has closed it before.
local function demand_door()
    if call('TYPE', NOTICES).ok ~= 'set' or call('SCARD', NOTICES) ~= 1 then
        error({err = 'REACHDOOR the keys ' .. NOTICES .. ' and ' .. ASIDE .. ' are both there: one of them is not reachd\'s; move it away'})
    end
    local found = call('TYPE', ASIDE).ok
    if found == 'set' and call('SREM', ASIDE, 'closed') == 1 then
        found = call('TYPE', ASIDE).ok
    end
    if found ~= 'hash' and found ~= 'none' then
        error({err = 'REACHTYPE the key ' .. NOTICES .. ' holds a ' .. found .. ' and not a hash'})
    end
end

local by_door = A[19] == '0' and n > 0
local RECORDS = by_door and ASIDE or NOTICES
if by_door then
    KINDS[1] = 'set'
    demand_door()
end
demand_keys()
demand(RELEASES, 'zset')

local function is_locked(i)
    return some_locked and (all_locked or byte(seen, 16 * i) == AT)
end

-- The records, but of those items that the lease answers for.
local function read_records()
    local ids, places = {}, {}
    for i = 1, n do
        if is_locked(i) then
            n_locked = n_locked + 1
        else
            ids[#ids + 1], places[#places + 1] = A[FIRST - 1 + i], i
        end
    end
    local found = read_fields(RECORDS, ids)
    for k, i in ipairs(places) do
        held[i] = found[k]
    end
end

if not some_locked then
    for i = 1, n do
        held[i] = A[FIRST - 1 + i]
    end
    held = read_fields(RECORDS, held)
elseif not all_locked then
    read_records()
end

-- What becomes of item i: A, S or R.
local function verdict(i)
    if is_locked(i) then
        return 'R'
    end
    local old = held[i]
    local token = seen == '' and NONE or sub(seen, 16 * i - 15, 16 * i)
    if not old then
        return token == NONE and 'R' or 'S'
    end
    local present = sub(old, 2, 17)
    if present == token then
        return 'R'
    end
    return present == sub(A[17], 16 * i - 15, 16 * i) and 'A' or 'S'
end

-- Who read an entry longer than a lease ago may have lost it to another who has refused or finished it: nothing begins any more.
local too_late = false
if A[16] ~= '0' then
    local time = call('TIME')
    too_late = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) > tonumber(A[16])
end

-- Whether every item is granted, which is nearly always so: then no letters are made.
local function all_are_new()
    for i = 1, n do
        if held[i] then
            return false
        end
    end
    return not too_late
end

local function all_are_as_seen()
    local at = 1
    for i = 1, n do
        local old, token = held[i], sub(seen, at, at + 15)
        if old and find(old, token, 2, true) ~= 2 or not old and (token ~= NONE or too_late) and not is_locked(i) then
            return false
        end
        at = at + 16
    end
    return true
end

local answer, fit = nil, n
if not (all_locked or seen == '' and all_are_new() or seen ~= '' and all_are_as_seen()) then
    answer, fit = {}, 0
    for i = 1, n do
        local letter = verdict(i)
        answer[i] = letter == 'R' and too_late and not held[i] and not is_locked(i) and 'S' or letter
        fit = fit + (answer[i] == 'R' and 1 or 0)
    end
end

-- Where the rows of each kind begin:
local rows, at = {}, FIRST + n + tonumber(A[18])
local per_effect = by_door and 2 or 5
for kind, width in ipairs({2, 1, 2, 1, 5, 5, 2, per_effect, 3}) do
    rows[kind] = {at, at + width * tonumber(A[6 + kind]) - 1}
    at = rows[kind][2] + 1
end
for i = rows[5][1], rows[6][2], 5 do
    demand_lane(A[i])
end
local tally = {}
if acknowledge_untouched(rows[6][1], rows[6][2], tally) ~= n_locked then
    return string.rep('R', n)
end
for i = rows[9][1], rows[9][2], 3 do
    local item = tonumber(A[i])
    if (not answer or answer[item] == 'R') and not book_is(A[i + 1], A[i + 2]) then
        if not answer then
            answer = {}
            for k = 1, n do
                answer[k] = 'R'
            end
        end
        answer[item], fit = 'M', fit - 1
    end
end
if fit < n then
    return table.concat(answer)
end

-- From here on every item is granted.
demand_effects(A[1], rows[8][1], tonumber(A[14]), per_effect)

local customers, last, k, before = {}, {}, 0, {}
for i = 1, all_locked and 0 or n do
    local old = held[i]
    if some_locked and is_locked(i) then
        before[SENDING] = (before[SENDING] or 0) + 1
    elseif old then
        local state = byte(old)
        before[state] = (before[state] or 0) + 1
    else
        local customer = A[FIRST + n + k]
        k = k + 1
        customers[k], last[2 * k - 1], last[2 * k] = customer, customer, A[FIRST - 1 + i]
    end
end
if all_locked then
    before[SENDING] = n
end

add(tally, 'accepted', k)
for state, times in pairs(before) do
    add(tally, 'state:' .. string.char(state), -times)
end
for state, times in string.gmatch(A[6], '(%a)(%d+)') do
    add(tally, 'state:' .. state, tonumber(times))
end
for i = rows[7][1], rows[7][2], 2 do
    add_names(tally, A[i], tonumber(A[i + 1]))
end

-- A new notice is linked in front of its customer's earlier ones; `newest` is what was the newest before this batch.
local function link_to_earlier(newest)
    local previous, seen_now = {}, {}
    for i = 1, k do
        local customer, id = customers[i], last[2 * i]
        local earlier = seen_now[customer] or newest[i]
        if earlier and earlier ~= id then
            previous[#previous + 1] = id
            previous[#previous + 1] = earlier
        end
        seen_now[customer] = id
    end
    write_all('HSET', PREVIOUS, previous)
end

-- Something of these customers is open again, so their releases go (P7). Who has no earlier notice has none, but where it is in `releases`
-- (customers.lua).
local function take_releases(newest)
    local latest, releases = call('ZRANGE', RELEASES, -2, -1), {}
    local known = latest[#latest] == '' and (#latest == 1 or write_all('ZREM', RELEASES, customers) == 0)
    for i = 1, k do
        if newest[i] or not known then
            releases[#releases + 1] = A[1] .. 'release:{' .. customers[i] .. '}'
        end
    end
    for from = 1, #releases, CHUNK do
        call('DEL', unpack(releases, from, math.min(from + CHUNK - 1, #releases)))
    end
end

-- Nobody has an earlier one where every field is a new one, which is what a campaign is like.
local function link_newcomers()
    local newest = read_fields(LAST, customers)
    if write_all('HSET', LAST, last) < k then
        link_to_earlier(newest)
    end
    if k > 0 then
        take_releases(newest)
    end
end

-- While the auditor counts, it is left the state in which each notice was when it began (recount.lua).
local function tell_auditor()
    local audit = A[1] .. 'audit'
    for i = 1, call('EXISTS', audit) * n do
        call('HSETNX', audit, A[FIRST - 1 + i], is_locked(i) and 's' or held[i] and sub(held[i], 1, 1) or '-')
    end
end

-- After what is acknowledged by token has left its lease.
local function touch_leases()
    for i = 1, all_locked and 0 or n do
        local old = held[i]
        if old and byte(old) == SENDING then
            touch(match(old, '^%S+ @([^ ,]+),(%S+) ', 19))
        end
    end
end

-- Last of all: an open door says that all the rest is done.
local function open_door()
    call('SREM', NOTICES, 'closed')
    if call('EXISTS', ASIDE) == 1 then
        call('RENAMENX', ASIDE, NOTICES)
    end
end

-- The first write must be one that a full Redis refuses (EXEC refuses all of it).
tell_auditor()
if not by_door then
    write_all('HSET', NOTICES, A, at, at - 1 + 2 * n)
end
write_all('ZADD', DUE, A, rows[1][1], rows[1][2])
if rows[2][2] >= rows[2][1] and call('TYPE', DUE).ok ~= 'none' then
    write_all('ZREM', DUE, A, rows[2][1], rows[2][2])
end
write_all('HSET', JOBS, A, rows[3][1], rows[3][2])
write_all('HDEL', JOBS, A, rows[4][1], rows[4][2])
acknowledge(rows[5][1], rows[5][2], tally)
touch_leases()
write_leases()
link_newcomers()
write_counters(COUNTERS, tally)
if A[3] ~= '' then
    call('XADD', EVENTS, 'MAXLEN', '~', A[2], '*', 'events', A[3])
end
if by_door then
    open_door()
else
    carry_out(rows[8][1], tonumber(A[14]))
end
return string.rep('A', n)
