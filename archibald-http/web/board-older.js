// What ended before the last ones of each agent: page by page, as far back as somebody asks for.

import { ROWS } from "./board-data.js";
import { call } from "./board-feed.js";
import { say } from "./board-dom.js";
import { t } from "./i18n.js";

/** Operations of a page. */
const PAGE = 200;
/** Pages that are read at once, while everything in them is known already. */
const PAGES = 10;

export class Older {
  /** Where to go on, by what is asked for; `null` where that is read to its end. */
  #next = new Map();
  #reads = false;
  /** What came of the last press, and of what it was asked. */
  #told = null;

  /** `button` is pressed for more, `said` says what came; `onMore()` when there are more rows. */
  constructor({ button, said, list, board, filter, onMore }) {
    Object.assign(this, { button, said, list, board, filter, onMore });
    button.addEventListener("click", () => this.more());
  }

  /** For the filter as it is now. */
  draw() {
    const asked = this.#asked();
    const isOver = this.#next.get(asked) === null;
    // Whoever pressed it goes on in the list.
    if (isOver && document.activeElement === this.button) this.list.focus({ preventScroll: true });
    this.button.hidden = isOver;
    say(this.said, this.#told?.asked === asked ? t(this.#told.key, this.#told.words) : "");
  }

  /** Reads on until there is something that was not known. What the filter asks the server for is asked of it. */
  async more() {
    const asked = this.#asked();
    if (this.#reads || this.#next.get(asked) === null) return;
    this.#reads = true;
    this.button.setAttribute("aria-busy", "true");
    const before = this.board.select(this.filter.value).length;
    const told = await this.#read(asked);
    this.button.removeAttribute("aria-busy");
    this.#reads = false;
    this.onMore();
    const shown = this.board.select(this.filter.value).length - before;
    this.#told = { asked, key: told.key, words: { ...told.words, shown } };
    this.draw();
  }

  async #read(asked) {
    for (let page = 0, count = 0; ; page += 1) {
      // A page either fits or is not read, so that none is skipped.
      if (this.board.order.length + PAGE > ROWS) return { key: "older.most", words: { most: ROWS } };
      const query = new URLSearchParams(asked);
      query.set("limit", PAGE);
      if (this.#next.has(asked)) query.set("after", this.#next.get(asked));
      const { ok, body, problem } = await call("GET", `/v1/admin/operations?${query}`);
      if (!ok) return { key: "older.failed", words: { why: problem ?? t("older.no-answer") } };
      this.#next.set(asked, body.next ?? null);
      count += this.board.addOlder(body.items);
      const last = body.items.at(-1);
      if (!body.next) return { key: "older.end", words: { count } };
      if (count || page + 1 === PAGES) return { key: last ? "older.read" : "older.on", words: { count, agent: last?.agent } };
    }
  }

  #asked() {
    const { agent, state, kind } = this.filter.value;
    const known = Object.entries({ agent, state, kind }).filter(([, value]) => value);
    return new URLSearchParams(known).toString();
  }
}
