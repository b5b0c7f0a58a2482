// What becomes of writes that are refused, lost or met by another page: against a server of which every answer is said.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryStorage } from "../../web/client.js";
import { Queue } from "../../web/client-queue.js";
import { Replica } from "../../web/client-replica.js";
import { device, until } from "./bench.mjs";

const content = (note) => ({ customer: "ALFKI", note, lines: [] });
const problem = (status, kind) => [status, { type: `urn:archibald:problem:${kind}`, detail: kind }];
const view = (id, version, note) => ({ id, version, state: "editing", content: content(note), created_at: "2026-11-22T08:00:00Z" });
const settled = (outcome) => outcome.then((value) => ({ value }), (error) => ({ error }));

/** Answers as it is told: `me` says who asks, `write(verb, id, body, headers)` answers [status, body]. */
class Server {
  me = [200, { name: "nancy", scope: "agent", agents: ["nancy"] }];
  asked = [];
  write = (verb, id, body) => (verb === "POST" ? [201, view(`o-${this.asked.length}`, 1, body.content.note)] : [200, view(id, 2, body.content.note)]);
  frames = [];
  #more = () => {};
  #arrive;
  arrived = new Promise((resolve) => (this.#arrive = resolve)); // the first write is here

  fetch = async (url, { method = "GET", headers, body, signal }) => {
    const path = new URL(url).pathname;
    if (path === "/v1/me") return answer(...this.me);
    if (path.endsWith("/events")) return this.#events(signal);
    const [, id] = /pending-orders\/([^/]+)/.exec(path) ?? [];
    const said = body && JSON.parse(body);
    this.asked.push({ method, path, id, note: said?.content?.note, key: headers["Idempotency-Key"], base: headers["If-Match"] });
    this.#arrive();
    return answer(...(await this.write(method, id, said, headers)));
  };

  tell(name, frame) {
    this.frames.push(`event: ${name}\ndata: ${JSON.stringify(frame)}\n\n`);
    this.#more();
  }

  #events(signal) {
    const encoder = new TextEncoder();
    const pull = async (controller) => {
      if (this.frames.length === 0) await new Promise((resolve) => (this.#more = resolve));
      if (signal.aborted) return controller.close();
      controller.enqueue(encoder.encode(this.frames.shift()));
    };
    const stream = new ReadableStream({ pull });
    signal.addEventListener("abort", () => this.#more());
    return new Response(stream, { headers: { "Content-Type": "text/event-stream" } });
  }
}

const answer = (status, body) => new Response(status === 204 ? null : JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });

async function nancy(t, server, options = {}) {
  const client = await device({ base: "http://server.test", token: null, fetch: server.fetch, transport: "sse", ...options });
  t.after(() => client.stop());
  return client;
}

test("what somebody else is told who is signed in here takes nothing from the queue", async (t) => {
  const server = new Server();
  server.me = [200, { name: "janet", scope: "agent", agents: ["janet"] }];
  server.write = () => problem(404, "not-found");
  const asked = [];
  const client = await nancy(t, server, { onRefused: async (who) => (asked.push(who), false) });
  const { id, outcome } = await client.create(content("mine"));
  await until(client, () => client.state === "refused");
  assert.deepEqual([client.unsent, asked[0], client.pendingOrder(id).content.note], [1, "other", "mine"]);
  server.me = [200, { name: "nancy", scope: "agent", agents: ["nancy"] }];
  server.write = () => [201, view("o", 1, "mine")];
  client.signedIn();
  assert.equal((await outcome).id, "o");
});

test("a session that another page ended is not replaced where there is one again", async (t) => {
  const server = new Server();
  let asked = 0;
  const client = await nancy(t, server, { onRefused: async () => ((asked += 1), false) });
  server.tell("bye", { reason: "signed_out" });
  await until(client, () => client.state === "stale");
  server.tell("snapshot", { cursor: "e.1", operations: [], pending_orders: [] });
  await until(client, () => client.state === "online");
  assert.equal(asked, 0);
  server.me = problem(401, "unauthorized");
  server.tell("bye", { reason: "signed_out" });
  await until(client, () => client.state === "refused");
  assert.equal(asked, 1);
});

for (const [status, kind] of [[409, "queue-full"], [413, "too-large"], [422, "invalid"]]) {
  test(`an order that is refused with ${status} stays, with the newest that was typed, also for the next page`, async (t) => {
    const server = new Server();
    const storage = new MemoryStorage();
    let begin;
    const begun = new Promise((resolve) => (begin = resolve));
    let go;
    const gone = new Promise((resolve) => (go = resolve));
    server.write = async () => (begin(), await gone, problem(status, kind));
    const first = await nancy(t, server, { storage });
    const { id, outcome } = await first.create(content("one"));
    await begun;
    await first.edit(id, content("two"));
    const { outcome: submitted } = await first.submit(id);
    go();
    assert.equal((await settled(outcome)).error.status, status);
    assert.equal((await settled(submitted)).error.name, "NotSentError");
    await until(first, () => first.unsent === 0);
    await first.stop();
    const second = await nancy(t, server, { storage });
    const { content: kept, refused, state } = second.pendingOrder(id);
    assert.deepEqual([kept.note, refused.detail, state], ["two", kind, "editing"]);
    assert.equal(second.pendingOrders().length, 1);
    server.write = (verb, _, body) => (verb === "POST" ? [201, view("o", 1, body.content.note)] : problem(404, "not-found"));
    assert.equal((await (await second.edit(id, content("three"))).outcome).content.note, "three");
    assert.equal(second.pendingOrder(id).refused, undefined);
    assert.equal(second.pendingOrders().length, 1);
  });
}

test("what was typed into an order that is submitted by now is kept beside it", async (t) => {
  const server = new Server();
  const client = await nancy(t, server);
  server.tell("snapshot", { cursor: "e.1", operations: [], pending_orders: [{ ...view("o", 3, "theirs"), state: "submitted" }] });
  await until(client, () => client.pendingOrder("o"));
  server.write = () => problem(409, "already-submitted");
  await settled((await client.edit("o", content("mine"), 2)).outcome);
  const [kept] = client.pendingOrders().filter(({ refused }) => refused);
  assert.deepEqual([kept.content.note, kept.state, client.pendingOrder("o").content.note], ["mine", "editing", "theirs"]);
  await client.discard(kept.id);
  assert.deepEqual(client.pendingOrders().map(({ id }) => id), ["o"]);
});

test("typing into an order that was deleted elsewhere goes on in one of its own", async (t) => {
  const server = new Server();
  const client = await nancy(t, server);
  server.tell("snapshot", { cursor: "e.1", operations: [], pending_orders: [view("o", 1, "old")] });
  await until(client, () => client.pendingOrder("o"));
  let go;
  const gone = new Promise((resolve) => (go = resolve));
  const made = [];
  server.write = async (verb, id, body, headers) => {
    if (id === "o") return await gone, problem(404, "not-found");
    made.push([verb, body.content.note, headers["Idempotency-Key"]]);
    return [200, view("n", made.length, body.content.note)];
  };
  const { outcome } = await client.edit("o", content("one"), 1);
  await server.arrived;
  await client.edit("o", content("two"), 1);
  go();
  await settled(outcome);
  await (await client.edit("o", content("three"), 1)).outcome;
  assert.equal(client.pendingOrder("o").id, "n");
  assert.equal(client.pendingOrder("o").content.note, "three");
  assert.deepEqual(client.pendingOrders().map(({ id }) => id), ["n"]);
  assert.deepEqual([made[0][0], made.at(-1)[1]], ["POST", "three"]);
  assert.equal(made[0][2], `rescue-${server.asked[0].key}`);
});

/** What browsers have and Node has not: pages that share a storage know of each other by it. */
function shareLocks(t) {
  let last = Promise.resolve();
  const locks = { request: (_, run) => (last = last.then(run, run)) };
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });
  t.after(() => (before ? Object.defineProperty(globalThis, "navigator", before) : delete globalThis.navigator));
}

test("pages of one device do not drive each other to ask without a pause", async (t) => {
  shareLocks(t);
  const server = new Server();
  server.write = () => [503, {}];
  const storage = new MemoryStorage();
  const pace = { base: 1_000, longest: 1_000, patience: 5_000, wait: 2_000 };
  const [page] = [await nancy(t, server, { storage, pace }), await nancy(t, server, { storage, pace })];
  await page.create(content("mine"));
  await server.arrived;
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.ok(server.asked.length <= 6, `${server.asked.length} times in 0.3 s`);
});

test("pages of one device make one order of what was typed into a deleted one", async (t) => {
  shareLocks(t);
  const server = new Server();
  const made = [];
  server.write = (verb, id, body) => {
    if (id === "o") return problem(404, "not-found");
    made.push(verb);
    return [201, view("n", 1, body.content.note)];
  };
  const storage = new MemoryStorage();
  const pages = [await nancy(t, server, { storage }), await nancy(t, server, { storage }), await nancy(t, server, { storage })];
  await pages[0].edit("o", content("mine"), 1);
  for (const page of pages) await until(page, () => page.pendingOrder("o")?.id === "n" && page.unsent === 0);
  assert.deepEqual(made, ["POST"]);
});

test("a change joins no write that another page has sent meanwhile", async (t) => {
  const server = new Server();
  const storage = new MemoryStorage();
  const client = await nancy(t, server, { storage });
  client.disconnect();
  server.write = () => [503, {}];
  await client.create(content("blocks"));
  await server.arrived;
  const { id } = await client.create(content("one"));
  const [key] = (await storage.keys("")).filter((key) => key.includes("queue/")).slice(-1);
  await storage.set(key, { ...(await storage.get(key)), sent: true });
  await client.edit(id, content("two"));
  const kept = await Promise.all((await storage.keys("")).filter((key) => key.includes("queue/")).map((key) => storage.get(key)));
  assert.deepEqual(kept.map(({ verb, body }) => [verb, body.content.note]), [["create", "blocks"], ["create", "one"], ["edit", "two"]]);
  assert.equal(client.pendingOrder(id).content.note, "two");
});

test("what the device cannot keep is sent from memory, and the page is told", async (t) => {
  class Full extends MemoryStorage {
    async set(key) {
      throw new Error(`no room for ${key}`);
    }
    async update() {
      throw new Error("no room");
    }
  }
  const full = new Full();
  const storage = new MemoryStorage();
  const server = new Server();
  const client = await nancy(t, server, { storage });
  Object.assign(storage, { set: full.set, update: full.update });
  let told = 0;
  client.on("unkept", () => (told += 1));
  const { id, outcome } = await client.create(content("mine"));
  assert.equal((await outcome).content.note, "mine");
  assert.ok(told > 0);
  assert.equal((await (await client.edit(id, content("more"))).outcome).version, 2);
});

test("an outcome that cannot be taken in blocks nothing, and is not asked for without a pause", async () => {
  const storage = new MemoryStorage();
  let sent = 0;
  let failures = 3;
  const queue = new Queue({
    storage, prefix: "q/", send: async (item) => ((sent += 1), { done: item.id }), onChange: () => {},
    onSettled: async () => {
      if (failures-- > 0) throw new Error("not now");
    },
    pace: { base: 5, longest: 20 },
  });
  const first = await queue.add({ id: "1", key: "a", sent: false, follows: null });
  const second = await queue.add({ id: "2", key: "b", sent: false, follows: null });
  assert.deepEqual([await first.outcome, await second.outcome], ["1", "2"]);
  assert.deepEqual([sent, queue.items.length], [5, 0]);
  queue.close();
});

test("what an event settles is not sent once more while that is being kept", async () => {
  const sent = [];
  let keep;
  const kept = new Promise((resolve) => (keep = resolve));
  const queue = new Queue({
    storage: new MemoryStorage(), prefix: "q/", onChange: () => {}, onSettled: () => kept, pace: { base: 1, longest: 1 },
    send: async (item) => {
      sent.push(item.id);
      queue.settle(item, { done: "heard" });
      return { later: 0 };
    },
  });
  const { outcome } = await queue.add({ id: "1", key: "a", sent: false, follows: null });
  const drained = new Promise((resolve) => setTimeout(resolve, 50));
  await drained;
  keep();
  assert.equal(await outcome, "heard");
  assert.deepEqual(sent, ["1"]);
  queue.close();
});

test("what is read of the queue is no older than what was changed while it was read", async () => {
  let gate;
  let gets = 0;
  let bothRead;
  class Slow extends MemoryStorage {
    async get(key) {
      const [wait, kept] = [gate, await super.get(key)];
      gets += 1;
      if (gets === 2) bothRead?.();
      await wait;
      return kept;
    }
  }
  const queue = new Queue({
    storage: new Slow(), prefix: "q/", onChange: () => {}, onSettled: async () => {}, pace: { base: 1, longest: 1 },
    send: () => new Promise(() => {}),
  });
  await queue.add({ id: "1", key: "a", sent: false, follows: null, base: 1 });
  await queue.add({ id: "2", key: "b", sent: false, follows: "1", base: 1 });
  let open;
  gate = new Promise((resolve) => (open = resolve));
  gets = 0;
  const areRead = new Promise((resolve) => (bothRead = resolve));
  const read = queue.load();
  await areRead;
  gate = undefined;
  await queue.settle({ id: "1" }, { done: { version: 2 } });
  open();
  await read;
  assert.deepEqual(queue.items.map(({ id, follows, base }) => [id, follows, base]), [["2", null, 2]]);
  queue.close();
});

test("the clock may be set back: what builds on a write is sent after it", async (t) => {
  const server = new Server();
  const client = await nancy(t, server);
  server.write = () => [503, {}];
  const now = Date.now;
  t.after(() => (Date.now = now));
  const { id } = await client.create(content("one"));
  await server.arrived;
  await client.stop();
  const storage = new MemoryStorage();
  const sent = [];
  const queue = new Queue({
    storage, prefix: "q/", send: async (item) => (sent.push(item.id), { done: null }), onChange: () => {}, onSettled: async () => {},
    pace: { base: 1, longest: 1 },
  });
  await storage.set("q/queue/2", { id: "2", key: "a", follows: null, sent: false });
  await storage.set("q/queue/1", { id: "1", key: "b", follows: "2", sent: false });
  await queue.load();
  const done = [queue.outcomeOf("1"), queue.outcomeOf("2")];
  queue.kick();
  await Promise.all(done);
  assert.deepEqual(sent, ["2", "1"]);
  queue.close();
  void id;
});

test("a page that is opened after the clock was set back writes behind what waits", async (t) => {
  const server = new Server();
  server.write = () => [503, {}];
  const storage = new MemoryStorage();
  const first = await nancy(t, server, { storage });
  await first.create(content("one"));
  await first.stop();
  const now = Date.now;
  t.after(() => (Date.now = now));
  Date.now = () => now() - 86_400_000;
  const second = await nancy(t, server, { storage });
  await second.create(content("two"));
  const notes = await Promise.all((await storage.keys("")).filter((key) => key.includes("queue/")).map((key) => storage.get(key)));
  assert.deepEqual(notes.map(({ body }) => body.content.note), ["one", "two"]);
});

test("an answer or an event that is late brings no deleted order back", async (t) => {
  const server = new Server();
  const client = await nancy(t, server);
  server.tell("snapshot", { cursor: "e.0", operations: [], pending_orders: [] });
  await until(client, () => client.cursor === "e.0");
  const id = "0190-a";
  server.write = (verb, _, body, headers) => {
    const origin = { device: headers["X-Device-Id"], mutation: headers["X-Mutation-Id"] };
    const event = (seq, type) => ({ seq, type, at: "2026-11-22T08:00:00Z", pending_order: id, version: 1, state: "editing", content: body.content, origin });
    server.tell("batch", { from: "e.0", to: "e.2", events: [event(1, "pending_order.created"), { ...event(2, "pending_order.deleted"), origin: {} }] });
    return [503, {}];
  };
  await (await client.create(content("gone"))).outcome;
  await until(client, () => client.cursor === "e.2");
  assert.deepEqual(client.pendingOrders(), []);
  const replica = new Replica();
  replica.deleted("x");
  replica.answered(view("x", 1, "late"), true);
  replica.answered(view("y", 2, "never seen"), false);
  assert.equal(replica.pendingOrders.size, 0);
});

test("a write without a base builds on the last one of this device", async (t) => {
  const server = new Server();
  const client = await nancy(t, server);
  const { id, outcome } = await client.create(content("one"));
  await outcome;
  await (await client.edit(id, content("two"))).outcome;
  await (await client.edit(id, content("three"))).outcome;
  assert.deepEqual(server.asked.map(({ base }) => base), [undefined, '"1"', '"2"']);
});

test("a device that is left forgets what the server has, and keeps what it has not", async (t) => {
  const server = new Server();
  const storage = new MemoryStorage();
  const client = await nancy(t, server, { storage });
  server.tell("snapshot", { cursor: "e.1", operations: [], pending_orders: [view("o", 1, "theirs")] });
  await until(client, () => client.cursor === "e.1");
  server.write = () => [503, {}];
  await client.create(content("mine"));
  await client.stop();
  await client.forget();
  const again = await nancy(t, server, { storage });
  assert.deepEqual(again.pendingOrders().map((order) => order.content.note), ["mine"]);
});
