#!lua name=reach
-- library: the one question that callers in any language ask, as a Redis function.
--
--   FCALL reach_allowed <n> reach:clearance:{<account>} ... reach:release:{<customer>} ...
--
-- Answer: one integer a key, 1 = yes, 0 = no. It fails closed: yes only where the record is there, is a JSON object that names
-- when it was granted and on what notice, and is going to expire (a record without an end is not one of reachd's). Accounts are
-- asked for in canonical form (lower case, main domain). Changes nothing; ask the master, a replica may be behind.

local function is_granted(key)
    local text = redis.pcall('GET', key)
    if type(text) ~= 'string' then
        return 0
    end
    local ok, record = pcall(cjson.decode, text)
    if not ok or type(record) ~= 'table' or type(record.granted_at) ~= 'string' or type(record.notice) ~= 'string' then
        return 0
    end
    return redis.call('PTTL', key) > 0 and 1 or 0
end

redis.register_function{
    function_name = 'reach_allowed',
    callback = function(keys)
        local answer = {}
        for i = 1, #keys do
            answer[i] = is_granted(keys[i])
        end
        return answer
    end,
    flags = {'no-writes'},
}
