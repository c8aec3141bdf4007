-- One word of one node about the provider's account: what it holds, what it has heard, who is next there. Decides in
-- one step on rate, concurrency, pause and turn, and gives at most one permit. Times are microseconds of this server.
--
-- A node says how many permits it holds, as a whole: nothing is added or taken away here, so nothing can drift. What it
-- says holds for a lease. Words are numbered: one that was held up on its way is not heard after a later one.
--
-- KEYS: the state, the nodes, the tenants' tags.
-- ARGV, what the node is: name, number of the word, most permits, gap, lease, poll; what it holds: permits; the
-- rules: factor of a decrease, longest pause; who waits there: how many, the tenant that is next, its step (a whole
-- number that falls with its weight), for how long it has waited; what it knows, for a store that has lost it: birth of
-- the store, limit, era, time since its last start (-1: none), 1 if that may have been without leave from here, pause
-- that is left; and for each verdict: era (-1: the provider has begun to sing), permits that it held then, pause.
-- Gives: permit (1 or 0), time until it is worth while to ask again, time for which all is closed, limit, limit with
-- its fraction, era, permits held by all, birth, nodes, and for each other node how many wait there; nothing to a word
-- that is late.
local SOON = 10000 -- when there is room, and another node is about to take it
local GRACE = 500000 -- a busy node may be so late before its place goes to the next
local LONGEST = 1000000 -- between two words of one that waits
local KEEP = '3600000' -- milliseconds after the last word until all of it is forgotten

local node, number = ARGV[1], tonumber(ARGV[2])
local most, gap, lease, poll = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local held, shrink, longest_pause = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local waiting, tenant, step, waited = tonumber(ARGV[10]), ARGV[11], tonumber(ARGV[12]), tonumber(ARGV[13])
local known_birth, known_limit, known_era = ARGV[14], tonumber(ARGV[15]), tonumber(ARGV[16])
local last_start, alone, known_pause = tonumber(ARGV[17]), ARGV[18] == '1', tonumber(ARGV[19])

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function text(value) return string.format('%.0f', value) end

local state = {}
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do state[flat[i]] = flat[i + 1] end
-- Nothing lies further ahead than it was ever put: a clock that is put back holds nobody up.
local function ahead(value, furthest) return math.min(tonumber(value or 0), now + furthest) end
local limit = math.min(most, tonumber(state.limit) or most)
local era = tonumber(state.era) or 0
local opens, paused, settled = ahead(state.opens, gap), ahead(state.paused, longest_pause), ahead(state.settled, lease)
local seen = math.min(tonumber(state.seen) or now, now)
local tag_served = tonumber(state.tag) or 0
local birth = state.birth or text(now)

-- This store has lost what it held. Nobody starts until all have said what they hold: they speak three times a lease.
if known_birth ~= '' and known_birth ~= birth then
  if settled == 0 then settled = now + lease / 2 end
  limit, era = math.max(1, math.min(limit, known_limit)), math.max(era, known_era)
  alone = true
  paused = math.max(paused, now + known_pause)
end
if alone and last_start >= 0 then opens = math.max(opens, now - last_start + gap) end

-- The other nodes. While nobody could be heard at all, no lease ran.
local stood = now - seen > lease / 2
local nodes, elsewhere, queues = 1, 0, {}
local mine
flat = redis.call('HGETALL', KEYS[2])
for i = 1, #flat, 2 do
  local its = cjson.decode(flat[i + 1])
  if flat[i] == node then
    if its.number >= number then return {} end
    mine = its
  else
    local ends = math.min(its.ends, now + lease)
    if stood and ends > seen then
      its.ends, ends = now + lease, now + lease
      redis.call('HSET', KEYS[2], flat[i], cjson.encode(its))
    end
    if ends <= now then
      redis.call('HDEL', KEYS[2], flat[i])
    else
      nodes, elsewhere = nodes + 1, elsewhere + its.held
      if its.waiting > 0 and math.min(its.looks, now + LONGEST + GRACE) > now then
        its.node = flat[i]
        queues[#queues + 1] = its
      end
    end
  end
end

-- What the provider has said, by the rules of allowance.py.
for i = 20, #ARGV, 3 do
  local its_era, used, pause = tonumber(ARGV[i]), elsewhere + tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  if its_era < 0 then
    if used >= math.floor(limit) then limit = math.min(most, limit + 1 / math.floor(limit)) end
  else
    if its_era == era then limit, era = math.max(1, math.min(limit, used) * shrink), era + 1 end
    paused = math.max(paused, now + math.min(pause, longest_pause))
  end
end

-- Whose turn it is: the tenant's that has had least by its weight, and of one tenant's, whoever has waited longest.
local tag, since, first = 0, math.floor((now - waited) / 1000), waiting > 0
-- What a node says of the same moment differs by the time on the way: the first word counts, or two would each give way
-- to the other. Tags are whole numbers for the same reason: records keep 14 digits.
if mine and mine.waiting > 0 and math.abs(mine.since - since) < 20 then since = mine.since end
if waiting > 0 then tag = math.max(tag_served, tonumber(redis.call('HGET', KEYS[3], tenant)) or 0) end
for _, its in ipairs(queues) do
  local longer = its.since < since or its.since == since and its.node < node
  if its.tag < tag or its.tag == tag and longer then first = false end
end
local closed = math.max(0, opens - now, paused - now, settled - now)
local free = math.floor(limit) - elsewhere - held
local given, again = 0, math.min(LONGEST, closed)
if free <= 0 then
  again = math.max(poll, again)
elseif not first then
  again = math.max(closed > 0 and poll or SOON, again)
end
if first and free > 0 and closed == 0 then
  given, again, held, waiting, opens = 1, 0, held + 1, waiting - 1, now + gap
  tag_served, tag, closed = tag, tag + step, gap
  redis.call('HSET', KEYS[3], tenant, tag)
  flat = redis.call('HGETALL', KEYS[3])
  for i = 1, #flat, 2 do
    if tonumber(flat[i + 1]) <= tag_served then redis.call('HDEL', KEYS[3], flat[i]) end
  end
end
if waiting == 0 and #queues == 0 then
  redis.call('DEL', KEYS[3])
  tag_served = 0
end

mine = { number = number, held = held, ends = now + lease, waiting = waiting, since = since, tag = tag }
mine.looks = now + again + GRACE
redis.call('HSET', KEYS[2], node, cjson.encode(mine))
redis.call('HSET', KEYS[1], 'limit', limit, 'era', era, 'opens', text(opens), 'paused', text(paused),
  'settled', text(settled), 'seen', text(now), 'tag', tag_served, 'birth', birth)
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, KEEP) end

local answer = { given, again, closed, math.floor(limit), tostring(limit), era, elsewhere + held, birth, nodes }
for _, its in ipairs(queues) do answer[#answer + 1] = its.waiting end
return answer
