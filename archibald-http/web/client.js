// A device of an agent: what it shows stays equal to the server's, and what is written on it gets there once,
// whatever the network does. Works in browsers and in Node, with nothing but what they bring.
//
//   const client = new ArchibaldClient({ base: "https://…", agent: "nancy", token });
//   client.on("change", () => draw(client.pendingOrders(), client.operations()));
//   await client.start();
//   const { id, outcome } = await client.create({ customer: "ALFKI", lines: [] });

import { ConflictError, NotSentError, ProblemError, problemOf } from "./client-errors.js";
import { Queue } from "./client-queue.js";
import { Replica } from "./client-replica.js";
import { IndexedDbStorage, MemoryStorage, defaultStorage } from "./client-storage.js";
import { PACE, Stream } from "./client-stream.js";

export { ConflictError, IndexedDbStorage, MemoryStorage, NotSentError, ProblemError };

const SEND_TIME = 40_000; // longer than the server takes for any answer: giving up earlier would only ask twice

/**
 * @typedef {object} Options
 * @property {string} agent Whose device this is.
 * @property {string} [base] Where the server is; the page's own origin when absent.
 * @property {string} [token] Sent as a bearer token; without one the browser's session cookie has to do.
 * @property {object} [storage] `get`, `set`, `delete`, `keys`; IndexedDB when absent, memory in Node.
 * @property {string} [space] Tells devices apart that share a storage.
 * @property {typeof fetch} [fetch]
 * @property {"auto"|"sse"|"poll"} [transport]
 * @property {Partial<typeof PACE>} [pace] Times in milliseconds.
 * @property {() => Promise<boolean>} [onRefused] Asked when the server knows the caller no more: sign in again
 *   and answer true, or answer false, and the client waits for `signedIn()`.
 */

/** Fires `state`, `change`, `frame`, `warning`, `refused` and `renamed`; see `on`. */
export class ArchibaldClient {
  gaps = 0;
  #options;
  #storage;
  #prefix;
  #listeners = new Map();
  #replica = new Replica();
  #queue;
  #stream;
  #running;
  #conflicts = new Map();
  #aliases = new Map();
  #saving;
  #filling = new Set();
  #lastId = 0;
  #stopped = new AbortController();
  #state = "connecting";

  /** @param {Options} options */
  constructor({ base = "", agent, token = null, fetch = globalThis.fetch, space = "", onRefused, ...options }) {
    if (!agent) throw new TypeError("agent is missing");
    this.agent = agent;
    this.#options = { base, token, fetch: (...args) => fetch(...args), onRefused: onRefused ?? (async () => false), ...options };
    const origin = base || globalThis.location?.origin || "";
    this.#prefix = `${[origin, agent, space].filter(Boolean).join(" ")}/`;
  }

