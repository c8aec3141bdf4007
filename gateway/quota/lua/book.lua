-- The parts of a step: the same as in book.py.
--
-- Invariant: what a tenant has used of a day and a month is at every moment what its rows add up to.

local function use_seconds(entry, amount)
  use(period('d', day(entry.created_at), entry.tenant), 'audio', amount)
  use(period('m', month(entry.created_at), entry.tenant), 'audio', amount)
end

local function change(before, after)
  write(before, after)
  use_seconds(before, charge(after) - charge(before))
end

-- Leases that are over, and those that reach further than a lease can. Gives how many were over.
local function settle_lapsed()
  local ended = call('ZRANGEBYSCORE', 'leases', '-inf', whole(now))
  for _, ids in ipairs({ ended, call('ZRANGEBYSCORE', 'renewed', '(' .. whole(now), '+inf') }) do
    for _, id in ipairs(ids) do
      local entry = find(id)
      if entry then
        change(entry, lapsed(entry))
      else
        -- A server that throws rows away when it is short of memory: the others are not to be lost with it.
        call('ZREM', 'leases', id)
        call('ZREM', 'renewed', id)
      end
    end
  end
  return #ended
end

local function standing_of(tenant, limits, created_at)
  local nth_start = nil
  if limits.rate > 0 then
    -- Starts at or before a window ago have left it; those more than a window ahead are not believed.
    local starts = 'rows:' .. tenant
    local place = call('ZCOUNT', starts, '-inf', whole(now + WINDOW)) - limits.rate
    if place >= 0 then
      local found = tonumber(call('ZRANGE', starts, whole(place), whole(place), 'WITHSCORES')[2])
      nth_start = found > now - WINDOW and found or nil
    end
  end
  return {
    held = held(tenant),
    nth_start = nth_start,
    day = used(period('d', day(created_at), tenant)),
    month = used(period('m', month(created_at), tenant)),
  }
end

-- The row with a new lease; nil if it has ended, or has expired and there is no room to take it up again.
local function renewed_row(entry, received, limits)
  local after = nil
  if is_open(entry) then
    after = renewed(entry, received)
  elseif entry.status == 'expired' then
    local standing = standing_of(entry.tenant, limits, entry.created_at)
    local again = reopened(entry, received)
    if readmit(limits, standing, charge(again) - charge(entry)) then
      after = again
    else
      change(entry, outlived(entry, received))
    end
  end
  if after then
    change(entry, after)
  end
  return after
end
