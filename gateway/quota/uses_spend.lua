-- Spends one use of a ticket. KEYS: its record, the secret. ARGV: uses, ms at which it is forgotten, now in ms or ""
-- for the server's, a secret to keep again or "". Gives 1, or 0 with nothing spent.
if ARGV[4] ~= '' then redis.call('SET', KEYS[2], ARGV[4], 'NX') end
local time = redis.call('TIME')
local now = tonumber(ARGV[3]) or time[1] * 1000 + time[2] / 1000
local left = tonumber(ARGV[2]) - now
if left <= 0 then return 0 end
if tonumber(redis.call('HGET', KEYS[1], 'spent') or 0) >= tonumber(ARGV[1]) then return 0 end
redis.call('HINCRBY', KEYS[1], 'spent', 1)
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(left)))
return 1
