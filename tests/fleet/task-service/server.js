import { createServer } from "node:http";

const { PORT, TASKS_API_KEY } = process.env;
const WORKER = "http://worker:9000";

const server = createServer(async (request, response) => {
  const answer = (status, body) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  if (request.url === "/health") return answer(200, { status: "ok" });
  if (!/^\/tasks\/[a-z0-9-]{1,64}$/.test(request.url)) return answer(404, { error: "not found" });
  if (request.headers["x-api-key"] !== TASKS_API_KEY) return answer(401, { error: "refused" });
  const { method } = request;
  const sent = method === "POST" ? { method, body: request, duplex: "half" } : {};
  const done = await fetch(WORKER + request.url, sent).catch(() => undefined);
  if (!done) return answer(502, { error: "the worker does not answer" });
  answer(done.status, await done.json());
});
server.listen(PORT, () => console.log(`task-service on ${PORT}`));
process.once("SIGTERM", () => server.close(() => process.exit()));
