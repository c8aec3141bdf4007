-- Keys and periods that are over are the server's to forget; rows are dropped here, with their part of the sums.
local ended = settle_lapsed()
local horizon = now - tonumber(KEEP_SECONDS) * SECOND
for _, id in ipairs(call('ZRANGE', 'created', 0, PRUNED_AT_ONCE - 1)) do
  local entry = find(id)
  if not entry then
    call('ZREM', 'created', id)
  elseif entry.created_at >= horizon then
    break
  elseif not is_open(entry) then
    drop(entry)
    call('ZREM', 'created', id)
  end
end
return ended
