import assert from "node:assert/strict";
import { test } from "node:test";
import { ConflictError, MemoryStorage, NotSentError, ProblemError } from "../../web/client.js";
import { Line, device, read, until } from "./bench.mjs";

const content = (customer, ...products) => ({ customer, lines: products.map((product) => ({ product, quantity: 1 })) });

/** What the server has of this customer. */
async function kept(customer) {
  const { items } = await read("pending-orders?limit=500");
  return items.filter((order) => order.content.customer === customer);
}

test("what is written without a network arrives once, in order, when it is there again", async (t) => {
  const line = await Line.open();
  line.down = true;
  const client = await device({ base: line.url });
  t.after(() => (line.close(), client.stop()));
  const { id, outcome } = await client.create(content("OFFLINE", "A1"));
  await client.edit(id, content("OFFLINE", "A1", "A2", "A3"));
  await client.edit(id, content("OFFLINE", "A1", "A2"));
  const { outcome: submitted } = await client.submit(id);
  assert.equal(client.pendingOrder(id).state, "submitting");
  assert.equal(client.unsent, 3, "an edit joins one that was not sent yet");
  line.down = false;
  const order = await outcome;
  const operation = await submitted;
  assert.equal(client.pendingOrder(id).id, order.id, "the name that it had here still leads to it");
  const [found, ...others] = await kept("OFFLINE");
  assert.deepEqual([others.length, found.id, found.state, found.operation], [0, order.id, "submitting", operation.id]);
  assert.equal(found.content.lines.length, 2);
  assert.equal(client.unsent, 0);
});

test("what is written arrives once although the answers are lost", async (t) => {
  const line = await Line.open();
  const storage = new MemoryStorage();
  const first = await device({ base: line.url, storage });
  await until(first, () => first.cursor !== null);
  line.loseAnswers = true;
  for (let n = 0; n < 5; n += 1) await first.create(content("LOST", `A${n}`));
  const { outcome } = await first.enqueue("submit-order", { customer: "LOST" });
  await until(first, () => first.unsent < 6);
  await first.stop();
  // The page was closed with writes under way; another one takes them up.
  const second = await device({ base: line.url, storage });
  t.after(() => (line.close(), second.stop()));
  line.loseAnswers = false;
  await until(second, () => second.unsent === 0);
  const products = (await kept("LOST")).map((order) => order.content.lines[0].product);
  assert.deepEqual(products.sort(), ["A0", "A1", "A2", "A3", "A4"]);
  const { items } = await read("operations?limit=500");
  assert.equal(items.filter(({ payload }) => payload.customer === "LOST").length, 1);
  void outcome;
});

test("what a snapshot shows has arrived, though no answer and no event said so", async (t) => {
  const line = await Line.open();
  const storage = new MemoryStorage();
  const first = await device({ base: line.url, storage });
  first.disconnect();
  line.loseAnswers = true;
  await first.create(content("SHOWN"));
  for (const end = Date.now() + 30_000; (await kept("SHOWN")).length === 0; ) assert.ok(Date.now() < end, "it did not arrive");
  await first.stop();
  const second = await device({ storage, base: line.url });
  t.after(() => (line.close(), second.stop()));
  await until(second, () => second.unsent === 0);
  assert.equal((await kept("SHOWN")).length, 1);
});

test("two devices that edit the same order do not overwrite each other", async (t) => {
  const [tablet, phone] = [await device(), await device()];
  t.after(() => (tablet.stop(), phone.stop()));
  const { id, version } = await (await tablet.create(content("BOTH"))).outcome;
  await until(phone, () => phone.pendingOrder(id)?.version === version);
  await (await tablet.edit(id, content("BOTH", "T"), version)).outcome;
  const { outcome } = await phone.edit(id, content("BOTH", "P"), version);
  const error = await outcome.then(() => null, (refused) => refused);
  assert.ok(error instanceof ConflictError);
  assert.deepEqual(error.mine, content("BOTH", "P"));
  assert.deepEqual(error.theirs.content, content("BOTH", "T"));
  const { conflict, content: shown } = phone.pendingOrder(id);
  assert.deepEqual([shown, conflict.theirs.version], [content("BOTH", "P"), version + 1], "typing is kept");
  // Typing goes on, and the end of it is a choice.
  await phone.edit(id, content("BOTH", "P", "Q"), version);
  assert.deepEqual(phone.pendingOrder(id).conflict.mine, content("BOTH", "P", "Q"));
  await (await phone.resolveConflict(id, content("BOTH", "T", "P", "Q"))).outcome;
  assert.equal(phone.pendingOrder(id).conflict, undefined);
  await until(tablet, () => tablet.pendingOrder(id).content.lines.length === 3);
  assert.deepEqual((await kept("BOTH"))[0].content, content("BOTH", "T", "P", "Q"));
});