  /** Reads what was kept, and connects. */
  async start() {
    this.#storage ??= this.#options.storage ?? (await defaultStorage());
    this.device = await this.#kept("device", () => crypto.randomUUID?.() ?? randomId());
    this.#replica = Replica.from(await this.#storage.get(`${this.#prefix}replica`));
    for (const [map, name] of [[this.#conflicts, "conflict/"], [this.#aliases, "alias/"]]) await this.#loadInto(map, name);
    this.#queue = new Queue({
      storage: this.#storage,
      prefix: this.#prefix,
      send: (item) => this.#send(item),
      onChange: () => this.#fire("change"),
      onSettled: (item, outcome) => this.#settled(item, outcome),
      pace: { ...PACE, ...this.#options.pace },
    });
    await this.#queue.load();
    this.#fire("change");
    this.connect();
    this.#queue.kick();
  }

  /** Follows the stream; nothing where it does so already. */
  connect() {
    if (this.#running && !this.#running.signal.aborted) return;
    this.#running = new AbortController();
    this.#stream = new Stream({
      ...this.#options,
      url: this.#url("events"),
      place: this.#replica.cursor,
      headers: () => this.#headers(),
      onFrame: (name, frame) => this.#frame(name, frame),
      onState: (state) => this.#tell(state),
    });
    this.#stream.run(this.#running.signal);
  }

  /** Ends the connection and keeps everything: for a page that nobody looks at. */
  disconnect() {
    this.#running?.abort();
  }

  /** Comes back at once: the network is there again. */
  wake() {
    this.#stream?.wake();
    this.#queue?.kick();
  }

  /** The caller has signed in again. */
  signedIn() {
    this.disconnect();
    this.connect();
    this.#queue.kick();
  }

  /** Ends all of it; what has not arrived is kept, and goes on with the next client of this device. */
  async stop() {
    this.disconnect();
    this.#queue?.close();
    this.#stopped.abort();
    clearTimeout(this.#saving);
    await this.#save();
  }

  /**
   * `state` (connecting, online, stale, offline, refused) · `change` (something is to be drawn anew) ·
   * `frame` (name, frame) · `warning` (event) · `refused` (a write that the server did not accept: { item, error })
   * · `renamed` ({ from, to }: a pending order got its id). Returns what ends the listening.
   */
  on(type, listener) {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  get state() {
    return this.#state;
  }

  get cursor() {
    return this.#replica.cursor;
  }

  /** Writes that have not arrived yet. */
  get unsent() {
    return this.#queue?.items.length ?? 0;
  }

  /** Operations, newest first. */
  operations() {
    return [...this.#replica.operations.values()].sort(newestFirst);
  }

  operation(id) {
    return this.#replica.operations.get(id);
  }

  /**
   * Pending orders, newest first, as this device means them: with what it has not sent yet (`unsent`) and with
   * what another device changed at the same time (`conflict: { mine, theirs }`).
   */
  pendingOrders() {
    const ids = new Set([...this.#replica.pendingOrders.keys(), ...this.#conflicts.keys()]);
    for (const { draft } of this.#queue?.items ?? []) if (draft) ids.add(this.#idOf(draft));
    return [...ids].map((id) => this.pendingOrder(id)).filter(Boolean).sort(newestFirst);
  }

  pendingOrder(id) {
    const own = this.#idOf(id);
    const known = this.#replica.pendingOrders.get(own);
    const items = this.#itemsOf(own);
    const conflict = this.#conflicts.get(own);
    if (items.some(({ verb }) => verb === "delete")) return undefined;
    const written = items.filter(({ body }) => body?.content).at(-1);
    if (!known && !written && !conflict) return undefined;
    const base = known ?? { id: own, state: "editing", created_at: (written ?? conflict).at };
    const content = conflict?.mine ?? written?.body.content ?? base.content;
    const submitting = items.some(({ verb }) => verb === "submit") && { state: "submitting" };
    return { ...base, content, unsent: items.length > 0, conflict, ...submitting };
  }

  /** Begins a pending order: its id at once (it changes when the server has given it one: `renamed`). */
  async create(content) {
    const draft = `local-${randomId()}`;
    const { outcome } = await this.#write({ verb: "create", draft, body: { content } });
    return { id: draft, outcome };
  }

  /**
   * What it says from now on. `base` is the version that the writer looked at; what was written here before and
   * is still on its way goes first. Answers once it is kept here; `outcome` tells what the server said.
   */
  async edit(id, content, base) {
    const conflict = this.#conflicts.get(this.#idOf(id));
    if (conflict) {
      await this.#setConflict(this.#idOf(id), { ...conflict, mine: content });
      return { outcome: Promise.resolve(null) };
    }
    const last = this.#itemsOf(id).at(-1);
    const mayJoin = last && !last.sent && ["create", "edit"].includes(last.verb);
    if (mayJoin) return this.#queue.replace({ ...last, body: { content } });
    return this.#write({ verb: "edit", draft: id, body: { content }, base });
  }

  /** Deletes it; one that never left this device is just forgotten. */
  async discard(id, base) {
    await this.#setConflict(this.#idOf(id), null);
    const items = this.#itemsOf(id);
    const unsent = items.filter(({ sent }) => !sent);
    for (const item of unsent.reverse()) await this.#queue.remove(item);
    const isNew = items.some(({ verb }) => verb === "create") && unsent.length === items.length;
    if (isNew) return { outcome: Promise.resolve(null) };
    return this.#write({ verb: "delete", draft: id, base });
  }

  /** Makes an order of it, as the version says that was looked at. */
  async submit(id, base) {
    return this.#write({ verb: "submit", draft: id, base });
  }

  /** Asks for an operation of any kind. */
  async enqueue(kind, payload) {
    return this.#write({ verb: "enqueue", body: { kind, payload } });
  }

  /** Ends a conflict: what it is to say, made after looking at both. */
  async resolveConflict(id, content) {
    const own = this.#idOf(id);
    const theirs = this.#conflicts.get(own)?.theirs;
    if (!theirs) throw new Error("there is no conflict");
    await this.#setConflict(own, null);
    if (JSON.stringify(content) === JSON.stringify(theirs.content)) return { outcome: Promise.resolve(theirs) };
    return this.edit(own, content, theirs.version);
  }

  /** A page of what the syncs brought: `customers`, `products`, `prices` or `orders`. */
  async rows(collection, query = {}) {
    return this.#read(`${collection}?${new URLSearchParams(query)}`);
  }

  /** All of one operation: with payload, attempts, effects, evidence and why it waits. */
  async fetchOperation(id) {
    const view = await this.#read(`operations/${id}`);
    this.#replica.fill(view);
    this.#fire("change");
    return view;
  }

  async cancel(id) {
    return this.#post(`operations/${id}/cancel`);
  }

  async retry(id) {
    return this.#post(`operations/${id}/retry`);
  }

  async #write({ verb, draft = null, body, base = null }) {
    const id = this.#newId();
    const follows = draft === null ? null : (this.#itemsOf(draft).at(-1)?.id ?? null);
    return this.#queue.add({
      id, verb, draft, body, base, follows, key: randomId(), sent: false, at: new Date().toISOString(),
    });
  }

  /** Asks the server to do what an item says. */
  async #send(item) {
    const { verb, draft, body, base, key, id } = item;
    const headers = { ...(await this.#headers()), "Idempotency-Key": key, "X-Device-Id": this.device, "X-Mutation-Id": id };
    if (body) headers["Content-Type"] = "application/json";
    if (base !== null && verb !== "create" && verb !== "enqueue") headers["If-Match"] = `"${base}"`;
    const own = draft && this.#idOf(draft);
    const [method, path] = {
      create: ["POST", "pending-orders"],
      edit: ["PUT", `pending-orders/${own}`],
      delete: ["DELETE", `pending-orders/${own}`],
      submit: ["POST", `pending-orders/${own}/submit`],
      enqueue: ["POST", "operations"],
    }[verb];
    const signal = AbortSignal.any([AbortSignal.timeout(SEND_TIME), this.#stopped.signal]);
    const request = { method, headers, body: body && JSON.stringify(body), signal };
    try {
      const response = await this.#options.fetch(this.#url(path), request);
      return await this.#understood(response, item);
    } catch {
      return { later: 0 };
    }
  }

  async #understood(response, { verb, body, sent }) {
    const { status } = response;
    if (response.ok) return { done: status === 204 ? null : await response.json() };
    if (status === 401 || status === 403) return { later: (await this.#options.onRefused()) ? 0 : null };
    if (status >= 500 || [408, 425, 429].includes(status)) {
      return { later: Number(response.headers.get("Retry-After") ?? 0) * 1000 };
    }
    // Gone, as was wanted: by this device, whose answer was lost, or by another one.
    if (verb === "delete" && status === 404) return { done: null };
    return { refused: await problemOf(response, body?.content) };
  }

  /** What an outcome means for this device, before anybody hears of it. */
  async #settled(item, { done, refused }) {
    const { verb, draft } = item;
    if (verb === "create" && done) await this.#rename(draft, done.id);
    if (refused) await this.#refused(item, refused);
    else if (done?.version) this.#takeAnswer(done);
    else if (verb === "delete") this.#replica.pendingOrders.delete(this.#idOf(draft));
    else if (done?.kind && !this.#replica.operations.has(done.id)) this.#replica.operations.set(done.id, done);
    // Kept as arrived before it is forgotten as unsent: a page that ends in between shows it all the same.
    await this.#save();
  }

  /** The stream brings the same; whichever comes first. */
  #takeAnswer(view) {
    const known = this.#replica.pendingOrders.get(view.id);
    if (!known || known.version < view.version) this.#replica.pendingOrders.set(view.id, view);
  }

  /** What was typed is never thrown away: what was refused stays beside what there is. */
  async #refused(item, error) {
    const own = item.draft && this.#idOf(item.draft);
    const mine = item.body?.content ?? this.#conflicts.get(own)?.mine;
    if (mine && error instanceof ConflictError) await this.#setConflict(own, { mine, theirs: error.theirs, at: item.at });
    else if (mine && error instanceof NotSentError) {
      const before = this.#conflicts.get(own);
      if (before) await this.#setConflict(own, { ...before, mine });
    }
    this.#fire("refused", { item, error });
  }

  async #frame(name, frame) {
    if (name === "snapshot") {
      this.#replica.replace(frame);
      for (const order of frame.pending_orders) await this.#found(order);
    }
    if (name === "progress") this.#replica.progress(frame);
    if (name === "batch") {
      this.#replica.apply(frame);
      for (const event of frame.events) await this.#heard(event);
    }
    this.gaps = this.#stream.gaps;
    if (name === "snapshot" || name === "batch") this.#saveSoon();
    this.#fire("frame", name, frame);
    this.#fire("change");
  }

  async #heard(event) {
    if (event.type === "warning") this.#fire("warning", event);
    if (event.type === "operation.queued" && !this.operation(event.operation)?.payload) this.#fillSoon(event.operation);
    if (event.origin?.device === this.device) await this.#echo(event);
  }

  /** An event that an own write caused says that it arrived, also where its answer was lost. */
  async #echo({ type, origin, pending_order: id, operation, version, content, state, at }) {
    const item = this.#queue.items.find((known) => known.id === origin.mutation);
    if (!item) return;
    const causes = { create: "pending_order.created", edit: "pending_order.updated", delete: "pending_order.deleted" };
    const cause = causes[item.verb] ?? "operation.queued";
    if (type !== cause) return;
    const order = { id, version, content, state, created_at: at, updated_at: at };
    const done = { create: order, edit: order, delete: null }[item.verb];
    await this.#queue.settle(item, { done: done === undefined ? this.operation(operation) : done });
  }

  /** What a snapshot shows arrived too, though its event is not told any more. */
  async #found(order) {
    const { device, mutation } = order.origin ?? {};
    const item = device === this.device && this.#queue.items.find(({ id }) => id === mutation);
    if (item && ["create", "edit"].includes(item.verb)) await this.#queue.settle(item, { done: order });
  }

  /** Events do not carry what was asked for; it is read once, one after another. */
  #fillSoon(id) {
    this.#filling.add(id);
    if (this.#filling.size > 1) return;
    const next = async () => {
      for (const id of this.#filling) {
        await this.fetchOperation(id).catch(() => {});
        this.#filling.delete(id);
      }
    };
    next();
  }

  async #rename(from, to) {
    if (this.#aliases.get(from) === to) return;
    this.#aliases.set(from, to);
    await this.#storage.set(`${this.#prefix}alias/${from}`, to);
    this.#fire("renamed", { from, to });
  }

  async #setConflict(id, conflict) {
    if (conflict) this.#conflicts.set(id, conflict);
    else if (!this.#conflicts.delete(id)) return;
    const key = `${this.#prefix}conflict/${id}`;
    if (conflict) await this.#storage.set(key, conflict);
    else await this.#storage.delete(key);
    this.#fire("change");
  }

  #idOf(draft) {
    return this.#aliases.get(draft) ?? draft;
  }

  #itemsOf(draft) {
    const own = this.#idOf(draft);
    return (this.#queue?.items ?? []).filter((item) => item.draft && this.#idOf(item.draft) === own);
  }

  async #read(path) {
    const response = await this.#options.fetch(this.#url(path), { headers: await this.#headers(), cache: "no-store" });
    if (!response.ok) throw await problemOf(response);
    return response.json();
  }

  async #post(path) {
    const headers = { ...(await this.#headers()), "X-Device-Id": this.device };
    const response = await this.#options.fetch(this.#url(path), { method: "POST", headers });
    if (!response.ok) throw await problemOf(response);
    return response.json();
  }

  #headers() {
    return this.#options.token ? { Authorization: `Bearer ${this.#options.token}` } : {};
  }

  #url(path) {
    return `${this.#options.base}/v1/agents/${this.agent}/${path}`;
  }

