// What a device shows, kept equal to the server's by its stream.

const FINISHED = new Set(["completed", "rejected", "failed", "cancelled"]);
const MOST_FINISHED = 100; // the snapshot brings 50; more than twice that is of no use on a device
const MOST_DELETED = 1000; // remembered for an answer that is later than the event

/** Operations and pending orders of an agent, and the place in the log that they stand for. */
export class Replica {
  cursor = null;
  operations = new Map();
  pendingOrders = new Map();
  #deleted = new Set();

  static from(kept) {
    const replica = new Replica();
    if (kept) replica.replace(kept);
    return replica;
  }

  /**
   * An order as the answer to an own write shows it. The stream brings the same, whichever comes first. Only one
   * that was just made (`isNew`) may be unknown here: any other one was deleted meanwhile, and stays so.
   */
  answered(order, isNew) {
    const known = this.pendingOrders.get(order.id);
    if (known ? known.version >= order.version : !isNew || this.#deleted.has(order.id)) return;
    this.pendingOrders.set(order.id, order);
  }

  /** It is not there any more. */
  deleted(id) {
    this.pendingOrders.delete(id);
    this.#deleted.add(id);
    if (this.#deleted.size > MOST_DELETED) this.#deleted.delete(this.#deleted.values().next().value);
  }

  /** Everything anew. */
  replace({ cursor, operations, pending_orders: pendingOrders }) {
    this.cursor = cursor;
    this.operations = new Map(operations.map((operation) => [operation.id, operation]));
    this.pendingOrders = new Map(pendingOrders.map((order) => [order.id, order]));
  }

  apply(batch) {
    for (const event of batch.events) this.#applyOne(event);
    this.cursor = batch.to;
    this.#forgetOld();
  }

  progress({ operation, ...progress }) {
    const known = this.operations.get(operation);
    if (known?.state === "running") this.operations.set(operation, { ...known, progress });
  }

  /** What only the operation itself tells and its events do not: payload, attempts, effects, evidence. */
  fill(view) {
    const known = this.operations.get(view.id) ?? view;
    const { payload, attempts, effects, evidence, why, created_at, problem } = view;
    const filled = { ...known, payload, attempts, effects, evidence, created_at };
    if (known.state === view.state) Object.assign(filled, { why, problem: problem ?? known.problem });
    this.operations.set(view.id, filled);
  }

  /** What can be kept, and read back by `from`. */
  kept() {
    const { cursor } = this;
    return { cursor, operations: [...this.operations.values()], pending_orders: [...this.pendingOrders.values()] };
  }

  #applyOne(event) {
    if (event.type.startsWith("operation.")) this.#operation(event);
    else if (event.type === "pending_order.deleted") this.deleted(event.pending_order);
    else if (event.type.startsWith("pending_order.")) this.#pendingOrder(event);
  }

  #operation({ type, at, operation: id, kind, class: class_, state, key, run_at, step, result, why, evidence, by, effect }) {
    const known = this.operations.get(id) ?? { id, created_at: at, attempts: [], effects: [], evidence: [] };
    const next = { ...known, kind, class: class_, state };
    if (type === "operation.step") return this.operations.set(id, { ...next, step });
    for (const field of ["step", "progress", "problem", "why", "result", "finished_at", "waits"]) delete next[field];
    for (const [field, value] of Object.entries({ key, run_at, result })) if (value !== undefined) next[field] = value;
    if (state === "available" && why) next.waits = why;
    if (state === "cancelled") next.problem = { detail: `cancelled by ${by}` };
    else if (state === "in_doubt") next.problem = { detail: evidence };
    else if (FINISHED.has(state) && why) next.problem = { detail: why, ...(effect && { effect }) };
    if (FINISHED.has(state)) next.finished_at = at;
    return this.operations.set(id, next);
  }

  /** A newer one than its event may be here already: the answer to an own write comes by another way. */
  #pendingOrder({ type, at, seq, pending_order: id, ...event }) {
    const known = this.pendingOrders.get(id);
    if (known?.version > event.version) return;
    this.pendingOrders.set(id, { id, ...event, created_at: known?.created_at ?? at, updated_at: at });
  }

  #forgetOld() {
    forgetOldest(this.operations, ({ state }) => FINISHED.has(state), ({ finished_at: at }) => at);
    forgetOldest(this.pendingOrders, ({ state }) => state === "submitted", ({ updated_at: at }) => at);
  }
}

function forgetOldest(map, isOver, at) {
  const over = [...map.values()].filter(isOver);
  if (over.length <= MOST_FINISHED) return;
  over.sort((a, b) => String(at(a)).localeCompare(String(at(b))));
  for (const { id } of over.slice(0, over.length - MOST_FINISHED)) map.delete(id);
}
