// A device of an agent: what it shows stays equal to the server's, and what is written on it gets there once,
// whatever the network does. Works in browsers and in Node, with nothing but what they bring.
//
//   const client = new ArchibaldClient({ base: "https://…", agent: "nancy", token });
//   client.on("change", () => draw(client.pendingOrders(), client.operations()));
//   await client.start();
//   const { id, outcome } = await client.create({ customer: "ALFKI", lines: [] });

import { Caller } from "./client-caller.js";
import { ConflictError, NotSentError, ProblemError, problemOf } from "./client-errors.js";
import { Queue } from "./client-queue.js";
import { Replica } from "./client-replica.js";
import { IndexedDbStorage, MemoryStorage, Records, defaultStorage } from "./client-storage.js";
import { PACE, Stream } from "./client-stream.js";

export { ConflictError, IndexedDbStorage, MemoryStorage, NotSentError, ProblemError };

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
 * @property {(who: "nobody"|"other") => Promise<boolean>} [onRefused] Asked when the server knows the caller no
 *   more (`nobody`), or as somebody who does not reach this agent (`other`): sign in again and answer true, or
 *   answer false, and the client waits for `signedIn()`.
 */

/** Fires `state`, `change`, `frame`, `warning`, `refused`, `renamed` and `unkept`; see `on`. */
export class ArchibaldClient {
  gaps = 0;
  #options;
  #caller;
  #storage;
  #prefix;
  #listeners = new Map();
  #replica = new Replica();
  #queue;
  #stream;
  #running;
  #conflicts; // by pending order: { mine, theirs, at }
  #refusals; // what was typed and not accepted, by pending order: { content, at, of, detail, isNew }
  #aliases; // the name that a pending order had before
  #heirs = new Map(); // by pending order: under which name what was refused is kept, and up to which write
  #edits = Promise.resolve(); // those that are not queued yet: what is asked for after them comes after them
  #versions = new Map(); // by pending order: what the last own write made of it
  #saving;
  #filling = new Set();
  #lastId = 0;
  #stopped = new AbortController();
  #state = "connecting";

  /** @param {Options} options */
  constructor({ base = "", agent, token = null, fetch = globalThis.fetch, space = "", onRefused, ...options }) {
    if (!agent) throw new TypeError("agent is missing");
    this.agent = agent;
    this.#options = { fetch: (...args) => fetch(...args), ...options };
    this.#caller = new Caller({ agent, base, token, onRefused, fetch: this.#options.fetch, signal: this.#stopped.signal });
    const origin = base || globalThis.location?.origin || "";
    this.#prefix = `${[origin, agent, space].filter(Boolean).join(" ")}/`;
  }

  /** Reads what was kept, and connects. */
  async start() {
    this.#storage ??= this.#options.storage ?? (await defaultStorage());
    this.device = await this.#kept("device", () => crypto.randomUUID?.() ?? randomId());
    this.#replica = Replica.from(await this.#storage.get(`${this.#prefix}replica`));
    const records = (name) => new Records(this.#storage, this.#prefix + name, (error) => this.#unkept(error));
    [this.#conflicts, this.#refusals, this.#aliases] = ["conflict/", "refused/", "alias/"].map(records);
    await this.#readRecords();
    this.#queue = new Queue({
      storage: this.#storage,
      prefix: this.#prefix,
      send: (item) => this.#send(item),
      onChange: () => this.#fire("change"),
      onSettled: (item, outcome) => this.#settled(item, outcome),
      onUnkept: (error) => this.#unkept(error),
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
      url: this.#caller.url("events"),
      place: this.#replica.cursor,
      headers: () => this.#caller.headers(),
      onFrame: (name, frame) => this.#frame(name, frame),
      onState: (state) => this.#tell(state),
      onRefused: () => this.#caller.mayTryAgain(),
    });
    this.#stream.run(this.#running.signal);
  }

  /** Ends the connection and keeps everything: for a page that nobody looks at. */
  disconnect() {
    this.#running?.abort();
  }

