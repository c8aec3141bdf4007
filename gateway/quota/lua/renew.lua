-- id, received, the tenant whose limits follow or '', limits
settle_lapsed()
local entry = find(ARGV[4])
if not entry then
  return { 'lost' }
end
if entry.status == 'expired' and entry.tenant ~= ARGV[6] then
  return { 'whose', entry.tenant }
end
return { renewed_row(entry, tonumber(ARGV[5]), limits_at(7)) and 'kept' or 'lost' }
