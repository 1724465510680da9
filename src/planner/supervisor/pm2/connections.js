// Loaded into PM2 before it starts: when a worker of its cluster ends, the connections that the worker had not accepted yet
// are given to another one. Node's primary process sends a connection to a worker and waits for the acknowledgement. If the
// worker ends first, as the old one of a reload may, Node waits for ever, and the client gets no answer
// (node-v0.x-archive issue 7006).
//
// Node has no public interface for this. With a Node whose messages have another form, this file has no effect.
"use strict";
const cluster = require("cluster");

const OF_CLUSTER = "NODE_CLUSTER";
// For acknowledgements that are not read yet when the worker has ended: 100 times 10 ms. A child of the worker may hold the
// channel open for longer.
const PAUSE = 10;
const TRIES = 100;

if (cluster.isPrimary) {
  const listening = new Set();
  cluster.on("listening", ({ id }) => listening.add(id));
  cluster.on("fork", ({ id, process: worker }) => {
    // The numbers of the messages that the worker has not acknowledged.
    const sent = new Set();
    const { send } = worker;
    worker.send = function (message, ...others) {
      if (message?.cmd === OF_CLUSTER && message.act === "newconn") sent.add(message.seq);
      return send.call(this, message, ...others);
    };
    worker.on("internalMessage", (message) => {
      if (message?.cmd === OF_CLUSTER) sent.delete(message.ack);
    });
    const giveBack = (tries) => {
      if (worker.connected && tries > 0) return void setTimeout(giveBack, PAUSE, tries - 1);
      if (worker.connected) worker.disconnect();
      // While a connection is on its way, Node does not emit this event, and keeps the worker in the cluster. It would send
      // the connections below to the same worker again, in an endless loop.
      if (cluster.workers[id]) worker.emit("disconnect");
      // Node sends a connection that was not accepted to another worker, and closes one that was. If no worker listens, it
      // would keep the connection for ever; closed, the client gets an error at once.
      const accepted = listening.size === 0;
      for (const ack of [...sent]) worker.emit("internalMessage", { cmd: OF_CLUSTER, ack, accepted });
    };
    worker.once("exit", () => {
      // Before any connection is given back: of several workers that end together, none must count as a listener.
      listening.delete(id);
      setImmediate(giveBack, TRIES);
    });
  });
}