  #tell(state) {
    this.#state = state;
    this.#fire("state", state);
    if (state === "online") this.#queue.kick();
  }

  #fire(type, ...args) {
    for (const listener of this.#listeners.get(type) ?? []) listener(...args);
  }

  /** The place and what it stands for are one record: they cannot come apart. */
  #saveSoon() {
    this.#saving ??= setTimeout(() => this.#save(), 300);
  }

  async #save() {
    clearTimeout(this.#saving);
    this.#saving = undefined;
    await this.#storage.set(`${this.#prefix}replica`, this.#replica.kept()).catch(() => {});
  }

  async #kept(name, make) {
    const key = this.#prefix + name;
    const kept = (await this.#storage.get(key)) ?? make();
    await this.#storage.set(key, kept);
    return kept;
  }

  async #loadInto(map, name) {
    const prefix = this.#prefix + name;
    for (const key of await this.#storage.keys(prefix)) map.set(key.slice(prefix.length), await this.#storage.get(key));
  }

  /** Sorts as it was made, also within a millisecond. */
  #newId() {
    this.#lastId = Math.max(this.#lastId + 1, Date.now() * 1000);
    return `${this.#lastId}-${randomId().slice(0, 8)}`;
  }
}

function newestFirst(a, b) {
  return String(b.created_at).localeCompare(String(a.created_at)) || String(b.id).localeCompare(String(a.id));
}

// crypto.randomUUID is missing where a page comes over plain HTTP from another machine.
function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
