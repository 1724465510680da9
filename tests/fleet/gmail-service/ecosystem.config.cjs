module.exports = {
  apps: [{ name: "gmail-service", script: "server.js", max_memory_restart: "300M" }],
};
