module.exports = {
  apps: [{ name: "api", script: "dist/api.js", instances: "max", cron_restart: "0 4 * * *" }],
};
