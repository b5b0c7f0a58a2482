// Elements in one expression, and words for times and numbers.

import { formatDate, language, t } from "./i18n.js";

const SVG = "http://www.w3.org/2000/svg";

/** An element: `el("td.number", { title: "…", onclick }, "text", child)`. Text stays text. */
export function el(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  set(element, properties);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** The same in an SVG. */
export function svg(name, properties = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  set(element, properties);
  element.append(...children);
  return element;
}

function set(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
}

/** Changes a text only where it is another one: what stays the same costs nothing. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function mark(element, name, value) {
  if (value === null || value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** A span of time, in the two units that matter. */
export function span(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toLocaleString(language(), { maximumFractionDigits: 1 })} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return [`${Math.floor(seconds / 60)} min`, Math.floor(seconds % 60) ? `${Math.floor(seconds % 60)} s` : ""].join(" ").trim();
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

/** How long something has lasted. Seconds matter while there are few of them: what changes seldom costs little. */
export function age(ms) {
  if (ms < 10_000) return span(Math.max(1000, Math.floor(ms / 1000) * 1000));
  return span(ms < 60_000 ? Math.floor(ms / 5000) * 5000 : Math.floor(ms / 60_000) * 60_000);
}

const clock = new Map();

export function time(at) {
  if (!clock.has(language())) {
    clock.set(language(), new Intl.DateTimeFormat(language(), { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }));
  }
  return at ? clock.get(language()).format(at) : "";
}

export function moment(at) {
  return formatDate(at, { dateStyle: "medium", timeStyle: "medium" });
}

const TONES = { running: "brand", in_doubt: "doubt", failed: "bad", rejected: "warn", completed: "ok" };

export function tone(state) {
  return TONES[state];
}

/** A state as a badge: a sign, a word and a colour. */
export function badge(state) {
  return el("span.badge", { "data-tone": tone(state) }, t(`state.${state}`));
}

/** The last part of an id: enough to tell operations apart by eye. */
export function short(id) {
  return id.slice(-6);
}
