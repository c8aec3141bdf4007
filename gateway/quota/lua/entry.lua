-- What can become of a row: the same as in entry.py, on tables. Each gives a new row and changes none.
--
-- Invariant: a row that has ended by its owner's word never changes again, but for what its listeners take.

local function copy(entry)
  local again = {}
  for name, value in pairs(entry) do
    again[name] = value
  end
  return again
end

-- Milliseconds of the tenant's budget.
local function charge(entry)
  return is_open(entry) and math.max(entry.reserved, entry.received) or entry.settled
end

-- To the nearest whole number, and halves to the even one, as Python does.
local function round(number)
  local below = math.floor(number)
  local rest = number - below
  if rest > 0.5 or (rest == 0.5 and below % 2 == 1) then
    return below + 1
  end
  return below
end

local prices

local function cost(model, milliseconds, characters)
  prices = prices or cjson.decode(ARGV[2])
  local price = prices[model]
  if not price then
    return 0
  end
  return round(milliseconds * price[1] * 1000 + (characters or 0) * price[2] * 1000000)
end

-- Changes the row it is given, which is a copy already.
local function charged(entry, amount)
  entry.settled, entry.refunded = amount, math.max(0, entry.reserved - amount)
  entry.cost = cost(entry.model, amount, entry.characters)
  return entry
end

local function begun(entry, request_id)
  entry = copy(entry)
  entry.request_id = request_id
  if is_open(entry) then
    entry.status = 'running'
  end
  return entry
end

local function renewed(entry, received)
  entry = copy(entry)
  entry.received, entry.expires_at = math.max(entry.received, received), now + entry.lease
  return entry
end

local function reopened(entry, received)
  entry = copy(entry)
  entry.status, entry.finished_at = 'running', nil
  entry.settled, entry.refunded, entry.cost = 0, 0, 0
  return renewed(entry, received)
end

local function lapsed(entry)
  entry = copy(entry)
  if entry.expires_at > now then
    entry.expires_at = math.min(entry.expires_at, now + entry.lease)
    return entry
  end
  entry.status, entry.finished_at = 'expired', entry.expires_at
  return charged(entry, entry.received)
end

local function outlived(entry, received)
  entry = copy(entry)
  entry.received = math.max(entry.received, received)
  return charged(entry, entry.received)
end

local function settled(entry, status, received, amount, characters)
  if not is_open(entry) and entry.status ~= 'expired' then
    return entry
  end
  entry = copy(entry)
  entry.status, entry.finished_at, entry.characters = status, now, characters
  entry.received = math.max(entry.received, received)
  return charged(entry, amount)
end
