-- id, '1' and the provider's name for it, or '0'
local entry = find(ARGV[4])
if entry then
  change(entry, begun(entry, ARGV[5] == '1' and ARGV[6] or nil))
end
