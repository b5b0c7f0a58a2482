// What became of operations in the last 24 hours, minute by minute: what the server's process counted, and what this
// page heard of itself. No document here; everything is bounded.

export const OUTCOMES = ["completed", "rejected", "failed", "in_doubt", "cancelled"];
/** What can be looked at: minutes of a bar, and how many bars. */
export const SPANS = { hour: [1, 60], hours: [4, 90], day: [16, 90] };

const MINUTE_MS = 60_000;
const MINUTES = 24 * 60;

export class History {
  #told = new Map();
  #heard = new Map();

  /** What the server's process counted. It tells its last minute again when there is more. */
  tell(minutes) {
    for (const { at, interactive = {}, background = {} } of minutes) {
      const sums = emptySums();
      for (const tally of [interactive, background]) {
        for (const outcome of OUTCOMES) sums[outcome] += tally[outcome] ?? 0;
        for (const [ms, count] of tally.waits ?? []) add(sums.waits, ms, count);
      }
      const number = Math.round(Date.parse(at) / MINUTE_MS);
      this.#told.set(number, fuller(this.#told.get(number), sums));
    }
    bound(this.#told);
  }

  /** An operation began so long after it could have. */
  began(at, wait) {
    add(this.#hear(at).waits, most(wait), 1);
  }

  /** An operation is over, or in doubt. */
  ended(at, outcome) {
    this.#hear(at)[outcome] += 1;
  }

  /** Sums of the bars of a span, the oldest first; the last one is not over. */
  bars(span, now) {
    const [minutes, count] = SPANS[span];
    const last = Math.floor(now / MINUTE_MS / minutes);
    return Array.from({ length: count }, (_, index) => this.#sum((last - count + 1 + index) * minutes, minutes));
  }

  /** Of the last minute that is over. */
  lastMinute(now) {
    return this.#sum(Math.floor(now / MINUTE_MS) - 1, 1);
  }

  #hear(at) {
    const number = Math.floor(at / MINUTE_MS);
    if (!this.#heard.has(number)) {
      this.#heard.set(number, emptySums());
      bound(this.#heard);
    }
    return this.#heard.get(number) ?? emptySums();
  }

  // The process counted what was before the page, the page heard of other processes too: each knows a part of what
  // the other does, so that adding them would count twice.
  #sum(first, minutes) {
    const all = emptySums();
    for (let number = first; number < first + minutes; number += 1) {
      const sums = fuller(this.#told.get(number), this.#heard.get(number));
      if (!sums) continue;
      for (const outcome of OUTCOMES) all[outcome] += sums[outcome];
      for (const [ms, count] of sums.waits) add(all.waits, ms, count);
    }
    return all;
  }
}

export function ends(sums) {
  return OUTCOMES.reduce((all, outcome) => all + sums[outcome], 0);
}

/** How long `share` of them waited at the most; null where none did. `waits` has how many by how long. */
export function percentile(waits, share) {
  const all = [...waits.values()].reduce((sum, count) => sum + count, 0);
  let left = Math.max(1, Math.ceil(all * share));
  for (const ms of [...waits.keys()].sort((a, b) => a - b)) {
    left -= waits.get(ms);
    if (left <= 0) return ms;
  }
  return null;
}

/** All waits of these bars. */
export function waitsOf(bars) {
  const all = new Map();
  for (const { waits } of bars) for (const [ms, count] of waits) add(all, ms, count);
  return all;
}

// As the server has it: at most a fifth too much, so that there are few that differ.
function most(wait) {
  return wait <= 10 ? 10 : Math.ceil(10 * 2 ** (Math.ceil(Math.log2(wait / 10) * 4) / 4));
}

function add(waits, ms, count) {
  waits.set(ms, (waits.get(ms) ?? 0) + count);
}

function fuller(one, other) {
  if (!one || !other) return one ?? other;
  const weight = (sums) => ends(sums) + [...sums.waits.values()].reduce((all, count) => all + count, 0);
  return weight(other) >= weight(one) ? other : one;
}

function bound(minutes) {
  const oldest = Math.max(...minutes.keys()) - MINUTES;
  for (const number of minutes.keys()) if (number <= oldest) minutes.delete(number);
}

function emptySums() {
  return { completed: 0, rejected: 0, failed: 0, in_doubt: 0, cancelled: 0, waits: new Map() };
}
