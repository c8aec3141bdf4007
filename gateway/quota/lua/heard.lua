-- '' or the name by which this is told once, then for each stream: id, listened, egress
if ARGV[4] ~= '' and not call('SET', 'told:' .. ARGV[4], '1', 'NX', 'EX', 86400) then
  return
end
for place = 5, #ARGV, 3 do
  local entry = find(ARGV[place])
  if entry then
    local after = copy(entry)
    after.listened = entry.listened + tonumber(ARGV[place + 1])
    after.egress = entry.egress + tonumber(ARGV[place + 2])
    change(entry, after)
    use(period('d', day(now), entry.tenant), 'egress', after.egress - entry.egress)
  end
end
