-- The sliding window of window.rs, in one step, so that all replicas count together.
-- KEYS[1] the window; ARGV: now, length of the window (microseconds), how much is allowed in it,
-- how often waits double, after how many windows all is forgiven, and 1 to count or 0 to look.
-- Answers how long to wait, in microseconds; 0 is not at all.
local now, length, allowed = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local doublings, forgiven = tonumber(ARGV[4]), tonumber(ARGV[5])
local longest = length * 2 ^ doublings
local events, strikes, blocked = {}, 0, 0
local kept = redis.call('GET', KEYS[1])
if kept then
  events, strikes, blocked = unpack(cmsgpack.unpack(kept))
end
if blocked > 0 and now - blocked >= length * forgiven then
  events, strikes, blocked = {}, 0, 0
end
-- A clock stepped back leaves times of the future, which must not block for ever.
if blocked > now and blocked - now <= longest then
  return blocked - now
end
local recent = {}
for _, time in ipairs(events) do
  if math.abs(now - time) < length then
    recent[#recent + 1] = time
  end
end
local wait = 0
if #recent >= allowed then
  wait = math.min((recent[#recent - allowed + 1] + length - now) * 2 ^ strikes, longest)
end
if ARGV[6] == '0' then
  return wait
end
if wait > 0 then
  strikes = math.min(strikes + 1, doublings)
  blocked = now + wait
else
  recent[#recent + 1] = now
end
local expires = now + length
if blocked > 0 then
  expires = math.max(expires, blocked + length * forgiven)
end
local lives = math.ceil((expires - now) / 1000)
redis.call('SET', KEYS[1], cmsgpack.pack({ recent, strikes, blocked }), 'PX', string.format('%.0f', lives))
return wait
