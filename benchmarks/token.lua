-- Asks the token endpoint of an OAuth server; body and client are told by the environment.

function init(args)
  wrk.method = "POST"
  wrk.body = os.getenv("BENCH_BODY")
  wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
  wrk.headers["Authorization"] = "Basic " .. os.getenv("BENCH_TOKEN")
  local whole = wrk.format(nil, os.getenv("BENCH_PATH"))
  request = function() return whole end
end
