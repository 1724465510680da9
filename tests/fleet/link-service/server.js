import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";

const { PORT, LINKS_API_KEY, LINKS_FILE = "/data/links.json" } = process.env;
const LONGEST = 2048;
const NAME = /^\/links\/([a-z0-9-]{1,64})$/;

function links() {
  try {
    return JSON.parse(readFileSync(LINKS_FILE, "utf8"));
  } catch (error) {
    if (error.code === "ENOENT") return {};
    throw error;
  }
}

function save(name, address) {
  writeFileSync(`${LINKS_FILE}.new`, JSON.stringify({ ...links(), [name]: address }));
  renameSync(`${LINKS_FILE}.new`, LINKS_FILE);
}

async function text(request) {
  let all = "";
  for await (const piece of request) if ((all += piece).length > LONGEST) return "";
  return all;
}

const server = createServer(async (request, response) => {
  const answer = (status, body) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  const name = NAME.exec(request.url)?.[1];
  if (request.url === "/health") return answer(200, { status: "ok" });
  if (!name) return answer(404, { error: "not found" });
  if (request.method === "GET") return links()[name] ? answer(200, { address: links()[name] }) : answer(404, { error: "not found" });
  if (request.headers["x-api-key"] !== LINKS_API_KEY) return answer(401, { error: "refused" });
  const address = await text(request);
  if (!URL.canParse(address)) return answer(400, { error: "the address, as text" });
  save(name, address);
  answer(201, { address });
});
server.listen(PORT, () => console.log(`link-service on ${PORT}`));
process.once("SIGTERM", () => server.close(() => process.exit()));
