// Lets the app start without a network: keeps its pages and scripts, and nothing else. Data never passes here.

const KEPT = "archibald-shell-1";
const PATIENCE_MS = 3_000; // a network slower than this counts as none, where something is kept
const SHELL = [
  "/app", "/assets/app.css", "/assets/app.js", "/assets/app.webmanifest", "/assets/app-catalogue.js",
  "/assets/app-conflict.js", "/assets/app-editor.js", "/assets/app-lists.js", "/assets/app-words.js",
  "/assets/base.css", "/assets/client.js", "/assets/client-errors.js", "/assets/client-queue.js",
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
  if (ours) event.respondWith(newest(event, pathname));
});

/** From the network, which says what is new; from what is kept where that does not answer. */
async function newest(event, path) {
  const cache = await caches.open(KEPT);
  const kept = await cache.match(path);
  const asked = fetch(event.request).then(async (response) => {
    if (response.ok) await cache.put(path, response.clone());
    return response;
  });
  if (!kept) return asked;
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, kept));
  event.waitUntil(asked.catch(() => {}));
  return Promise.race([asked.then((response) => (response.ok ? response : kept), () => kept), late]);
}
