-- Counts what was used in place of what was taken. KEYS: the ticket's record. ARGV: the difference in ms.
-- Of a ticket that is not known nothing is kept; the record's end stays where it is.
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HINCRBY', KEYS[1], 'taken', ARGV[1]) end
return 0
