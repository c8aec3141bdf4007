-- tenant, since, until, instant and id of the place after which to go on, limit
return page(ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9])
