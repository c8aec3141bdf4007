-- tenant, idempotency key, hash
local known = remembered(ARGV[4], ARGV[5])
if not known then
  return { 'unknown' }
end
return known.request_hash == ARGV[6] and { 'known', known.stream_id } or { 'conflict' }
