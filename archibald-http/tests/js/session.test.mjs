// Who is signed in, where several pages of one browser share a session: the board's streams, and the sign-in itself.

import assert from "node:assert/strict";
import { test } from "node:test";

const answers = { me: [], session: [] };
const asked = [];
const sources = [];

globalThis.addEventListener = () => {};
globalThis.location = { hash: "" };
globalThis.fetch = async (path, { method = "GET", headers = {} } = {}) => {
  asked.push([method, path, headers.Authorization]);
  const [status, body] = answers[path.split("/").pop()].shift();
  return new Response(JSON.stringify(body), { status });
};
globalThis.EventSource = class extends EventTarget {
  constructor(path) {
    super();
    sources.push(Object.assign(this, { path }));
  }

  close() {}
};

const { follow } = await import("../../web/board-feed.js");
const { signIn } = await import("../../web/session.js");
const somebody = (name, scope) => ({ name, scope, agents: [name] });

test("a code that does not reach the agent changes no session", async () => {
  answers.me.push([200, somebody("janet", "agent")]);
  await assert.rejects(signIn(" code ", "nancy"), ({ reason }) => reason === "other");
  assert.deepEqual(asked.splice(0), [["GET", "/v1/me", "Bearer code"]]);
  answers.me.push([200, somebody("nancy", "agent")]);
  answers.session.push([200, somebody("nancy", "agent")]);
  assert.equal((await signIn("code", "nancy")).name, "nancy");
  assert.deepEqual(asked.splice(0).map(([method]) => method), ["GET", "POST"]);
});

test("the board leaves a session alone that is somebody else's, and follows again after signing in", async () => {
  const states = [];
  let told;
  const follows = follow({ onFrame: () => {}, onState: (state) => (states.push(state), state === "signed-out" && told()) });
  assert.equal(sources.length, 2);
  const signedOut = new Promise((resolve) => (told = resolve));
  answers.me.push([200, somebody("nancy", "agent")]);
  sources[0].dispatchEvent(new Event("bye"));
  await signedOut;
  assert.deepEqual(asked.splice(0).map(([method]) => method), ["GET"]);
  follows();
  assert.deepEqual(sources.map(({ path }) => path), ["/v1/admin/events", "/v1/admin/activity", "/v1/admin/events"]);
  follows();
  assert.equal(sources.length, 3, "what is followed is not followed twice");
});
