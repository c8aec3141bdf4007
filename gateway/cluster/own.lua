-- Owns names for a while, or goes on owning them: KEYS are theirs, ARGV: the node, milliseconds, and 1 to take over
-- what is another's, else 0. Gives for each key 1 where it is owned now, 0 where another owns it.
local owned = {}
for at = 1, #KEYS do
  local owner = ARGV[3] == '0' and redis.call('GET', KEYS[at])
  if owner and owner ~= ARGV[1] then
    owned[at] = 0
  else
    redis.call('SET', KEYS[at], ARGV[1], 'PX', ARGV[2])
    owned[at] = 1
  end
end
return owned
