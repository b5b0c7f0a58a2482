// The operator's board: what runs, what waits and why, what is in doubt, and what can be done about it.

import { Agents } from "./board-agents.js";
import { charts } from "./board-charts.js";
import { Board, STATES } from "./board-data.js";
import { Detail } from "./board-detail.js";
import { pauseSomething, showShortcuts } from "./board-dialogs.js";
import { age, el, mark, say, time, tone } from "./board-dom.js";
import { follow } from "./board-feed.js";
import { Filter } from "./board-filter.js";
import { SPANS } from "./board-history.js";
import { List } from "./board-list.js";
import { Older } from "./board-older.js";
import { Pictures } from "./board-pictures.js";
import { kindWords, stepWords } from "./board-words.js";
import { addMessages, languageChoice, t, translate } from "./i18n.js";
import { signInForm, signOut, whoAmI } from "./session.js";

// Nobody reads faster; what a person does is shown at once all the same.
const DRAW_MS = 1000;
const CHARTS_MS = 5000;

const $ = (id) => document.getElementById(id);
const board = new Board();
const tiles = new Map();
let dirty = true;
let followAgain = null;
let drawnCharts = 0;

await addMessages({ it: () => import("./i18n.board.it.js"), en: () => import("./i18n.board.en.js") });
translate(document);
languageChoice($("language"));

const filter = new Filter({ form: $("filter"), clear: $("clear"), problem: $("problem-filter"), onChange: draw });
const list = new List({ box: $("list"), make: makeLine, fill: fillLine, onOpen: (id) => open(board.rows.get(id)?.agent, id) });
const detail = new Detail({ box: $("detail"), onOpen: open, onClose: close });
const agents = new Agents({ $, board, filter, say: (text) => say($("said"), text) });
const pictures = new Pictures($("pictures"));
const older = new Older({ button: $("older"), said: $("older-said"), list: $("list"), board, filter, onMore: draw });
const drawCharts = charts($("charts"));
readSpan();

signInForm($("sign-in"), enter);
$("pause").addEventListener("click", () => pause());
$("keys").addEventListener("click", help);
$("sign-out").addEventListener("click", async () => {
  await signOut();
  location.reload();
});
document.addEventListener("keydown", onKey);
$("span").addEventListener("change", ({ target }) => {
  filter.address({ span: target.value });
  drawnCharts = 0;
  draw();
});
document.addEventListener("languagechange", () => {
  drawnCharts = 0;
  agents.forget();
  detail.redraw();
  draw();
});
addEventListener("popstate", () => {
  filter.read();
  readSpan();
  openFromAddress();
  draw();
});
enter(await whoAmI().catch(() => null));

function enter(me) {
  const may = me?.scope === "operator";
  $("signed-out").hidden = may;
  $("content").hidden = $("tools").hidden = !may;
  if (me && !may) say($("sign-in").querySelector("[role=alert]"), t("board.not-for", { name: me.name }));
  if (!may) return;
  if (followAgain) return void followAgain();
  followAgain = follow({ onFrame: take, onState: connection });
  openFromAddress();
  draw();
  setInterval(() => {
    if (!document.hidden && (dirty || Date.now() - drawnCharts > CHARTS_MS)) draw();
  }, DRAW_MS);
}

function take(name, data) {
  dirty = true;
  if (name === "overview") board.overview = data;
  else if (name === "hello") board.follow(data.agents);
  else if (name === "history") tell(data.minutes);
  else if (name === "operations") board.replace(data.agent, data.operations);
  else if (name === "progress") board.progress(data);
  else for (const event of data.events) board.take(data.agent, event);
  if (data.agent) detail.touch(data.agent);
}

// What was before the page was opened is seen at once.
function tell(minutes) {
  board.history.tell(minutes);
  drawnCharts = 0;
}

// How much of the history is shown is in the address, like what the list shows.
function readSpan() {
  const chosen = new URLSearchParams(location.search).get("span");
  $("span").value = chosen in SPANS ? chosen : "hours";
}

function connection(state) {
  const tones = { live: "ok", waiting: "warn", "signed-out": "bad" };
  mark($("connection"), "data-tone", tones[state]);
  say($("connection"), t(`connection.${state}`));
  if (state === "signed-out") enter(null);
}

function draw() {
  dirty = false;
  const now = Date.now();
  const tally = board.tally(now);
  filter.offer(board);
  const rows = board.select(filter.value);
  list.show(rows);
  $("none").hidden = rows.length > 0;
  say($("count"), t("board.count", { count: rows.length, all: board.order.length }));
  older.draw();
  drawTiles(tally.all, now);
  agents.draw(tally, now);
  pictures.show(Object.keys(board.overview?.running ?? {}));
  if (now - drawnCharts < CHARTS_MS) return;
  drawnCharts = now;
  drawCharts(board.history, $("span").value, now);
  const workers = board.overview?.workers.length ?? 0;
  $("history-of").hidden = workers < 2;
  say($("history-of"), t("board.history-of", { workers }));
}

