-- Keys and periods that are over are the server's to forget; rows are dropped here, with their part of the sums.
local ended = settle_lapsed()
local horizon = now - tonumber(KEEP_SECONDS) * SECOND
for _, id in ipairs(call('ZRANGEBYSCORE', 'created', '-inf', '(' .. whole(horizon), 'LIMIT', 0, PRUNED_AT_ONCE)) do
  local entry = find(id)
  if not (entry and is_open(entry)) then
    call('ZREM', 'created', id)
    if entry then
      drop(entry)
    end
  end
end
return ended
