import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryStorage } from "../../web/client.js";
import { Replica } from "../../web/client-replica.js";
import { events } from "../../web/client-stream.js";
import { Line, control, device, read, until } from "./bench.mjs";

for (const transport of ["sse", "poll"]) {
  test(`over ${transport}, no event is missed and none comes twice, however often the line is cut`, async (t) => {
    const line = await Line.open();
    const client = await device({ base: line.url, transport });
    t.after(() => (line.close(), client.stop()));
    await until(client, () => client.cursor !== null);
    const first = Number(client.cursor.split(".")[1]);
    const seen = [];
    client.on("frame", (name, frame) => {
      assert.notEqual(name, "snapshot", "every place can be served");
      if (name === "batch") seen.push(...frame.events.map(({ seq }) => seq));
    });
    for (let turn = 0; turn < 30; turn += 1) {
      await control("order");
      if (Math.random() < 0.6) line.cut();
    }
    const { cursor } = await read("snapshot");
    await until(client, () => client.cursor === cursor);
    const last = Number(cursor.split(".")[1]);
    assert.deepEqual(seen, Array.from({ length: last - first }, (_, n) => first + 1 + n));
    assert.equal(client.gaps, 0);
  });
}

test("a history that is lost is replaced by a snapshot", async (t) => {
  const client = await device();
  t.after(() => client.stop());
  await until(client, () => client.cursor !== null);
  const before = client.cursor;
  await control("new-epoch");
  client.disconnect();
  client.connect();
  await until(client, () => client.cursor.split(".")[0] !== before.split(".")[0]);
  const { operations } = await read("snapshot");
  assert.deepEqual(client.operations().map(({ id }) => id), operations.map(({ id }) => id));
});

test("a client that is stopped asks no more, whatever it was at", async () => {
  let asked = 0;
  const client = await device({ transport: "poll", fetch: (...args) => ((asked += 1), fetch(...args)) });
  await until(client, () => client.cursor !== null);
  const stopping = new Promise((resolve) => client.on("frame", () => resolve(client.stop())));
  await control("order");
  await stopping;
  const before = asked;
  await control("order");
  await control("order");
  assert.equal(asked, before);
});

test("a device that was away goes on where it was", async (t) => {
  const storage = new MemoryStorage();
  const first = await device({ storage });
  await until(first, () => first.state === "online" && first.cursor !== null);
  await first.stop();
  const id = await control("order");
  const names = [];
  const again = await device({ storage });
  t.after(() => again.stop());
  assert.equal(again.cursor, first.cursor);
  again.on("frame", (name) => names.push(name));
  await until(again, () => again.operation(id) !== undefined);
  assert.ok(!names.includes("snapshot"), String(names));
  assert.equal(again.device, first.device);
});

test("a place that is no place is given up", async (t) => {
  const storage = new MemoryStorage();
  const first = await device({ storage });
  await until(first, () => first.cursor !== null);
  await first.stop();
  const [key] = (await storage.keys("")).filter((name) => name.endsWith("replica"));
  await storage.set(key, { ...(await storage.get(key)), cursor: "nonsense" });
  const again = await device({ storage });
  t.after(() => again.stop());
  await until(again, () => again.state === "online" && again.cursor !== "nonsense");
});

test("a token that is refused is asked for once more, and then waited for", async (t) => {
  let asked = 0;
  const client = await device({ token: "wrong", onRefused: async () => (asked += 1) < 2 });
  t.after(() => client.stop());
  await until(client, () => client.state === "refused");
  assert.equal(asked, 2);
});

test("a hole is seen and mended", async (t) => {
  const hole = `event: batch\ndata: {"from":"x.1","to":"x.2","events":[]}\n\n`;
  let holes = 1;
  const broken = async (url, request) => {
    const response = await fetch(url, request);
    if (!url.endsWith("/events") || holes === 0 || !request.headers["Last-Event-ID"]) return response;
    holes -= 1;
    return new Response(hole, { headers: { "Content-Type": "text/event-stream" } });
  };
  const storage = new MemoryStorage();
  const first = await device({ storage });
  await until(first, () => first.cursor !== null);
  await first.stop();
  const names = [];
  const client = await device({ storage, fetch: broken });
  t.after(() => client.stop());
  client.on("frame", (name) => names.push(name));
  await until(client, () => names.includes("snapshot"));
  assert.equal(client.gaps, 1);
});

test("events are read as the standard says, wherever the bytes are cut", async () => {
  const text = "\uFEFF: a comment\r\nevent: one\r\ndata: perché\ndata:x\n\nid: 7\ndata: {}\n\ndata: no end";
  const bytes = new TextEncoder().encode(text.slice(1));
  for (let size = 1; size < bytes.length; size += 1) {
    const chunks = [];
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.slice(at, at + size));
    const found = [];
    for await (const event of events(ReadableStream.from(chunks))) found.push(event);
    assert.deepEqual(found, [{ event: "one", data: "perché\nx" }, { event: "message", data: "{}" }], `by ${size}`);
  }
});

test("a snapshot in parts counts at its end, and one that is cut leaves what there was", async (t) => {
  const order = (id) => ({ id, state: "completed", created_at: id });
  const part = (id) => `event: snapshot_part\ndata: ${JSON.stringify({ operations: [order(id)] })}\n\n`;
  const end = `event: snapshot_end\ndata: {"cursor":"e.5"}\n\n`;
  const bodies = [part("a"), part("b") + part("c") + end];
  const parts = async (url, request) => {
    const body = url.endsWith("/events") && bodies.shift();
    if (!body) return new Promise((_, reject) => request.signal.addEventListener("abort", reject));
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  };
  const client = await device({ fetch: parts, transport: "sse" });
  t.after(() => client.stop());
  await until(client, () => client.cursor === "e.5");
  assert.deepEqual(client.operations().map(({ id }) => id), ["c", "b"]);
});

test("an event that is older than the answer to a write takes nothing back", () => {
  const order = (version) => ({ id: "o", version, state: "editing", content: {}, created_at: "1" });
  const replica = Replica.from({ cursor: "e.1", operations: [], pending_orders: [order(3)] });
  const event = (seq, version) => ({ type: "pending_order.updated", seq, at: "2", pending_order: "o", version, state: "editing", content: {} });
  replica.apply({ to: "e.3", events: [event(2, 2)] });
  assert.equal(replica.pendingOrders.get("o").version, 3);
  replica.apply({ to: "e.4", events: [event(4, 4)] });
  assert.equal(replica.pendingOrders.get("o").version, 4);
});
