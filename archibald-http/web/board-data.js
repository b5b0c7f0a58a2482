// What the board knows: operations as rows, what agents do, and what happened. No document here; everything is bounded.

import { History } from "./board-history.js";

export const STATES = ["available", "running", "in_doubt", "failed", "rejected", "completed", "cancelled"];
const FINAL = new Set(["completed", "rejected", "failed", "cancelled"]);

/** Rows that are kept; beyond that the oldest that are over go. */
export const ROWS = 20_000;

export class Board {
  rows = new Map();
  /** All rows, newest first. */
  order = [];
  agents = [];
  overview = null;
  history = new History();

  /** An agent's rows as they are now, in place of those that were known. */
  replace(agent, operations) {
    const now = new Set(operations.map(({ id }) => id));
    // What was over and far back is so still: had it been started again it would be among those.
    const stays = (row) => row.agent !== agent || now.has(row.id) || (row.older && FINAL.has(row.state));
    for (const row of this.order) if (!stays(row)) this.rows.delete(row.id);
    for (const operation of operations) {
      const { older } = this.rows.get(operation.id) ?? {};
      this.rows.set(operation.id, older ? { ...rowOf(operation), older } : rowOf(operation));
    }
    this.sort();
  }

  /** Operations from further back. Of what is known already the streams know better. Answers how many are new. */
  addOlder(operations) {
    const followed = new Set(this.agents);
    const added = operations.filter(({ id, agent }) => !this.rows.has(id) && followed.has(agent));
    for (const operation of added) this.rows.set(operation.id, { ...rowOf(lineOf(operation)), older: true });
    if (added.length) this.sort();
    return added.length;
  }

  /** Agents that are not followed any more are forgotten. */
  follow(agents) {
    this.agents = agents;
    const known = new Set(agents);
    for (const row of this.order) if (!known.has(row.agent)) this.rows.delete(row.id);
    this.sort();
  }

  /** An event of an agent's operation. */
  take(agent, event) {
    if (!event.operation || !event.type.startsWith("operation.")) return;
    const at = Date.parse(event.at);
    let row = this.rows.get(event.operation);
    if (!row) {
      row = rowOf({ id: event.operation, agent, kind: event.kind, class: event.class, state: event.state, created_at: event.at });
      this.rows.set(row.id, row);
      this.insert(row);
    }
    row.state = event.state;
    const take = EVENTS[event.type.slice("operation.".length)];
    take?.(row, event, at, this.history);
    if (row.state !== "running") row.step = row.progress = undefined;
    row.group = undefined;
  }

  progress({ operation, ...progress }) {
    const row = this.rows.get(operation);
    if (row?.state === "running") row.progress = progress;
  }

  /** Rows that a filter lets through, newest first. */
  select({ agent, kind, state, problem, text }) {
    const words = text?.toLowerCase();
    return this.order.filter((row) =>
      (!agent || row.agent === agent) && (!kind || row.kind === kind) && (!state || row.state === state)
      && (!problem || groupOf(row) === problem) && (!words || matches(row, words)));
  }

  /** What each agent does, and all of them together. */
  tally(now = Date.now()) {
    const of = new Map(this.agents.map((name) => [name, emptyTally(name)]));
    const all = emptyTally("");
    for (const row of this.order) {
      const one = of.get(row.agent);
      for (const tally of one ? [one, all] : [all]) count(tally, row, now);
    }
    return { all, agents: [...of.values()] };
  }

  /** Failures and doubts by what went wrong: the most frequent first. */
  problems() {
    const groups = new Map();
    for (const row of this.order) {
      const key = row.state === "completed" ? "" : groupOf(row);
      if (!key) continue;
      const group = groups.get(key) ?? { key, state: row.state, text: row.problem, count: 0, agents: new Set(), last: 0 };
      group.count += 1;
      // Several have only what they share.
      if (group.count > 1 && group.text !== row.problem) group.text = key.slice(key.indexOf(":") + 2);
      group.agents.add(row.agent);
      group.last = Math.max(group.last, row.changed);
      groups.set(key, group);
    }
    return [...groups.values()].sort((a, b) => b.count - a.count || b.last - a.last);
  }

  kinds() {
    return [...new Set(this.order.map(({ kind }) => kind))].sort();
  }

