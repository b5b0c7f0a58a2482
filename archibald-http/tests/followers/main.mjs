// An agent's stream, followed with what others made: curl, the packages `eventsource` and `ws`, and a long poll. All of
// them leave in the middle, go on at their place when more has happened, and in the end were told the same.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { EventSource } from "eventsource";
import { WebSocket } from "ws";

const [base, token] = process.argv.slice(2);
const AGENT = `${base}/v1/agents/nancy`;
const authorized = { Authorization: `Bearer ${token}` };
const OPERATIONS = 20;

/** Each begins to follow at a place, tells every frame with its cursor, and returns what ends that. */
const followers = {
  curl(cursor, tell) {
    const header = ["--header", `Authorization: Bearer ${token}`];
    const curl = spawn("curl", ["--no-buffer", "--silent", ...header, `${AGENT}/events?cursor=${cursor}`]);
    let frame = {};
    createInterface({ input: curl.stdout }).on("line", (line) => {
      const [, field, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
      if (field) frame[field] = value;
      if (line !== "") return;
      if (frame.data) tell(frame.event, JSON.parse(frame.data));
      frame = {};
    });
    return () => curl.kill();
  },

  eventsource(cursor, tell) {
    const withToken = (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...authorized } });
    const source = new EventSource(`${AGENT}/events?cursor=${cursor}`, { fetch: withToken });
    for (const name of ["snapshot", "batch"]) {
      source.addEventListener(name, ({ data }) => tell(name, JSON.parse(data)));
    }
    return () => source.close();
  },

  ws(cursor, tell) {
    const socket = new WebSocket(`${AGENT.replace("http", "ws")}/ws?cursor=${cursor}`, { headers: authorized });
    socket.on("message", (text) => {
      const { frame, ...rest } = JSON.parse(text);
      tell(frame, rest);
    });
    socket.on("error", (error) => assert.fail(error));
    return () => socket.terminate();
  },

  poll(cursor, tell) {
    const leaving = new AbortController();
    const headers = { ...authorized, Accept: "application/json" };
    const ask = async () => {
      for (let at = cursor; !leaving.signal.aborted; ) {
        const answer = await fetch(`${AGENT}/events?wait=20&cursor=${at}`, { headers, signal: leaving.signal });
        const { frame, ...rest } = await answer.json();
        at = rest.to ?? rest.cursor ?? at;
        tell(frame, rest);
      }
    };
    ask().catch((error) => leaving.signal.aborted || assert.fail(error));
    return () => leaving.abort();
  },
};

/** Follows until a place is reached, where the log stands still; resolves to the events on the way there. */
function follow(name, from, to) {
  return new Promise((resolve, reject) => {
    const events = [];
    let at = from;
    const late = setTimeout(() => (stop(), reject(new Error(`${name} is at ${at}, not at ${to}`))), 30_000);
    const stop = followers[name](from, (frame, told) => {
      if (frame !== "batch") return assert.notEqual(frame, "snapshot", `${name}: every place can be served`);
      assert.equal(told.from, at, `${name}: no hole and nothing twice`);
      at = told.to;
      events.push(...told.events);
      if (at !== to) return;
      clearTimeout(late);
      stop();
      resolve(events);
    });
  });
}

async function read(path, init = {}) {
  const answer = await fetch(`${AGENT}/${path}`, { ...init, headers: { ...authorized, ...init.headers } });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
}

/** Until nothing of the agent is left to do, so that its log stands still. */
async function makeEvents(turn) {
  for (let n = 0; n < OPERATIONS; n += 1) {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": `${turn}-${n}` };
    const payload = { name: `Customer ${turn} ${n}` };
    await read("operations", { method: "POST", headers, body: JSON.stringify({ kind: "create-customer", payload }) });
  }
  for (;;) {
    const { cursor, operations } = await read("snapshot");
    const ended = operations.filter(({ finished_at }) => finished_at).length;
    if (ended === OPERATIONS * turn) return cursor;
    await read(`events?wait=5&cursor=${cursor}`, { headers: { Accept: "application/json" } });
  }
}

const names = Object.keys(followers);
const told = Object.fromEntries(names.map((name) => [name, []]));
let { cursor } = await read("snapshot");
for (const turn of [1, 2]) {
  const before = cursor;
  cursor = await makeEvents(turn);
  const follows = names.map(async (name) => told[name].push(...(await follow(name, before, cursor))));
  await Promise.all(follows);
}
for (const [name, events] of Object.entries(told)) {
  assert.ok(events.length >= 2 * OPERATIONS, name);
  assert.deepEqual(events, told.curl, name);
  console.log(`${name}: ${events.length} events, in two parts`);
}
