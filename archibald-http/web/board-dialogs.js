// Questions before something is done that cannot be taken back, each with what will follow from it.

import { call, pathOf } from "./board-feed.js";
import { el, short, time } from "./board-dom.js";
import { kindWords } from "./board-words.js";
import { has, t } from "./i18n.js";

/** Asks; `act(form)` does it and answers what went wrong, or nothing. */
function ask({ title, body, action, danger, wide, act }) {
  const alert = el("p.error", { role: "alert" });
  const cancel = el("button", { type: "button", onclick: () => dialog.close() }, t("dialog.leave"));
  const go = el(`button.${danger ? "danger" : "primary"}`, { type: "submit" }, action);
  const form = el("form.stack", { method: "dialog" }, el("h2", { id: "dialog-title" }, title), body, alert, el("div.actions", {}, cancel, go));
  const dialog = el(wide ? "dialog.wide" : "dialog", { "aria-labelledby": "dialog-title" }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    const wrong = await act(form);
    go.disabled = false;
    if (wrong === undefined || wrong === null) dialog.close();
    else alert.textContent = wrong;
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

const answer = ({ ok, problem }) => (ok ? null : problem ?? t("call.no-answer"));

export function cancelIt(row) {
  ask({
    title: t("cancel.title", { kind: kindWords(row.kind), id: short(row.id) }),
    body: el("p", {}, t("cancel.follows", { agent: row.agent })),
    action: t("cancel.do"),
    danger: true,
    act: async () => answer(await call("POST", `${pathOf(row)}/cancel`)),
  });
}

export function retryIt(row) {
  ask({
    title: t("retry.title", { kind: kindWords(row.kind), id: short(row.id) }),
    body: el("p", {}, t("retry.follows")),
    action: t("retry.do"),
    act: async () => answer(await call("POST", `${pathOf(row)}/retry`)),
  });
}

/** Pauses or drains something; `chosen` is `{ agent }`, `{ kind }` or nothing for everything. */
export function pauseSomething({ agents, kinds, waiting, chosen = {} }) {
  const option = (value, text) => el("option", { value }, text);
  const what = el("select", { name: "what" },
    option("everything", t("scope.everything")),
    el("optgroup", { label: t("pause.kinds") }, kinds.map((kind) => option(`kind ${kind}`, kindWords(kind)))),
    el("optgroup", { label: t("pause.agents") }, agents.map((agent) => option(`agent ${agent}`, agent))));
  what.value = chosen.agent ? `agent ${chosen.agent}` : chosen.kind ? `kind ${chosen.kind}` : "everything";
  const drains = el("input", { type: "checkbox", name: "drains" });
  const follows = el("p.note", { "data-tone": "warn", "aria-live": "polite" });
  const tell = () => {
    const scope = scopeOf(what.value);
    const words = { what: scopeWords(scope), count: waiting(scope) };
    follows.textContent = t(drains.checked ? "pause.follows.drain" : "pause.follows", words);
  };
  what.addEventListener("change", tell);
  drains.addEventListener("change", tell);
  tell();
  ask({
    title: t("pause.title"),
    body: [
      el("label.field", {}, el("span", {}, t("pause.what")), what),
      el("label.row", {}, drains, el("span", {}, t("pause.drain"))),
      el("label.field", {}, el("span", {}, t("pause.why")), el("input", { name: "why", maxlength: "200", required: true })),
      follows,
    ],
    action: t("pause.do"),
    danger: true,
    act: async ({ elements }) => {
      const body = { ...scopeOf(what.value), why: elements.why.value.trim() };
      return answer(await call("POST", drains.checked ? "/v1/admin/drain" : "/v1/admin/pause", body));
    },
  });
}

export async function resume(pause) {
  const { scope, agent, kind } = pause;
  return answer(await call("POST", "/v1/admin/resume", scope === "everything" ? { everything: true } : { agent, kind }));
}

export function scopeOf(text) {
  const [scope, name] = text.split(" ");
  return scope === "everything" ? { everything: true } : { [scope]: name };
}

export function scopeWords({ agent, kind }) {
  if (agent) return t("scope.agent", { name: agent });
  return kind ? t("scope.kind", { name: kindWords(kind) }) : t("scope.everything");
}

/** This process takes nothing more and ends. */
export function drainWorker(name) {
  ask({
    title: t("drain.title", { name }),
    body: el("p", {}, t("drain.follows")),
    action: t("drain.do"),
    danger: true,
    act: async () => answer(await call("POST", "/v1/admin/workers/drain")),
  });
}

/** Decides a doubt: what was seen on one side, the choices and what follows from each on the other. */
export function resolveDoubt(operation, onDecided) {
  const name = operation.kind === "create-customer" ? "customer" : "order";
  const known = operation.payload[name];
  const number = el("input", { name: "number", autocomplete: "off", "aria-describedby": "number-hint", value: typeof known === "string" ? known : null });
  const numberField = el("label.field", { hidden: true }, el("span", {}, t(`resolve.number.${name}`)), number, el("span.muted", { id: "number-hint" }, t("resolve.number.hint")));
  const choice = (outcome) => el("label.choice", {},
    el("input", { type: "radio", name: "outcome", value: outcome, required: true, autofocus: outcome === "applied" }),
    el("span", {}, el("strong", {}, t(`resolve.${outcome}`)), el("span.muted", {}, t(`resolve.${outcome}.follows`))));
  const choices = el("fieldset.choices", {}, el("legend", {}, t("resolve.question")), ["applied", "not_applied", "abandon"].map(choice), numberField,
    el("label.field", {}, el("span", {}, t("resolve.note")), el("input", { name: "note", maxlength: "500" })));
  choices.addEventListener("change", ({ target }) => {
    if (target.name !== "outcome") return;
    numberField.hidden = target.value !== "applied";
    number.required = target.value === "applied";
  });
  ask({
    title: t("resolve.title", { kind: kindWords(operation.kind), agent: operation.agent }),
    wide: true,
    body: el("div.beside", {}, seen(operation), choices),
    action: t("resolve.do"),
    act: async ({ elements }) => {
      const outcome = elements.outcome.value;
      const body = { outcome, note: elements.note.value.trim() || undefined };
      if (outcome === "applied") body.receipt = { [name]: number.value.trim() };
      const done = await call("POST", `${pathOf(operation)}/resolve`, body);
      if (done.ok) onDecided();
      return answer(done);
    },
  });
}

function seen(operation) {
  const effects = operation.effects.map((effect) => el("li", {}, t("resolve.effect", { name: effect.name, state: t(`effect.${effect.state}`), mark: effect.mark ?? "–" })));
  return el("section.seen.stack", {},
    el("h3", {}, t("resolve.seen")),
    el("p.note", { "data-tone": "doubt" }, operation.problem?.detail ?? ""),
    effects.length ? el("ul", {}, effects) : null,
    evidence(operation),
    el("details", {}, el("summary", {}, t("detail.payload")), el("pre", {}, JSON.stringify(operation.payload, null, 2))));
}

/** What was kept of the ERP's pages: pictures to look at, the newest first, then the rest to take away. */
export function evidence(operation) {
  if (!operation.evidence.length) return el("p.muted", {}, t("evidence.none"));
  const isPicture = ({ media_type }) => media_type.startsWith("image/");
  const caption = (kept) => `${has(`evidence.${kept.name}`) ? t(`evidence.${kept.name}`) : kept.name} · ${time(Date.parse(kept.at))}`;
  const link = (kept, ...more) => el("li", {}, el("a", { href: kept.href, target: "_blank", rel: "noopener" }, ...more, el("span", {}, caption(kept))));
  const picture = (kept) => link(kept, el("img", { src: kept.href, alt: t("evidence.alt", { name: caption(kept) }), loading: "lazy" }));
  const pictures = operation.evidence.filter(isPicture).reverse();
  const rest = operation.evidence.filter((kept) => !isPicture(kept)).reverse();
  return el("div.stack.tight", {},
    pictures.length ? el("ul.evidence", {}, pictures.map(picture)) : null,
    rest.length ? el("ul.evidence.rest", {}, rest.map((kept) => link(kept))) : null);
}

export function showShortcuts(shortcuts) {
  const rows = shortcuts.map(([keys, key]) => el("tr", {}, el("th", { scope: "row" }, keys.split(" ").flatMap((name) => [el("kbd", {}, name), " "])), el("td", {}, t(key))));
  const dialog = el("dialog", { "aria-labelledby": "keys-title" }, el("form.stack", { method: "dialog" },
    el("h2", { id: "keys-title" }, t("keys.title")), el("table", {}, el("tbody", {}, rows)),
    el("div.actions", {}, el("button.primary", {}, t("dialog.close")))));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
