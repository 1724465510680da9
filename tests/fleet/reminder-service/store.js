import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";

// One file for each reminder: the service and the timer's command write at the same time.
const DIRECTORY = "data";
const path = (id) => `${DIRECTORY}/${id}.json`;

export function save(reminder) {
  mkdirSync(DIRECTORY, { recursive: true });
  const whole = { id: randomUUID(), sent: null, ...reminder };
  writeFileSync(`${path(whole.id)}.new`, JSON.stringify(whole));
  renameSync(`${path(whole.id)}.new`, path(whole.id));
  return whole;
}

export function all() {
  try {
    return readdirSync(DIRECTORY)
      .filter((name) => name.endsWith(".json"))
      .map((name) => JSON.parse(readFileSync(`${DIRECTORY}/${name}`, "utf8")));
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
}
