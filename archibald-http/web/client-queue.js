// Writes that wait for the network: kept on the device, sent in order, each with one key for all its tries.

import { NotSentError, packed, unpacked } from "./client-errors.js";

const LIMIT = 1000; // writes that may wait; far more than a day without network brings

/**
 * A device's unsent writes, in the order in which they were made.
 *
 * `send(item)` answers `{ done: value }`, `{ refused: error }` or `{ later: ms }`; null stands for "not until
 * `kick()`". An item that `follows` another one is sent with what that one's answer was, or not at all.
 * Pages of one browser share the storage: a lock lets one of them send, and a channel tells the others.
 */
export class Queue {
  items = [];
  #storage;
  #prefix;
  #send;
  #onChange;
  #onSettled;
  #pace;
  #waiting = new Map();
  #channel;
  #failures = 0;
  #timer;
  #draining = false;
  #again = false;
  #closed = false;
  #keeping = new Set();
  #gone = new Set();
  #settling = new Set();

  constructor({ storage, prefix, send, onChange, onSettled, pace }) {
    this.#storage = storage;
    this.#prefix = `${prefix}queue/`;
    this.#send = send;
    this.#onChange = onChange;
    this.#onSettled = onSettled;
    this.#pace = pace;
    if (typeof BroadcastChannel === "undefined" || !globalThis.navigator?.locks) return;
    this.#channel = new BroadcastChannel(this.#prefix);
    this.#channel.addEventListener("message", ({ data }) => this.#told(data));
  }

  /** What was kept by an earlier page, or by another one. What is just being kept or settled here is known better. */
  async load() {
    const keys = await this.#storage.keys(this.#prefix);
    const kept = await Promise.all(keys.map((key) => this.#storage.get(key)));
    const own = this.items.filter(({ id }) => this.#keeping.has(id));
    const isOther = (item) => item && !this.#keeping.has(item.id) && !this.#gone.has(item.id);
    this.items = [...kept.filter(isOther), ...own].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Adds one; answers with its outcome, which is long after where the network is. Kept before it answers. */
  async add(item) {
    if (this.items.length >= LIMIT) throw new Error(`${LIMIT} writes wait already: get online first`);
    this.items.push(item);
    const outcome = new Promise((resolve, reject) => this.#waiting.set(item.id, { resolve, reject }));
    outcome.catch(() => {});
    await this.#keep(item);
    this.kick();
    return { outcome };
  }

  /** Changes one that was not sent yet. */
  async replace(item) {
    this.items = this.items.map((known) => (known.id === item.id ? item : known));
    await this.#keep(item);
    return { outcome: this.outcomeOf(item.id) };
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
    this.#locked(() => this.#drain()).finally(() => {
      this.#draining = false;
      if (this.#again) {
        this.#again = false;
        this.kick();
      }
    });
  }

  /** The outcome of one is known: its own answer, or an event that its write caused. The first one counts. */
  async settle({ id }, { done, refused }) {
    const item = this.items.find((known) => known.id === id);
    if (!item || this.#settling.has(id)) return;
    this.#settling.add(id);
    await this.#onSettled(item, { done, refused });
    // Gone and answered in one go: whoever writes next knows what came of this one.
    const forgotten = this.#forget(item);
    this.#answer(id, { done, refused });
    this.#settling.delete(id);
    const follower = this.items.find(({ follows }) => follows === id);
    if (follower && !refused) await this.replace({ ...follower, follows: null, base: done?.version ?? follower.base });
    if (follower && refused) await this.settle(follower, { refused: new NotSentError(refused) });
    await forgotten;
    this.#channel?.postMessage({ settled: item, done, refused: packed(refused) });
    this.#changed();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#channel?.close();
  }

  async #drain() {
    if (this.#channel) await this.load();
    for (let item = this.items[0]; item && !this.#closed; item = this.items[0]) {
      if (!item.sent) {
        item = { ...item, sent: true };
        await this.replace(item);
      }
      const { done, refused, later } = await this.#send(item);
      if (later === undefined) {
        this.#failures = 0;
        await this.settle(item, { done, refused });
        continue;
      }
      if (later !== null) this.#retryIn(later);
      return;
    }
  }

  #retryIn(ms) {
    this.#failures += 1;
    const backOff = Math.min(this.#pace.longest, this.#pace.base * 2 ** (this.#failures - 1));
    const pause = Math.max(ms, backOff * (0.5 + Math.random() / 2));
    this.#timer = setTimeout(() => this.kick(), pause);
  }

  async #keep(item) {
    this.#keeping.add(item.id);
    try {
      await this.#storage.set(this.#prefix + item.id, item);
    } finally {
      this.#keeping.delete(item.id);
    }
    this.#changed();
  }

  async #forget({ id }) {
    this.#gone.add(id);
    this.items = this.items.filter((item) => item.id !== id);
    await this.#storage.delete(this.#prefix + id);
  }

  #changed() {
    this.#channel?.postMessage({ changed: true });
    this.#onChange();
  }

  /** Another page of this device wrote something, or what became of a write. */
  async #told({ settled, done, refused }) {
    if (settled) {
      const outcome = { done, refused: unpacked(refused) };
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
