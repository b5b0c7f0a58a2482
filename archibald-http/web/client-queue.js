// Writes that wait for the network: kept on the device, sent in order, each with one key for all its tries.

import { NotSentError, packed, unpacked } from "./client-errors.js";

const LIMIT = 1000; // writes that may wait; far more than a day without network brings

/**
 * A device's unsent writes, in the order in which they were made.
 *
 * `send(item)` answers `{ done: value }`, `{ refused: error }` or `{ later: ms }`; null stands for "not until
 * `kick()`". An item that `follows` another one is sent with what that one's answer was, or not at all.
 * `onSettled(item, outcome)` is done before an item is forgotten; where it throws, the item is tried again.
 * Pages of one browser share the storage: a lock lets one of them send, and a channel tells the others.
 */
export class Queue {
  items = [];
  #storage;
  #prefix;
  #send;
  #onChange;
  #onSettled;
  #onUnkept;
  #pace;
  #waiting = new Map();
  #channel;
  #failures = 0;
  #timer;
  #draining = false;
  #again = false;
  #closed = false;
  #keeping = new Map(); // how many writes of an item are on their way to the storage
  #loads = new Set(); // of each that reads the storage: what was being kept since it began
  #unkept = new Set();
  #gone = new Set();
  #doomed = new Set(); // refused, or built on what was
  #settling = new Map();

  constructor({ storage, prefix, send, onChange, onSettled, onUnkept = () => {}, pace }) {
    this.#storage = storage;
    this.#prefix = `${prefix}queue/`;
    this.#send = send;
    this.#onChange = onChange;
    this.#onSettled = onSettled;
    this.#onUnkept = onUnkept;
    this.#pace = pace;
    if (typeof BroadcastChannel === "undefined" || !globalThis.navigator?.locks) return;
    this.#channel = new BroadcastChannel(this.#prefix);
    this.#channel.addEventListener("message", ({ data }) => this.#told(data));
  }

  /** What was kept by an earlier page, or by another one. What is kept or settled here meanwhile is known better. */
  async load() {
    const keptSince = new Set(this.#keeping.keys());
    this.#loads.add(keptSince);
    const kept = await this.#kept().finally(() => this.#loads.delete(keptSince));
    const isOwn = ({ id }) => keptSince.has(id) || this.#unkept.has(id);
    const isOther = (item) => item && !isOwn(item) && !this.#gone.has(item.id);
    this.items = [...kept.filter(isOther), ...this.items.filter(isOwn)].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /**
   * Adds one; answers with its outcome, which is long after where the network is. Kept before it answers; where
   * that fails it is sent from memory all the same, and `onUnkept` says so. One that is here already stays as it is.
   */
  async add(item) {
    if (this.items.length >= LIMIT) throw new Error(`${LIMIT} writes wait already: get online first`);
    if (this.items.some(({ id }) => id === item.id)) return { outcome: this.outcomeOf(item.id) };
    this.items = [...this.items, item].sort((a, b) => (a.id < b.id ? -1 : 1));
    const outcome = this.outcomeOf(item.id);
    await this.#keep(item);
    this.kick();
    return { outcome };
  }

  /** Whether it was refused, or what it builds on, though that is just being kept: nothing can build on it. */
  isDoomed({ id }) {
    return this.#doomed.has(id);
  }

  /** Whether one can still be changed, as far as this page knows. */
  mayJoin({ id, sent }) {
    return !sent && !this.#settling.has(id);
  }

  /**
   * Changes what one says that was not sent yet. Null where another page has sent it or seen its end meanwhile:
   * then it is for a write of its own.
   */
  async join(item, body) {
    this.#change(item.id, { body });
    const outcome = this.outcomeOf(item.id);
    if (this.#unkept.has(item.id)) {
      this.#onChange();
      return { outcome };
    }
    let joined = false;
    const kept = await this.#update(item.id, (kept) => {
      joined = kept !== undefined && !kept.sent;
      return joined ? { ...kept, body } : undefined;
    });
    if (joined) return { outcome };
    if (kept) this.#change(item.id, kept);
    else this.items = this.items.filter(({ id }) => id !== item.id);
    return null;
  }

  /** Withdraws one that was not sent. */
  async remove(item) {
    await this.#forget(item);
    this.#answer(item.id, { done: null });
    this.#changed();
  }

