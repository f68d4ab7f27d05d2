-- Asks for one customer after the other; what and for whom is told by the environment. Prints what wrk measured as JSON.
-- BENCH_FIRST and BENCH_COUNT: the lines of BENCH_IDS that are walked through, again and again if need be.

local ids, at, head, tail, pause = {}, 0, "", "", tonumber(os.getenv("BENCH_PAUSE_MS"))

function init(args)
  local first, count, line = tonumber(os.getenv("BENCH_FIRST")), tonumber(os.getenv("BENCH_COUNT")), 0
  for id in io.lines(os.getenv("BENCH_IDS")) do
    if line >= first + count then break end
    if line >= first then ids[#ids + 1] = id end
    line = line + 1
  end
  head = "GET " .. os.getenv("BENCH_PATH") .. "?business_id="
  tail = " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\nUser-Agent: python-httpx/0.28.1\r\nAccept: */*\r\n"
    .. "Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nAuthorization: Bearer " .. os.getenv("BENCH_TOKEN") .. "\r\n\r\n"
end

function request()
  at = at % #ids + 1
  return head .. ids[at] .. tail
end

if pause then
  -- The same offered load for every server, as long as it answers within the pause; at random, or all would ask at once.
  math.randomseed(1)
  function delay() return math.random(1, 2 * pause - 1) end
end
