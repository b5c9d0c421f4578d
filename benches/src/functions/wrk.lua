-- Sends one request again and again, and checks each answer.
-- Arguments: method, path, body ('-' for none), text that each answer holds, fields as `name: value` ...

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  local headers = {}
  for at = 5, #args do
    local name, value = args[at]:match('^([^:]+): (.*)$')
    headers[name] = value
  end
  local body = args[3] ~= '-' and args[3] or nil
  message, marker = wrk.format(args[1], args[2], headers, body), args[4]
  wrong_status, wrong_body = 0, 0
end

function request()
  return message
end

function response(status, _, body)
  if status ~= 200 then
    wrong_status = wrong_status + 1
  elseif not body:find(marker, 1, true) then
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
    '\nresult {"requests":%d,"micros":%d,"p50_micros":%d,"p99_micros":%d,"wrong":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    wrong.status + wrong.body + errors.connect + errors.read + errors.write + errors.timeout))
end
