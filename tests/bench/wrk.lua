-- wrk -s wrk.lua URL -- MODE [FILE]: requests in turn, as fast as they are answered; a JSON object at the end.
--   get FILE   GET with the bearer tokens of FILE, one a line
--   post FILE  POST the lines of FILE as JSON
--   bad        GET with a bearer token that nobody has, another each time
local requests, at, next_request = {}, 0, nil

local function in_turn()
  at = at % #requests + 1
  return requests[at]
end

local function bad()
  at = at + 1
  return wrk.format("GET", nil, { Authorization = string.format("Bearer %s-%09d", tostring(requests), at) })
end

function init(arguments)
  local mode, file = arguments[1], arguments[2]
  next_request = mode == "bad" and bad or in_turn
  for line in io.lines(file or "/dev/null") do
    if mode == "post" then
      requests[#requests + 1] = wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, line)
    else
      requests[#requests + 1] = wrk.format("GET", nil, { Authorization = "Bearer " .. line })
    end
  end
end

function request()
  return next_request()
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
