-- One sign of life: notes this node, drops those whose lease has ended, and gives the others that live.
-- KEYS: the nodes (a hash: name -> the millisecond at which its lease ends, a space, what it says), this node's inbox.
-- ARGV: this node's name, its lease in milliseconds, what it says of itself, the ID of the letter that it read last, and
-- the prefix of inboxes.
-- Gives {1 if this node was not known (any more), else 0; name, what it says; name, what it says; ...}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local nodes = redis.call('HGETALL', KEYS[1])
local unknown = 1
local answer = {1}
for at = 1, #nodes, 2 do
  local name, noted = nodes[at], nodes[at + 1]
  local space = string.find(noted, ' ', 1, true)
  if tonumber(string.sub(noted, 1, space - 1)) <= now then
    if name ~= ARGV[1] then
      redis.call('HDEL', KEYS[1], name)
      redis.call('UNLINK', ARGV[5] .. name)
    end
  elseif name == ARGV[1] then
    unknown = 0
  else
    answer[#answer + 1] = name
    answer[#answer + 1] = string.sub(noted, space + 1)
  end
end
answer[1] = unknown
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now + ARGV[2]) .. ARGV[3])
-- Nobody can write to an inbox that is not there; what is in one may be awaited for longer than a lease.
if redis.call('PEXPIRE', KEYS[2], 4 * ARGV[2]) == 0 then
  redis.call('XADD', KEYS[2], '*', 'l', '')
  redis.call('PEXPIRE', KEYS[2], 4 * ARGV[2])
elseif ARGV[4] ~= '' then
  redis.call('XTRIM', KEYS[2], 'MINID', ARGV[4])
end
return answer
