// The service that is measured: the packages that such services have, all of them loaded, and no database behind them.
require("dotenv").config();
const app = require("./src/app");
const log = require("./src/log");

const missing = ["DATABASE_URL", "JWT_SECRET"].filter((name) => !process.env[name]);
if (missing.length) {
  log.error(`not set: ${missing}`);
  process.exit(1);
}
app.listen(process.env.PORT ?? 3000, () => log.info("listening"));
