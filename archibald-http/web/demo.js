// The demonstration: both sides of the product in one view, and buttons that break it. The page is served by the
// demo itself (`cargo xtask demo`), whose controls it uses with the token of its link.

import { el, mark, say, time, tone } from "./board-dom.js";
import { kindWords, stepWords } from "./board-words.js";
import { addMessages, languageChoice, t, translate } from "./i18n.js";

const FAULTS = ["kill", "drop", "expire", "slow"];
const KEPT = "archibald.demo";
const $ = (id) => document.getElementById(id);
const token = takeToken();
let scene = null;
/** What was said last beside a button, by the element that says it: in another language it is said again. */
const answers = new Map();
/** The fault that was pressed last, until its end is told. */
let pressed = null;

await addMessages({ it: () => import("./i18n.board.it.js"), en: () => import("./i18n.board.en.js") });
await addMessages({ it: () => import("./i18n.demo.it.js"), en: () => import("./i18n.demo.en.js") });
translate(document);
languageChoice($("language"));
document.addEventListener("languagechange", () => {
  if (scene) draw(scene);
  for (const [id, told] of answers) say($(id), t(...told()));
});

const buttons = new Map(FAULTS.map((name) => [name, faultButton(name)]));
$("many").addEventListener("click", () => ask("/demo/orders", "many-answer", () => ["answer.orders", { count: agents() }]));
for (const button of document.querySelectorAll("[data-order]")) {
  button.addEventListener("click", () => ask(`/demo/order/${scene.agent}`, "order-answer", () => ["answer.order"]));
}
answer("fault-answer", () => ["answer.first"]);
if (token) follow();
else $("elsewhere").hidden = false;

// The link carries the token in its fragment; it stays with this tab, so that the page can be loaded again.
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  try {
    if (!given) return sessionStorage.getItem(KEPT);
    sessionStorage.setItem(KEPT, given);
  } catch {
    // It holds until the page is closed.
  }
  if (given) history.replaceState(null, "", location.pathname);
  return given;
}

/** Asks the demo for something, and says beside the button what came of it. */
async function ask(path, id, accepted) {
  const response = await fetch(path, { method: "POST", headers: { Authorization: `Bearer ${token}` } }).catch(() => null);
  // A refusal names the fault that is in the way.
  const inTheWay = response?.status === 409 ? await response.text().catch(() => "") : "";
  if (response?.ok) answer(id, accepted);
  else if (FAULTS.includes(inTheWay)) answer(id, () => [path.endsWith(inTheWay) ? "answer.already" : "answer.not_now", { fault: t(`fault.${inTheWay}`) }]);
  else answer(id, () => [response ? "answer.refused" : "answer.gone", { status: response?.status }]);
  return Boolean(response?.ok);
}

function answer(id, told) {
  answers.set(id, told);
  say($(id), t(...told()));
}

function agents() {
  return Object.keys(scene.agents).length;
}

/** Every scene that the demo tells, until it ends. */
async function follow() {
  const response = await fetch("/demo/scene", { headers: { Authorization: `Bearer ${token}` } }).catch(() => null);
  if (!response?.ok) {
    $("stage").hidden = true;
    $("elsewhere").hidden = false;
    return;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch(() => ({ done: true }));
    if (done) break;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    // Of several scenes the latest counts.
    if (events.length) draw(JSON.parse(events.at(-1).slice("data: ".length)));
  }
  setTimeout(follow, 1000);
}

function draw(next) {
  scene = next;
  $("stage").hidden = false;
  $("elsewhere").hidden = true;
  drawFigures();
  drawFaults();
  drawStory();
  drawDevices();
  drawAgents();
  drawErp();
}

function drawFigures() {
  const { duplicates, lost, done, open, faults } = scene.figures;
  for (const [name, value] of Object.entries({ duplicates, lost, done, open, faults, kills: scene.worker.kills })) say($(name), String(value));
  for (const box of document.querySelectorAll(".never")) mark(box, "data-tone", scene.figures[box.dataset.name] ? "bad" : null);
}

function faultButton(name) {
  const words = el("strong");
  const what = el("small");
  const button = el("button.fault.danger", { type: "button", id: `fault-${name}`, onclick: () => press(name) }, words, what);
  $("faults-buttons").append(button);
  return { button, words, what };
}

