import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import express from "express";
import { z } from "zod";

const { PORT, MCP_API_KEY } = process.env;

function tools(): McpServer {
  const server = new McpServer({ name: "mcp-service", version: "1.0.0" });
  const input = { from: z.string(), to: z.string() };
  server.registerTool("days-between", { description: "Days from one date to another", inputSchema: input }, async ({ from, to }) => {
    const days = Math.round((Date.parse(to) - Date.parse(from)) / 86_400_000);
    return { content: [{ type: "text", text: String(days) }] };
  });
  return server;
}

const app = express();
app.use(express.json({ limit: "1mb" }));
app.get("/health", (request, response) => {
  response.json({ status: "ok" });
});
app.post("/mcp", async (request, response) => {
  if (request.get("authorization") !== `Bearer ${MCP_API_KEY}`) {
    response.status(401).json({ error: "refused" });
    return;
  }
  // Without sessions, each request has a transport of its own.
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
  response.on("close", () => transport.close());
  await tools().connect(transport);
  await transport.handleRequest(request, response, request.body);
});

const server = app.listen(PORT, () => console.log(`mcp-service on ${PORT}`));
process.once("SIGINT", () => server.close(() => process.exit()));
