-- book: writes contact book entries, each only where nobody has changed it since it was read, and has the notices of customers
-- with a new contact point looked at again.
--
-- KEYS  1 notices  2 jobs  3 due  4 last  5 previous  6 contacts  7 intake
-- ARGV  1 now (ms), then rows of five: customer, entry as it was read ('' for none), entry as it shall be, '1' to wake, a job ('' for none)
--
-- Before: contacts holds an entry per customer, or none.
-- After, for every row whose entry still was the one read: the new one is there, the customer's waiting notices are due
-- now, and the job (which has reachd look whether a clearance rested on what went) is in the lane. Nothing of the other rows. Answer: one letter a row, A written, S changed by somebody meanwhile.

local answer = {}
demand(KEYS[3], 'zset')
demand(KEYS[6], 'hash')
demand(KEYS[7], 'stream')
for i = 2, #ARGV, 5 do
    local customer = ARGV[i]
    if (redis.call('HGET', KEYS[6], customer) or '') == ARGV[i + 1] then
        redis.call('HSET', KEYS[6], customer, ARGV[i + 2])
        if ARGV[i + 3] == '1' then
            wake(customer, ARGV[1])
        end
        if ARGV[i + 4] ~= '' then
            redis.call('XADD', KEYS[7], '*', 'job', ARGV[i + 4])
        end
        answer[#answer + 1] = 'A'
    else
        answer[#answer + 1] = 'S'
    end
end
return table.concat(answer)
