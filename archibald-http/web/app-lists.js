// What is in preparation, under way and done.

import { h, reconcile } from "./dom.js";
import { language, t } from "./i18n.js";
import { lineTotal, shown, sum } from "./money.js";
import { day, endOf, stateOf, stepOf, time, titleOf } from "./app-words.js";

const OPEN = new Set(["available", "running", "in_doubt"]);
const MOST_DONE = 20;

/** Draws the lists of the overview; `act(name, operation)` does what a button asks for. */
export class Lists {
  #client;
  #catalogue;
  #act;
  #isOnline;
  open = null;

  constructor(client, catalogue, { act, isOnline }) {
    this.#client = client;
    this.#catalogue = catalogue;
    this.#act = act;
    this.#isOnline = isOnline;
  }

  draw() {
    const orders = this.#client.pendingOrders();
    const operations = this.#client.operations().filter(({ class: class_, state }) => class_ === "interactive" || state === "running");
    const by = new Map(orders.filter(({ operation }) => operation).map((order) => [order.operation, order]));
    const cards = operations.map((operation) => this.#cardOf(operation, by.get(operation.id), operations));
    const running = cards.filter(({ state }) => OPEN.has(state));
    const done = cards.filter(({ state }) => !OPEN.has(state)).slice(0, MOST_DONE);
    const drafts = orders.filter(({ state }) => state === "editing").map((order) => this.#draftOf(order));
    this.#fill("running", running.reverse(), (card) => this.#drawOperation(card));
    this.#fill("drafts", drafts, (draft) => this.#drawDraft(draft));
    this.#fill("finished", done, (card) => this.#drawOperation(card));
    part("running-part", running.length > 0);
    part("finished-part", done.length > 0);
    part("no-drafts", drafts.length === 0);
  }

  #fill(id, items, draw) {
    reconcile(document.getElementById(id), items, { key: ({ id }) => id, draw });
  }

  #draftOf({ id, content, unsent, conflict, problem, refused, updated_at: updated, created_at: created }) {
    return {
      id, language: language(), current: id === this.open,
      title: content.customer ? this.#catalogue.customerName(content.customer) : t("draft.no-customer"),
      total: this.#total(content), count: content.lines?.length ?? 0, at: updated ?? created,
      unsent: Boolean(unsent) && !this.#isOnline(), conflict: Boolean(conflict), problem: (refused ?? problem)?.detail,
    };
  }

  #total({ lines = [] }) {
    const amounts = lines.map(({ product, quantity, discount }) =>
      lineTotal({ quantity, discount, price: this.#catalogue.product(product)?.list_price }));
    return amounts.some((amount) => amount !== null) ? sum(amounts) : null;
  }

  #drawDraft({ id, title, total, count, at, unsent, conflict, problem, current }) {
    const badge = conflict ? ["warn", "draft.conflict"] : problem ? ["bad", "draft.rejected"] : unsent ? ["", "draft.unsent"] : null;
    return h("li", {}, h("a", { class: "card order", href: `#/order/${id}`, "data-focus": "open", "aria-current": String(current) },
      h("span", { class: "head" }, h("strong", {}, title), badge && h("span", { class: "badge", "data-tone": badge[0] }, t(badge[1]))),
      h("span", { class: "row between" },
        h("span", { class: "fine" }, `${t("draft.lines", { count })} · ${time(at)}`),
        total !== null && h("span", { class: "amount" }, shown(total, language()))),
      problem && h("span", { class: "error" }, problem)));
  }

  #cardOf(operation, draft, all) {
    const { id, kind, state, result, progress } = operation;
    const makesOrder = ["submit-order", "edit-order"].includes(kind);
    const order = makesOrder && result?.order;
    const sent = order && all.find((other) => other.kind === "send-to-verona" && other.payload?.order === order && other.state !== "cancelled");
    return {
      id, state, kind, order, language: language(), title: titleOf(operation, this.#catalogue, draft),
      badge: stateOf(operation), step: stepOf(operation), end: endOf(operation), at: operation.finished_at ?? operation.created_at,
      done: progress?.done ?? 0, total: progress?.total ?? 0, date: draft?.content.date ?? operation.payload?.date,
      count: (draft?.content.lines ?? operation.payload?.lines)?.length, mayCancel: state === "available" && !operation.effects?.length,
      maySend: state === "completed" && order && !(sent && sent.state !== "rejected" && sent.state !== "failed"),
      sent: sent?.state === "completed", doubt: state === "in_doubt" ? operation.problem?.detail ?? "" : null,
    };
  }

  #drawOperation(card) {
    const { id, title, badge, step, end, state, order, at, count, doubt, date } = card;
    const isOtherDay = date && !String(at).startsWith(date);
    const facts = [count && t("draft.lines", { count }), isOtherDay && day(date), time(at)].filter(Boolean).join(" · ");
    return h("li", { class: "card order" },
      h("span", { class: "head" }, h("strong", {}, title, order && h("span", { class: "result" }, ` · ${t("done.number", { order })}`)),
        h("span", { class: "badge", "data-tone": badge.tone }, badge.text)),
      (state === "running" || step) && h("div", { class: "step" }, h("span", {}, step), state === "running" && bar(card, step)),
      end && h("p", { class: state === "cancelled" ? "muted" : "error" }, end),
      doubt !== null && drawDoubt(doubt),
      h("div", { class: "foot" }, h("span", { class: "fine" }, facts), this.#button(card, id)));
  }

  #button({ maySend, mayCancel, sent }, id) {
    const button = (name, kind) => h("button", { "data-focus": name, class: kind, onclick: () => this.#act(name, this.#client.operation(id)) }, t(`act.${name}`));
    if (sent) return h("span", { class: "badge", "data-tone": "ok" }, t("done.sent"));
    return (maySend && button("send")) || (mayCancel && button("cancel", "quiet"));
  }
}

/** Without a measure it only moves. */
function bar({ done, total }, step) {
  const measured = total > 1 && done > 0;
  return h("progress", { "aria-label": step, ...(measured && { max: total, value: done }) });
}

function drawDoubt(evidence) {
  return h("div", { class: "note stack tight", "data-tone": "doubt" },
    h("p", {}, h("strong", {}, t("doubt.title"))),
    h("p", {}, t("doubt.why")),
    h("p", {}, t("doubt.next")),
    h("details", {}, h("summary", {}, t("doubt.details")), h("p", { class: "fine" }, evidence)));
}

function part(id, isThere) {
  document.getElementById(id).hidden = !isThere;
}
