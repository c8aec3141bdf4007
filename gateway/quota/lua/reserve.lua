-- id, tenant, key id, model, estimate or '', default, minimum, lease, idempotency key or '', hash, its lifetime, limits
local id, tenant, model = ARGV[4], ARGV[5], ARGV[7]
local key, hash = ARGV[12], ARGV[13]
settle_lapsed()
if key ~= '' then
  local known = remembered(tenant, key)
  if known then
    if known.request_hash ~= hash then
      return { 'conflict' }
    end
    local entry = find(known.stream_id)
    return { 'repeated', known.stream_id, whole(entry and entry.reserved or 0) }
  end
end
local there = find(id)
if there then
  return { 'repeated', id, whole(there.reserved) }
end
local wanted = tonumber(ARGV[8])
if not wanted then
  local known = durations(tenant, model)
  wanted = estimate(#known > 0 and known or durations(nil, model), tonumber(ARGV[9]))
end
local limits = limits_at(15)
local granted, refusal = admit(limits, standing_of(tenant, limits, now), wanted, tonumber(ARGV[10]))
if not granted then
  return refusal
end
local lease = tonumber(ARGV[11])
local entry = {
  stream_id = id, tenant = tenant, key_id = ARGV[6], model = model, status = 'queued',
  created_at = now, expires_at = now + lease, lease = lease, reserved = granted,
  received = 0, settled = 0, refunded = 0, cost = 0, listened = 0, egress = 0,
}
add(entry)
if key ~= '' then
  remember(entry, key, hash, tonumber(ARGV[14]))
end
use_seconds(entry, granted)
return { 'granted', id, whole(granted), granted < wanted and '1' or '0' }
