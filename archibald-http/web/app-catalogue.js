// Customers and products, kept on the device: searching is instant, and works without a network.

import { t } from "./i18n.js";

const PAGE = 500;
const MOST = 5_000; // of one collection; what has more is searched at the server too
const SHOWN = 8;
const AGE_MS = 15 * 60_000;

/** What the syncs brought, as far as it fits. */
export class Catalogue {
  #client;
  #storage;
  #prefix;
  #rows = { customers: new Map(), products: new Map() };
  #more = { customers: false, products: false };
  #at = 0;

  constructor(client, storage, prefix) {
    this.#client = client;
    this.#storage = storage;
    this.#prefix = prefix;
  }

  /** What was kept; then what is new, where it is old. */
  async load() {
    const kept = await this.#storage.get(`${this.#prefix}catalogue`);
    if (!kept) return;
    this.#at = kept.at;
    this.#more = kept.more;
    for (const name of Object.keys(this.#rows)) this.#rows[name] = new Map(kept[name].map((row) => [row.code, row]));
  }

  get isOld() {
    return Date.now() - this.#at > AGE_MS;
  }

  /** Reads all of it anew. */
  async refresh() {
    for (const name of Object.keys(this.#rows)) await this.#read(name);
    this.#at = Date.now();
    const rows = Object.fromEntries(Object.entries(this.#rows).map(([name, known]) => [name, [...known.values()]]));
    await this.#storage.set(`${this.#prefix}catalogue`, { at: this.#at, more: this.#more, ...rows });
  }

  /** Forgets what was kept. */
  async forget() {
    await this.#storage.delete(`${this.#prefix}catalogue`);
  }

  count(name) {
    return this.#rows[name].size;
  }

  customer(code) {
    return this.#rows.customers.get(code);
  }

  product(code) {
    return this.#rows.products.get(code);
  }

  customerName(code) {
    return this.customer(code)?.name || code;
  }

  async findCustomers(text) {
    const found = await this.#find("customers", text, ({ code, name, city }) => `${name} ${code} ${city}`);
    if (found.length === 0) return asCode(text);
    return found.map(({ code, name, city }) => ({ value: code, title: name || code, detail: [code, city].filter(Boolean).join(" · ") }));
  }

  /** Those that can be ordered. `price` makes a text of an amount. */
  async findProducts(text, price) {
    const found = await this.#find("products", text, ({ code, description }) => `${description} ${code}`);
    if (found.length === 0) return asCode(text);
    return found.map(({ code, description, unit, list_price: amount }) => ({
      value: code, title: description || code, detail: [code, unit, price(amount)].filter(Boolean).join(" · "),
    }));
  }

  async #find(name, text, words) {
    const wanted = fold(text).split(/\s+/);
    const matches = (row) => !row.discontinued && wanted.every((word) => fold(words(row)).includes(word));
    const here = [...this.#rows[name].values()].filter(matches);
    if (here.length < SHOWN && this.#more[name]) here.push(...(await this.#ask(name, text, matches)));
    const byRank = (a, b) => rank(words(a), wanted[0]) - rank(words(b), wanted[0]) || words(a).localeCompare(words(b));
    return here.sort(byRank).slice(0, SHOWN);
  }

  async #ask(name, text, matches) {
    const { items } = await this.#client.rows(name, { search: text, limit: "50" }).catch(() => ({ items: [] }));
    const fresh = items.map(({ data }) => data).filter((row) => !this.#rows[name].has(row.code));
    for (const row of fresh) this.#rows[name].set(row.code, row);
    return fresh.filter(matches);
  }

  async #read(name) {
    const rows = new Map();
    let after;
    do {
      const page = await this.#client.rows(name, { limit: String(PAGE), ...(after && { after }) });
      for (const { data } of page.items) rows.set(data.code, data);
      after = page.next;
    } while (after && rows.size < MOST);
    this.#rows[name] = rows;
    this.#more[name] = Boolean(after);
  }
}

/** A code that is newer than the last sync can be typed as it is: the ERP knows whether it exists. */
function asCode(text) {
  return /^[\w./-]*\d[\w./-]*$/.test(text) ? [{ value: text, title: text, detail: t("search.as-code") }] : [];
}

/** Those that begin so come first. */
function rank(words, wanted) {
  const place = fold(words).indexOf(wanted);
  return place === 0 ? 0 : 1;
}

/** Without upper case and accents: who types "caffe" finds "Caffè". */
function fold(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
