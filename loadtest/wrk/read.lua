-- read.lua - reads without pause, for wrk: what is the most that one kind of read comes to?
--
-- wrk -t2 -c128 -d10s -s loadtest/wrk/read.lua "$HTTP_URL" -- TOKENS PATH...
--   TOKENS: a file with a patient's token on each line (healthmed token); PATH: below /api/v1, in turn.
-- Says the answers that were no 200 at the end, for wrk itself counts 4xx and 5xx alone.
local tokens, paths, n, odd = {}, {}, 0, 0
local threads = {}

function setup(thread)
   table.insert(threads, thread)
   thread:set("first", #threads * 997)	-- no two threads begin with the same patient
end

function init(args)
   for line in io.lines(args[1]) do table.insert(tokens, line) end
   for i = 2, #args do table.insert(paths, args[i]) end
   assert(#tokens > 0 and #paths > 0, "usage: -- TOKENS PATH...")
   n, odd_answers = first, 0
end

function request()
   n = n + 1
   return wrk.format("GET", "/api/v1" .. paths[n % #paths + 1],
      { Authorization = "Bearer " .. tokens[n % #tokens + 1] })
end

function response(status)
   if status ~= 200 then odd_answers = odd_answers + 1 end
end

function done(summary, latency)
   for _, thread in ipairs(threads) do odd = odd + thread:get("odd_answers") end
   print(string.format("%.0f/s, p99 %.2f ms, %d answers that are no 200", summary.requests / summary.duration * 1e6,
      latency:percentile(99) / 1000, odd))
end