  /** Comes back at once: the network is there again, or somebody looks who may have signed in elsewhere. */
  wake() {
    if (this.#state === "refused") return this.signedIn();
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

  /** Forgets what the server has too, once it is stopped: what has not arrived and what is to be decided stays. */
  async forget() {
    await this.#storage.delete(`${this.#prefix}replica`);
  }

  /**
   * `state` (connecting, online, stale, offline, refused) · `change` (something is to be drawn anew) ·
   * `frame` (name, frame) · `warning` (event) · `refused` (a write that the server did not accept: { item, error,
   * rescued }, where `rescued` says that its content became a pending order of its own) · `renamed` ({ from, to }:
   * a pending order goes by another id) · `unkept` (the device cannot keep something: it holds as long as the page
   * is open). Returns what ends the listening.
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
   * Pending orders, newest first, as this device means them: with what it has not sent yet (`unsent`), with what
   * another device changed at the same time (`conflict: { mine, theirs }`), and with what the server did not accept
   * (`refused: { detail }`): that is kept here until it is written anew or discarded.
   */
  pendingOrders() {
    if (!this.#queue) return [];
    const ids = [...this.#replica.pendingOrders.keys(), ...this.#conflicts.names(), ...this.#refusals.names()];
    for (const { draft } of this.#queue.items) if (draft) ids.push(draft);
    const own = new Set(ids.map((id) => this.#idOf(id)));
    return [...own].map((id) => this.pendingOrder(id)).filter(Boolean).sort(newestFirst);
  }

  pendingOrder(id) {
    if (!this.#queue) return undefined;
    const own = this.#idOf(id);
    const known = this.#replica.pendingOrders.get(own);
    const items = this.#itemsOf(own);
    const conflict = this.#conflicts.get(own);
    if (items.some(({ verb }) => verb === "delete")) return undefined;
    const written = items.filter(({ body }) => body?.content).at(-1);
    const isOpen = !known || known.state === "editing";
    const refused = isOpen && !written ? this.#refusals.get(own) : undefined;
    if (!known && !written && !conflict && !refused) return undefined;
    const base = known ?? { id: own, state: "editing", created_at: (written ?? conflict ?? refused).at };
    const content = conflict?.mine ?? written?.body.content ?? refused?.content ?? base.content;
    const submitting = items.some(({ verb }) => verb === "submit") && { state: "submitting" };
    const more = refused && { refused: { detail: refused.detail } };
    return { ...base, content, unsent: items.length > 0 || Boolean(refused), conflict, ...more, ...submitting };
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
    const edited = this.#edit(id, content, base);
    this.#edits = Promise.allSettled([this.#edits, edited]);
    return edited;
  }

  async #edit(id, content, base) {
    const own = this.#idOf(id);
    const conflict = this.#conflicts.get(own);
    if (conflict) {
      await this.#setConflict(own, { ...conflict, mine: content });
      return { outcome: Promise.resolve(null) };
    }
    const last = this.#itemsOf(id).at(-1);
    const mayJoin = last && ["create", "edit"].includes(last.verb) && this.#queue.mayJoin(last);
    const joined = mayJoin && (await this.#queue.join(last, { content }));
    if (joined) return joined;
    const refusal = this.#refusals.get(own);
    const verb = refusal?.isNew && this.#itemsOf(id).length === 0 ? "create" : "edit";
    const written = await this.#write({ verb, draft: id, body: { content }, base });
    await this.#refusals.set(own, undefined);
    return written;
  }

  /** Deletes it; one that never left this device is just forgotten. */
  async discard(id, base) {
    await this.#edits;
    const own = this.#idOf(id);
    const refusal = this.#refusals.get(own);
    await this.#setConflict(own, undefined);
    await this.#refusals.set(own, undefined);
    const items = this.#itemsOf(id);
    const unsent = items.filter((item) => this.#queue.mayJoin(item));
    for (const item of unsent.reverse()) await this.#queue.remove(item);
    const isNew = refusal?.isNew || items.some(({ verb }) => verb === "create");
    if (isNew && unsent.length === items.length) {
      this.#fire("change");
      return { outcome: Promise.resolve(null) };
    }
    return this.#write({ verb: "delete", draft: id, base });
  }

  /** Makes an order of it, as the version says that was looked at. */
  async submit(id, base) {
    await this.#edits;
    const refusal = this.#refusals.get(this.#idOf(id));
    if (refusal) await this.#edit(id, refusal.content, base);
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
    await this.#setConflict(own, undefined);
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

  /** A `base` from before the last write of this device, or none, is the version that this made. */
  async #write({ verb, draft = null, body, base, follows }) {
    const own = draft && this.#idOf(draft);
    const latest = Math.max(base ?? 0, this.#versions.get(own) ?? 0) || null;
    return this.#queue.add({
      id: this.#newId(), verb, draft, body, base: latest,
      follows: follows ?? (own && this.#itemsOf(own).at(-1)?.id) ?? null,
      key: randomId(), sent: false, at: new Date().toISOString(),
    });
  }

  /** Asks the server to do what an item says. */
  async #send(item) {
    const { verb, draft, body, base, key, id } = item;
    const own = draft && this.#idOf(draft);
    const [method, path] = {
      create: ["POST", "pending-orders"],
      edit: ["PUT", `pending-orders/${own}`],
      delete: ["DELETE", `pending-orders/${own}`],
      submit: ["POST", `pending-orders/${own}/submit`],
      enqueue: ["POST", "operations"],
    }[verb];
    try {
      const headers = { "Idempotency-Key": key, "X-Device-Id": this.device, "X-Mutation-Id": id };
      if (body) headers["Content-Type"] = "application/json";
      if (base !== null && verb !== "create" && verb !== "enqueue") headers["If-Match"] = `"${base}"`;
      const request = { method, headers, body: body && JSON.stringify(body) };
      return await this.#caller.ask(this.#caller.url(path), request, (response) => this.#understood(response, item));
    } catch {
      return { later: 0 };
    }
  }

  async #understood(response, { verb, body }) {
    const { status } = response;
    if (response.ok) return { done: status === 204 ? null : await response.json() };
    if ([401, 403, 404].includes(status)) {
      const who = await this.#caller.who();
      // 404 is also what somebody hears who does not reach this agent: it says nothing about the order then.
      if (who !== "agent" || status !== 404) return this.#laterFor(who);
    }
    if (status >= 500 || [408, 425, 429].includes(status)) {
      return { later: Number(response.headers.get("Retry-After") ?? 0) * 1000 };
    }
    // Gone, as was wanted: by this device, whose answer was lost, or by another one.
    if (verb === "delete" && status === 404) return { done: null };
    return { refused: await problemOf(response, body?.content) };
  }

  async #laterFor(who) {
    if (await this.#caller.mayTryAgain(who)) return { later: 0 };
    this.#tell("refused");
    return { later: null };
  }

  /** What an outcome means for this device, before anybody hears of it. What another page settled, it has kept. */
  async #settled(item, { done, refused, heard, told }) {
    const { verb, draft } = item;
    if (verb === "create" && done) await this.#rename(draft, done.id);
    if (told) await this.#readRecords();
    const own = draft && this.#idOf(draft);
    if (refused) await this.#refused(item, refused, told);
    else if (verb === "delete") this.#replica.deleted(own);
    else if (done?.version) this.#wrote(own, done, verb === "create" && !heard);
    else if (done?.kind && !this.#replica.operations.has(done.id)) this.#replica.operations.set(done.id, done);
    // Kept as arrived before it is forgotten as unsent: a page that ends in between shows it all the same.
    await this.#save();
  }

  /** An event or a snapshot stands in the replica already, with what came after it. */
  #wrote(own, view, isNew) {
    this.#heirs.delete(own);
    this.#versions.set(own, Math.max(view.version, this.#versions.get(own) ?? 0));
    this.#replica.answered(view, isNew);
  }

  async #refused(item, error, told) {
    const isContent = item.draft && item.body?.content;
    const rescued = Boolean(isContent && isDeletedElsewhere(item, error));
    if (isContent && !told) await this.#keepTyped(item, error);
    this.#fire("refused", { item, error, rescued });
  }

  /**
   * What was typed is never thrown away: the newest content of all that built on the refused write stays beside
   * what there is, or becomes an order of its own where there is nothing any more.
   */
  async #keepTyped(item, error) {
    const own = this.#idOf(item.draft);
    const chain = this.#allOf(own);
    if (chain.some(({ verb }) => verb === "delete")) return;
    if (error instanceof NotSentError && (await this.#keepLate(item, own))) return;
    const newest = chain.filter(({ body }) => body?.content).at(-1) ?? item;
    const { content } = newest.body;
    if (error instanceof ConflictError && error.theirs) {
      await this.#setConflict(own, { mine: content, theirs: error.theirs, at: newest.at });
      return;
    }
    const isEdit = item.verb === "edit";
    const heir = isEdit && [404, 409].includes(error.status) ? `local-${item.key}` : own;
    this.#heirs.set(own, { id: heir, of: newest.id });
    if (isDeletedElsewhere(item, error)) return void (await this.#rescue(item, own, heir, content));
    const isNew = !isEdit || heir !== own;
    await this.#refusals.set(heir, { content, at: newest.at, of: newest.id, detail: error.message, isNew });
  }

  /** Typed while its predecessor was being refused. */
  async #keepLate(item, own) {
    const conflict = this.#conflicts.get(own);
    if (conflict) {
      await this.#setConflict(own, { ...conflict, mine: item.body.content });
      return true;
    }
    const heir = [...this.#heirs].find(([id, { id: name }]) => id === own || name === own)?.[1];
    if (!heir) return false;
    if (item.id <= heir.of) return true;
    heir.of = item.id;
    const refusal = this.#refusals.get(heir.id);
    if (refusal) await this.#refusals.set(heir.id, { ...refusal, content: item.body.content, of: item.id });
    else {
      const begun = this.#itemsOf(heir.id).find(({ verb }) => verb === "create");
      await this.#write({ verb: "edit", draft: heir.id, body: item.body, follows: begun?.id });
    }
    return true;
  }

  /** Its key comes from the write that found nothing: whoever does this again makes no second order. */
  async #rescue({ id, key }, own, draft, content) {
    const body = { content };
    // Under its new name at once, and kept as a write before it is kept as a name.
    const added = this.#queue.add({
      id: `${id}-rescue`, verb: "create", draft, body, base: null, follows: null,
      key: `rescue-${key}`, sent: false, at: new Date().toISOString(),
    });
    this.#replica.deleted(own);
    await Promise.all([added, this.#rename(own, draft)]);
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
    await this.#queue.settle(item, { done: done === undefined ? this.operation(operation) : done, heard: true });
  }

  /** What a snapshot shows arrived too, though its event is not told any more. */
  async #found(order) {
    const { device, mutation } = order.origin ?? {};
    const item = device === this.device && this.#queue.items.find(({ id }) => id === mutation);
    if (item && ["create", "edit"].includes(item.verb)) await this.#queue.settle(item, { done: order, heard: true });
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
    await this.#aliases.set(from, to);
    this.#fire("renamed", { from, to });
  }

  /** What other pages kept of this device. */
  async #readRecords() {
    const before = new Set(this.#aliases.names());
    await Promise.all([this.#conflicts.load(), this.#refusals.load(), this.#aliases.load()]);
    if (!this.#queue) return;
    for (const from of this.#aliases.names()) if (!before.has(from)) this.#fire("renamed", { from, to: this.#aliases.get(from) });
  }

  async #setConflict(id, conflict) {
    await this.#conflicts.set(id, conflict);
    this.#fire("change");
  }

  #unkept(error) {
    this.#fire("unkept", error);
  }

  #idOf(draft) {
    const next = this.#aliases.get(draft);
    return next === undefined ? draft : this.#idOf(next);
  }

  /** What waits of a pending order, and is not refused. */
  #itemsOf(draft) {
    return this.#allOf(draft).filter((item) => !this.#queue.isDoomed(item));
  }

  #allOf(draft) {
    const own = this.#idOf(draft);
    return (this.#queue?.items ?? []).filter((item) => item.draft && this.#idOf(item.draft) === own);
  }

  async #read(path) {
    return this.#caller.ask(this.#caller.url(path), { cache: "no-store" }, answerOf);
  }

  async #post(path) {
    return this.#caller.ask(this.#caller.url(path), { method: "POST", headers: { "X-Device-Id": this.device } }, answerOf);
  }

  #tell(state) {
    this.#state = state;
    this.#fire("state", state);
    if (state === "online") this.#queue.kick();
  }

  #fire(type, ...args) {
    for (const listener of this.#listeners.get(type) ?? []) {
      try {
        listener(...args);
      } catch (error) {
        // Its own fault, for the page to see; nothing of the client ends with it.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
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

  /** Sorts as it was made, also within a millisecond and where the clock was set back. */
  #newId() {
    const queued = this.#queue.items.map(({ id }) => Number.parseInt(id, 10));
    this.#lastId = Math.max(this.#lastId + 1, Date.now() * 1000, ...queued.map((id) => id + 1));
    return `${this.#lastId}-${randomId().slice(0, 8)}`;
  }
}

async function answerOf(response) {
  if (!response.ok) throw await problemOf(response);
  return response.json();
}

function isDeletedElsewhere({ verb }, { status }) {
  return verb === "edit" && status === 404;
}

function newestFirst(a, b) {
  return String(b.created_at).localeCompare(String(a.created_at)) || String(b.id).localeCompare(String(a.id));
}

// crypto.randomUUID is missing where a page comes over plain HTTP from another machine.
function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
