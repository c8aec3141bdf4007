-- Who may start, and with how many milliseconds: the same decisions as in policy.py.
--
-- Invariant: of several reasons to refuse, the one that lasts longest is told. A refusal is nil and the words of an
-- answer: which limit it is, and the instants from which the caller knows for how long.

local WINDOW = 60 * SECOND

-- Limits as they follow each other in the arguments from `place` on.
local function limits_at(place)
  return {
    concurrent = tonumber(ARGV[place]),
    rate = tonumber(ARGV[place + 1]),
    day = tonumber(ARGV[place + 2]),
    month = tonumber(ARGV[place + 3]),
    egress = tonumber(ARGV[place + 4]),
  }
end

local function refuse(reason, instant)
  return { 'refused', reason, whole(instant), whole(now) }
end

-- The 90th percentile by nearest rank.
local function estimate(known, default)
  if #known == 0 then
    return default
  end
  table.sort(known)
  return known[math.ceil(0.9 * #known)]
end

local function room(limits, standing)
  local least = nil
  for _, name in ipairs({ 'day', 'month' }) do
    if limits[name] > 0 then
      least = math.min(least or math.huge, limits[name] * 1000 - standing[name].audio)
    end
  end
  return least
end

local function grant(limits, standing, wanted, minimum, created_at)
  for _, name in ipairs({ 'month', 'day' }) do
    local limit = limits[name] * 1000
    if limit > 0 and limit - standing[name].audio < math.max(1, math.min(minimum, wanted, limit)) then
      return nil, refuse(name, created_at)
    end
  end
  return math.min(wanted, room(limits, standing) or wanted)
end

local function admit(limits, standing, wanted, minimum)
  local granted, refusal = grant(limits, standing, wanted, minimum, now)
  if not granted then
    return nil, refusal
  end
  if limits.egress > 0 and limits.egress <= standing.day.egress then
    return nil, refuse('egress', now)
  end
  if limits.concurrent > 0 and limits.concurrent <= standing.held then
    return nil, refuse('slots', now)
  end
  if standing.nth_start and standing.nth_start + WINDOW > now then
    return nil, refuse('rate', standing.nth_start + WINDOW)
  end
  return granted
end

local function readmit(limits, standing, wanted)
  local left = room(limits, standing)
  return (limits.concurrent == 0 or standing.held < limits.concurrent) and (not left or wanted <= left)
end
