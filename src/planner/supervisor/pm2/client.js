// Client for the PM2 daemon of PM2_HOME. Unlike PM2's own client, it does not start one.
"use strict";
const fs = require("fs");
const path = require("path");
const axon = require("pm2/modules/pm2-axon");
const rpc = require("pm2/modules/pm2-axon-rpc");

const SOCKET = path.join(process.env.PM2_HOME, "rpc.sock");

function end([status, words], prefix) {
  if (words) process.stderr.write(`${prefix}${words}\n`);
  process.exitCode = status;
  // exit() could lose output to a pipe that is not written yet.
  process.stdout.write("", () => process.exit(status));
}

exports.connect = (work, prefix = "", seconds = 8) => {
  if (!fs.existsSync(SOCKET)) return end([1, "PM2 does not listen yet"], prefix);
  const request = axon.socket("req");
  const client = new rpc.Client(request);
  request.connect(SOCKET);
  setTimeout(() => end([1, `PM2 does not answer within ${seconds} s`], prefix), seconds * 1000);
  const call = (method, argument) => new Promise((resolve, reject) =>
    client.call(method, argument, (error, answer) => (error ? reject(new Error(error.message ?? error)) : resolve(answer))));
  work(call).then((result) => end(result, prefix), (error) => end([1, error.message], prefix));
};
