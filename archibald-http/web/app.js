// The agent's app: prepare orders, submit them, follow what happens. Works on without a network.

import { addMessages, has, languageChoice, t, translate } from "./i18n.js";
import { ArchibaldClient } from "./client.js";
import { defaultStorage } from "./client-storage.js";
import { signInAgain, signInForm, signOut, whoAmI } from "./session.js";
import { Catalogue } from "./app-catalogue.js";
import { Editor } from "./app-editor.js";
import { Lists } from "./app-lists.js";
import { refusalOf, titleOf } from "./app-words.js";
import { h } from "./dom.js";

const HIDDEN_MS = 60_000; // a page that nobody looks at gives its connection back after this
const TOAST_MS = 6_000;
const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);

let client = null;
let catalogue = null;
let editor = null;
let lists = null;
let hiding = null;
let drawing = false;
let refreshing = false;

await addMessages({ it: () => import("./i18n.app.it.js"), en: () => import("./i18n.app.en.js") });
translate(document);
languageChoice($("language"));
signInForm($("sign-in"), begin);
signInForm($("again").querySelector("form"), () => ($("again").close(), client?.signedIn()), () => client.agent);
$("sign-out").addEventListener("click", leave);
$("sync").addEventListener("click", () => ["sync-customers", "sync-products"].forEach((kind) => client.enqueue(kind, {})));
$("agent").addEventListener("change", () => location.assign(`?${new URLSearchParams({ ...Object.fromEntries(query), agent: $("agent").value })}`));
document.addEventListener("languagechange", () => client && (drawState(), draw()));
document.addEventListener("visibilitychange", rest);
addEventListener("hashchange", route);
addEventListener("online", () => client?.wake());
addEventListener("offline", () => client && draw());
addEventListener("pagehide", () => editor?.flush());
navigator.serviceWorker?.register("/sw.js", { scope: "/app" }).catch(() => {});

const me = await whoAmI().catch((error) => {
  $("sign-in").querySelector("[role=alert]").textContent = error.message;
  return null;
});
if (me) await begin(me);
else askWho();

function askWho() {
  document.body.dataset.view = "sign-in";
  $("sign-in").hidden = false;
  $("sign-in").elements.token.focus();
}

/** Everything of an agent, from what this device has kept; the network comes after. */
async function begin(me) {
  const agent = chosenAgent(me);
  if (!agent) return;
  const space = query.get("device") ?? "";
  const storage = await defaultStorage();
  client = new ArchibaldClient({ agent, space, storage, onRefused: askAgain });
  catalogue = new Catalogue(client, storage, `${agent} ${space}/`);
  lists = new Lists(client, catalogue, { act, isOnline: () => lineState() === "online" });
  editor = new Editor($("editor"), { client, catalogue, go, ask, isOnline: () => lineState() === "online" });
  client.on("state", drawState);
  client.on("state", (state) => state === "online" && onceOnline());
  client.on("change", drawSoon);
  client.on("frame", tell);
  client.on("refused", ({ item, error, rescued }) => {
    if (rescued) toast(t("refused.deleted"));
    else if (!showsItself(item, error)) toast([refusalOf(error), item.body?.content && t("refused.kept")].filter(Boolean).join(" "));
  });
  client.on("unkept", () => toast(t("toast.unkept")));
  client.on("renamed", ({ from, to }) => editor.renamed(from, to) && go(`#/order/${to}`, true));
  await catalogue.load();
  $("sign-in").hidden = true;
  $("app").hidden = false;
  $("sign-out").hidden = false;
  await client.start();
  drawState();
  route();
}

/** Somebody may have signed in on another page of this browser. */
function onceOnline() {
  if ($("again").open) $("again").close();
  if (catalogue.isOld) refreshCatalogue();
}

/** A conflict of content is shown where the order is. */
function showsItself({ body }, { status, name }) {
  return name === "NotSentError" || (status === 412 && body !== undefined);
}

function chosenAgent({ agents, scope }) {
  const agent = query.get("agent") ?? agents[0];
  $("agent-choice").hidden = scope !== "operator" || agents.length < 2;
  $("agent").replaceChildren(...agents.map((name) => new Option(name, name, name === agent, name === agent)));
  return agents.includes(agent) ? agent : agents[0];
}

async function leave() {
  if (client.unsent > 0 && !(await ask("leave", { count: client.unsent }))) return;
  await client.stop();
  await Promise.all([client.forget(), catalogue.forget()]);
  await signOut();
  location.replace("/app");
}

