-- tenant
local today, this_month = used(period('d', day(now), ARGV[4])), used(period('m', month(now), ARGV[4]))
return { whole(now), whole(held(ARGV[4])), whole(today.audio), whole(this_month.audio), whole(today.egress) }
