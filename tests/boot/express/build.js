// Needs a development dependency, and makes what the service serves.
const fs = require("node:fs");
const colors = require("picocolors");

fs.mkdirSync("built");
fs.writeFileSync("built/page.txt", "built in " + colors.createColors(true).green("green"));
