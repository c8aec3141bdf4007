-- Takes milliseconds of audio. KEYS: the ticket's record, the secret. ARGV: ms wanted, ms there are, ms at which it is
-- forgotten, now in ms or "" for the server's, a secret to keep again or "". Gives 1, or 0 with nothing taken.
if ARGV[5] ~= '' then redis.call('SET', KEYS[2], ARGV[5], 'NX') end
local time = redis.call('TIME')
local now = tonumber(ARGV[4]) or time[1] * 1000 + time[2] / 1000
local left = tonumber(ARGV[3]) - now
if left <= 0 then return 0 end
if tonumber(redis.call('HGET', KEYS[1], 'taken') or 0) + tonumber(ARGV[1]) > tonumber(ARGV[2]) then return 0 end
redis.call('HINCRBY', KEYS[1], 'taken', ARGV[1])
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(left)))
return 1
