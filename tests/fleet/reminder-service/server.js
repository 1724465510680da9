import express from "express";
import { all, save } from "./store.js";

const { PORT } = process.env;
const app = express();
app.use(express.json({ limit: "10kb" }));

app.get("/health", (request, response) => response.json({ status: "ok", reminders: all().length }));
app.get("/reminders", (request, response) => response.json(all()));
app.post("/reminders", (request, response) => {
  const { text, at } = request.body ?? {};
  if (typeof text !== "string" || Number.isNaN(Date.parse(at))) return response.status(400).json({ error: "text and at" });
  response.status(201).json(save({ text, at }));
});

const server = app.listen(PORT, () => console.log(`reminder-service on ${PORT}`));
process.once("SIGINT", () => server.close(() => process.exit()));
