// The sample service: a small Express application that says what it runs on and which variables it
// was given, by name only.
const express = require("express");

const app = express();
const started = Date.now();

app.get("/health", (request, response) => {
  const configured = ["DATABASE_URL", "JWT_PRIVATE_KEY"].filter((name) => process.env[name]);
  response.json({ ok: true, node: process.version, uptime: Math.round((Date.now() - started) / 1000), configured });
});

app.listen(process.env.PORT, () => console.log(`listening on ${process.env.PORT}`));
