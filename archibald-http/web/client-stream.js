// Follows an agent's stream: goes on where it was, proves that nothing is missing, and comes back by itself.
//
// Server-sent events are read by fetch, not by EventSource: that one can send no token, gives up for good on the
// first 503, and shows no comment or silence. Where a stream does not get through, long polls bring the same.

const PATIENCE = 2.5; // heartbeats without a frame, after which the connection is dead

/** Times in milliseconds; tests make them short. */
export const PACE = { base: 500, longest: 30_000, patience: 30_000, wait: 20_000 };

/** The place is refused: it is given up, and a snapshot comes. */
class BadPlace extends Error {}
/** Who asks is not known, or may not. */
class Refused extends Error {}
/** The server said when to come back. */
class Later extends Error {
  constructor(pause) {
    super(`come back in ${pause} ms`);
    this.pause = pause;
  }
}

/**
 * One device's subscription.
 *
 * `onFrame(name, frame)` gets every frame once and in order; what it returns is awaited. `onState` gets
 * `connecting`, `online`, `stale` (the line was lost just now: what is shown may be old), `offline` or `refused`.
 */
export class Stream {
  place = null;
  gaps = 0;
  state = "connecting";
  #options;
  #failures = 0;
  #silent = 0;
  #wake = () => {};
  #parts = null;

  constructor({ url, headers, fetch, onFrame, onState, onRefused, transport = "auto", pace = {}, place = null }) {
    this.#options = { url, headers, fetch, onFrame, onState, onRefused, transport, pace: { ...PACE, ...pace } };
    this.place = place;
  }

  /** Comes back at once instead of waiting: the network is there again, somebody looks at the page. */
  wake() {
    this.#wake();
  }

  /** Runs until the signal aborts, or who asks is refused for good. */
  async run(signal) {
    while (!signal.aborted) {
      const pause = await this.#connection(signal);
      if (signal.aborted) return;
      if (pause === null) return this.#tell("refused");
      if (pause === 0) continue;
      this.#tell(this.#failures > 2 || isOffline() ? "offline" : "stale");
      await this.#sleep(pause, signal);
    }
  }

  /** One connection until its end; answers how long to wait, or null for good. */
  async #connection(signal) {
    this.#parts = null;
    try {
      if (this.#polls()) await this.#poll(signal);
      else await this.#listen(signal);
    } catch (error) {
      if (error instanceof Refused) return (await this.#options.onRefused()) ? this.#backOff() : null;
      if (error instanceof BadPlace) {
        this.place = null;
        return 0;
      }
      if (error instanceof Later) return Math.max(error.pause, 1);
    }
    return this.#backOff();
  }

  #polls() {
    const { transport } = this.#options;
    return transport === "poll" || (transport === "auto" && this.#silent >= 2);
  }

  async #listen(signal) {
    const line = new Line(signal, this.#options.pace.patience);
    try {
      const headers = { Accept: "text/event-stream" };
      if (this.place) headers["Last-Event-ID"] = this.place;
      const response = await this.#ask(this.#options.url, headers, line.signal);
      if (!response.body) this.#silent = 2;
      this.#silent += 1;
      for await (const { event, data } of events(response.body)) {
        const frame = JSON.parse(data);
        this.#silent = 0;
        if (event === "hello" && frame.heartbeat_ms) line.patience = frame.heartbeat_ms * PATIENCE;
        line.heard();
        await this.#take(event, frame);
      }
    } finally {
      line.close();
    }
  }

  async #poll(signal) {
    const { url, pace } = this.#options;
    for (;;) {
      const line = new Line(signal, pace.wait + pace.patience);
      try {
        const query = new URLSearchParams({ wait: String(Math.round(pace.wait / 1000)) });
        if (this.place) query.set("cursor", this.place);
        const response = await this.#ask(`${url}?${query}`, { Accept: "application/json" }, line.signal);
        const { frame: name, ...frame } = await response.json();
        await this.#take(name, frame);
      } finally {
        line.close();
      }
    }
  }

  async #ask(url, headers, signal) {
    const all = { ...(await this.#options.headers()), ...headers };
    const response = await this.#options.fetch(url, { headers: all, cache: "no-store", signal });
    if (response.ok) return response;
    if ([401, 403, 404].includes(response.status)) throw new Refused();
    if (response.status === 400 && this.place) throw new BadPlace();
    const after = Number(response.headers.get("Retry-After"));
    if (after > 0) throw new Later(scattered(after * 1000));
    throw new Error(`status ${response.status}`);
  }

  async #take(name, frame) {
    if (name === "bye") {
      if (["expired", "signed_out", "revoked"].includes(frame.reason)) throw new Refused();
      throw new Later(frame.retry_ms);
    }
    const whole = this.#assembled(name, frame);
    if (!whole) return;
    if (whole.name === "batch" && whole.frame.from !== this.place) {
      this.gaps += 1;
      throw new BadPlace();
    }
    await this.#options.onFrame(whole.name, whole.frame);
    if (whole.name === "batch") this.place = whole.frame.to;
    if (whole.name === "snapshot") this.place = whole.frame.cursor;
    if (whole.name !== "hello") this.#failures = 0;
    this.#tell("online");
  }

  /** A snapshot in parts counts when its end is there; a line that is cut before leaves the old place as it is. */
  #assembled(name, frame) {
    if (name === "snapshot_part") {
      this.#parts ??= {};
      for (const [field, items] of Object.entries(frame)) {
        if (Array.isArray(items)) this.#parts[field] = [...(this.#parts[field] ?? []), ...items];
      }
      return null;
    }
    if (name === "snapshot_end") {
      const parts = this.#parts;
      this.#parts = null;
      return { name: "snapshot", frame: { operations: [], pending_orders: [], ...parts, ...frame } };
    }
    return { name, frame };
  }

  #backOff() {
    const { base, longest } = this.#options.pace;
    this.#failures += 1;
    return scattered(Math.min(longest, base * 2 ** (this.#failures - 1)));
  }

  #tell(state) {
    if (state === this.state) return;
    this.state = state;
    this.#options.onState(state);
  }

  #sleep(ms, signal) {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        this.#wake = () => {};
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener("abort", done);
      this.#wake = done;
    });
  }
}

/** A connection that is given up when nothing was heard of it for too long. */
class Line {
  #own = new AbortController();
  #outer;
  #timer;
  #abort = () => this.#own.abort();

  constructor(signal, patience) {
    this.#outer = signal;
    this.patience = patience;
    signal.addEventListener("abort", this.#abort);
    if (signal.aborted) this.#abort();
    this.heard();
  }

  get signal() {
    return this.#own.signal;
  }

  heard() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#abort, this.patience);
  }

  close() {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener("abort", this.#abort);
    this.#abort();
  }
}

/** Server-sent events out of bytes, as the standard reads them. */
export async function* events(body) {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = "";
  let event = { event: "message", data: [] };
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (event.data.length > 0) yield { ...event, data: event.data.join("\n") };
        event = { event: "message", data: [] };
        continue;
      }
      const [, name, text] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (name === "data") event.data.push(text);
      else if (name === "event") event.event = text;
    }
  }
}

function scattered(ms) {
  return ms * (0.5 + Math.random() / 2);
}

function isOffline() {
  return typeof navigator !== "undefined" && navigator.onLine === false;
}
