const http = require("node:http");
const { Telegraf } = require("telegraf");

const { PORT, TELEGRAM_TOKEN, TELEGRAM_WEBHOOK_SECRET, TELEGRAM_API_ROOT = "https://api.telegram.org" } = process.env;
const bot = new Telegraf(TELEGRAM_TOKEN, { telegram: { apiRoot: TELEGRAM_API_ROOT } });
bot.botInfo = { id: 1, is_bot: true, username: "assistant_bot", first_name: "Assistant" };
bot.start((context) => context.reply("Hello! Send me /help."));
bot.help((context) => context.reply("/start, /help"));
bot.catch((error) => console.error(error.message));

const webhook = bot.webhookCallback("/telegram", { secretToken: TELEGRAM_WEBHOOK_SECRET });
const server = http.createServer((request, response) => {
  if (request.url !== "/health") return webhook(request, response);
  response.setHeader("content-type", "application/json");
  response.end('{"status":"ok"}');
});
server.listen(PORT, () => console.log(`telegram-bot on ${PORT}`));
process.once("SIGINT", () => server.close(() => process.exit()));
