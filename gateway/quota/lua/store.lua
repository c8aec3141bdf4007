-- The ledger's rows in Redis, and what is kept beside them so that no look-up grows with their number.
--
-- row:ID            a hash, the columns of an Entry; `once` is the key that remembers it
-- rows:TENANT       its rows by time of creation          created        all rows by it, for pruning
-- leases, renewed   open rows by the end and by the beginning of their lease
-- held              open rows of each tenant
-- used:PERIOD:TENANT   audio and egress of a day (d20514) or a month (m674)
-- sums:SPAN:TENANT  what the rows created in an hour (h...) or a day (d...) add up to
-- took:...          the last HISTORY durations of a model, of a tenant or of all
-- once:...          an idempotency key
--
-- Invariant: sums and indexes are at every moment what the rows say. Numbers are whole and below 2^53, where a Lua
-- number is exact; they are written by `whole`, since Lua itself would write 1.8e+15.

local PREFIX = 'wavegate:ledger:'
local SECOND, HOUR, DAY = 1000000, 3600 * 1000000, 86400 * 1000000
local HISTORY, PRUNED_AT_ONCE = 20, 200
local SUMMED = { 'reserved', 'settled', 'refunded', 'listened', 'egress', 'cost' }

local function call(command, name, ...)
  return redis.call(command, PREFIX .. name, ...)
end

local function whole(number)
  return string.format('%.0f', number + 0) -- zero has no sign then
end

-- Every step is told the time, the prices and for how long things are kept; without a time it is the server's.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * SECOND + tonumber(time[2])
end
local KEEP_SECONDS = ARGV[3]

-- Days since the epoch, and months: a calendar month by the days' own arithmetic, in years that begin in March.
local function day(instant)
  return math.floor(instant / DAY)
end