  outcomeOf(id) {
    const before = this.#waiting.get(id);
    const outcome = new Promise((resolve, reject) => {
      this.#waiting.set(id, {
        resolve: (value) => (before?.resolve(value), resolve(value)),
        reject: (error) => (before?.reject(error), reject(error)),
      });
    });
    outcome.catch(() => {});
    return outcome;
  }

  /** Sends what waits, now. */
  kick() {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    if (this.#draining) {
      this.#again = true;
      return;
    }
    this.#draining = true;
    const failed = () => this.#closed || this.#retryIn(0);
    this.#locked(() => this.#drain()).catch(failed).finally(() => {
      this.#draining = false;
      if (this.#again) {
        this.#again = false;
        this.kick();
      }
    });
  }

  /**
   * The outcome of one is known: its own answer, or (`heard`) an event that its write caused. The first one
   * counts, and whoever knows it as well waits until it is done.
   */
  settle({ id }, outcome) {
    const item = this.items.find((known) => known.id === id);
    if (this.#settling.has(id) || !item) return this.#settling.get(id) ?? Promise.resolve();
    const doomed = outcome.refused ? this.#chainOf(id) : [];
    for (const id of doomed) this.#doomed.add(id);
    const settling = this.#settleOne(item, outcome).finally(() => {
      this.#settling.delete(id);
      for (const id of doomed) this.#doomed.delete(id);
    });
    this.#settling.set(id, settling);
    return settling;
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#channel?.close();
  }

  async #settleOne(item, { done, refused, heard }) {
    await this.#onSettled(item, { done, refused, heard });
    // Gone and answered in one go: whoever writes next knows what came of this one.
    const forgotten = this.#forget(item);
    this.#answer(item.id, { done, refused });
    const follower = this.items.find(({ follows }) => follows === item.id);
    if (follower && !refused) await this.#free(follower, done?.version);
    if (follower && refused) await this.settle(follower, { refused: new NotSentError(refused) });
    await forgotten;
    if (!this.#closed) this.#channel?.postMessage({ settled: item, done, refused: packed(refused) });
    this.#changed();
  }

  /** One, and what builds on it. */
  #chainOf(id) {
    const chain = [id];
    for (const { id, follows } of this.items) if (chain.includes(follows)) chain.push(id);
    return chain;
  }

  /** It waits for nobody any more. */
  async #free({ id, base }, version = base) {
    const free = { follows: null, base: version };
    this.#change(id, free);
    if (!this.#unkept.has(id)) await this.#update(id, (kept) => kept && { ...kept, ...free });
  }

  async #drain() {
    if (this.#channel) await this.load();
    while (!this.#closed) {
      // An event told the end of one, and what that means, also for what follows it, is just being kept.
      await Promise.all(this.#settling.values());
      let item = this.#next();
      if (!item || this.#closed) return;
      item = await this.#released(item);
      if (!item) continue;
      const { done, refused, later } = await this.#send(item);
      if (later === undefined) {
        await this.settle(item, { done, refused });
        this.#failures = 0;
        continue;
      }
      if (later !== null) this.#retryIn(later);
      return;
    }
  }

  /** The first that waits for no other one. */
  #next() {
    const queued = new Set(this.items.map(({ id }) => id));
    return this.items.find(({ follows }) => !queued.has(follows));
  }

  /** From here on nobody changes it any more; undefined where another page has seen its end. */
  async #released(item) {
    if (item.sent) return item;
    if (!this.#unkept.has(item.id)) {
      item = await this.#update(item.id, (kept) => kept && { ...kept, sent: true });
    }
    if (item) return this.#change(item.id, { ...item, sent: true });
    await this.load();
    return undefined;
  }

  #retryIn(ms) {
    this.#failures += 1;
    const backOff = Math.min(this.#pace.longest, this.#pace.base * 2 ** (this.#failures - 1));
    const pause = Math.max(ms, backOff * (0.5 + Math.random() / 2));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.kick(), pause);
  }

  /** Changes it in memory; answers what it is now. */
  #change(id, change) {
    this.items = this.items.map((known) => (known.id === id ? { ...known, ...change } : known));
    return this.items.find((known) => known.id === id);
  }

  async #keep(item) {
    try {
      await this.#while(item.id, () => this.#storage.set(this.#prefix + item.id, item));
    } catch (error) {
      this.#unkept.add(item.id);
      this.#onUnkept(error);
    }
    this.#changed();
  }

  async #kept() {
    const keys = await this.#storage.keys(this.#prefix);
    return Promise.all(keys.map((key) => this.#storage.get(key)));
  }

  /** Looks at what is kept and changes it, with no other page in between; answers what is kept then. */
  async #update(id, change) {
    const key = this.#prefix + id;
    const updated = await this.#while(id, async () => {
      if (this.#storage.update) return this.#storage.update(key, change);
      const kept = await this.#storage.get(key);
      const next = change(kept);
      if (next !== undefined) await this.#storage.set(key, next);
      return next ?? kept;
    });
    this.#changed();
    return updated;
  }

  async #while(id, run) {
    this.#keeping.set(id, (this.#keeping.get(id) ?? 0) + 1);
    for (const keptSince of this.#loads) keptSince.add(id);
    try {
      return await run();
    } finally {
      const left = this.#keeping.get(id) - 1;
      if (left > 0) this.#keeping.set(id, left);
      else this.#keeping.delete(id);
    }
  }

  /** Where the storage fails it comes back with the next page, and its key lets it do nothing twice. */
  async #forget({ id }) {
    this.#gone.add(id);
    this.#unkept.delete(id);
    this.items = this.items.filter((item) => item.id !== id);
    await this.#storage.delete(this.#prefix + id).catch(this.#onUnkept);
  }

  #changed() {
    if (!this.#closed) this.#channel?.postMessage({ changed: true });
    this.#onChange();
  }

  /** Another page of this device wrote something, or what became of a write. */
  async #told({ settled, done, refused }) {
    if (settled) {
      const outcome = { done, refused: unpacked(refused), told: true };
      this.#gone.add(settled.id);
      await this.#onSettled(settled, outcome);
      this.#answer(settled.id, outcome);
    }
    await this.load();
    this.#onChange();
    if (!settled && this.items.length > 0) this.kick();
  }

  #answer(id, { done, refused }) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (refused) waiting?.reject(refused);
    else waiting?.resolve(done);
  }

  #locked(run) {
    return this.#channel ? navigator.locks.request(this.#prefix, run) : run();
  }
}
