// What the list shows. The choice is in the address, so that it can be kept and handed on.

import { STATES } from "./board-data.js";
import { el } from "./board-dom.js";
import { kindWords } from "./board-words.js";
import { t } from "./i18n.js";

const NAMES = ["text", "state", "agent", "kind", "problem"];

export class Filter {
  value = {};
  #offered = "";

  constructor({ form, clear, problem, onChange }) {
    Object.assign(this, { form, clear, problem, onChange });
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", ({ target }) => this.set({ [target.name]: target.value.trim() }));
    clear.addEventListener("click", () => this.reset());
    this.read();
  }

  /** As the address says it. */
  read() {
    const address = new URLSearchParams(location.search);
    this.value = Object.fromEntries(NAMES.map((name) => [name, address.get(name) ?? ""]));
    this.#offered = "";
    this.form.elements.text.value = this.value.text;
    this.#showProblem();
  }

  set(change) {
    Object.assign(this.value, change);
    for (const [name, value] of Object.entries(change)) {
      const field = this.form.elements[name];
      if (field && field.value.trim() !== value) field.value = value;
    }
    this.address(change);
    this.#showProblem();
    this.onChange();
  }

  reset() {
    this.set(Object.fromEntries(NAMES.map((name) => [name, ""])));
  }

  address(change) {
    const address = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(change)) value ? address.set(name, value) : address.delete(name);
    const text = address.toString();
    history.replaceState(null, "", text ? `?${text}` : location.pathname);
  }

  /** Puts what there is to choose from into the fields, when it is something else than before. */
  offer(board) {
    const kinds = board.kinds();
    const offered = JSON.stringify([t("filter.state"), board.agents, kinds]);
    if (offered === this.#offered) return;
    this.#offered = offered;
    const { state, agent, kind } = this.form.elements;
    fill(state, t("filter.state.all"), STATES.map((name) => [name, t(`state.${name}`)]), this.value.state);
    fill(agent, t("filter.agent.all"), board.agents.map((name) => [name, name]), this.value.agent);
    fill(kind, t("filter.kind.all"), kinds.map((name) => [name, kindWords(name)]), this.value.kind);
  }

  #showProblem() {
    const { problem } = this.value;
    this.clear.hidden = NAMES.every((name) => !this.value[name]);
    this.problem.hidden = !problem;
    this.problem.textContent = problem ? t("filter.problem", { problem }) : "";
  }
}

function fill(select, all, choices, chosen) {
  if (chosen && !choices.some(([value]) => value === chosen)) choices.push([chosen, chosen]);
  select.replaceChildren(el("option", { value: "" }, all), ...choices.map(([value, text]) => el("option", { value }, text)));
  select.value = chosen;
}
