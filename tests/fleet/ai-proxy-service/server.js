import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import express from "express";
import { rateLimit } from "express-rate-limit";

const { PORT, MODEL_API_URL, MODEL_API_KEY, REQUESTS_PER_MINUTE = "60" } = process.env;
const app = express();
app.get("/health", (request, response) => response.json({ status: "ok" }));
app.use(rateLimit({ windowMs: 60_000, limit: Number(REQUESTS_PER_MINUTE), legacyHeaders: false }));

app.post("/v1/messages", express.raw({ type: () => true, limit: "5mb" }), async (request, response) => {
  const ended = new AbortController();
  response.on("close", () => ended.abort());
  try {
    const answer = await fetch(new URL("/v1/messages", MODEL_API_URL), {
      method: "POST",
      headers: { "content-type": "application/json", "x-api-key": MODEL_API_KEY },
      body: request.body,
      signal: AbortSignal.any([ended.signal, AbortSignal.timeout(600_000)]),
    });
    response.status(answer.status).type(answer.headers.get("content-type") ?? "application/json");
    await pipeline(Readable.fromWeb(answer.body), response);
  } catch (error) {
    if (ended.signal.aborted) return;
    console.error(`the model's API: ${error.cause?.code ?? error.name}`);
    if (!response.headersSent) response.status(502).json({ error: "the model's API does not answer" });
  }
});

const server = app.listen(PORT, () => console.log(`ai-proxy-service on ${PORT}`));
process.once("SIGINT", () => server.close(() => process.exit()));
