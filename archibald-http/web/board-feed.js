// What comes from the server: two streams that begin anew whenever they break, and single requests.

import { signInAgain } from "./session.js";

const STREAMS = [
  ["/v1/admin/events", ["overview"]],
  ["/v1/admin/activity", ["hello", "history", "operations", "events", "progress"]],
];
const LONGEST = 15_000;

/**
 * Follows both streams until somebody has to sign in. `onFrame(name, data)`; `onState("live" | "waiting" |
 * "signed-out")`. Answers what follows again those that ended so.
 */
export function follow({ onFrame, onState }) {
  const live = new Set();
  const tell = (path, is) => {
    is ? live.add(path) : live.delete(path);
    onState(live.size === STREAMS.length ? "live" : "waiting");
  };
  const lines = STREAMS.map(([path, names]) => keepOpen({ path, names, onFrame, tell, onState }));
  return () => lines.forEach((reopen) => reopen());
}

function keepOpen({ path, names, onFrame, tell, onState }) {
  let pause = 500;
  let follows = false;
  const open = () => {
    follows = true;
    const source = new EventSource(path);
    let over = false;
    const end = async () => {
      if (over) return;
      over = true;
      source.close();
      tell(path, false);
      if (await isSignedOut()) {
        follows = false;
        return onState("signed-out");
      }
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
  return () => follows || open();
}

// A server that was restarted has forgotten the session; the token of this page's life opens another one. Where
// another tab signed in as somebody else, a person decides: two pages that sign each other out never end.
async function isSignedOut() {
  const response = await fetch("/v1/me", { cache: "no-store" }).catch(() => null);
  if (response?.status === 401) return !(await signInAgain());
  const me = response?.ok ? await response.json().catch(() => null) : null;
  return me !== null && me.scope !== "operator";
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
