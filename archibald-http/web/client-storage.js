// Where a device keeps what must outlive its page: four methods, so that anything can stand behind them.

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

/** The best that there is here. */
export async function defaultStorage(name) {
  if (typeof indexedDB === "undefined") return new MemoryStorage();
  const storage = new IndexedDbStorage(name);
  return storage.keys("").then(() => storage, () => new MemoryStorage());
}
