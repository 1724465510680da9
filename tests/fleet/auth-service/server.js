import { randomBytes, scrypt as derive, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import express from "express";
import jwt from "jsonwebtoken";
import { MongoClient } from "mongodb";

const { PORT, JWT_SECRET, MONGODB_URI, TOKEN_LIFETIME = "15m" } = process.env;
const scrypt = promisify(derive);
// Connects with the first request that needs it: without MongoDB tokens can still be verified.
const users = new MongoClient(MONGODB_URI, { serverSelectionTimeoutMS: 2000 }).db("auth").collection("users");
const app = express();
app.use(express.json({ limit: "10kb" }));

app.get("/health", (request, response) => response.json({ status: "ok" }));

const credentials = ({ body }, response, next) =>
  typeof body?.email === "string" && typeof body?.password === "string" && body.password.length >= 12
    ? next()
    : response.status(400).json({ error: "email and a password of at least 12 characters" });

app.post("/register", credentials, async ({ body }, response) => {
  const salt = randomBytes(16);
  const hash = await scrypt(body.password, salt, 32);
  const user = { _id: body.email, salt: salt.toString("hex"), hash: hash.toString("hex") };
  const { upsertedCount } = await users.updateOne({ _id: body.email }, { $setOnInsert: user }, { upsert: true });
  response.status(upsertedCount ? 201 : 409).json({ email: body.email });
});

app.post("/login", credentials, async ({ body }, response) => {
  const user = await users.findOne({ _id: body.email });
  const hash = await scrypt(body.password, Buffer.from(user?.salt ?? "", "hex"), 32);
  if (!user || !timingSafeEqual(hash, Buffer.from(user.hash, "hex"))) return response.status(401).json({ error: "refused" });
  response.json({ token: jwt.sign({}, JWT_SECRET, { subject: body.email, expiresIn: TOKEN_LIFETIME }) });
});

app.get("/me", (request, response) => {
  try {
    const token = request.get("authorization")?.replace(/^Bearer /, "") ?? "";
    response.json({ email: jwt.verify(token, JWT_SECRET, { algorithms: ["HS256"] }).sub });
  } catch {
    response.status(401).json({ error: "refused" });
  }
});

app.use((error, request, response, next) => {
  console.error(error.message);
  response.status(error.status ?? 503).json({ error: "not available" });
});

const server = app.listen(PORT, () => console.log(`auth-service on ${PORT}`));
process.once("SIGINT", () => server.close(() => process.exit()));
