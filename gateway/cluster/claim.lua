-- Takes the name KEYS[1] for ARGV[2] milliseconds, unless another value than ARGV[1] has it. Gives whose it is now.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return holder
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
