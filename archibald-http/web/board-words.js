// What the server says in names, in words: why something waits, what happened to it.

import { el, short, span, time } from "./board-dom.js";
import { has, t } from "./i18n.js";

/** Why an operation is not running, one sentence a reason; `open(agent, id)` goes to an operation that is named. */
export function whyItWaits({ agent, why = [], state }, open) {
  const told = why.map((reason) => sentence(reason, agent, open));
  if (!told.length && state === "available") told.push(el("li", {}, t("why.unknown")));
  return told;
}

function sentence(reason, agent, open) {
  const link = (id) => el("button.link", { type: "button", onclick: () => open(agent, id) }, short(id));
  const at = (text) => ({ at: time(Date.parse(text)), in: span(Date.parse(text) - Date.now()) });
  switch (reason.reason) {
    case "paused": {
      const what = t(`scope.${reason.scope}`, { name: reason.agent ?? reason.kind ?? "" });
      return el("li", {}, t("why.paused", { what, why: reason.why }));
    }
    case "target_blocked":
      return el("li", {}, t("why.target_blocked"), " ", link(reason.by));
    case "agent_busy":
      return el("li", {}, t("why.agent_busy", { agent }), " ", link(reason.operation));
    case "not_preempted":
      return el("li", {}, t(`why.not_preempted.${reason.because}`));
    case "behind":
      return el("li", {}, t("why.behind", { count: reason.operations }));
    case "in_turn":
      return el("li", {}, t("why.in_turn", { count: reason.agents }));
    case "not_due":
      return el("li", {}, t("why.not_due", at(reason.at)));
    case "leased_elsewhere":
    case "store_failed":
      return el("li", {}, t(`why.${reason.reason}`, at(reason.until)));
    default: {
      const key = `why.${reason.reason}`;
      return el("li", {}, has(key) ? t(key) : reason.reason);
    }
  }
}

/** All that happened to an operation, in order of time: { at, text, tone, detail }. */
export function timeline(operation) {
  const told = [{ at: operation.created_at, text: t("line.accepted") }];
  for (const attempt of operation.attempts) {
    const words = { worker: attempt.worker, token: attempt.token };
    told.push({ at: attempt.started_at, text: t(`line.started.${attempt.step}`, words), tone: "brand" });
    if (attempt.ended_at) told.push({ at: attempt.ended_at, text: t("line.ended"), detail: attempt.outcome, tone: endTone(attempt.outcome) });
  }
  for (const effect of operation.effects) told.push(...ofEffect(effect));
  for (const kept of operation.evidence) told.push({ at: kept.at, text: t("line.kept", { name: kept.name }) });
  if (operation.finished_at) told.push({ at: operation.finished_at, text: t(`line.over.${operation.state}`), tone: overTone(operation.state) });
  return told.map((entry, place) => ({ ...entry, place })).sort((a, b) => Date.parse(a.at) - Date.parse(b.at) || a.place - b.place);
}

function ofEffect(effect) {
  const words = { name: effect.name, count: effect.acts };
  const told = [{ at: effect.intended_at, text: t("line.intended", words) }];
  if (effect.released_at) told.push({ at: effect.released_at, text: t("line.released", words), tone: "warn" });
  if (effect.answered_at) told.push({ at: effect.answered_at, text: t("line.answered", words) });
  const last = effect.answered_at ?? effect.released_at ?? effect.intended_at;
  if (effect.receipt) told.push({ at: last, text: t("line.recorded", words), detail: receipt(effect.receipt), tone: "ok" });
  if (effect.state === "void") told.push({ at: last, text: t("line.void", words) });
  return told;
}

export function receipt(value) {
  if (typeof value !== "object" || value === null) return String(value);
  const told = Object.entries(value).filter(([, content]) => typeof content !== "object" || Array.isArray(content));
  return told.map(([name, content]) => `${name} ${Array.isArray(content) ? content.join(" ") : content}`).join(", ");
}

function endTone(outcome = "") {
  if (outcome.startsWith("completed")) return "ok";
  if (outcome.startsWith("failed")) return "bad";
  if (outcome.startsWith("in doubt")) return "doubt";
  return "warn";
}

function overTone(state) {
  return { completed: "ok", failed: "bad", rejected: "warn" }[state];
}

/** A step by its name, in words where there are some. */
export function stepWords(row) {
  const { step, done = 0, total = 0, text } = row.progress ?? {};
  // Of lines, those are done that come before the one in work.
  if (has(`step.${step}.at`)) return t(`step.${step}.at`, { line: done + 1, total });
  if (text) return text;
  const key = `step.${row.step}`;
  return row.step ? (has(key) ? t(key) : row.step) : "";
}

export function kindWords(kind) {
  const key = `kind.${kind}`;
  return has(key) ? t(key) : kind;
}

