// The editor of one order: what is typed is kept at once, and saved as it goes.

import { Combobox } from "./combobox.js";
import { debounced, h } from "./dom.js";
import { language, t } from "./i18n.js";
import { lineTotal, shown, sum, typedDecimal } from "./money.js";
import { drawConflict } from "./app-conflict.js";
import { today } from "./app-words.js";

const PAUSE_MS = 400; // after the last key, before it is saved
const REFERENCE = 30; // what the ERP's field leaves to the agent

/** Shows one pending order, or a new one that begins with the first key. */
export class Editor {
  id = null;
  #root;
  #client;
  #catalogue;
  #go;
  #ask;
  #isOnline;
  #base;
  #made = null;
  #shown = null;
  #form = null;
  #lines = [];
  #save = debounced(PAUSE_MS, () => this.#write());

  constructor(root, { client, catalogue, go, ask, isOnline }) {
    this.#root = root;
    this.#client = client;
    this.#catalogue = catalogue;
    this.#go = go;
    this.#ask = ask;
    this.#isOnline = isOnline;
  }

  /** Opens another one; null closes. What was typed in the one before is saved. */
  open(id) {
    if (id !== null && id === this.id) return;
    this.flush();
    this.id = id;
    this.#shown = null;
    this.#form = null;
    this.#made = null;
    this.#base = undefined;
    this.#root.hidden = id === null;
    if (id !== null) this.refresh();
  }

  /** Saves what was just typed, without waiting for the pause. */
  flush() {
    this.#save.flush();
  }

  /** It has its name from the server now. */
  renamed(from, to) {
    if (this.id !== from) return false;
    this.id = to;
    this.#base = undefined;
    return true;
  }