local function month(instant)
  local days = day(instant) + 719468
  local era = math.floor(days / 146097)
  local of_era = days - era * 146097
  local year = math.floor(
    (of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524) - math.floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  return (year + era * 400) * 12 + math.floor((5 * of_year + 2) / 153)
end

local function raw(id)
  return call('HMGET', 'row:' .. id, unpack(COLUMNS))
end

local function find(id)
  local values = raw(id)
  if not values[1] then
    return nil
  end
  local entry = {}
  for place, name in ipairs(COLUMNS) do
    if values[place] then
      entry[name] = WHOLE[name] and tonumber(values[place]) or values[place]
    end
  end
  return entry
end

local function is_open(entry)
  return entry.status == 'queued' or entry.status == 'running'
end

local function spans(entry)
  return {
    'sums:h' .. whole(math.floor(entry.created_at / HOUR)) .. ':' .. entry.tenant,
    'sums:d' .. whole(day(entry.created_at)) .. ':' .. entry.tenant,
  }
end

local function add_up(before, after)
  for _, span in ipairs(spans(after)) do
    for _, name in ipairs(SUMMED) do
      local more = after[name] - (before and before[name] or 0)
      if more ~= 0 then
        call('HINCRBY', span, name, whole(more))
      end
    end
  end
end

local function mind_lease(before, after)
  local was, is, id = before ~= nil and is_open(before), is_open(after), after.stream_id
  if is and not (was and before.expires_at == after.expires_at) then
    call('ZADD', 'leases', whole(after.expires_at), id)
    call('ZADD', 'renewed', whole(after.expires_at - after.lease), id)
  elseif was and not is then
    call('ZREM', 'leases', id)
    call('ZREM', 'renewed', id)
  end
  if was ~= is then
    call('HINCRBY', 'held', after.tenant, is and 1 or -1)
  end
end

local function history(tenant, model)
  return 'took:' .. (tenant and #tenant .. ':' .. tenant or 'all') .. ':' .. model
end

-- A space is before every character of an id, so that equal times are in the order of the ids.
local function learn(before, after)
  if after.status ~= 'completed' or (before and before.status == 'completed') or after.settled == 0 then
    return
  end
  for _, key in ipairs({ history(after.tenant, after.model), history(nil, after.model) }) do
    call('ZADD', key, whole(after.finished_at), after.stream_id .. ' ' .. whole(after.settled))
    call('ZREMRANGEBYRANK', key, 0, -HISTORY - 1)
    call('EXPIRE', key, KEEP_SECONDS)
  end
end

local function durations(tenant, model)
  local found = {}
  for _, one in ipairs(call('ZRANGE', history(tenant, model), 0, -1)) do
    found[#found + 1] = tonumber(string.match(one, '(%d+)$'))
  end
  return found
end

local function write(before, after)
  local key, fields = 'row:' .. after.stream_id, {}
  for _, name in ipairs(COLUMNS) do
    local value = after[name]
    if value == nil then
      if before and before[name] ~= nil then
        call('HDEL', key, name)
      end
    elseif not before or before[name] ~= value then
      fields[#fields + 1] = name
      fields[#fields + 1] = WHOLE[name] and whole(value) or value
    end
  end
  if #fields > 0 then
    call('HSET', key, unpack(fields))
    mind_lease(before, after)
    add_up(before, after)
    learn(before, after)
  end
end

local function add(entry)
  write(nil, entry)
  call('ZADD', 'rows:' .. entry.tenant, whole(entry.created_at), entry.stream_id)
  call('ZADD', 'created', whole(entry.created_at), entry.stream_id)
  for _, span in ipairs(spans(entry)) do
    call('HINCRBY', span, 'generations', 1)
  end
end

local function drop(entry)
  call('DEL', 'row:' .. entry.stream_id)
  call('ZREM', 'rows:' .. entry.tenant, entry.stream_id)
  for _, span in ipairs(spans(entry)) do
    if call('HINCRBY', span, 'generations', -1) <= 0 then
      call('DEL', span)
    else
      for _, name in ipairs(SUMMED) do
        call('HINCRBY', span, name, whole(-entry[name]))
      end
    end
  end
end

local function period(kind, number, tenant)
  return 'used:' .. kind .. whole(number) .. ':' .. tenant
end

local function use(key, name, amount)
  if amount ~= 0 then
    call('HINCRBY', key, name, whole(amount))
    call('EXPIRE', key, KEEP_SECONDS)
  end
end

local function used(key)
  local values = call('HMGET', key, 'audio', 'egress')
  return { audio = tonumber(values[1] or 0), egress = tonumber(values[2] or 0) }
end

local function held(tenant)
  return tonumber(call('HGET', 'held', tenant) or 0)
end

-- Idempotency keys. The words in them have no spaces: a hash, a time, an id.
local function once_key(tenant, key)
  return 'once:' .. #tenant .. ':' .. tenant .. ':' .. key
end

local function remembered(tenant, key)
  local found = call('GET', once_key(tenant, key))
  if not found then
    return nil
  end
  local hash, expires_at, id = string.match(found, '^(%S+) (%d+) (.*)$')
  return tonumber(expires_at) > now and { request_hash = hash, stream_id = id } or nil
end

local function remember(entry, key, hash, lifetime)
  local name = once_key(entry.tenant, key)
  local value = hash .. ' ' .. whole(now + lifetime) .. ' ' .. entry.stream_id
  call('SET', name, value, 'PX', whole(math.max(1, math.ceil(lifetime / 1000))))
  call('HSET', 'row:' .. entry.stream_id, 'once', name)
end

local function forget(id)
  local name = call('HGET', 'row:' .. id, 'once')
  local found = name and call('GET', name)
  if found and string.match(found, '^%S+ %d+ (.*)$') == id then
    call('DEL', name)
  end
end

-- Rows of a tenant by place. Of one instant there are few, so those before a place are counted.
local function page(tenant, since, until_, after_time, after_id, limit)
  local rows, bounds = 'rows:' .. tenant, '(' .. until_
  local first = call('ZCOUNT', rows, '-inf', '(' .. since)
  if after_time ~= '' then
    local past = call('ZCOUNT', rows, '-inf', '(' .. after_time)
    for _, id in ipairs(call('ZRANGEBYSCORE', rows, after_time, after_time)) do
      if id <= after_id then
        past = past + 1
      end
    end
    first = math.max(first, past)
  end
  local last = math.min(call('ZCOUNT', rows, '-inf', bounds), first + tonumber(limit)) - 1
  local found = {}
  if first <= last then
    for _, id in ipairs(call('ZRANGE', rows, whole(first), whole(last))) do
      found[#found + 1] = raw(id)
    end
  end
  return found
end
