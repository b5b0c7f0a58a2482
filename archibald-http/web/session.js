// Who is signed in. A token is exchanged for a cookie that scripts cannot read; the token itself stays in this
// page's memory alone, to sign in again when a server that was restarted has forgotten the session.

import { t } from "./i18n.js";

const KEPT = "archibald.me";
let token = null;

/** Why signing in failed: `refused`, `other` (than `agent`), `too-often` (with `seconds`) or `unreachable`. */
export class SignInError extends Error {
  constructor(reason, values = {}) {
    super(t(`sign-in.${reason}`, values));
    this.reason = reason;
  }
}

/**
 * Exchanges a token for a session: { name, scope: "agent" | "operator", agents: […] }. Where it has to reach an
 * `agent` it is looked at first: the session of a whole browser does not change hands because of a wrong one.
 */
export async function signIn(given, agent = null) {
  const text = given.trim();
  if (agent !== null) {
    const { agents } = await answerOf(fetch("/v1/me", { cache: "no-store", headers: { Authorization: `Bearer ${text}` } }));
    if (!agents.includes(agent)) throw new SignInError("other", { agent });
  }
  const headers = { "Content-Type": "application/json" };
  const me = await answerOf(fetch("/v1/session", { method: "POST", headers, body: JSON.stringify({ token: text }) }));
  token = text;
  return remember(me);
}

async function answerOf(asked) {
  const response = await asked.catch(() => null);
  if (!response || response.status >= 500) throw new SignInError("unreachable");
  if (response.status === 429) throw new SignInError("too-often", { seconds: response.headers.get("Retry-After") ?? 10 });
  if (!response.ok) throw new SignInError("refused");
  return response.json();
}

/** Ends the session here and at the server; without a connection, only here. */
export async function signOut() {
  token = null;
  forget();
  await fetch("/v1/session", { method: "DELETE" }).catch(() => null);
}

/** Signs in with the token of this page's life, if there is one that reaches the `agent`; whether it worked. */
export async function signInAgain(agent = null) {
  if (token === null) return false;
  return signIn(token, agent).then(() => true, () => false);
}

/**
 * Who is signed in, or null. Takes a token from the address first (`#token=…`, which a link carries) and removes
 * it there, so that it is in no history. Without a connection it answers with who was signed in last, and
 * `offline: true`.
 */
export async function whoAmI() {
  const given = tokenFromAddress();
  if (given) return signIn(given);
  if (lastKnown() === null) return null;
  const response = await fetch("/v1/me", { cache: "no-store" }).catch(() => null);
  if (response?.ok) return remember(await response.json());
  if (response?.status === 401) {
    forget();
    return null;
  }
  const last = lastKnown();
  return last ? { ...last, offline: true } : null;
}

/** Makes a form sign in: it has an input `token` and an element with role="alert". `agent()` names who is wanted. */
export function signInForm(form, onSignedIn, agent = () => null) {
  const alert = form.querySelector("[role=alert]");
  const button = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    alert.textContent = "";
    button.disabled = true;
    try {
      const me = await signIn(form.elements.token.value, agent());
      form.reset();
      await onSignedIn(me);
    } catch (error) {
      if (!(error instanceof SignInError)) throw error;
      alert.textContent = error.message;
      form.elements.token.focus();
    } finally {
      button.disabled = false;
    }
  });
}

// A link that is opened where the page is open already loads nothing by itself.
addEventListener("hashchange", () => tokenInAddress() && location.reload());

function tokenInAddress() {
  return new URLSearchParams(location.hash.slice(1)).get("token");
}

function tokenFromAddress() {
  const given = tokenInAddress();
  if (given) history.replaceState(history.state, "", location.pathname + location.search);
  return given;
}

function remember({ name, scope, agents }) {
  const me = { name, scope, agents };
  try {
    localStorage.setItem(KEPT, JSON.stringify(me));
  } catch {
    // Without storage there is no offline start; everything else works.
  }
  return me;
}

/** Null where nobody signed in here; where storage is forbidden, nobody knows. */
function lastKnown() {
  try {
    return JSON.parse(localStorage.getItem(KEPT));
  } catch {
    return undefined;
  }
}

function forget() {
  try {
    localStorage.removeItem(KEPT);
  } catch {
    // Nothing was kept.
  }
}