async function press(name) {
  if (await ask(`/demo/fault/${name}`, "fault-answer", () => [`answer.${name}`])) pressed = { name, seen: false };
}

function drawFaults() {
  for (const [name, { button, words, what }] of buttons) {
    const busy = scene.under_way.includes(name);
    say(words, t(`fault.${name}`));
    say(what, t(busy ? `fault.${name}.now` : `fault.${name}.what`));
    mark(button, "aria-busy", busy ? "true" : null);
    // Not `disabled`, which would take the focus away from whoever pressed it with a key.
    mark(button, "aria-disabled", busy ? "true" : null);
  }
  if (!pressed) return;
  const busy = scene.under_way.includes(pressed.name);
  if (pressed.seen && !busy) {
    answer("fault-answer", () => ["answer.over", { duplicates: scene.figures.duplicates, lost: scene.figures.lost }]);
    pressed = null;
  } else pressed.seen = busy;
}

let toldStory = "";

function drawStory() {
  const text = JSON.stringify([scene.story, document.documentElement.lang]);
  if (text === toldStory) return;
  toldStory = text;
  const good = /found|back|off|restarted/;
  const line = ({ at_ms, key, words }) => el("li", { "data-tone": key === "otherwise" ? "bad" : good.test(key) ? "ok" : null, "data-key": key },
    el("time", {}, time(at_ms)), el("span", {}, t(`story.${key}`, words)));
  $("story").replaceChildren(...scene.story.map(line));
  $("no-story").hidden = scene.story.length > 0;
}

function drawDevices() {
  say($("devices-title"), t("demo.devices", { agent: scene.agent }));
  say($("devices-what"), t("demo.devices.what", { agent: scene.agent, count: agents() }));
  say($("many"), t("demo.many", { count: agents() }));
  $("to-app").href = scene.links.app;
  for (const name of ["tablet", "phone"]) {
    const { connected, operations } = scene.devices[name];
    mark($(`${name}-state`), "data-tone", connected ? "ok" : "warn");
    say($(`${name}-state`), t(connected ? "connection.live" : "connection.waiting"));
    keep($(name), operations, (operation) => {
      const words = operation.order ? t("demo.number", { order: operation.order }) : worked(operation);
      return el("li", {}, el("span", {}, words),
        el("span.badge", { "data-tone": tone(operation.state) }, t(`state.${operation.state}`)));
    });
  }
}

/** What is done, in few words: where nothing is known of how far it is, its kind. */
function worked(row) {
  return stepWords(row) || kindWords(row.kind);
}

function drawAgents() {
  const { up, pid } = scene.worker;
  mark($("worker"), "data-tone", up ? "ok" : "bad");
  say($("worker"), t(up ? "worker.up" : "worker.killed", { pid: pid ?? "" }));
  $("to-board").href = scene.links.board;
  keep($("agents"), Object.entries(scene.agents), ([name, seat]) => el("tr", {},
    el("th", { scope: "row" }, name), el("td.now", {}, seat.kind ? worked(seat) : ""),
    el("td.number", {}, seat.waiting ? String(seat.waiting) : ""), el("td.number", {}, seat.done ? String(seat.done) : "")));
}

function drawErp() {
  const { orders, saved, logins, slow } = scene.erp;
  mark($("erp-state"), "data-tone", slow ? "warn" : "ok");
  say($("erp-state"), t(slow ? "erp.slow" : "erp.up"));
  say($("saved"), t("demo.saved", { saved, logins }));
  $("to-erp").href = scene.links.erp;
  $("to-ledger").href = scene.links.ledger;
  keep($("orders"), orders, (order) => el("tr", {}, el("td", {}, el("strong", {}, order.number), order.fault ? ` · ${t("demo.struck")}` : ""),
    el("td", {}, order.agent), el("td", {}, time(order.at_ms))));
}

/** Makes only those children anew whose content changed. */
function keep(box, items, make) {
  items.forEach((item, index) => {
    const text = JSON.stringify([item, document.documentElement.lang]);
    const there = box.children[index];
    if (there?.told === text) return;
    const made = make(item);
    made.told = text;
    there ? there.replaceWith(made) : box.append(made);
  });
  while (box.children.length > items.length) box.lastElementChild.remove();
}
