import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";

const RESULTS = "/results";

/** The number of words in a text that comes in pieces. */
async function count(pieces) {
  let words = 0;
  let rest = "";
  for await (const piece of pieces) {
    const parts = (rest + piece).split(/\s+/);
    rest = parts.pop();
    words += parts.filter(Boolean).length;
  }
  return words + (rest ? 1 : 0);
}

function stored(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}

const server = createServer(async (request, response) => {
  const answer = (status, body) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  if (request.url === "/") return answer(200, { status: "ok" });
  const file = `${RESULTS}/${request.url.split("/").pop()}.json`;
  if (request.method === "POST") {
    writeFileSync(`${file}.new`, JSON.stringify({ words: await count(request.setEncoding("utf8")) }));
    renameSync(`${file}.new`, file);
  }
  const result = stored(file);
  answer(result ? 200 : 404, result ?? { error: "not found" });
});
server.listen(9000, () => console.log("the worker waits for texts"));
process.once("SIGTERM", () => server.close(() => process.exit()));