  // Ids are ordered by time, so what is new nearly always goes to the front.
  insert(row) {
    let place = 0;
    while (place < this.order.length && this.order[place].id > row.id) place += 1;
    this.order.splice(place, 0, row);
    if (this.order.length > ROWS) this.forget();
  }

  sort() {
    this.order = [...this.rows.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
    if (this.order.length > ROWS) this.forget();
  }

  forget() {
    let excess = this.order.length - ROWS;
    for (let place = this.order.length - 1; place >= 0 && excess > 0; place -= 1) {
      if (!FINAL.has(this.order[place].state)) continue;
      this.rows.delete(this.order[place].id);
      excess -= 1;
    }
    this.order = this.order.filter(({ id }) => this.rows.has(id));
  }
}

/** What has the same cause has the same key: numbers, ids and quoted texts do not count. Empty where all is well. */
export function groupOf(row) {
  // There are thousands of rows, and few of them change.
  row.group ??= groupKey(row);
  return row.group;
}

function groupKey({ state, problem }) {
  if (!["failed", "rejected", "in_doubt"].includes(state)) return "";
  const plain = (problem ?? "").replace(/"[^"]*"|[0-9a-f]{8}-[0-9a-f-]{27}|\b[A-Z]*\d[\w.:-]*/g, "…");
  return `${state}: ${plain}`.slice(0, 160);
}

const EVENTS = {
  queued: (row, event) => {
    row.runAt = Date.parse(event.run_at ?? event.at);
    row.problem = row.finished = undefined;
  },
  started: (row, event, at, history) => {
    if (!row.started) history.began(at, at - Math.max(row.created, row.runAt));
    row.started ??= at;
    row.began = at;
    row.worker = event.worker;
    row.attempts = event.attempt;
    row.step = event.step;
    row.problem = undefined;
    row.changed = at;
  },
  step: (row, event) => {
    row.step = event.step;
    row.progress = undefined;
  },
  yielded: again,
  retrying: again,
  completed: (row, event, at, history) => {
    row.result = brief(event.result);
    over(row, event, at, history);
  },
  rejected: over,
  failed: over,
  cancelled: over,
  in_doubt: over,
};

function again(row, event, at) {
  row.problem = event.why;
  row.runAt = Date.parse(event.run_at ?? event.at);
  row.changed = at;
}

function over(row, event, at, history) {
  row.problem = event.why ?? event.evidence ?? (event.by && `by ${event.by}`);
  row.finished = row.changed = at;
  history.ended(at, row.state);
}

// A row keeps what the list shows and no more: there are many.
function rowOf(operation) {
  const { id, agent, kind, class: sort, state, worker, attempts = 0, step, progress, problem } = operation;
  const time = (text) => (text ? Date.parse(text) : undefined);
  const created = time(operation.created_at);
  const finished = time(operation.finished_at);
  const started = time(operation.started_at);
  return {
    id, agent, kind, background: sort === "background", state, worker, attempts, step, progress, problem,
    result: brief(operation.result), created, started, began: started, finished,
    runAt: time(operation.run_at) ?? created, changed: finished ?? started ?? created,
  };
}

// An operation as the API has it, in the form of a row of the stream.
function lineOf({ attempts, problem, ...operation }) {
  return { ...operation, attempts: attempts.length, started_at: attempts[0]?.started_at, worker: attempts.at(-1)?.worker, problem: problem?.detail };
}

function brief(result) {
  if (!result) return undefined;
  return result.order ?? result.customer ?? Object.entries(result).map(([name, value]) => `${name} ${value}`).join(", ").slice(0, 80);
}

function matches(row, words) {
  const text = `${row.id} ${row.agent} ${row.kind} ${row.worker ?? ""} ${row.problem ?? ""} ${row.result ?? ""}`;
  return text.toLowerCase().includes(words);
}

function count(tally, row, now) {
  tally[row.state] += 1;
  if (row.state === "running") tally.now = row;
  if (row.state === "available" && row.runAt <= now && (!tally.oldest || row.created < tally.oldest.created)) tally.oldest = row;
}

function emptyTally(name) {
  const tally = { name, now: null, oldest: null };
  for (const state of STATES) tally[state] = 0;
  return tally;
}
