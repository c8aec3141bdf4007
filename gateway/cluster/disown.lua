-- Deletes those KEYS whose value is ARGV[1], and gives how many.
local deleted = 0
for at = 1, #KEYS do
  if redis.call('GET', KEYS[at]) == ARGV[1] then
    deleted = deleted + redis.call('DEL', KEYS[at])
  end
end
return deleted
