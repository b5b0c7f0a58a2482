// What the board makes of what it is told: rows, sums, causes, history.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Board, ROWS, groupOf } from "../../web/board-data.js";
import { History, SPANS, ends, percentile, waitsOf } from "../../web/board-history.js";

const at = (second) => new Date(Date.UTC(2026, 10, 22, 8, 0, second)).toISOString();
const id = (number) => `00000000-0000-7000-8000-${String(number).padStart(12, "0")}`;

function row(number, state, more = {}) {
  return { id: id(number), agent: "nancy", kind: "submit-order", class: "interactive", state, created_at: at(number), run_at: at(number), attempts: 0, ...more };
}

function event(number, type, state, second, more = {}) {
  return { type: `operation.${type}`, operation: id(number), kind: "submit-order", class: "interactive", state, at: at(second), ...more };
}

function board(...operations) {
  const board = new Board();
  board.follow(["janet", "nancy"]);
  board.replace("nancy", operations);
  return board;
}

test("an operation is followed from its first event to its end", () => {
  const known = board();
  known.take("nancy", event(1, "queued", "available", 0, { run_at: at(0) }));
  assert.deepEqual(known.select({ state: "available" }).map((row) => row.id), [id(1)]);
  known.take("nancy", event(1, "started", "running", 3, { worker: "w1", step: "act", attempt: 1 }));
  known.progress({ operation: id(1), step: "act", done: 1, total: 3, text: "line 1 of 3" });
  assert.equal(known.rows.get(id(1)).progress.text, "line 1 of 3");
  known.take("nancy", event(1, "completed", "completed", 5, { result: { order: "1042" } }));
  const [row] = known.select({});
  assert.deepEqual([row.state, row.result, row.worker, row.step, row.progress], ["completed", "1042", "w1", undefined, undefined]);
  const bar = known.history.bars("hour", Date.parse(at(5))).at(-1);
  assert.deepEqual([bar.completed, ends(bar), [...bar.waits.values()]], [1, 1, [1]]);
  const wait = percentile(bar.waits, 0.5);
  assert.ok(wait >= 3000 && wait <= 3600, `${wait}`);
});

test("the newest goes first, and an agent's list replaces what was known of that agent alone", () => {
  const known = board(row(1, "available"), row(3, "available"));
  known.replace("janet", [{ ...row(2, "running"), agent: "janet" }]);
  assert.deepEqual(known.select({}).map((row) => row.id), [id(3), id(2), id(1)]);
  known.replace("nancy", [row(4, "completed")]);
  assert.deepEqual(known.select({}).map((row) => row.id), [id(4), id(2)]);
  known.follow(["nancy"]);
  assert.deepEqual(known.select({}).map((row) => row.id), [id(4)]);
});

test("older operations join those that are known, of which the streams know better, and stay when they come anew", () => {
  const known = board(row(9, "available"), row(8, "failed"));
  const older = (number, state) => ({ ...row(number, state), attempts: [{ started_at: at(number), worker: "w2" }], problem: { detail: "no such customer" } });
  known.take("nancy", event(7, "queued", "available", 20));
  assert.equal(known.addOlder([older(8, "running"), older(7, "failed"), older(2, "rejected"), older(1, "failed"), { ...older(3, "failed"), agent: "gone" }]), 2);
  assert.deepEqual(known.select({}).map(({ id, state }) => [id, state]), [[id(9), "available"], [id(8), "failed"], [id(7), "available"], [id(2), "rejected"], [id(1), "failed"]]);
  const { worker, attempts, problem, created } = known.rows.get(id(2));
  assert.deepEqual([worker, attempts, problem, created], ["w2", 1, "no such customer", Date.parse(at(2))]);
  // One of them is started again, and the connection breaks while it waits.
  known.take("nancy", event(1, "queued", "available", 30));
  assert.equal(known.rows.get(id(1)).state, "available");
  known.replace("nancy", [row(9, "completed")]);
  assert.deepEqual(known.select({}).map(({ id, state }) => [id, state]), [[id(9), "completed"], [id(2), "rejected"]]);
});

test("older ones are read page by page, past those that are known, and no more than the board keeps", async (t) => {
  Object.assign(globalThis, { addEventListener() {}, document: { documentElement: {}, querySelectorAll: () => [] } });
  t.mock.method(console, "warn", () => {});
  const { Older } = await import("../../web/board-older.js");
  const page = (last) => Array.from({ length: 200 }, (_, at) => ({ ...row(last - at, "failed"), attempts: [] }));
  const pages = { none: page(20_000), a: page(300), b: page(100) };
  const asked = [];
  t.mock.method(globalThis, "fetch", async (path) => {
    const query = new URL(path, "http://server").searchParams;
    asked.push(["agent", "state", "kind", "after"].map((name) => query.get(name)));
    const after = query.get("after") ?? "none";
    return new Response(JSON.stringify({ items: pages[after], next: { none: "a", a: "b" }[after] }));
  });
  const known = board(...Array.from({ length: ROWS - 300 }, (_, at) => row(20_000 - at, "failed")));
  const [said, button] = [{}, { addEventListener() {}, setAttribute() {}, removeAttribute() {} }];
  const older = new Older({ button, said, list: {}, board: known, filter: { value: { agent: "nancy", state: "failed", kind: "", text: "" } }, onMore() {} });
  await older.more();
  assert.deepEqual([known.order.length, said.textContent, button.hidden], [ROWS - 100, "older.read", false]);
  await older.more();
  assert.deepEqual([known.order.length, said.textContent], [ROWS - 100, "older.most"]);
  assert.deepEqual(asked, [["nancy", "failed", null, null], ["nancy", "failed", null, "a"]]);
  // Another filter begins anew, and says nothing of the last one.
  older.filter.value.agent = "";
  older.draw();
  assert.equal(said.textContent, "");
});

