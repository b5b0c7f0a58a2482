// Words by key, in the reader's language. A page adds its own to these:
//   await addMessages({ it: () => import("/assets/i18n.board.it.js"), en: () => import("/assets/i18n.board.en.js") });
// A module of words exports one object by default: { "key": "text with {names}" }. For counts, a text may be
// an object by plural category: { one: "{count} riga", other: "{count} righe" }.

export const LANGUAGES = { it: "Italiano", en: "English" };

const KEPT = "archibald.language";
const words = new Map();
const sources = [];
let current = preferred();

export function language() {
  return current;
}

/** The text of a key; a key without a text is shown as it is, and told on the console. */
export function t(key, values = {}) {
  let text = words.get(key);
  if (text === undefined) {
    console.warn(`no words for ${key} in ${current}`);
    return key;
  }
  if (typeof text === "object") text = text[plural(values.count)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Whether a key has words: for names that a server may have more of than a page knows. */
export function has(key) {
  return words.has(key);
}

/** Loads a set of words now, and again when the language changes. */
export async function addMessages(source) {
  sources.push(source);
  merge((await source[current]()).default);
}

/** Switches, keeps the choice, and fires `languagechange` on the document once the words are there. */
export async function setLanguage(next) {
  if (!(next in LANGUAGES)) return;
  const loaded = await Promise.all(sources.map((source) => source[next]()));
  current = next;
  keep(next);
  words.clear();
  for (const module of loaded) merge(module.default);
  document.documentElement.lang = current;
  translate(document);
  document.dispatchEvent(new CustomEvent("languagechange", { detail: current }));
}

/**
 * Fills elements that name a key (one without words yet stays as it is): data-t="key" for the text, data-t-NAME="key" for the attribute NAME
 * (data-t-aria-label, data-t-placeholder, data-t-title).
 */
export function translate(root) {
  for (const element of root.querySelectorAll("*")) {
    for (const [name, key] of Object.entries(element.dataset)) {
      if (!has(key)) continue;
      if (name === "t") element.textContent = t(key);
      else if (/^t[A-Z]/.test(name)) {
        const attribute = name.slice(1).replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).slice(1);
        element.setAttribute(attribute, t(key));
      }
    }
  }
}

/** Fills a <select> with the languages and switches when one is chosen. */
export function languageChoice(select) {
  for (const [code, name] of Object.entries(LANGUAGES)) {
    const option = new Option(name, code, code === current, code === current);
    option.lang = code;
    select.append(option);
  }
  select.addEventListener("change", () => setLanguage(select.value));
}

export function formatDate(value, options = { dateStyle: "medium" }) {
  return new Intl.DateTimeFormat(current, options).format(new Date(value));
}

export function formatTime(value) {
  return formatDate(value, { hour: "2-digit", minute: "2-digit" });
}

function preferred() {
  const kept = read();
  if (kept in LANGUAGES) return kept;
  const wanted = typeof navigator === "undefined" ? [] : (navigator.languages ?? [navigator.language]);
  return wanted.map((tag) => tag.slice(0, 2)).find((code) => code in LANGUAGES) ?? "en";
}

function plural(count) {
  return new Intl.PluralRules(current).select(Number(count));
}

function merge(messages) {
  for (const [key, text] of Object.entries(messages)) words.set(key, text);
}

// A browser that keeps nothing (private mode, blocked storage) still shows the page.
function read() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

function keep(code) {
  try {
    localStorage.setItem(KEPT, code);
  } catch {
    // It holds until the page is closed.
  }
}

await addMessages({ it: () => import("./i18n.it.js"), en: () => import("./i18n.en.js") });
if (typeof document !== "undefined") {
  document.documentElement.lang = current;
  translate(document);
}
