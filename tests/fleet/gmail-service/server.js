import { timingSafeEqual } from "node:crypto";
import Fastify from "fastify";

const { PORT, GMAIL_WEBHOOK_TOKEN } = process.env;
const KEPT = 100;
const app = Fastify({ bodyLimit: 64 * 1024 });
const notifications = [];

const isOurs = (token = "") =>
  token.length === GMAIL_WEBHOOK_TOKEN.length && timingSafeEqual(Buffer.from(token), Buffer.from(GMAIL_WEBHOOK_TOKEN));

app.get("/health", async () => ({ status: "ok" }));

// Pub/Sub repeats a message until it gets a 2xx: what cannot be read would come again for days.
app.post("/webhook/gmail", async (request, reply) => {
  if (!isOurs(request.query.token)) return reply.code(403).send({ error: "refused" });
  try {
    const { emailAddress, historyId } = JSON.parse(Buffer.from(request.body.message.data, "base64"));
    notifications.unshift({ emailAddress, historyId });
    notifications.length = Math.min(notifications.length, KEPT);
  } catch (error) {
    console.error(`a message that is not a notification: ${error.message}`);
  }
  return reply.code(204).send();
});

app.get("/notifications", async () => notifications);

await app.listen({ port: PORT, host: "0.0.0.0" });
process.once("SIGINT", () => app.close());
