// What happens, in words.

import { has, language, t } from "./i18n.js";

/** Where an operation stands: { tone, text } for a badge. */
export function stateOf({ state }) {
  const tones = { available: "", running: "brand", completed: "ok", rejected: "bad", failed: "bad", in_doubt: "doubt", cancelled: "" };
  return { tone: tones[state] ?? "", text: t(has(`state.${state}`) ? `state.${state}` : "state.other", { state }) };
}

/** What it is, such as "Order for Alfreds". */
export function titleOf({ kind, payload }, catalogue, draft) {
  const content = draft?.content ?? payload ?? {};
  const name = content.name ?? (content.customer && catalogue.customerName(content.customer));
  const order = payload?.order ?? draft?.order;
  const values = { name: name ?? "", order: order ?? "", kind };
  const detailed = `kind.${kind}.${name ? "for" : order ? "of" : "any"}`;
  return has(detailed) ? t(detailed, values) : t(has(`kind.${kind}.any`) ? `kind.${kind}.any` : "kind.other", values);
}

/** What it does just now, such as "Filling in line 3 of 7", and then "Saving". */
export function stepOf({ kind, state, step, progress, waits, run_at: at }) {
  if (state === "available") {
    if (waits) return t("step.again", { time: time(at) });
    return t("step.queued");
  }
  if (state !== "running") return "";
  const { done = 0, total = 0, text } = progress ?? {};
  const name = progress?.step ?? step;
  // Of lines, those are done that come before the one in work.
  const values = { done, total, count: total, line: done + 1 };
  for (const key of [`step.${kind}.${name}`, `step.${name}`]) {
    if (done > 0 && has(`${key}.at`)) return t(`${key}.at`, values);
    if (has(key)) return t(key, values);
  }
  return text || t("step.running");
}

/** How it ended, for those who want to know why. */
export function endOf(operation) {
  const { state, problem } = operation;
  if (state === "rejected") return t("end.rejected", { why: problem?.detail ?? "" });
  if (state === "failed") return t(problem?.effect === "unknown" ? "end.failed.unknown" : "end.failed", { why: problem?.detail ?? "" });
  if (state === "cancelled") return t("end.cancelled");
  return "";
}

/** Why an answer was no, in words of this page where it has some. */
export function refusalOf(error) {
  if (!error.kind) return error.message;
  return has(`refused.${error.kind}`) ? t(`refused.${error.kind}`) : t("refused.other", { why: error.message });
}

export function day(iso) {
  if (!iso) return "";
  const [year, month, date] = iso.split("-").map(Number);
  return new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeZone: "UTC" }).format(Date.UTC(year, month - 1, date));
}

export function time(at) {
  return new Intl.DateTimeFormat(language(), { hour: "2-digit", minute: "2-digit" }).format(new Date(at));
}

/** Today where the agent is, as the server wants dates. */
export function today() {
  const now = new Date();
  const two = (number) => String(number).padStart(2, "0");
  return `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
}
