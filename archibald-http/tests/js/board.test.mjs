// What the board makes of what it is told: rows, sums, causes, history.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Board, BUCKET_MS, ROWS, groupOf, percentile } from "../../web/board-data.js";

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
  const bucket = known.bucket(Date.parse(at(5)));
  assert.deepEqual([bucket.completed, bucket.waits], [1, [3000]]);
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
  for (let number = 0; number < 200; number += 1) known.bucket(number * BUCKET_MS);
  assert.ok(known.history.length <= 90);
});

test("a percentile is a value that was there", () => {
  assert.deepEqual([percentile([5, 1, 3], 0.5), percentile([5, 1, 3], 0.99), percentile([], 0.5)], [3, 5, null]);
});
