// A registry on this machine, with HTTP/2 and HTTP/1.1: local_registry.mjs ANSWERS CERTIFICATE KEY
// ANSWERS is JSON, for each path a file. Prints its port, and ends with its standard input.
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { createSecureServer } from 'node:http2';

const [answers, cert, key] = process.argv.slice(2).map((file) => readFileSync(file));
const files = JSON.parse(answers);
const server = createSecureServer({ cert, key, allowHTTP1: true }, (request, response) => {
  const path = decodeURIComponent(request.url.split('?')[0]);
  const file = Object.hasOwn(files, path) ? files[path] : null;
  if (!file) {
    response.writeHead(404, { 'content-type': 'application/json' });
    response.end('{"error":"Not found"}');
    return;
  }
  const type = path.endsWith('.tgz') ? 'application/octet-stream' : 'application/json';
  response.writeHead(200, { 'content-type': type, 'content-length': statSync(file).size });
  createReadStream(file).pipe(response);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume().on('end', () => process.exit());
