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

await addMessages({ it: () => import("./i18n.board.it.js"), en: () => import("./i18n.board.en.js") });
await addMessages({ it: () => import("./i18n.demo.it.js"), en: () => import("./i18n.demo.en.js") });
translate(document);
languageChoice($("language"));
document.addEventListener("languagechange", () => scene && draw(scene));

const buttons = new Map(FAULTS.map((name) => [name, faultButton(name)]));
$("many").addEventListener("click", () => tell("/demo/orders"));
for (const button of document.querySelectorAll("[data-order]")) {
  button.addEventListener("click", () => tell(`/demo/order/${scene.agent}`));
}
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

function tell(path) {
  return fetch(path, { method: "POST", headers: { Authorization: `Bearer ${token}` } }).catch(() => null);
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
  const button = el("button.fault.danger", { type: "button", id: `fault-${name}`, onclick: () => tell(`/demo/fault/${name}`) }, words, what);
  $("faults-buttons").append(button);
  return { button, words, what };
}

function drawFaults() {
  for (const [name, { button, words, what }] of buttons) {
    const busy = scene.under_way.includes(name);
    say(words, t(`fault.${name}`));
    say(what, t(busy ? `fault.${name}.now` : `fault.${name}.what`));
    mark(button, "aria-busy", busy ? "true" : null);
    button.disabled = busy;
  }
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
  $("to-app").href = scene.links.app;
  for (const name of ["tablet", "phone"]) {
    const { connected, operations } = scene.devices[name];
    mark($(`${name}-state`), "data-tone", connected ? "ok" : "warn");
    say($(`${name}-state`), t(connected ? "connection.live" : "connection.waiting"));
    keep($(name), operations, (operation) => {
      const detail = operation.order ? t("demo.number", { order: operation.order }) : stepWords(operation);
      return el("li", {}, el("span", {}, [kindWords(operation.kind), detail].filter(Boolean).join(" · ")),
        el("span.badge", { "data-tone": tone(operation.state) }, t(`state.${operation.state}`)));
    });
  }
}

function drawAgents() {
  const { up, pid } = scene.worker;
  mark($("worker"), "data-tone", up ? "ok" : "bad");
  say($("worker"), t(up ? "worker.up" : "worker.killed", { pid: pid ?? "" }));
  $("to-board").href = scene.links.board;
  keep($("agents"), Object.entries(scene.agents), ([name, seat]) => el("tr", {},
    el("th", { scope: "row" }, name), el("td.now", {}, seat.kind ? [kindWords(seat.kind), stepWords(seat)].filter(Boolean).join(" · ") : ""),
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
