-- gateway: changes what the workers share of one gateway, only where it still is what the caller saw.
--
-- KEYS  1 gateways  2 counters  3 events
-- ARGV  1 gateway  2 text as it was seen ('' for none)  3 text as it shall be  4 names of counters to raise, blanks between
--       5 event, a JSON object  6 length of events
--
-- Before: gateways holds a text per gateway, or none.
-- After: the text is the new one, the change is counted and told; or somebody else has changed it, and nothing is done. Called twice, it
-- counts and tells once. Answer: 'A' done, or 'S' and the text that is there.

demand(KEYS[1], 'hash')
demand(KEYS[2], 'hash')
demand(KEYS[3], 'stream')
local present = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if present == ARGV[3] then
    return 'A'
end
if present ~= ARGV[2] then
    return 'S' .. present
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
local tally = {}
add_names(tally, ARGV[4], 1)
write_counters(KEYS[2], tally)
write_events(KEYS[3], ARGV[6], {ARGV[5]})
return 'A'