test("sums are by agent and of all, and the oldest that is due is known", () => {
  const later = at(3000);
  const known = board(row(1, "available", { run_at: later }), row(2, "available"), row(3, "in_doubt"), row(4, "running"));
  const { all, agents } = known.tally(Date.parse(at(10)));
  assert.deepEqual([all.available, all.in_doubt, all.running, all.oldest.id], [2, 1, 1, id(2)]);
  assert.deepEqual(agents.map(({ name, available }) => [name, available]), [["janet", 0], ["nancy", 2]]);
});

test("failures with the same cause are one, whatever number they name", () => {
  const known = board(
    row(1, "rejected", { problem: "product A0017 is not sold any more" }),
    row(2, "rejected", { problem: "product A0018 is not sold any more" }),
    row(3, "failed", { problem: "the ERP answered 500" }),
    row(4, "completed"),
  );
  const groups = known.problems();
  assert.deepEqual(groups.map(({ count, text }) => [count, text]), [[2, "product … is not sold any more"], [1, "the ERP answered 500"]]);
  assert.equal(known.select({ problem: groups[0].key }).length, 2);
  known.take("nancy", event(1, "queued", "available", 9, { by: "operator" }));
  assert.equal(groupOf(known.rows.get(id(1))), "", "it is on its way again");
});

test("what is over is forgotten before what is not, and there is an end to what is kept", () => {
  const many = Array.from({ length: ROWS + 5 }, (_, number) => row(number, number < 10 && number % 2 ? "available" : "completed"));
  const known = board(...many);
  assert.equal(known.order.length, ROWS);
  assert.equal(known.select({ state: "available" }).length, 5);
});

test("what the server counted before the page was opened is in the charts", () => {
  const history = new History();
  const told = (minute, completed, waits) => ({ at: at(60 * minute), interactive: { completed, waits }, background: { failed: 1 } });
  history.tell([told(0, 3, [[119, 2], [1682, 1]]), told(59, 1, [])]);
  const bars = history.bars("hour", Date.parse(at(60 * 59)));
  assert.deepEqual([bars.length, bars[0].completed, bars[0].failed, bars.at(-1).completed], [60, 3, 1, 1]);
  assert.deepEqual([0.5, 0.99].map((share) => percentile(waitsOf(bars), share)), [119, 1682]);
  assert.equal(ends(history.lastMinute(Date.parse(at(3600)))), 2);
  for (const [span, [minutes, count]] of Object.entries(SPANS)) {
    const bars = history.bars(span, Date.parse(at(60 * 59)));
    const sum = bars.reduce((all, bar) => all + ends(bar), 0);
    assert.deepEqual([span, bars.length, sum], [span, count, 6]);
    assert.ok(minutes * count <= 24 * 60, "no more is kept");
  }
});

test("what the page hears and the server tells again is counted once, and the fuller of both is shown", () => {
  const history = new History();
  const now = Date.parse(at(50));
  const completed = () => history.bars("hour", now).at(-1).completed;
  const tell = (completed) => history.tell([{ at: at(0), interactive: { completed } }]);
  tell(2);
  history.ended(Date.parse(at(20)), "completed");
  assert.equal(completed(), 2, "it may be one of the two");
  tell(3);
  assert.equal(completed(), 3);
  for (const second of [21, 22, 23]) history.ended(Date.parse(at(second)), "completed");
  assert.equal(completed(), 4, "another process ends operations too");
  tell(1);
  assert.equal(completed(), 4, "another process was asked");
});

test("a day is kept and no more", () => {
  const history = new History();
  const day = 24 * 3600;
  history.ended(Date.parse(at(0)), "failed");
  history.tell([{ at: at(60), interactive: { failed: 1 } }]);
  const failed = () => history.bars("day", Date.parse(at(day - 60))).reduce((all, { failed }) => all + failed, 0);
  assert.equal(failed(), 2);
  history.ended(Date.parse(at(day)), "completed");
  history.tell([{ at: at(day + 60), interactive: { completed: 1 } }]);
  assert.equal(failed(), 0);
});

test("a percentile is a value that was there", () => {
  const waits = new Map([[5, 1], [1, 1], [3, 1]]);
  assert.deepEqual([percentile(waits, 0.5), percentile(waits, 0.99), percentile(new Map(), 0.5)], [3, 5, null]);
});
