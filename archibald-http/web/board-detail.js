// One operation, beside the list: why it waits, what it did, what was kept of it, and what can be done.

import { call, pathOf } from "./board-feed.js";
import { cancelIt, evidence, resolveDoubt, retryIt } from "./board-dialogs.js";
import { badge, el, moment, span, time } from "./board-dom.js";
import { kindWords, receipt, stepWords, timeline, whyItWaits } from "./board-words.js";
import { t } from "./i18n.js";

const AT_LEAST = 1000;

export class Detail {
  operation = null;
  #asked = null;
  #due = null;

  /** `box` is hidden while nothing is open; `onOpen(agent, id)` goes to another one; `onClose()`. */
  constructor({ box, onOpen, onClose }) {
    Object.assign(this, { box, onOpen, onClose });
  }

  async open(agent, id) {
    this.#asked = { agent, id };
    const same = this.operation?.id === id;
    if (!same) this.operation = null;
    await this.#read();
    if (!same) this.box.querySelector("h2")?.focus();
  }

  close() {
    this.#asked = this.operation = null;
    clearTimeout(this.#due);
    this.#due = null;
    this.box.hidden = true;
  }

  get isOpen() {
    return this.#asked !== null;
  }

  /** Something happened that may have changed what is shown: read again, not more often than once a second. */
  touch(agent) {
    if (!this.#asked || (agent && agent !== this.#asked.agent) || this.#due) return;
    this.#due = setTimeout(() => {
      this.#due = null;
      this.#read();
    }, AT_LEAST);
  }

  /** Does what a shortcut asks for, if this state allows it. */
  act(verb) {
    if (this.operation) this.#actions(this.operation).find(([name]) => name === verb)?.[1]();
  }

  async #read() {
    const asked = this.#asked;
    if (!asked) return;
    const { ok, body, status, problem } = await call("GET", pathOf(asked));
    if (asked !== this.#asked) return;
    if (ok && JSON.stringify(body) === JSON.stringify(this.operation)) return;
    this.operation = ok ? body : null;
    if (ok) this.#draw(body);
    else this.#refuse(status === 404 ? t("detail.gone") : problem ?? t("call.no-answer"));
  }

  redraw() {
    if (this.operation) this.#draw(this.operation);
  }

  #refuse(text) {
    this.box.hidden = false;
    this.box.replaceChildren(this.#head(t("detail.title")), el("p.note", { "data-tone": "warn" }, text));
  }

  #head(title, ...rest) {
    const close = el("button.icon.quiet", { type: "button", "aria-label": t("detail.close"), title: `${t("detail.close")} (Esc)`, onclick: this.onClose }, "✕");
    return el("header.row.between", {}, el("h2", { tabindex: "-1" }, title), ...rest, close);
  }

  #actions(operation) {
    const { state } = operation;
    const actions = [];
    if (state === "in_doubt") actions.push(["resolve", () => resolveDoubt(operation, () => this.touch()), "primary"]);
    if (state === "available") actions.push(["cancel", () => cancelIt(operation), "danger"]);
    if (["rejected", "failed"].includes(state)) actions.push(["retry", () => retryIt(operation), "primary"]);
    return actions;
  }

  #draw(operation) {
    const { box } = this;
    const top = box.scrollTop;
    const opened = [...box.querySelectorAll("details[open]")].map((details) => details.dataset.name);
    const held = box.contains(document.activeElement) ? document.activeElement.dataset.verb : null;
    box.hidden = false;
    box.replaceChildren(...this.#parts(operation).filter(Boolean));
    for (const name of opened) box.querySelector(`details[data-name="${name}"]`)?.setAttribute("open", "");
    if (held) box.querySelector(`[data-verb="${held}"]`)?.focus();
    box.scrollTop = top;
  }

  #parts(operation) {
    const actions = this.#actions(operation).map(([verb, act, look]) =>
      el(`button.${look}`, { type: "button", "data-verb": verb, onclick: act }, t(`${verb}.open`)));
    return [
      this.#head(kindWords(operation.kind)),
      el("p.row", {}, badge(operation.state), el("strong", {}, operation.agent), el("code.muted", {}, operation.id)),
      actions.length ? el("div.row", {}, actions) : null,
      this.#why(operation),
      this.#outcome(operation),
      el("section.stack.tight", {}, el("h3", {}, t("detail.timeline")), this.#timeline(operation)),
      el("section.stack.tight", {}, el("h3", {}, t("detail.evidence")), evidence(operation)),
      el("details", { "data-name": "payload" }, el("summary", {}, t("detail.payload")), el("pre", {}, JSON.stringify(operation.payload, null, 2))),
      el("p.muted", {}, t("detail.key"), " ", el("code", {}, operation.key)),
    ];
  }

  #why(operation) {
    const reasons = whyItWaits(operation, this.onOpen);
    if (!reasons.length) return null;
    return el("section.note", { "data-tone": "brand" }, el("h3", {}, t("detail.why")), el("ul.why", {}, reasons));
  }

  #outcome({ state, result, problem, step, progress }) {
    if (result) return el("p.note", { "data-tone": "ok" }, receipt(result));
    if (problem) return el("p.note", { "data-tone": state === "in_doubt" ? "doubt" : "bad" }, problem.detail);
    if (state !== "running") return null;
    const bar = progress?.total ? el("progress", { max: progress.total, value: progress.done, "aria-label": t("detail.progress") }) : null;
    return el("p.note", { "data-tone": "brand" }, stepWords({ step, progress }) || t("state.running"), bar);
  }

  #timeline(operation) {
    const told = timeline(operation);
    const begin = Date.parse(told[0].at);
    const entry = ({ at, text, detail, tone }) => el("li", { "data-tone": tone },
      el("time", { datetime: at, title: moment(at) }, time(Date.parse(at)), el("span.muted", {}, ` +${span(Date.parse(at) - begin)}`)),
      el("span", {}, text, detail ? el("span.detail", {}, detail) : null));
    return el("ol.timeline", {}, told.map(entry));
  }
}
