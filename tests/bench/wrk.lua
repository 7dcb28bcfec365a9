-- wrk -s wrk.lua URL -- MODE COUNT [FILE]: COUNT requests in turn, or without end if 0, as fast as they are answered;
-- a JSON object at the end.
--   bearer FILE   GET with the tokens of FILE, one a line
--   cookie FILE   the same, with the tokens in a cookie
--   post FILE     POST the lines of FILE as JSON
--   bad           GET with a bearer token that nobody has, another each time
--   bad-cookies   the same, but 32 in the cookies of each request, which is as many as a server looks at
local requests, at, count, made, next_request = {}, 0, 0, 0, nil

local function in_turn()
  at = at % #requests + 1
  return requests[at]
end

-- Formatting a request takes wrk a tenth of the time that a server takes to answer it, so all but the token is constant.
local before, after
local run = string.gsub(tostring(requests), "table: ", "")  -- an address, which differs in each run

local function bad()
  at = at + 1
  return before .. string.format("%09d", at) .. after
end

local function bad_cookies()
  local cookies = {}
  for number = 1, 32 do
    at = at + 1
    cookies[number] = string.format("dsg_token=%s-%09d", run, at)
  end
  return wrk.format("GET", nil, { Cookie = table.concat(cookies, "; ") })
end

local function format(mode, line)
  if mode == "post" then
    return wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, line)
  elseif mode == "cookie" then
    return wrk.format("GET", nil, { Cookie = "dsg_token=" .. line })
  end
  return wrk.format("GET", nil, { Authorization = "Bearer " .. line })
end

function init(arguments)
  local mode, file = arguments[1], arguments[3]
  count = tonumber(arguments[2])
  next_request = mode == "bad" and bad or mode == "bad-cookies" and bad_cookies or in_turn
  before, after = string.match(format(mode, run .. "-NUMBER"), "^(.*)NUMBER(.*)$")
  for line in io.lines(file or "/dev/null") do
    requests[#requests + 1] = format(mode, line)
  end
end

function request()
  if count > 0 and made == count then
    io.write("finished\n")
    io.flush()
    wrk.thread:stop()
  end
  made = made + 1
  return next_request()
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
