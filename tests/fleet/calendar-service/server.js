const express = require("express");
const { DateTime, Interval } = require("luxon");

const { PORT, WORKDAY = "09:00-17:00" } = process.env;
const app = express();
app.use(express.json({ limit: "100kb" }));

app.get("/health", (request, response) => response.json({ status: "ok" }));

// The free times of `minutes` on `day` in `zone`, beside what is `busy` (pairs of ISO 8601 times).
app.post("/free", (request, response) => {
  const { day, zone = "UTC", minutes = 30, busy = [] } = request.body ?? {};
  const [from, to] = WORKDAY.split("-").map((time) => DateTime.fromISO(`${day}T${time}`, { zone }));
  if (!from?.isValid || !to?.isValid) return response.status(400).json({ error: "day, such as 2026-03-29, and zone" });
  const taken = busy.map(([begin, end]) => Interval.fromISO(`${begin}/${end}`)).filter((interval) => interval.isValid);
  const free = Interval.fromDateTimes(from, to)
    .difference(...taken)
    .flatMap((gap) => gap.splitBy({ minutes }))
    .filter((slot) => slot.length("minutes") >= minutes);
  response.json(free.map((slot) => slot.start.setZone(zone).toISO({ suppressMilliseconds: true })));
});

const server = app.listen(PORT, () => console.log(`calendar-service on ${PORT}`));
process.once("SIGINT", () => server.close(() => process.exit()));
