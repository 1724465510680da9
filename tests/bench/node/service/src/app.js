const express = require("express");

const app = express();
app.use(require("helmet")(), require("cors")(), require("compression")(), require("morgan")("combined"));
app.use(require("express-rate-limit").rateLimit({ windowMs: 60_000, limit: 6000 }));
app.use(express.json());
app.get("/health", (request, response) => response.json({ ok: true }));
app.use("/orders", require("./routes/orders"));
app.use("/sessions", require("./routes/sessions"));
module.exports = app;
