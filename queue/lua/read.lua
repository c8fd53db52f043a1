-- read: looks things up that need more than one step in Redis.
--
-- KEYS  1 notices  2 jobs  3 due  4 last  5 previous
-- ARGV  1 prefix, then rows of three: kind, key or customer, field
--       G  the string under key         H  a field of the hash under key
--       N  ids of the customer's notices, newest first, separated by blanks (100 at the most)
--       R  those of them that ended in having reached the customer
--
-- Changes nothing. Answer: one string (or false) a row.

local READ = {
    G = function(key) return redis.call('GET', ARGV[1] .. key) end,
    H = function(key, field) return redis.call('HGET', ARGV[1] .. key, field) end,
    N = function(customer) return notices_of(customer, function() return true end) end,
    R = function(customer) return reached_notices(customer) end,
}

local answer = {}
for i = 2, #ARGV, 3 do
    answer[#answer + 1] = READ[ARGV[i]](ARGV[i + 1], ARGV[i + 2])
end
return answer
