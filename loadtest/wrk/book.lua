-- book.lua - bookings without pause, for wrk: each asks for a slot of its own.
--
-- wrk -t2 -c128 -d10s -s loadtest/wrk/book.lua "$HTTP_URL" -- TOKENS FIRST_DOCTOR DOCTORS FIRST_SLOT SLOTS THREADS
--   the numbers that `healthmed seed` said (SLOTS: of each doctor); THREADS: those of -t.
-- Booking i is at doctor i modulo DOCTORS, his slot i / DOCTORS; at the end it says what was no 201.
local tokens, threads = {}, {}

function setup(thread)
   thread:set("number", #threads)
   table.insert(threads, thread)
end

function init(args)
   for line in io.lines(args[1]) do table.insert(tokens, line) end
   doctor, doctors, slot, slots, step = tonumber(args[2]), tonumber(args[3]), tonumber(args[4]), tonumber(args[5]),
      tonumber(args[6])
   assert(#tokens > 0 and step, "usage: -- TOKENS FIRST_DOCTOR DOCTORS FIRST_SLOT SLOTS THREADS")
   i, booked, odd_answers = number - step, 0, 0
end

function request()
   i = i + step
   if i >= doctors * slots then wrk.thread:stop() end	-- no slot is left
   local d, k = i % doctors, math.floor(i / doctors)
   return wrk.format("POST", "/api/v1/appointments",
      { Authorization = "Bearer " .. tokens[i % #tokens + 1], ["Content-Type"] = "application/json" },
      string.format('{"schedule_id":%d,"doctor_id":%d}', slot + d * slots + k, doctor + d))
end

function response(status)
   if status == 201 then booked = booked + 1 else odd_answers = odd_answers + 1 end
end

function done(summary, latency)
   local all, odd = 0, 0
   for _, thread in ipairs(threads) do
      all, odd = all + thread:get("booked"), odd + thread:get("odd_answers")
   end
   print(string.format("%d booked, %.0f/s, p99 %.2f ms, %d answers that are no 201", all,
      all / summary.duration * 1e6, latency:percentile(99) / 1000, odd))
end
