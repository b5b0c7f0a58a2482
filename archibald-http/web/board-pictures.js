// What the sessions in use show, small, for as long as somebody looks at them.

import { el, say } from "./board-dom.js";
import { t } from "./i18n.js";

const EVERY_MS = 2000;
/** So long at the most after errors, each of which doubles the time. */
const LONGEST_MS = 60_000;
/** Asked for at a time: what else the page asks for has to get through. */
const AT_ONCE = 3;
// More than anybody sees at a time are not asked for.
const MOST = 24;

export class Pictures {
  #box;
  #shown = new Map();
  #near = false;
  /** Ends what is asked for, once nobody looks; `null` while nobody does. */
  #looking = null;
  /** The server said that it has none: until the page is loaded again it is not asked. */
  #none = false;

  constructor(box) {
    this.#box = box;
    const near = (entries) => this.#look(entries.at(-1).isIntersecting);
    new IntersectionObserver(near).observe(box);
    document.addEventListener("visibilitychange", () => this.#look(this.#near));
  }

  /** The agents whose operations run in this process. */
  show(agents) {
    const wanted = agents.sort().slice(0, MOST);
    for (const [agent, picture] of this.#shown) if (!wanted.includes(agent)) this.#remove(agent, picture);
    wanted.forEach((agent, index) => {
      const { figure, image, name } = this.#shown.get(agent) ?? this.#make(agent);
      image.alt = t("picture.of", { agent });
      say(name, agent);
      if (this.#box.children[index] !== figure) this.#box.insertBefore(figure, this.#box.children[index] ?? null);
    });
  }

  #make(agent) {
    const [image, name] = [el("img", { width: "320", height: "200" }), el("figcaption")];
    const picture = { image, name, figure: el("figure", { hidden: true }, image, name) };
    this.#shown.set(agent, picture);
    return picture;
  }

  #remove(agent, picture) {
    put(picture, null);
    picture.figure.remove();
    this.#shown.delete(agent);
  }

  #look(near) {
    this.#near = near;
    const looks = near && !document.hidden && !this.#none;
    if (looks === Boolean(this.#looking)) return;
    this.#looking?.abort();
    this.#looking = looks ? new AbortController() : null;
    if (looks) this.#keepLooking(this.#looking.signal);
  }

  async #keepLooking(signal) {
    let pause = EVERY_MS;
    while (!signal.aborted) {
      pause = (await this.#lookAtAll(signal)) ? EVERY_MS : Math.min(pause * 2, LONGEST_MS);
      await new Promise((go) => setTimeout(go, pause));
    }
  }

  /** A few at a time; false as soon as one fails. */
  async #lookAtAll(signal) {
    const left = [...this.#shown];
    let isWell = true;
    const next = async () => {
      while (left.length && isWell && !signal.aborted) {
        const [agent, picture] = left.shift();
        if (await this.#refresh(agent, picture, signal)) continue;
        isWell = false;
        // The others first, the next time: it may be the only one that fails.
        if (this.#shown.delete(agent)) this.#shown.set(agent, picture);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, next));
    return isWell;
  }

  /** Whether there was an answer, be it that there is no picture just now. */
  async #refresh(agent, picture, signal) {
    const path = `/v1/admin/pool/${encodeURIComponent(agent)}/picture`;
    const answer = await fetch(path, { cache: "no-store", signal }).catch(() => null);
    const seen = answer?.ok ? await answer.blob().catch(() => null) : null;
    const problem = answer?.status === 404 ? await answer.json().catch(() => null) : null;
    if (signal.aborted) return true;
    if (this.#shown.get(agent) === picture) put(picture, seen);
    if (problem?.type?.endsWith(":no-pictures")) {
      this.#none = true;
      this.#look(this.#near);
    }
    return Boolean(answer?.ok || answer?.status === 404);
  }
}

function put({ figure, image }, seen) {
  if (image.src) URL.revokeObjectURL(image.src);
  figure.hidden = !seen;
  if (seen) image.src = URL.createObjectURL(seen);
  else image.removeAttribute("src");
}
