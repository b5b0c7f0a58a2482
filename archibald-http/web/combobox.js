// A text field that suggests: what ARIA calls a combobox with a list. Typing searches, arrows choose, Enter takes,
// Escape closes.

import { h } from "./dom.js";

let count = 0;

/**
 * `search(text)` resolves to [{ value, title, detail }]; `onChoose(value)` hears of the choice, and of null when
 * the text was emptied. What was typed and is no choice goes back to what was chosen when the field is left.
 */
export class Combobox {
  #options = [];
  #active = -1;
  #asked = 0;
  #list;
  #search;
  #onChoose;
  #chosen = null;

  constructor({ label, placeholder, search, onChoose, empty }) {
    count += 1;
    const id = `choice-${count}`;
    this.#search = search;
    this.#onChoose = onChoose;
    this.empty = empty;
    this.#list = h("ul", { id, class: "suggestions", role: "listbox", "aria-label": label, hidden: true });
    this.input = h("input", {
      role: "combobox", "aria-label": label, "aria-expanded": "false", "aria-controls": id, "aria-autocomplete": "list",
      autocomplete: "off", autocapitalize: "none", spellcheck: "false", enterkeyhint: "done", placeholder,
      oninput: () => this.#ask(), onkeydown: (event) => this.#key(event), onblur: () => this.#leave(),
      onfocus: () => this.input.select(),
    });
    this.element = h("div", { class: "combobox" }, this.input, this.#list);
  }

  get value() {
    return this.#chosen?.value ?? null;
  }

  /** Shows this as the choice: { value, title } or null. */
  show(choice) {
    this.#chosen = choice;
    if (document.activeElement !== this.input || this.#list.hidden) this.input.value = choice?.title ?? "";
  }

  async #ask() {
    const asked = (this.#asked += 1);
    const text = this.input.value.trim();
    const found = text === "" ? [] : await this.#search(text);
    if (asked !== this.#asked) return;
    this.#options = found;
    this.#active = found.length > 0 ? 0 : -1;
    this.#draw(text !== "");
  }

  #draw(open) {
    const options = this.#options.map((option, at) =>
      h("li", {
        id: `${this.#list.id}-${at}`, role: "option", "aria-selected": String(at === this.#active),
        onpointerdown: (event) => (event.preventDefault(), this.#take(at)),
      }, h("span", {}, option.title), h("small", { class: "muted" }, option.detail)));
    const none = h("li", { class: "muted", role: "option", "aria-disabled": "true", "aria-selected": "false" }, this.empty());
    this.#list.replaceChildren(...(options.length > 0 ? options : [none]));
    this.#list.hidden = !open;
    this.input.setAttribute("aria-expanded", String(open));
    this.#point();
  }

  #point() {
    const active = this.#list.children[this.#active];
    if (this.#active >= 0 && !this.#list.hidden) {
      this.input.setAttribute("aria-activedescendant", active.id);
      active.scrollIntoView({ block: "nearest" });
    } else this.input.removeAttribute("aria-activedescendant");
  }

  #key(event) {
    const open = !this.#list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) return void this.#ask();
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.#active = (this.#active + step + this.#options.length) % Math.max(1, this.#options.length);
      this.#draw(true);
    } else if (event.key === "Enter") {
      if (open && this.#active >= 0) event.preventDefault();
      if (open) this.#take(this.#active);
    } else if (event.key === "Escape" && open) {
      event.stopPropagation();
      this.#close();
      this.input.value = this.#chosen?.title ?? "";
    }
  }

  #take(at) {
    const option = this.#options[at];
    if (!option) return;
    this.#chosen = option;
    this.input.value = option.title;
    this.#close();
    this.#onChoose(option.value);
  }

  #leave() {
    this.#close();
    if (this.input.value.trim() === "" && this.#chosen) {
      this.#chosen = null;
      this.#onChoose(null);
    } else this.input.value = this.#chosen?.title ?? "";
  }

  #close() {
    this.#asked += 1;
    this.#options = [];
    this.#draw(false);
  }
}
