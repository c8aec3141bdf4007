-- id, wanted, the tenant whose limits follow or '', limits
settle_lapsed()
local entry = find(ARGV[4])
if not entry then
  return { 'granted', '0' }
end
if entry.tenant ~= ARGV[6] then
  return { 'whose', entry.tenant }
end
local limits = limits_at(7)
entry = renewed_row(entry, 0, limits)
if not entry then
  return { 'granted', '0' }
end
-- Sound that came before it was asked for is charged already, and needs no room.
local covered, wanted = charge(entry) - entry.reserved, tonumber(ARGV[5])
if wanted > covered then
  local standing = standing_of(entry.tenant, limits, entry.created_at)
  local more, refusal = grant(limits, standing, wanted - covered, 1, entry.created_at)
  if not more then
    return refusal
  end
  wanted = covered + more
end
local after = copy(entry)
after.reserved = after.reserved + wanted
change(entry, after)
return { 'granted', whole(wanted) }
