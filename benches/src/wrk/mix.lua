-- Runs a mix of requests and checks their answers: a body must be one that any of the requests may have. Answers with 503
-- are counted for themselves.
-- Before this the generator writes `asks` (method, path, headers, body, least, most, holds), `order` (places in
-- `asks`, repeated for ever) and `checks` (false: lengths are checked by their sum alone, which costs wrk less).

local threads, requests, at = {}, {}, 0

function setup(thread)
  table.insert(threads, thread)
end

function init()
  for place, ask in ipairs(asks) do
    requests[place] = wrk.format(ask.method, ask.path, ask.headers, ask.body)
  end
  refused, wrong_status, wrong_body = 0, 0, 0
end

function request()
  at = at % #order + 1
  return requests[order[at]]
end

local function is_right(ask, body)
  if #body < ask.least or #body > ask.most then return false end
  for _, text in ipairs(ask.holds) do
    if not body:find(text, 1, true) then return false end
  end
  return true
end

if checks then
  function response(status, _, body)
    if status == 503 then
      refused = refused + 1
      return
    end
    if status ~= 200 then
      wrong_status = wrong_status + 1
      return
    end
    for _, ask in ipairs(asks) do
      if is_right(ask, body) then return end
    end
    wrong_body = wrong_body + 1
  end
end

function done(summary, latency, _)
  local wrong = { status = 0, body = 0, refused = 0 }
  for _, thread in ipairs(threads) do
    wrong.refused = wrong.refused + thread:get('refused')
    wrong.status = wrong.status + thread:get('wrong_status')
    wrong.body = wrong.body + thread:get('wrong_body')
  end
  local errors = summary.errors
  if not checks then wrong.status = errors.status end
  io.write(string.format(
    '\nresult {"requests":%d,"refused":%d,"bytes":%d,"micros":%d,"p50_micros":%d,"p99_micros":%d,"wrong_status":%d,'
      .. '"wrong_body":%d,"connect_errors":%d,"io_errors":%d,"timeouts":%d}\n',
    summary.requests - wrong.refused, wrong.refused, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
    wrong.status, wrong.body, errors.connect, errors.read + errors.write, errors.timeout))
end
