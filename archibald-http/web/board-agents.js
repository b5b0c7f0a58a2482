// Beside the list: what each agent does, what went wrong by sort, what is paused, and who works.

import { drainWorker, resume, scopeWords } from "./board-dialogs.js";
import { age, el, mark, say, time } from "./board-dom.js";
import { kindWords, stepWords } from "./board-words.js";
import { t } from "./i18n.js";

export class Agents {
  #rows = new Map();
  #drawn = {};

  constructor({ $, board, filter, say: tell }) {
    Object.assign(this, { $, board, filter, tell });
  }

  /** Everything is drawn anew next time: the words changed. */
  forget() {
    this.#drawn = {};
    this.#rows.clear();
    this.$("agents").replaceChildren();
  }

  draw(tally, now) {
    this.#drawAgents(tally, now);
    this.#drawIfNew("problems", this.board.problems().slice(0, 30), (groups) => this.#drawProblems(groups));
    const { paused = [], workers = [], slots, pool, probes, preemptions } = this.board.overview ?? {};
    this.#drawIfNew("pauses", paused, () => this.#drawPauses(paused));
    const carried = new Map();
    for (const { now: row } of tally.agents) if (row) carried.set(row.worker, (carried.get(row.worker) ?? 0) + 1);
    const facts = workers.map(({ worker, drains, since, slots }) => ({ worker, drains, since, slots, runs: carried.get(worker) ?? 0 }));
    this.#drawIfNew("workers", [facts, slots, pool, probes, preemptions], () => this.#drawWorkers(facts));
  }

  #drawIfNew(name, facts, draw) {
    const text = JSON.stringify(facts, (_, value) => (value instanceof Set ? [...value] : value));
    if (this.#drawn[name] === text) return;
    this.#drawn[name] = text;
    draw(facts);
  }

  #drawAgents({ agents }, now) {
    const body = this.$("agents");
    const paused = new Set((this.board.overview?.paused ?? []).map(({ agent }) => agent));
    agents.sort((a, b) => weight(b) - weight(a) || (a.name < b.name ? -1 : 1));
    const wanted = new Set(agents.map(({ name }) => name));
    for (const [name, row] of this.#rows) if (!wanted.has(name)) (row.tr.remove(), this.#rows.delete(name));
    agents.forEach((agent, index) => {
      const row = this.#rows.get(agent.name) ?? this.#make(agent.name);
      if (body.children[index] !== row.tr) body.insertBefore(row.tr, body.children[index] ?? null);
      fill(row, agent, now, paused.has(agent.name));
      mark(row.tr, "aria-selected", this.filter.value.agent === agent.name ? "true" : null);
    });
  }

  #make(name) {
    const choose = () => this.filter.set({ agent: this.filter.value.agent === name ? "" : name, problem: "" });
    const cells = { now: el("td.now"), waiting: el("td.number"), oldest: el("td.number"), trouble: el("td") };
    const link = el("button.link", { type: "button", onclick: choose }, name);
    const row = { tr: el("tr", {}, el("th", { scope: "row" }, link), ...Object.values(cells)), ...cells };
    this.#rows.set(name, row);
    return row;
  }

  #drawProblems(groups) {
    this.$("no-problems").hidden = groups.length > 0;
    const item = (group) => el("li", {},
      el("b", {}, String(group.count)),
      el("button.link", { type: "button", onclick: () => this.filter.set({ problem: group.key, state: "" }) }, `${t(`state.${group.state}`)}: ${group.text ?? ""}`),
      el("span.muted", {}, t("problem.who", { count: group.agents.size, at: time(group.last) })));
    this.$("problems").replaceChildren(...groups.map(item));
  }

  #drawPauses(paused) {
    const item = (pause) => {
      const scope = pause.scope === "everything" ? {} : pause;
      const again = el("button", { type: "button" }, t("resume.do"));
      again.addEventListener("click", async () => {
        again.disabled = true;
        const wrong = await resume(pause);
        again.disabled = false;
        this.tell(wrong ?? t("resume.done", { what: scopeWords(scope) }));
      });
      const words = { what: scopeWords(scope), why: pause.why, at: time(Date.parse(pause.since)) };
      return el("div.note.row.between", { "data-tone": "warn" }, el("span", {}, t(pause.drains ? "pause.told.drain" : "pause.told", words)), again);
    };
    this.$("pauses").replaceChildren(...paused.map(item));
  }

  #drawWorkers(workers) {
    const { pool, probes = 0, preemptions = 0 } = this.board.overview ?? {};
    const card = ({ worker, drains, since, slots, runs }) => el("div.card-of", {},
      el("div.row.between", {}, el("strong", {}, worker), el("span.badge", { "data-tone": drains ? "warn" : "ok" }, t(drains ? "worker.drains" : "worker.works"))),
      el("progress", { max: Math.max(1, slots), value: runs, "aria-label": t("worker.load", { runs, slots }) }),
      el("span", {}, t("worker.load", { runs, slots }), " · ", t("worker.since", { at: time(Date.parse(since)) })));
    const cards = workers.map(card);
    if (pool) {
      const drain = el("button.quiet", { type: "button", onclick: () => drainWorker(t("drain.this")) }, t("drain.open"));
      cards.push(el("div.card-of", {}, el("div.row.between", {}, el("strong", {}, t("pool.title")), drain),
        el("progress", { max: Math.max(1, pool.capacity), value: pool.in_use, "aria-label": t("tile.browsers") }),
        el("span", {}, t("pool.use", pool)), el("span.muted", {}, t("pool.since-start", { ...pool, probes, preemptions }))));
    }
    this.$("workers").replaceChildren(...cards);
  }
}

// Who is in trouble comes first, then who works, then who waits.
function weight(agent) {
  return agent.in_doubt * 1_000_000 + (agent.failed > 0) * 100_000 + (agent.now ? 10_000 : 0) + Math.min(agent.available, 9_999);
}

function fill(row, agent, now, paused) {
  const { now: running } = agent;
  say(row.now, running ? [kindWords(running.kind), stepWords(running)].filter(Boolean).join(" · ") : paused ? t("agent.paused") : "");
  say(row.waiting, agent.available ? String(agent.available) : "");
  say(row.oldest, agent.oldest ? age(now - agent.oldest.created) : "");
  const trouble = [["in_doubt", agent.in_doubt], ["failed", agent.failed], ["rejected", agent.rejected]].filter(([, count]) => count);
  say(row.trouble, trouble.map(([state, count]) => `${count} ${t(`outcome.${state}`)}`).join(", "));
}
