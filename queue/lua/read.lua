-- read: looks things up that need more than one step in Redis.
--
-- KEYS  1 notices  2 jobs  3 due  4 last  5 previous
-- ARGV  1 prefix, then rows of three: kind, key or customer, field
--       G  the string under key         H  a field of the hash under key
--       N  ids of the customer's notices that are not finished, newest first, separated by blanks (100 at the most)
--       R  the same of those that ended in having reached the customer
--
-- Changes nothing. Answer: one string (or false) a row.

local NOTICES, LAST, PREVIOUS = KEYS[1], KEYS[4], KEYS[5]
local FINAL = {R = true, H = true, E = true, C = true, V = true}
local MOST = 100

local function notices_of(customer, wanted)
    local found, looked = {}, 0
    local id = redis.call('HGET', LAST, customer)
    while id and looked < MOST do
        local record = redis.call('HGET', NOTICES, id)
        if record and wanted(string.sub(record, 1, 1)) then
            found[#found + 1] = id
        end
        id, looked = redis.call('HGET', PREVIOUS, id), looked + 1
    end
    return #found > 0 and table.concat(found, ' ')
end

local READ = {
    G = function(key) return redis.call('GET', ARGV[1] .. key) end,
    H = function(key, field) return redis.call('HGET', ARGV[1] .. key, field) end,
    N = function(customer) return notices_of(customer, function(state) return not FINAL[state] end) end,
    R = function(customer) return notices_of(customer, function(state) return state == 'R' end) end,
}

local answer = {}
for i = 2, #ARGV, 3 do
    answer[#answer + 1] = READ[ARGV[i]](ARGV[i + 1], ARGV[i + 2])
end
return answer
