-- read: looks things up that need more than one step in Redis.
--
-- KEYS  1 notices  2 jobs  3 due  4 last  5 previous
-- ARGV  1 prefix, then rows of three: kind, key or customer, field
--       G  the string under key         H  a field of the hash under key
--       N  ids of the customer's notices that are not finished, newest first, separated by blanks (100 at the most)
--
-- Changes nothing. Answer: one string (or false) a row.

local NOTICES, LAST, PREVIOUS = KEYS[1], KEYS[4], KEYS[5]
local FINAL = {R = true, H = true, E = true, C = true, V = true}
local MOST = 100

local READ = {
    G = function(key) return redis.call('GET', ARGV[1] .. key) end,
    H = function(key, field) return redis.call('HGET', ARGV[1] .. key, field) end,
    N = function(customer)
        local open = {}
        local id = redis.call('HGET', LAST, customer)
        while id and #open < MOST do
            local record = redis.call('HGET', NOTICES, id)
            if record and not FINAL[string.sub(record, 1, 1)] then
                open[#open + 1] = id
            end
            id = redis.call('HGET', PREVIOUS, id)
        end
        return #open > 0 and table.concat(open, ' ')
    end,
}

local answer = {}
for i = 2, #ARGV, 3 do
    answer[#answer + 1] = READ[ARGV[i]](ARGV[i + 1], ARGV[i + 2])
end
return answer
