-- The node that owns KEYS[1], if it lives according to the nodes in KEYS[2] or is ARGV[1], which asks; else nothing.
local owner = redis.call('GET', KEYS[1])
if not owner or owner == ARGV[1] then
  return owner
end
local noted = redis.call('HGET', KEYS[2], owner)
if not noted then
  return false
end
local time = redis.call('TIME')
local until_ = tonumber(string.sub(noted, 1, string.find(noted, ' ', 1, true) - 1))
return until_ > time[1] * 1000 + math.floor(time[2] / 1000) and owner
