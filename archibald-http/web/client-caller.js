// Requests of a client: with its token and a limit of time, and as whom the server knows the caller.

const LONGEST = 40_000; // longer than the server takes for any answer: giving up earlier would only ask twice

/** Asks the server in the name of one agent, until `signal` aborts. */
export class Caller {
  #agent;
  #base;
  #token;
  #fetch;
  #onRefused;
  #signal;
  #asking;

  constructor({ agent, base, token, fetch, onRefused = async () => false, signal }) {
    this.#agent = agent;
    this.#base = base;
    this.#token = token;
    this.#fetch = fetch;
    this.#onRefused = onRefused;
    this.#signal = signal;
  }

  headers() {
    return this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
  }

  /** Where a path of the agent is. */
  url(path) {
    return `${this.#base}/v1/agents/${this.#agent}/${path}`;
  }

  /** One request, and what `take` makes of its answer; given up when it takes too long or the client stops. */
  async ask(url, { headers, ...request }, take) {
    const controller = new AbortController();
    const abort = () => controller.abort();
    const timer = setTimeout(abort, LONGEST);
    this.#signal.addEventListener("abort", abort);
    if (this.#signal.aborted) abort();
    try {
      const all = { ...this.headers(), ...headers };
      return await take(await this.#fetch(url, { ...request, headers: all, signal: controller.signal }));
    } finally {
      clearTimeout(timer);
      this.#signal.removeEventListener("abort", abort);
    }
  }

  /** Whom the server knows: "agent" reaches this one, "other" does not, "unknown" is where it does not say. */
  async who() {
    const answer = (response) => (response.ok ? response.json() : response.status);
    const me = await this.ask(`${this.#base}/v1/me`, { cache: "no-store" }, answer).catch(() => null);
    if (me === 401) return "nobody";
    if (!Array.isArray(me?.agents)) return "unknown";
    return me.agents.includes(this.#agent) ? "agent" : "other";
  }

  /**
   * Whether a refused request may be tried again. Another page of this browser may have signed in meanwhile: then
   * there is a session, and beginning one more would end that one. The person is asked once, however many ask.
   */
  async mayTryAgain(who) {
    who ??= await this.who();
    if (who === "agent" || who === "unknown") return true;
    this.#asking ??= Promise.resolve(who).then(this.#onRefused).catch(() => false);
    const asking = this.#asking;
    const may = await asking;
    if (this.#asking === asking) this.#asking = undefined;
    return may;
  }
}
