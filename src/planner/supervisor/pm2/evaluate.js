// Evaluates an ecosystem file of a repository, and prints the ecosystem file that PM2 is started with, or one line with
// the error. The file's code runs in a child process: it may print or exit without effect on the output.
// Exit status 65: the file is invalid. 77: it has something that is not allowed.
"use strict";
const { spawn } = require("child_process");
const fs = require("fs");
const os = require("os");
const path = require("path");
const { pathToFileURL } = require("url");

const SECONDS = 20;
const LONGEST = 200000;
const MOST_APPS = 50;
// TimeoutStopSec= of the unit is 30 s, and a reload has less than two minutes. In milliseconds.
const LONGEST_KILL = 25000;
const LONGEST_LISTEN = 60000;
// Programs that are not files of the release. PM2 can run them in fork mode only.
const COMMANDS = ["npm", "npx", "yarn", "pnpm"];
const KEPT = [
  "args", "autorestart", "exp_backoff_restart_delay", "filter_env", "force", "increment_var", "instance_var",
  "interpreter_args", "max_memory_restart", "max_restarts", "merge_logs", "min_uptime", "namespace", "node_args",
  "restart_delay", "shutdown_with_message", "source_map_support", "stop_exit_codes", "treekill", "wait_ready",
];

class Wrong extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}
const invalid = (words) => new Wrong(65, words);
const refused = (words) => new Wrong(77, words);

async function read(file) {
  if (file.endsWith(".json")) {
    // PM2, too, allows comments in it.
    return require("vm").runInNewContext(`(${fs.readFileSync(file, "utf8")})`, {}, { timeout: 1000 });
  }
  const module = await import(pathToFileURL(file));
  return module.default ?? module;
}

async function child(file) {
  const say = (message) => new Promise((resolve) => process.send(message, resolve));
  try {
    const config = await read(file);
    if (config === null || typeof config !== "object") throw new Error(`it exports a ${typeof config}, not an object`);
    await say({ config: JSON.stringify(config) });
  } catch (error) {
    await say({ error: String(error?.message ?? error).split("\n")[0].slice(0, 300) });
  }
  process.exit(0);
}

// The file's configuration. The file may exit or block its process, so that is a child with a time limit.
function ask(file) {
  return new Promise((resolve, reject) => {
    let said, late;
    const reader = spawn(process.execPath, [__filename, "--read", file], { stdio: ["ignore", 2, 2, "ipc"] });
    const timer = setTimeout(() => { late = true; reader.kill("SIGKILL"); }, SECONDS * 1000);
    reader.on("message", (message) => { said ??= message; });
    reader.on("error", (error) => reject(invalid(error.message)));
    reader.on("close", (status, signal) => {
      clearTimeout(timer);
      if (late) return reject(invalid(`it does not end within ${SECONDS} s`));
      if (said?.error !== undefined) return reject(invalid(`it throws: ${said.error}`));
      if (typeof said?.config !== "string") {
        return reject(invalid(`it ends the process that evaluates it (${signal ?? `status ${status}`})`));
      }
      if (said.config.length > LONGEST) return reject(invalid(`it has ${said.config.length} bytes; the limit is ${LONGEST}`));
      resolve(JSON.parse(said.config));
    });
  });
}

function inside(task, what, at) {
  const shown = JSON.stringify(at);
  const within = (base, full) => full === base || full.startsWith(base + path.sep);
  // The file may use the path `current`, which does not lead to this release yet.
  if (path.isAbsolute(at) && within(task.current, at)) at = path.join(task.release, path.relative(task.current, at));
  const full = path.resolve(task.release, at);
  if (!within(task.release, full)) throw refused(`${what} is ${shown}, outside of the release`);
  let real;
  try {
    real = fs.realpathSync(full);
  } catch (error) {
    throw invalid(`${what} is ${shown}, which is not in the release (${error.code})`);
  }
  if (!within(fs.realpathSync(task.release), real)) throw refused(`${what} is ${shown}, which leads out of the release`);
  return full;
}

function milliseconds(app, key, usual, most) {
  const value = app[key] ?? usual;
  if (typeof value !== "number" || !(value > 0 && value <= most)) {
    throw invalid(`${key} is ${JSON.stringify(value)}; expected a number of milliseconds up to ${most}`);
  }
  return value;
}

function environment(task, app) {
  const named = task.environments.map((name) => app[`env_${name}`]).find((env) => env !== undefined);
  const env = { ...(app.port === undefined ? {} : { PORT: app.port }), ...app.env, ...(named ?? app.env_production) };
  for (const [name, value] of Object.entries(env)) {
    if (!["string", "number", "boolean"].includes(typeof value)) throw invalid(`env.${name} is a ${typeof value}`);
    env[name] = String(value);
  }
  return env;
}

