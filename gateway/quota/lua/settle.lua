-- id, status, received, amount, characters or ''
settle_lapsed()
local entry = find(ARGV[4])
if not entry then
  return false
end
change(entry, settled(entry, ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])))
return raw(ARGV[4])
