// What the sessions in use show, small, for as long as somebody looks at them.

import { el, say } from "./board-dom.js";
import { t } from "./i18n.js";

const EVERY_MS = 2000;
// More than anybody sees at a time are not asked for.
const MOST = 24;

export class Pictures {
  #box;
  #shown = new Map();
  #near = false;
  #looks = false;
  #round = 0;

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
    const looks = near && !document.hidden;
    if (looks === this.#looks) return;
    this.#looks = looks;
    if (looks) this.#keepLooking(++this.#round);
  }

  async #keepLooking(round) {
    while (this.#looks && round === this.#round) {
      await Promise.all([...this.#shown].map(([agent, picture]) => this.#refresh(agent, picture)));
      await new Promise((go) => setTimeout(go, EVERY_MS));
    }
  }

  async #refresh(agent, picture) {
    const path = `/v1/admin/pool/${encodeURIComponent(agent)}/picture`;
    const answer = await fetch(path, { cache: "no-store" }).catch(() => null);
    const seen = answer?.ok ? await answer.blob().catch(() => null) : null;
    if (this.#shown.get(agent) === picture) put(picture, seen);
  }
}

function put({ figure, image }, seen) {
  if (image.src) URL.revokeObjectURL(image.src);
  figure.hidden = !seen;
  if (seen) image.src = URL.createObjectURL(seen);
  else image.removeAttribute("src");
}
