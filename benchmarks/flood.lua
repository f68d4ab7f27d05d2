-- Asks with bad caller tokens; BENCH_IDS has one a line, BENCH_PAUSE_MS is the time between two calls of a connection.

local tokens, at, head, tail, pause = {}, 0, "", "", tonumber(os.getenv("BENCH_PAUSE_MS"))

function init(args)
  for token in io.lines(os.getenv("BENCH_IDS")) do tokens[#tokens + 1] = token end
  head = "GET " .. os.getenv("BENCH_PATH") .. " HTTP/1.1\r\nHost: " .. wrk.headers["Host"]
    .. "\r\nUser-Agent: flood\r\nAccept: */*\r\nAuthorization: Bearer "
  tail = "\r\n\r\n"
end

function request()
  at = at % #tokens + 1
  return head .. tokens[at] .. tail
end

math.randomseed(1)

-- At random, or all connections would ask at once.
function delay() return math.random(1, 2 * pause - 1) end