test("a conflict outlives the page", async (t) => {
  const storage = new MemoryStorage();
  const [tablet, phone] = [await device(), await device({ storage })];
  const { id, version } = await (await tablet.create(content("LATER"))).outcome;
  await (await tablet.edit(id, content("LATER", "T"), version)).outcome;
  await (await phone.edit(id, content("LATER", "P"), version)).outcome.catch(() => {});
  await Promise.all([tablet.stop(), phone.stop()]);
  const again = await device({ storage });
  t.after(() => again.stop());
  assert.deepEqual(again.pendingOrder(id).conflict.mine, content("LATER", "P"));
  await again.resolveConflict(id, again.pendingOrder(id).conflict.theirs.content);
  assert.equal(again.pendingOrder(id).conflict, undefined);
});

test("typing while a write is on its way goes on from it", async (t) => {
  const client = await device();
  t.after(() => client.stop());
  const { id, version } = await (await client.create(content("TYPING"))).outcome;
  const outcomes = [];
  for (let n = 1; n <= 20; n += 1) {
    const products = Array.from({ length: n }, (_, at) => `A${at}`);
    outcomes.push((await client.edit(id, content("TYPING", ...products), version)).outcome);
  }
  await Promise.all(outcomes);
  const products = Array.from({ length: 20 }, (_, at) => `A${at}`);
  assert.deepEqual((await kept("TYPING")).map((order) => order.content), [content("TYPING", ...products)]);
  assert.equal(client.unsent, 0);
});

test("what the server refuses comes back as it was, with what followed from it, and stops nothing else", async (t) => {
  const line = await Line.open();
  line.down = true;
  const client = await device({ base: line.url });
  t.after(() => (line.close(), client.stop()));
  const refusals = [];
  client.on("refused", ({ error }) => refusals.push(error));
  const { id, outcome } = await client.create({ customer: "x".repeat(300), lines: [] });
  const { outcome: submitted } = await client.submit(id);
  const { outcome: other } = await client.create(content("FINE"));
  line.down = false;
  await assert.rejects(outcome, (error) => error instanceof ProblemError && error.status === 422);
  await assert.rejects(submitted, NotSentError);
  assert.equal((await other).content.customer, "FINE");
  assert.equal(refusals.length, 2);
  assert.equal(client.unsent, 0);
});

test("an order that never left the device is forgotten without a word to the server", async (t) => {
  const line = await Line.open();
  line.down = true;
  const client = await device({ base: line.url });
  t.after(() => (line.close(), client.stop()));
  const first = await client.create(content("BLOCKS"));
  const { id } = await client.create(content("NEVER"));
  await client.edit(id, content("NEVER", "A1"));
  await client.discard(id);
  assert.equal(client.pendingOrder(id), undefined);
  line.down = false;
  await first.outcome;
  assert.deepEqual(await kept("NEVER"), []);
});

test("deleting what is gone already is done", async (t) => {
  const [tablet, phone] = [await device(), await device()];
  t.after(() => (tablet.stop(), phone.stop()));
  const { id, version } = await (await tablet.create(content("GONE"))).outcome;
  await until(phone, () => phone.pendingOrder(id));
  await (await tablet.discard(id, version)).outcome;
  await (await phone.discard(id, version)).outcome;
  await until(phone, () => !phone.pendingOrder(id));
  assert.deepEqual(await kept("GONE"), []);
});