  /** Draws what is new, and leaves alone what is being typed. */
  refresh() {
    if (this.id === null) return;
    const order = this.id === "new" ? { id: "new", state: "editing", content: { date: today(), lines: [] } } : this.#client.pendingOrder(this.id);
    if (!order && this.#form && this.#save.waits()) {
      // What was typed just now is not gone with it: as a write it finds its way.
      this.flush();
      return this.refresh();
    }
    if (!order) return this.#gone();
    if (order.conflict) return this.#conflict(order);
    const busy = order.state !== "editing";
    if (!this.#form || this.#form.busy !== busy || this.#form.language !== language()) {
      this.flush();
      this.#draw(busy);
    }
    if (!this.#save.waits() && (!order.unsent || order.refused)) this.#base = order.version;
    if (!this.#save.waits() && JSON.stringify(order.content) !== this.#shown) this.#fill(order.content);
    this.#status(order);
  }

  #draw(busy) {
    this.#shown = null;
    const customer = new Combobox({
      label: t("order.customer"), placeholder: t("order.customer.hint"), empty: () => this.#nothing("customers"),
      search: (text) => this.#catalogue.findCustomers(text), onChoose: () => this.#typed(),
    });
    const field = (name, label, attributes) => {
      const input = h("input", { name, oninput: () => this.#typed(), onblur: () => this.flush(), ...attributes });
      return h("label", { class: "field" }, h("span", {}, label), input);
    };
    const list = h("ul", { class: "lines" });
    const total = h("output", {});
    const status = h("span", { class: "fine", role: "status" });
    const problem = h("div", { class: "note", "data-tone": "bad", role: "alert", tabindex: "-1", hidden: true });
    const fieldset = h("fieldset", { class: "stack", disabled: busy },
      h("div", { class: "card fields" },
        h("div", { class: "field wide" }, h("span", {}, t("order.customer")), customer.element),
        field("date", t("order.date"), { type: "date" }),
        field("reference", t("order.reference"), { maxlength: REFERENCE, autocomplete: "off" }),
        h("label", { class: "field wide" }, h("span", {}, t("order.note")),
          h("input", { name: "note", maxlength: 200, autocomplete: "off", oninput: () => this.#typed(), onblur: () => this.flush() }))),
      h("div", { class: "card stack" }, h("h2", {}, t("order.lines")), list,
        !busy && h("button", { type: "button", onclick: () => this.#addLine() }, t("order.add-line")),
        h("p", { class: "total" }, h("span", {}, t("order.total")), total),
        h("p", { class: "fine" }, t("order.total.what"))));
    const form = h("form", { class: "stack", novalidate: true, onsubmit: (event) => (event.preventDefault(), this.#submit()) },
      h("a", { class: "button quiet back", href: "#/" }, `‹ ${t("order.back")}`),
      h("h1", { id: "editor-title", tabindex: "-1" }, t(this.id === "new" ? "order.new" : "order.title")),
      problem, fieldset,
      h("div", { class: "bar" }, status, h("span", { class: "row" },
        !busy && h("button", { type: "button", class: "quiet", onclick: () => this.#discard() }, t("order.delete")),
        !busy && h("button", { class: "primary" }, t("order.submit")))));
    this.#lines = [];
    this.#form = { form, customer, list, total, status, problem, busy, language: language() };
    this.#root.replaceChildren(form);
  }

  #fill(content) {
    const { form, customer } = this.#form;
    const { date = "", reference = "", note = "", lines = [] } = content;
    this.#shown = JSON.stringify(content);
    customer.show(content.customer ? { value: content.customer, title: this.#catalogue.customerName(content.customer) } : null);
    for (const [name, value] of Object.entries({ date, reference, note })) {
      if (form.elements[name].value !== value) form.elements[name].value = value;
    }
    while (this.#lines.length > lines.length) this.#lines.pop().element.remove();
    while (this.#lines.length < lines.length) this.#newLine();
    lines.forEach((line, at) => this.#fillLine(this.#lines[at], line));
    if (lines.length === 0 && !this.#form.busy) this.#newLine();
    this.#sums();
  }

  #newLine() {
    const number = this.#lines.length + 1;
    const product = new Combobox({
      label: `${t("order.product")} ${number}`, placeholder: t("order.product.hint"), empty: () => this.#nothing("products"),
      search: (text) => this.#catalogue.findProducts(text, (amount) => shown(amount, language())),
      onChoose: () => (this.#typed(), quantity.focus()),
    });
    const input = (attributes) => h("input", { class: "figure", autocomplete: "off", oninput: () => this.#typed(), onblur: () => this.flush(), ...attributes });
    const quantity = input({ inputmode: "numeric", pattern: "[0-9]*", "aria-label": `${t("order.quantity")} ${number}` });
    const discount = input({ inputmode: "decimal", placeholder: "0", "aria-label": `${t("order.discount")} ${number}` });
    const price = h("span", { class: "fine" });
    const total = h("span", { class: "number" });
    const line = { product, quantity, discount, price, total };
    line.element = h("li", { class: "line" },
      h("div", { class: "field product" }, h("span", {}, t("order.product")), product.element),
      h("div", { class: "field" }, h("span", {}, t("order.quantity")), quantity),
      h("div", { class: "field" }, h("span", {}, t("order.discount")), discount),
      h("button", { type: "button", class: "icon quiet remove", "aria-label": t("order.remove-line", { number }), onclick: () => this.#removeLine(line) }, "×"),
      h("div", { class: "what" }, price, total));
    this.#lines.push(line);
    this.#form.list.append(line.element);
    return line;
  }

  #fillLine(line, { product, quantity, discount }) {
    line.product.show(product ? { value: product, title: this.#catalogue.product(product)?.description || product } : null);
    if (quantityOf(line) !== (quantity ?? null)) line.quantity.value = quantity ?? "";
    if (discountOf(line) !== (discount ?? null)) line.discount.value = discount ? shownPercent(discount) : "";
  }

  #addLine() {
    this.#newLine().product.input.focus();
  }

  #removeLine(line) {
    const at = this.#lines.indexOf(line);
    this.#lines.splice(at, 1);
    line.element.remove();
    const next = this.#lines[Math.min(at, this.#lines.length - 1)];
    (next?.product.input ?? this.#form.form.querySelector("h1")).focus();
    this.#typed();
  }

  #typed() {
    this.#sums();
    this.#save();
    this.#status({ unsent: true });
  }

  #content() {
    const { form, customer } = this.#form;
    const lines = this.#lines.map((line) => ({
      ...(line.product.value && { product: line.product.value }),
      ...(quantityOf(line) !== null && { quantity: quantityOf(line) }),
      ...(discountOf(line) && { discount: discountOf(line) }),
    }));
    const texts = ["date", "reference", "note"].map((name) => [name, form.elements[name].value]).filter(([, value]) => value !== "");
    const filled = lines.filter((line) => Object.keys(line).length > 0);
    return { ...(customer.value && { customer: customer.value }), ...Object.fromEntries(texts), ...(filled.length > 0 && { lines: filled }) };
  }

  /** Kept on this device first; the server hears of it as soon as it can. */
  async #write() {
    const content = this.#content();
    const text = JSON.stringify(content);
    if (text === this.#shown || this.id === null) return;
    this.#shown = text;
    const id = this.id;
    if (id === "new") return this.#begin(content);
    const { outcome } = await this.#client.edit(id, content, this.#base);
    this.#follow(id, outcome);
  }

  /** Two pauses while the first is being kept are one order. */
  async #begin(content) {
    if (this.#made) return this.#made.then(({ id }) => this.#client.edit(id, content));
    this.#made = this.#client.create(content);
    const { id, outcome } = await this.#made;
    if (this.id === "new") {
      this.id = id;
      this.#go(`#/order/${id}`, true);
    }
    return this.#follow(id, outcome);
  }

  #follow(id, outcome) {
    outcome.then((view) => {
      if (this.id !== id && this.id !== view?.id) return;
      if (view?.version) this.#base = Math.max(this.#base ?? 0, view.version);
      this.refresh();
    }, () => this.refresh());
  }

  async #submit() {
    this.flush();
    await this.#made;
    const missing = this.#missing();
    this.#showProblem(missing.length > 0 ? t("order.missing", { what: missing.map(([name]) => name).join(", ") }) : null);
    for (const input of this.#form.form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
    for (const [, input] of missing) input.setAttribute("aria-invalid", "true");
    if (missing.length > 0) return missing[0][1].focus();
    await this.#client.submit(this.id, this.#base);
    return this.#go("#/");
  }

  #missing() {
    const { customer, form } = this.#form;
    const filled = this.#lines.filter((line) => line.product.value || line.quantity.value || line.discount.value);
    const missing = [];
    if (!customer.value) missing.push([t("order.customer"), customer.input]);
    if (!form.elements.date.value) missing.push([t("order.date"), form.elements.date]);
    if (filled.length === 0) missing.push([t("order.product"), this.#lines[0]?.product.input ?? form.querySelector("button")]);
    for (const line of filled) {
      if (!line.product.value) missing.push([t("order.product"), line.product.input]);
      if (!(quantityOf(line) > 0)) missing.push([t("order.quantity"), line.quantity]);
      if (line.discount.value.trim() !== "" && discountOf(line) === null) missing.push([t("order.discount"), line.discount]);
    }
    return missing;
  }

  async #discard() {
    this.flush();
    await this.#made;
    if (this.id === "new") return this.#go("#/");
    if (!(await this.#ask("discard"))) return undefined;
    const id = this.id;
    this.#go("#/");
    return this.#client.discard(id, this.#base);
  }

  #conflict(order) {
    this.#save.flush();
    const text = JSON.stringify([order.conflict, language()]);
    if (this.#root.dataset.conflict === text && !this.#form) return;
    this.#form = null;
    this.#lines = [];
    this.#root.dataset.conflict = text;
    const choose = async (content) => {
      const { outcome } = await this.#client.resolveConflict(this.id, content);
      this.#base = order.conflict.theirs.version;
      this.refresh();
      this.#root.querySelector("h1")?.focus();
      this.#follow(this.id, outcome);
    };
    this.#root.replaceChildren(
      h("a", { class: "button quiet back", href: "#/" }, `‹ ${t("order.back")}`),
      h("h1", { id: "editor-title", tabindex: "-1" }, t("order.title")), drawConflict(order.conflict, this.#catalogue, choose));
  }

  #gone() {
    this.#root.replaceChildren(h("a", { class: "button quiet back", href: "#/" }, `‹ ${t("order.back")}`),
      h("h1", { id: "editor-title", tabindex: "-1" }, t("order.title")), h("p", { class: "card empty" }, t("order.gone")));
    this.#form = null;
  }

  #status({ unsent, state, problem, order, refused }) {
    const { status } = this.#form;
    const saving = unsent || this.#save.waits();
    const words = state === "submitted" ? t("order.is-order", { order: order ?? "" }) : state === "submitting" ? t("order.submitting")
      : this.id === "new" ? "" : refused ? t("order.refused") : !saving ? t("order.saved") : this.#isOnline() ? t("order.saving") : t("order.kept");
    if (status.textContent !== words) status.textContent = words;
    if (refused) this.#showProblem(t("order.refused.what", { why: refused.detail }));
    else if (problem !== undefined) this.#showProblem(t("order.problem", { why: problem.detail }));
  }

  #showProblem(text) {
    const { problem } = this.#form;
    problem.hidden = text === null;
    if (problem.textContent !== text) problem.textContent = text ?? "";
  }

  #nothing(name) {
    return t(this.#catalogue.count(name) === 0 ? "search.empty" : "search.none");
  }

  #sums() {
    const totals = this.#lines.map((line) => {
      const product = this.#catalogue.product(line.product.value);
      const total = lineTotal({ quantity: quantityOf(line), price: product?.list_price, discount: discountOf(line) ?? "0" });
      line.price.textContent = product ? [shown(product.list_price, language()), product.unit].filter(Boolean).join(" · ") : "";
      line.total.textContent = total === null ? "" : shown(total, language());
      return total;
    });
    this.#form.total.textContent = shown(sum(totals), language());
  }
}

function quantityOf({ quantity }) {
  return /^\d{1,6}$/.test(quantity.value.trim()) ? Number(quantity.value) : null;
}

function discountOf({ discount }) {
  return typedDecimal(discount.value, "100");
}

function shownPercent(text) {
  return language() === "it" ? text.replace(".", ",") : text;
}
