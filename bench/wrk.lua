-- Sends the requests of a file in turn: whole ones, each ended by a zero octet. `wrk -s wrk.lua URL -- FILE`
local requests, place = {}, 0

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  for one in file:read("*a"):gmatch("([^%z]+)") do
    requests[#requests + 1] = one
  end
  file:close()
end

function request()
  place = place % #requests + 1
  return requests[place]
end
