-- a row as JSON, '1' if it replaces one that is there, idempotency key or '', its hash and lifetime
--
-- A row that was kept elsewhere, as it stands: however often it is told, it counts once.
local entry = cjson.decode(ARGV[4])
local there = find(entry.stream_id)
if not there then
  add(entry)
  use_seconds(entry, charge(entry))
  if ARGV[6] ~= '' and not remembered(entry.tenant, ARGV[6]) then
    remember(entry, ARGV[6], ARGV[7], tonumber(ARGV[8]))
  end
elseif ARGV[5] == '1' then
  -- A word that comes late, by a line that was given up, takes nothing back.
  if not is_open(there) and there.status ~= 'expired' and (is_open(entry) or entry.status == 'expired') then
    return
  end
  entry.listened, entry.egress = math.max(entry.listened, there.listened), math.max(entry.egress, there.egress)
  -- Its place among the rows and its day stay what they are.
  entry.created_at = there.created_at
  change(there, entry)
else
  return
end
use(period('d', day(now), entry.tenant), 'egress', entry.egress - (there and there.egress or 0))
