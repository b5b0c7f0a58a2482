// A list of any length of which only the rows in sight exist.

import { el, mark } from "./board-dom.js";

const BEYOND = 6;

/**
 * `box` is what scrolls; `make()` builds an empty row, `fill(element, item, index)` shows an item in it. Every
 * row has the same height, which is measured on the first one.
 */
export class List {
  items = [];
  chosen = null;
  #pool = [];
  #height = 0;
  #due = false;

  constructor({ box, make, fill, onOpen }) {
    Object.assign(this, { box, make, fill, onOpen });
    this.space = el("div.space", { role: "presentation" });
    box.append(this.space);
    box.setAttribute("role", "listbox");
    box.setAttribute("tabindex", "0");
    box.addEventListener("scroll", () => this.#later(), { passive: true });
    box.addEventListener("keydown", (event) => this.#key(event));
    box.addEventListener("click", (event) => this.#click(event));
    new ResizeObserver(() => this.#measure()).observe(box);
  }

  show(items) {
    this.items = items;
    this.draw();
  }

  /** Moves the choice; the row comes into sight. */
  choose(id) {
    this.chosen = id;
    const index = this.items.findIndex((item) => item.id === id);
    if (index >= 0) this.#reveal(index);
    this.draw();
  }

  move(by) {
    if (!this.items.length) return;
    const index = this.items.findIndex((item) => item.id === this.chosen);
    const next = Math.min(this.items.length - 1, Math.max(0, index < 0 ? 0 : index + by));
    this.choose(this.items[next].id);
  }

  draw() {
    if (!this.#height) this.#measure();
    const { box, items } = this;
    const height = this.#height || 36;
    this.space.style.height = `${items.length * height}px`;
    const first = Math.max(0, Math.floor(box.scrollTop / height) - BEYOND);
    const count = Math.min(items.length - first, Math.ceil(box.clientHeight / height) + 2 * BEYOND);
    while (this.#pool.length < count) this.#grow();
    // A row that stays in sight keeps its element and only moves: nothing of it is laid out again.
    const known = new Map(this.#pool.map((row) => [row.hidden ? "" : row.dataset.id, row]));
    const rows = items.slice(first, first + count).map((item) => known.get(item.id));
    const used = new Set(rows);
    const free = this.#pool.filter((row) => !used.has(row));
    for (let place = 0; place < count; place += 1) this.#place(rows[place] ?? free.pop(), first + place, height);
    for (const row of free) row.hidden = true;
    const seen = this.chosen && this.#pool.some((row) => !row.hidden && row.dataset.id === this.chosen);
    if (seen) box.setAttribute("aria-activedescendant", `row-${this.chosen}`);
    else box.removeAttribute("aria-activedescendant");
  }

  #place(row, index, height) {
    const item = this.items[index];
    row.hidden = false;
    row.style.transform = `translateY(${index * height}px)`;
    if (row.dataset.id !== item.id) {
      row.id = `row-${item.id}`;
      row.dataset.id = item.id;
    }
    mark(row, "aria-setsize", String(this.items.length));
    mark(row, "aria-posinset", String(index + 1));
    mark(row, "aria-selected", String(item.id === this.chosen));
    this.fill(row, item);
  }

  #grow() {
    const row = this.make();
    row.setAttribute("role", "option");
    this.#pool.push(row);
    this.space.append(row);
  }

  #measure() {
    if (!this.#pool.length) this.#grow();
    const [row] = this.#pool;
    const was = row.hidden;
    row.hidden = false;
    this.#height = row.offsetHeight;
    row.hidden = was;
    this.#later();
  }

  #later() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.draw();
    });
  }

  #reveal(index) {
    const top = index * this.#height;
    const { box } = this;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + this.#height > box.scrollTop + box.clientHeight) box.scrollTop = top + this.#height - box.clientHeight;
  }

  #key(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / (this.#height || 36)) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) this.move(Math.max(-this.items.length, Math.min(this.items.length, steps[event.key])));
    else if (event.key === "Enter" && this.chosen) this.onOpen(this.chosen);
    else return;
    event.preventDefault();
  }

  #click(event) {
    const row = event.target.closest("[role=option]");
    if (!row) return;
    this.choose(row.dataset.id);
    this.onOpen(row.dataset.id);
  }
}
