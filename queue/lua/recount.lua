-- recount: counts the records state by state as they were at one moment, a page at a time, while work goes on.
--
-- KEYS  1 notices  2 audit  3 audited  4 counters
-- ARGV  1 what: begin, page, who or end  2 who asks
--       begin:  3 how long nobody else begins another one (ms)  4 `first`, or `again` for a second one right after it
--       page, who:  3 cursor  4 how many at a time, about  5 how many changes it may take up in all  6 how long it stands without a page (ms)
--       who:  7 the states that have more records than they should, their letters in a row
--
-- Before: audit is not there, or another walk is under way.
-- After begin: audit is there, and from then on the changing scripts leave in it the state that each notice was in when it was first changed
-- after that moment ('-': it was not there). So the page, whenever it is read, finds every notice as it was then: in audit, or unchanged.
-- Notices do not leave Redis while audit is there (retire, sweep). It goes with `end`, when its auditor does not come back, or when too much
-- has changed: then it is answered that there is none, and the walk is over.
-- Answer: begin: the counters of that moment, or nothing where it is not the time. page: next cursor, then letter and number of each state.
-- who: next cursor, then the ids of those that say another state in their text than in their head. Nothing where the walk is over.

local NOTICES, AUDIT, AUDITED, COUNTERS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local BY = ' by' -- no id begins with a blank
local call, sub, find = redis.call, string.sub, string.find

local function begin()
    if call('PTTL', AUDIT) == -1 then
        call('PEXPIRE', AUDIT, 60000) -- not from a walk of ours: it must not stand in the way for ever
    end
    if call('EXISTS', AUDIT) == 1 or ARGV[4] == 'first' and call('EXISTS', AUDITED) == 1 then
        return {}
    end
    call('SET', AUDITED, ARGV[2], 'PX', ARGV[3])
    call('HSET', AUDIT, BY, ARGV[2])
    call('PEXPIRE', AUDIT, 60000)
    return call('HGETALL', COUNTERS)
end

-- Tallies a page by the states of then.
local function tally(rows)
    local ids, numbers, answer = {}, {}, {}
    for i = 1, #rows, 2 do
        ids[#ids + 1] = rows[i]
    end
    local then_ = read_fields(AUDIT, ids)
    for i = 1, #ids do
        local state = then_[i] or sub(rows[2 * i], 1, 1)
        numbers[state] = (numbers[state] or 0) + 1
    end
    for state, number in pairs(numbers) do
        answer[#answer + 1] = state
        answer[#answer + 1] = number
    end
    return answer
end

-- Those in the wanted states whose text names another one.
local function contradict(rows, states)
    local answer = {}
    for i = 1, #rows, 2 do
        local record = rows[i + 1]
        local state = sub(record, 1, 1)
        if find(states, state, 1, true) then
            local said = string.match(record, '^{"s":"(%a)"', text_at(record))
            if said and said ~= state then
                answer[#answer + 1] = rows[i]
            end
        end
    end
    return answer
end

if ARGV[1] == 'begin' then
    return begin()
end
if call('HGET', AUDIT, BY) ~= ARGV[2] then
    return {}
end
if ARGV[1] == 'end' or call('HLEN', AUDIT) > tonumber(ARGV[5]) then
    call('DEL', AUDIT)
    return {}
end
call('PEXPIRE', AUDIT, ARGV[6])
local page = call('HSCAN', NOTICES, ARGV[3], 'COUNT', ARGV[4])
local answer = ARGV[1] == 'page' and tally(page[2]) or contradict(page[2], ARGV[7])
table.insert(answer, 1, page[1])
return answer