// As PM2 counts: "max" and 0 are all processors, and negative numbers are so many fewer.
function instances(task, app, what) {
  const wanted = app.instances ?? 1;
  const number = wanted === "max" ? 0 : Number(wanted);
  const count = number > 0 ? number : Math.max(1, os.cpus().length + number);
  if (task.most_instances !== undefined && !(count <= task.most_instances)) {
    const most = `the machine's policy allows ${task.most_instances} (limits.instances)`;
    throw refused(`${what} is ${JSON.stringify(wanted)}, here ${count}; ${most}`);
  }
  return wanted;
}

function checked(task, app, index) {
  const what = (key) => `apps[${index}].${key}`;
  if (app === null || typeof app !== "object") throw invalid(`apps[${index}] is a ${typeof app}, not an object`);
  for (const key of ["user", "username", "uid", "gid"]) {
    if (app[key] !== undefined && app[key] !== task.user) {
      throw refused(`${what(key)} is ${JSON.stringify(app[key])}; the service runs as ${task.user}`);
    }
  }
  for (const key of ["cron_restart", "cron"]) {
    if (app[key] !== undefined && !task.named.includes(key)) {
      throw refused(`${what(key)} comes from elsewhere; write it in the ecosystem file, so that the plan shows it`);
    }
  }
  const script = app.script ?? app.exec;
  if (typeof script !== "string" || !script) throw invalid(`${what("script")} is missing`);
  const interpreter = app.interpreter ?? app.exec_interpreter;
  if (interpreter !== undefined && (typeof interpreter !== "string" || interpreter.includes("@"))) {
    throw invalid(`${what("interpreter")} is ${JSON.stringify(interpreter)}; node.version in bootagent.toml chooses Node`);
  }
  const mode = String(app.exec_mode ?? (app.instances !== undefined && (interpreter ?? "node") === "node" ? "cluster" : "fork"))
    .replace(/_mode$/, "");
  const cwd = app.cwd === undefined ? task.release : inside(task, what("cwd"), String(app.cwd));
  const isCommand = COMMANDS.includes(script);
  if (isCommand && mode === "cluster") {
    throw refused(`${what("script")} is ${JSON.stringify(script)}, which cannot be a cluster: name the Node script that it starts, or exec_mode "fork"`);
  }
  const at = (full) => path.join(task.current, path.relative(task.release, full));
  const file = isCommand ? null : inside(task, what("script"), path.isAbsolute(script) ? script : path.join(cwd, script));
  const kept = Object.fromEntries(KEPT.filter((key) => app[key] !== undefined).map((key) => [key, app[key]]));
  return {
    ...kept,
    ...task.fixed,
    name: String(app.name ?? (index === 0 ? task.name : `${task.name}-${index}`)),
    script: isCommand ? script : at(file),
    cwd: at(cwd),
    env: environment(task, app),
    exec_mode: mode,
    instances: instances(task, app, what("instances")),
    kill_timeout: milliseconds(app, "kill_timeout", task.kill_timeout, LONGEST_KILL),
    listen_timeout: milliseconds(app, "listen_timeout", task.listen_timeout, LONGEST_LISTEN),
    ...(interpreter === undefined ? {} : { interpreter }),
    ...(app.cron_restart ?? app.cron ? { cron_restart: app.cron_restart ?? app.cron } : {}),
  };
}

async function parent(task) {
  const file = inside(task, "the ecosystem file", task.file);
  const config = await ask(file);
  if (config.deploy !== undefined) throw refused("it has a deploy section, which would deploy to other machines; remove it");
  const apps = Array.isArray(config) ? config : config.apps ?? (config.script || config.exec ? config : undefined);
  const list = Array.isArray(apps) ? apps : apps && typeof apps === "object" ? [apps] : [];
  if (!list.length || list.length > MOST_APPS) throw invalid(`it has ${list.length} apps; expected 1 to ${MOST_APPS}`);
  process.stdout.write(JSON.stringify({ apps: list.map((app, index) => checked(task, app, index)) }, null, 2) + "\n");
}

if (process.argv[2] === "--read") {
  child(process.argv[3]);
} else {
  const task = JSON.parse(process.argv[2]);
  parent(task).catch((error) => {
    process.stderr.write(`${task.file}: ${error.message}\n`);
    process.exitCode = error.status ?? 70;
  });
}
