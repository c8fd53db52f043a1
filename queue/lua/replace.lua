-- replace: changes one field of a hash only where it still is what the caller saw.
--
-- KEYS  1 the hash
-- ARGV  1 field  2 what the caller saw ('' for none)  3 what it shall be ('' to delete it)
--
-- Before: the field is what the caller saw, or somebody has changed it.
-- After: 1, and the field is the new one; or 0, somebody has changed it, and it is as it was.

if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
    return 0
end
if ARGV[3] == '' then
    redis.call('HDEL', KEYS[1], ARGV[1])
else
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1
