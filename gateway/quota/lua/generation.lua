-- id
return raw(ARGV[4])
