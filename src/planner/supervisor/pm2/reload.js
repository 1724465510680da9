// Replaces PM2's processes by new ones from the current release, one after the other: each must listen before the next
// one is replaced. A new process that exits repeatedly fails the reload, while the old ones still serve.
"use strict";
const { connect } = require("./client");

const MOST_RESTARTS = 3;

connect(async (call) => {
  const all = async () => (await call("getMonitorData", {})).filter((one) => !one.pm2_env.pmx_module);
  for (const { name, pm_id, pm2_env } of await all()) {
    let over = false;
    const watch = (async () => {
      while (!over) {
        await new Promise((resolve) => setTimeout(resolve, 300));
        const now = (await all()).find((one) => one.pm_id === pm_id)?.pm2_env;
        const restarts = now ? now.restart_time - pm2_env.restart_time - 1 : 0;
        if (now?.status === "errored" || restarts >= MOST_RESTARTS) {
          throw new Error(`the new process of ${name} exited ${restarts} times` + (now.exit_code ? `, last with status ${now.exit_code}` : ""));
        }
      }
    })();
    const reload = call("reloadProcessId", { id: pm_id, env: {} }).finally(() => { over = true; });
    await Promise.race([reload, watch.then(() => reload)]);
    const now = (await all()).find((one) => one.pm_id === pm_id)?.pm2_env;
    if (now?.status !== "online") throw new Error(`the new process of ${name} is ${now?.status ?? "gone"}`);
  }
  return [0];
}, "reload: ", 110);