function drawTiles(all, now) {
  const { slots = 0, pool } = board.overview ?? {};
  const oldest = all.oldest ? t("tile.oldest", { age: age(now - all.oldest.created) }) : "";
  tile("running", all.running, t("tile.slots", { slots }));
  tile("available", all.available, oldest);
  for (const state of ["in_doubt", "failed", "rejected", "completed"]) tile(state, all[state], "");
  if (!pool) return;
  const text = t("tile.pool", { idle: pool.idle, browsers: pool.browsers });
  tile("pool", `${pool.in_use} / ${pool.capacity}`, text, { value: pool.in_use, max: pool.capacity });
}

function tile(name, value, more, full) {
  const isState = STATES.includes(name);
  if (!tiles.has(name)) {
    const parts = { value: el("b"), name: el("span"), more: el("small") };
    const bar = full ? el("progress", { "aria-hidden": "true" }) : null;
    const inside = [parts.value, parts.name, parts.more, bar];
    const toggle = () => filter.set({ state: filter.value.state === name ? "" : name, problem: "" });
    const box = isState ? el("button.tile", { type: "button", onclick: toggle }, inside) : el("div.tile", {}, inside);
    $("tiles").append(el("li", {}, box));
    tiles.set(name, { ...parts, box, bar });
  }
  const shown = tiles.get(name);
  say(shown.value, String(value));
  say(shown.name, t(isState ? `tile.${name}` : "tile.browsers"));
  say(shown.more, more);
  if (isState) {
    mark(shown.box, "aria-pressed", String(filter.value.state === name));
    const calls = value > 0 && ["in_doubt", "failed"].includes(name);
    mark(shown.box, "data-tone", calls ? tone(name) : null);
  }
  if (full) Object.assign(shown.bar, { max: Math.max(1, full.max), value: full.value });
}

function makeLine() {
  const line = el("div.line");
  line.parts = { state: el("span.badge"), agent: el("strong.agent"), kind: el("span.kind"), what: el("span.what"), worker: el("span.worker"), lasts: el("span.age") };
  line.append(...Object.values(line.parts));
  return line;
}

function fillLine(line, row) {
  const { state, agent, kind, what, worker, lasts } = line.parts;
  mark(state, "data-tone", tone(row.state));
  say(state, t(`state.${row.state}`));
  say(agent, row.agent);
  say(kind, kindWords(row.kind));
  say(what, whatOf(row));
  say(worker, row.worker ?? "");
  const since = row.state === "running" ? row.began : row.created;
  say(lasts, row.finished ? time(row.finished) : age(Date.now() - since));
}

function whatOf(row) {
  if (row.state === "running") return stepWords(row);
  if (row.state === "completed") return String(row.result ?? "");
  if (row.state === "available" && row.attempts) return t("row.again", { count: row.attempts, why: row.problem ?? "" });
  return row.problem ?? "";
}

function open(agent, id) {
  if (!agent) return;
  filter.address({ op: `${agent}~${id}` });
  document.body.classList.add("opened");
  list.choose(id);
  detail.open(agent, id);
}

function close() {
  detail.close();
  document.body.classList.remove("opened");
  filter.address({ op: "" });
  $("list").focus({ preventScroll: true });
}

function openFromAddress() {
  const [agent, id] = (new URLSearchParams(location.search).get("op") ?? "").split("~");
  if (id) open(agent, id);
  else if (detail.isOpen) detail.close();
}

function pause(chosen = {}) {
  const waiting = ({ agent, kind }) => board.select({ agent, kind, state: "available" }).length;
  const of = filter.value.agent ? { agent: filter.value.agent } : chosen;
  pauseSomething({ agents: board.agents, kinds: board.kinds(), waiting, chosen: of });
}

const KEYS = {
  "/": () => $("text").focus(),
  j: () => list.move(1),
  k: () => list.move(-1),
  Enter: () => list.chosen && open(board.rows.get(list.chosen)?.agent, list.chosen),
  Escape: () => detail.isOpen && close(),
  d: () => filter.set({ state: filter.value.state === "in_doubt" ? "" : "in_doubt", problem: "" }),
  w: () => filter.set({ state: filter.value.state === "available" ? "" : "available", problem: "" }),
  0: () => filter.reset(),
  o: () => older.more(),
  c: () => detail.act("cancel"),
  r: () => detail.act("retry"),
  x: () => detail.act("resolve"),
  p: () => pause(),
  "?": help,
};

function help() {
  showShortcuts([
    ["j k ↓ ↑", "keys.move"], ["Enter", "keys.open"], ["Esc", "keys.close"], ["/", "keys.search"], ["d", "keys.doubts"], ["w", "keys.waiting"],
    ["0", "keys.all"], ["o", "keys.older"], ["c", "keys.cancel"], ["r", "keys.retry"], ["x", "keys.resolve"], ["p", "keys.pause"], ["?", "keys.help"],
  ]);
}

function onKey(event) {
  if (!followAgain || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const field = event.target.closest("input, select, textarea");
  if (field && event.key === "Escape") field.blur();
  const own = event.target.closest("button, a, summary, [role=listbox]");
  if (field || (event.key === "Enter" && own) || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
}
