// Follows an agent's stream over fetch: goes on where it was, and proves that nothing is missing.
// EventSource would not do: it cannot send a token, and gives up for good on the first 503.

const PATIENCE = 2.5; // heartbeats without a frame, after which the connection is dead
const LONGEST_PAUSE_MS = 30_000;

/**
 * Calls onFrame(name, frame) for every frame and onStatus("live" | "waiting" | "refused") until the signal
 * aborts. Resolves when it was aborted or refused.
 */
export async function follow({ url, token, onFrame, onStatus, signal }) {
  let place = null;
  let failures = 0;
  while (!signal.aborted) {
    let pause = null;
    try {
      for await (const { name, frame } of connection({ url, token, place, signal })) {
        if (name === "bye") {
          pause = frame.retry_ms;
          break;
        }
        if (name === "batch" && frame.from !== place) {
          console.error("a hole in the stream", { place, from: frame.from });
          place = null;
          pause = 0;
          break;
        }
        if (name === "batch") place = frame.to;
        if (name === "snapshot") place = frame.cursor;
        failures = 0;
        onStatus("live");
        onFrame(name, frame);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused) {
        onStatus("refused");
        return;
      }
      if (error instanceof BadPlace) place = null;
    }
    if (signal.aborted) return;
    onStatus("waiting");
    failures += 1;
    await sleep(pause ?? scattered(Math.min(LONGEST_PAUSE_MS, 500 * 2 ** failures)), signal);
  }
}

class Refused extends Error {}
class BadPlace extends Error {}

async function* connection({ url, token, place, signal }) {
  const own = new AbortController();
  const abort = () => own.abort();
  signal.addEventListener("abort", abort);
  let watchdog = setTimeout(abort, 30_000);
  try {
    const headers = { Accept: "text/event-stream", Authorization: `Bearer ${token}` };
    if (place) headers["Last-Event-ID"] = place;
    const response = await fetch(url, { headers, cache: "no-store", signal: own.signal });
    if (response.status === 401 || response.status === 404) throw new Refused();
    if (response.status === 400) throw new BadPlace();
    if (!response.ok) throw new Error(`status ${response.status}`);
    let patience = 30_000;
    for await (const event of events(response.body)) {
      const frame = JSON.parse(event.data);
      if (event.name === "hello") patience = frame.heartbeat_ms * PATIENCE;
      clearTimeout(watchdog);
      watchdog = setTimeout(abort, patience);
      yield { name: event.name, frame };
    }
  } finally {
    clearTimeout(watchdog);
    signal.removeEventListener("abort", abort);
    abort();
  }
}

/** Server-sent events out of bytes. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const field = (name) =>
        block.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      yield { name: field("event"), data: field("data") };
    }
  }
}

function scattered(ms) {
  return ms * (0.5 + Math.random() / 2);
}

function sleep(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
