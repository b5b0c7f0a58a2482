// Where a device keeps what must outlive its page: four methods, so that anything can stand behind them. A fifth,
// `update`, is for storages that several pages share: what is looked at and changed has no other page in between.

/** Keeps nothing beyond the process: for Node, and for browsers that forbid storage. */
export class MemoryStorage {
  #values = new Map();

  async get(key) {
    return structuredClone(this.#values.get(key));
  }

  async set(key, value) {
    this.#values.set(key, structuredClone(value));
  }

  async delete(key) {
    this.#values.delete(key);
  }

  /** `change(value)` answers what it is from now on, or undefined to leave it; answers what it is then. */
  async update(key, change) {
    const next = change(structuredClone(this.#values.get(key)));
    if (next !== undefined) this.#values.set(key, structuredClone(next));
    return structuredClone(this.#values.get(key));
  }

  /** The keys that begin so, in order. */
  async keys(prefix) {
    return [...this.#values.keys()].filter((key) => key.startsWith(prefix)).sort();
  }
}

/** Values by key in IndexedDB. */
export class IndexedDbStorage {
  #opened;

  constructor(name = "archibald") {
    this.#opened = new Promise((resolve, reject) => {
      const request = indexedDB.open(name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore("values");
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  }

  async get(key) {
    return this.#ask("readonly", (values) => values.get(key));
  }

  async set(key, value) {
    await this.#ask("readwrite", (values) => values.put(value, key));
  }

  async delete(key) {
    await this.#ask("readwrite", (values) => values.delete(key));
  }

  async update(key, change) {
    let value;
    await this.#ask("readwrite", (values) => {
      const request = values.get(key);
      request.onsuccess = () => {
        const next = change(request.result);
        value = next ?? request.result;
        if (next !== undefined) values.put(next, key);
      };
      return request;
    });
    return value;
  }

  async keys(prefix) {
    return this.#ask("readonly", (values) => values.getAllKeys(IDBKeyRange.bound(prefix, `${prefix}\uffff`)));
  }

  /** Answers once the transaction is complete, and not only the request. */
  async #ask(mode, ask) {
    const database = await this.#opened;
    return new Promise((resolve, reject) => {
      const transaction = database.transaction("values", mode);
      const request = ask(transaction.objectStore("values"));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  }
}

/** Values by name that are read without waiting, and kept as they are set; `onUnkept` hears where that fails. */
export class Records {
  #values = new Map();
  #storage;
  #prefix;
  #onUnkept;
  #setting = new Map(); // how many times a name is just being set

  constructor(storage, prefix, onUnkept) {
    this.#storage = storage;
    this.#prefix = prefix;
    this.#onUnkept = onUnkept;
  }

  /** What an earlier page kept, or another one just now. */
  async load() {
    const keys = await this.#storage.keys(this.#prefix);
    const kept = await Promise.all(keys.map(async (key) => [key.slice(this.#prefix.length), await this.#storage.get(key)]));
    const values = new Map(kept.filter(([name, value]) => value !== undefined && !this.#setting.has(name)));
    for (const name of this.#setting.keys()) if (this.#values.has(name)) values.set(name, this.#values.get(name));
    this.#values = values;
  }

  get(name) {
    return this.#values.get(name);
  }

  names() {
    return [...this.#values.keys()];
  }

  /** Undefined forgets it. */
  async set(name, value) {
    const key = this.#prefix + name;
    const isNew = !this.#values.has(name);
    if (value === undefined) this.#values.delete(name);
    else this.#values.set(name, value);
    if (value === undefined && isNew) return;
    const keeping = value === undefined ? this.#storage.delete(key) : this.#storage.set(key, value);
    this.#setting.set(name, (this.#setting.get(name) ?? 0) + 1);
    await keeping.catch(this.#onUnkept);
    const left = this.#setting.get(name) - 1;
    if (left > 0) this.#setting.set(name, left);
    else this.#setting.delete(name);
  }
}

/** The best that there is here. */
export async function defaultStorage(name) {
  if (typeof indexedDB === "undefined") return new MemoryStorage();
  const storage = new IndexedDbStorage(name);
  return storage.keys("").then(() => storage, () => new MemoryStorage());
}
