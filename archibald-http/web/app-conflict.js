// Two devices changed the same order: both versions side by side, and a choice.

import { h } from "./dom.js";
import { t } from "./i18n.js";
import { day, time } from "./app-words.js";

/** `choose(content)` ends it. What differs is marked, in both. */
export function drawConflict({ mine, theirs }, catalogue, choose) {
  const all = [facts(mine, catalogue), facts(theirs.content, catalogue)];
  const isSaid = ([name, text]) => text !== "–" || all.some((facts) => facts.some(([other, said]) => other === name && said !== "–"));
  const [here, there] = all.map((facts) => facts.filter(isSaid));
  const version = (title, when, own, other, content, label) =>
    h("section", { class: "card version", "aria-label": title },
      h("div", { class: "stack tight" }, h("h3", {}, title), when && h("p", { class: "fine" }, when),
        h("dl", {}, own.map(([name, text]) => drawFact(name, text, other)))),
      h("button", { class: "primary", onclick: () => choose(content) }, label));
  return h("div", { class: "stack", role: "group", "aria-labelledby": "conflict-title" },
    h("div", { class: "note", "data-tone": "warn" },
      h("h2", { id: "conflict-title", tabindex: "-1" }, t("conflict.title")), h("p", {}, t("conflict.what"))),
    h("div", { class: "versions" },
      version(t("conflict.mine"), null, here, there, mine, t("conflict.take-mine")),
      version(t("conflict.theirs"), theirs.updated_at && t("conflict.at", { time: time(theirs.updated_at) }), there, here, theirs.content, t("conflict.take-theirs"))),
    h("p", {}, h("button", { onclick: () => choose(both(mine, theirs.content)) }, t("conflict.take-both")), " ",
      h("span", { class: "fine" }, t("conflict.both"))));
}

/** What is mine, and of theirs the lines with products that mine has not. */
export function both(mine, theirs) {
  const known = new Set((mine.lines ?? []).map(({ product }) => product));
  const more = (theirs.lines ?? []).filter(({ product }) => product && !known.has(product));
  return { ...theirs, ...mine, lines: [...(mine.lines ?? []), ...more] };
}

function facts({ customer, date, reference, note, lines = [] }, catalogue) {
  const head = [
    [t("order.customer"), customer ? catalogue.customerName(customer) : "–"],
    [t("order.date"), day(date) || "–"],
    [t("order.reference"), reference || "–"],
    [t("order.note"), note || "–"],
  ];
  return [...head, ...lines.map((line, at) => [t("order.line", { number: at + 1 }), inWords(line, catalogue)])];
}

function inWords({ product, quantity, discount }, catalogue) {
  const name = product ? (catalogue.product(product)?.description ?? product) : "–";
  return [`${quantity ?? "–"} × ${name}`, discount && discount !== "0" && `−${discount} %`].filter(Boolean).join(", ");
}

function drawFact(name, text, other) {
  const differs = other.find(([known]) => known === name)?.[1] !== text;
  return h("div", { class: differs ? "differs" : null }, h("dt", {}, name), h("dd", {}, text));
}
