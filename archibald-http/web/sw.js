// Lets the app start without a network: keeps its pages and scripts, and nothing else. Data never passes here.
//
// The server puts the version of its files into the name. A browser that finds another name keeps all of that
// version beside the old one, and then changes over: pages and scripts of two versions are never mixed.

const KEPT = "archibald-shell-VERSION";
const SHELL = [
  "/app", "/assets/app.css", "/assets/app.js", "/assets/app.webmanifest", "/assets/app-catalogue.js",
  "/assets/app-conflict.js", "/assets/app-editor.js", "/assets/app-lists.js", "/assets/app-words.js",
  "/assets/base.css", "/assets/client.js", "/assets/client-caller.js", "/assets/client-errors.js", "/assets/client-queue.js",
  "/assets/client-replica.js", "/assets/client-storage.js", "/assets/client-stream.js", "/assets/combobox.js",
  "/assets/dom.js", "/assets/i18n.js", "/assets/i18n.app.en.js", "/assets/i18n.app.it.js", "/assets/i18n.en.js",
  "/assets/i18n.it.js", "/assets/icon.svg", "/assets/money.js", "/assets/session.js",
];

addEventListener("install", (event) => {
  event.waitUntil(caches.open(KEPT).then((cache) => cache.addAll(SHELL)).then(() => skipWaiting()));
});

addEventListener("activate", (event) => {
  const drop = (names) => Promise.all(names.filter((name) => name !== KEPT).map((name) => caches.delete(name)));
  event.waitUntil(caches.keys().then(drop).then(() => clients.claim()));
});

addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  const ours = origin === location.origin && event.request.method === "GET" && SHELL.includes(pathname);
  if (ours) event.respondWith(kept(event, pathname));
});

/** What is kept of this version; from the network where the browser threw it away. */
async function kept(event, path) {
  const cache = await caches.open(KEPT);
  const found = await cache.match(path);
  if (found) return found;
  const response = await fetch(event.request);
  if (response.ok) event.waitUntil(cache.put(path, response.clone()).catch(() => {}));
  return response;
}
