-- Checks what wrk does not: each answer's exact status, length and contents.
-- Arguments: least length, greatest length, text that each body holds ...

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  least, greatest = tonumber(args[1]), tonumber(args[2])
  markers = { unpack(args, 3) }
  wrong_status, wrong_body = 0, 0
end

local function is_whole(body)
  if #body < least or #body > greatest then return false end
  for _, marker in ipairs(markers) do
    if not body:find(marker, 1, true) then return false end
  end
  return true
end

function response(status, _, body)
  if status ~= 200 then
    wrong_status = wrong_status + 1
  elseif not is_whole(body) then
    wrong_body = wrong_body + 1
  end
end

function done(summary, latency, _)
  local wrong = { status = 0, body = 0 }
  for _, thread in ipairs(threads) do
    wrong.status = wrong.status + thread:get('wrong_status')
    wrong.body = wrong.body + thread:get('wrong_body')
  end
  local errors = summary.errors
  io.write(string.format(
    '\nresult {"requests":%d,"micros":%d,"p50_micros":%d,"p99_micros":%d,"wrong_status":%d,"wrong_body":%d,'
      .. '"connect_errors":%d,"io_errors":%d,"timeouts":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    wrong.status, wrong.body, errors.connect, errors.read + errors.write, errors.timeout))
end
