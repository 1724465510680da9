// Checks PM2's processes. Standard output: the number of restarts, then one line for each process; never variables.
// Exit status 0: all are online. 1: not (yet). 3: PM2 no longer restarts one of them.
"use strict";
const { connect } = require("./client");

connect(async (call) => {
  const all = (await call("getMonitorData", {})).filter((one) => !one.pm2_env.pmx_module);
  const restarts = all.reduce((sum, one) => sum + one.pm2_env.restart_time, 0);
  const lines = all.map((one) => `${one.name} ${one.pm_id} pid ${one.pid}`);
  process.stdout.write([restarts, ...lines, ""].join("\n"));
  const bad = all.filter((one) => one.pm2_env.status !== "online");
  if (!all.length) return [1, "PM2 runs nothing yet"];
  if (!bad.length) return [0];
  const words = bad.map(({ name, pm_id, pm2_env: { status, restart_time, exit_code } }) =>
    `${name} ${pm_id} is ${status} after ${restart_time} restarts` + (exit_code ? `, last with status ${exit_code}` : ""));
  return [bad.some((one) => one.pm2_env.status === "errored") ? 3 : 1, words.join("; ")];
});
