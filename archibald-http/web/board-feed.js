// What comes from the server: two streams that begin anew whenever they break, and single requests.

import { signInAgain } from "./session.js";

const STREAMS = [
  ["/v1/admin/events", ["overview"]],
  ["/v1/admin/activity", ["hello", "operations", "events", "progress"]],
];
const LONGEST = 15_000;

/** Follows both streams for ever. `onFrame(name, data)`; `onState("live" | "waiting" | "signed-out")`. */
export function follow({ onFrame, onState }) {
  const live = new Set();
  const tell = (path, is) => {
    is ? live.add(path) : live.delete(path);
    onState(live.size === STREAMS.length ? "live" : "waiting");
  };
  for (const [path, names] of STREAMS) keepOpen({ path, names, onFrame, tell, onState });
}

function keepOpen({ path, names, onFrame, tell, onState }) {
  let pause = 500;
  const open = () => {
    const source = new EventSource(path);
    let over = false;
    const end = async () => {
      if (over) return;
      over = true;
      source.close();
      tell(path, false);
      if (await isSignedOut()) return onState("signed-out");
      setTimeout(open, pause * (0.75 + Math.random() / 2));
      pause = Math.min(pause * 2, LONGEST);
    };
    for (const name of [...names, "heartbeat"]) {
      source.addEventListener(name, ({ data }) => {
        pause = 500;
        tell(path, true);
        if (name !== "heartbeat") onFrame(name, JSON.parse(data));
      });
    }
    source.addEventListener("bye", end);
    source.addEventListener("error", end);
  };
  open();
}

// A server that was restarted has forgotten the session; the token of this page's life opens another one.
async function isSignedOut() {
  const me = await fetch("/v1/me", { cache: "no-store" }).catch(() => null);
  return me?.status === 401 && !(await signInAgain());
}

/** An answer of the API; `problem` says in words why there is none. */
export async function call(method, path, body) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  try {
    const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    const text = await response.text();
    const answer = text ? JSON.parse(text) : null;
    return { ok: response.ok, status: response.status, body: answer, problem: response.ok ? null : answer?.detail };
  } catch {
    return { ok: false, status: 0, body: null, problem: null };
  }
}

export const pathOf = ({ agent, id }) => `/v1/agents/${agent}/operations/${id}`;