/** With the token of this page where it has one and nobody else signed in, else with the person's help. */
async function askAgain(who) {
  if (who === "nobody" && (await signInAgain(client.agent))) return true;
  $("again-who").textContent = t("sign-in.whose", { agent: client.agent });
  if (!$("again").open) $("again").showModal();
  return false;
}

function route() {
  if (!client) return;
  const [, id] = /^#\/order\/(.+)$/.exec(location.hash) ?? [null, null];
  document.body.dataset.view = id === null ? "list" : "order";
  const before = editor.id;
  editor.open(id);
  lists.open = id;
  draw();
  if (id !== before && before !== undefined) (id === null ? $("content") : $("editor").querySelector("h1"))?.focus({ preventScroll: false });
  if (id !== before) scrollTo(0, 0);
}

function go(hash, instead = false) {
  if (!instead) return void (location.hash = hash);
  history.replaceState(null, "", hash);
  lists.open = editor.id;
}

/** At most once a frame, however much comes. */
function drawSoon() {
  if (drawing) return;
  drawing = true;
  const now = () => {
    drawing = false;
    draw();
  };
  if (document.hidden) setTimeout(now, 200);
  else requestAnimationFrame(now);
}

function draw() {
  lists.draw();
  $("data").textContent = t("data.count", { customers: catalogue.count("customers"), products: catalogue.count("products") });
  editor.refresh();
  drawState();
}

/** The browser knows sooner than the stream that there is no network. */
function lineState() {
  return navigator.onLine ? client.state : "offline";
}

function drawState() {
  const state = lineState();
  const tone = { online: "ok", stale: "warn", offline: "warn", refused: "bad" }[state] ?? "";
  const { unsent } = client;
  const more = unsent > 0 && state !== "online" ? ` · ${t("line.unsent", { count: unsent })}` : "";
  const text = t(`line.${state}`) + more;
  const line = $("line");
  line.hidden = false;
  line.dataset.tone = tone;
  line.title = t(`line.${state}.what`);
  if (line.textContent !== text) line.replaceChildren(t(`line.${state}`), more && h("span", { class: "more" }, more));
}

/** What one wants to hear of, wherever one is on the page. */
function tell(name, frame) {
  if (name !== "batch") return;
  for (const event of frame.events) {
    if (event.type === "sync.completed") refreshCatalogue();
    if (event.type === "warning" && event.why) toast(t("toast.warning", { why: event.why }));
    const key = `toast.${event.type}`;
    if (!has(key) || event.class !== "interactive") continue;
    const draft = client.pendingOrders().find(({ operation }) => operation === event.operation);
    toast(t(key, { what: titleOf(client.operation(event.operation) ?? event, catalogue, draft), order: event.kind === "submit-order" ? (event.result?.order ?? "") : "" }));
  }
}

async function refreshCatalogue() {
  if (refreshing) return;
  refreshing = true;
  await catalogue.refresh().catch(() => {});
  refreshing = false;
  draw();
}

async function act(name, operation) {
  const order = operation.result?.order;
  if (!(await ask(name, { order }))) return;
  try {
    if (name === "cancel") await client.cancel(operation.id);
    else await client.enqueue("send-to-verona", { order });
  } catch (error) {
    toast(error.status ? refusalOf(error) : t("line.offline.what"));
  }
}

/** A question that names the consequence; true when it was answered with yes. */
function ask(name, values = {}) {
  $("confirm-title").textContent = t(`ask.${name}`, values);
  $("confirm-text").textContent = t(`ask.${name}.what`, values);
  $("confirm-yes").textContent = t(`ask.${name}.yes`, values);
  $("confirm").returnValue = "";
  $("confirm").showModal();
  return new Promise((resolve) => $("confirm").addEventListener("close", () => resolve($("confirm").returnValue === "yes"), { once: true }));
}

function toast(text) {
  const element = h("p", { class: "toast" }, text);
  $("toasts").append(element);
  while ($("toasts").children.length > 3) $("toasts").firstChild.remove();
  setTimeout(() => element.remove(), TOAST_MS);
}

/** A page in the background follows nothing after a while, and catches up when somebody looks again. */
function rest() {
  clearTimeout(hiding);
  if (!client) return;
  if (document.hidden) {
    editor.flush();
    hiding = setTimeout(() => client.disconnect(), HIDDEN_MS);
  } else {
    client.connect();
    client.wake();
  }
}
