// A service with real packages: what it finds in its environment, and what dotenv reads from its .env.
const fs = require("node:fs");
const dotenv = require("dotenv");
const express = require("express");

const app = express();
app.get("/health", (request, response) => response.send("ok"));
app.get("/env", (request, response) => response.json(process.env));
app.get("/dotenv", (request, response) => response.json(dotenv.parse(fs.readFileSync(".env"))));
app.get("/node", (request, response) => response.json(process.version));
app.use(express.static("built"));
app.listen(process.env.PORT);
