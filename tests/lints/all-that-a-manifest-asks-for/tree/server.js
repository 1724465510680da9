require("http").createServer((_, response) => response.end()).listen(process.env.PORT);
