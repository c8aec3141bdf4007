-- tenant, since, until, limit
--
-- Whole hours and days are in the sums; only rows of the hours in which the span begins and ends are read.
local tenant, rows = ARGV[4], 'rows:' .. ARGV[4]
local totals, names = { 0, 0, 0, 0, 0, 0, 0 }, { unpack(SUMMED) }
names[7] = 'generations'

local function add_values(values)
  for place = 1, 7 do
    totals[place] = totals[place] + tonumber(values[place] or 0)
  end
end

local function add_rows(since, until_)
  for _, id in ipairs(call('ZRANGEBYSCORE', rows, whole(since), '(' .. whole(until_))) do
    local values = call('HMGET', 'row:' .. id, unpack(SUMMED))
    values[7] = '1'
    add_values(values)
  end
end

local function add_span(name)
  add_values(call('HMGET', 'sums:' .. name .. ':' .. tenant, unpack(names)))
end

local first, last = call('ZRANGE', rows, 0, 0, 'WITHSCORES')[2], call('ZRANGE', rows, -1, -1, 'WITHSCORES')[2]
if first then
  local since, until_ = tonumber(ARGV[5]), tonumber(ARGV[6])
  -- Before the first row and after the last there is nothing: their hours may be taken whole.
  if since <= tonumber(first) then
    since = math.floor(first / HOUR) * HOUR
  end
  if until_ > tonumber(last) then
    until_ = (math.floor(last / HOUR) + 1) * HOUR
  end
  local hour, final = math.ceil(since / HOUR), math.floor(until_ / HOUR)
  if hour >= final then
    add_rows(since, until_)
  else
    add_rows(since, hour * HOUR)
    while hour < final do
      if hour % 24 == 0 and hour + 24 <= final then
        add_span('d' .. whole(hour / 24))
        hour = hour + 24
      else
        add_span('h' .. whole(hour))
        hour = hour + 1
      end
    end
    add_rows(final * HOUR, until_)
  end
end
for place = 1, 7 do
  totals[place] = whole(totals[place])
end
return { totals, page(tenant, ARGV[5], ARGV[6], '', '', ARGV[7]) }
