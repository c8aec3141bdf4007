-- id
settle_lapsed()
local entry = find(ARGV[4])
if entry and entry.status == 'queued' and entry.received == 0 then
  forget(entry.stream_id)
  change(entry, settled(entry, 'cancelled', 0, 0, nil))
end
