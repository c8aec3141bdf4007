-- The secret that is kept. KEYS: where. ARGV: a fresh one, kept if there is none yet.
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])
