// Loaded into PM2 before it starts: gives a connection that a worker of the cluster did not take before its end to another
// worker. Node's primary process hands a new connection over and waits for the worker's word. If the worker ends first, as
// the old one of a reload may, the word never comes: the client waits for an answer until it gives up (node issue 3551).
//
// Node has no public interface for this. A Node whose messages have another form behaves as without this file.
"use strict";
const cluster = require("cluster");

const OF_CLUSTER = "NODE_CLUSTER";

if (cluster.isPrimary) {
  cluster.on("fork", ({ process: worker }) => {
    // The numbers of connections that are on their way to the worker.
    const handed = new Set();
    const { send } = worker;
    worker.send = function (message, ...others) {
      if (message?.cmd === OF_CLUSTER && message.act === "newconn") handed.add(message.seq);
      return send.call(this, message, ...others);
    };
    worker.on("internalMessage", (message) => {
      if (message?.cmd === OF_CLUSTER) handed.delete(message.ack);
    });
    // After Node's own listeners, which take the worker out of the cluster.
    worker.once("exit", () => setImmediate(() => {
      for (const ack of handed) worker.emit("internalMessage", { cmd: OF_CLUSTER, ack, accepted: false });
    }));
  });
}
