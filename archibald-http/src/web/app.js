// The page: signs in with a token that it keeps in memory only, shows an agent's operations live, and
// submits orders.

import { follow } from "/assets/stream.js";

const $ = (id) => document.getElementById(id);
const session = { token: null, agent: null, following: null, device: uuid() };
const operations = new Map(); // id -> what the table shows
let unanswered = null; // { body, key } of a submit whose answer did not come: sent again under its own key

$("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn($("token").value.trim());
});
$("agent").addEventListener("change", () => show($("agent").value));
$("add-line").addEventListener("click", addLine);
$("order").addEventListener("submit", submitOrder);

addLine();
$("order").elements.date.value = new Date().toLocaleDateString("sv"); // ISO, local
signInByLink();

// A link may carry the token in its fragment, which is never sent to the server nor kept in the history.
function signInByLink() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  history.replaceState(null, "", location.pathname);
  signIn(token);
}

async function signIn(token) {
  session.token = token;
  const answer = await call("GET", "/v1/me");
  if (!answer.ok) {
    $("sign-in-error").textContent = answer.problem;
    return;
  }
  const { name, agents } = answer.body;
  $("token").value = "";
  $("who").textContent = name;
  $("signed-out").hidden = true;
  $("signed-in").hidden = false;
  $("agent").replaceChildren(...agents.map((agent) => new Option(agent, agent)));
  $("agent-choice").hidden = agents.length < 2;
  if (agents.length) show(agents[0]);
}

function show(agent) {
  session.following?.abort();
  session.following = new AbortController();
  session.agent = agent;
  operations.clear();
  draw();
  follow({
    url: `/v1/agents/${agent}/events`,
    token: session.token,
    onFrame: apply,
    onStatus: status,
    signal: session.following.signal,
  });
}

function status(status) {
  const words = { live: "live", waiting: "reconnecting", refused: "signed out" };
  $("status").dataset.status = status;
  $("status").textContent = words[status];
}

function apply(name, frame) {
  if (name === "snapshot") {
    operations.clear();
    for (const operation of [...frame.operations].reverse()) operations.set(operation.id, operation);
  } else if (name === "batch") {
    frame.events.forEach(applyEvent);
  } else if (name === "progress") {
    const operation = operations.get(frame.operation);
    if (operation) operation.progress = frame;
  }
  draw();
}

function applyEvent(event) {
  if (!event.type.startsWith("operation.")) return; // what a sync changed is not shown here
  const known = operations.get(event.operation) ?? { id: event.operation, created_at: event.at };
  const next = { ...known, kind: event.kind, state: event.state, progress: undefined };
  next.step = event.type === "operation.step" ? event.step : undefined;
  next.result = event.result ?? undefined;
  const detail = event.why ?? event.evidence ?? (event.by && `by ${event.by}`);
  next.problem = detail ? { detail } : undefined;
  operations.set(event.operation, next);
}

// Many events may come in one go: the table is drawn once a frame of the screen, and rows that did not
// change stay where they are, so that nothing moves away under a finger.
let drawing = false;
let drawn = new Map(); // id -> { text, tr }
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    const body = $("operations");
    const next = new Map();
    [...operations.values()].reverse().forEach((operation, index) => {
      const text = JSON.stringify(operation);
      const known = drawn.get(operation.id);
      const tr = known?.text === text ? known.tr : row(operation);
      if (known && known.tr !== tr) known.tr.replaceWith(tr);
      if (body.children[index] !== tr) body.insertBefore(tr, body.children[index] ?? null);
      next.set(operation.id, { text, tr });
    });
    while (body.children.length > next.size) body.lastElementChild.remove();
    drawn = next;
    $("no-operations").hidden = next.size > 0;
  });
}

function row(operation) {
  const tr = document.createElement("tr");
  tr.dataset.state = operation.state;
  cell(tr, new Date(operation.created_at).toLocaleString(), "at");
  cell(tr, operation.kind);
  cell(tr, operation.state.replace("_", " "));
  const what = cell(tr, "", "what");
  what.append(words(operation));
  if (operation.progress) {
    const bar = document.createElement("progress");
    Object.assign(bar, { max: operation.progress.total, value: operation.progress.done });
    what.append(" ", bar);
  }
  const actions = cell(tr, "");
  if (operation.state === "available") actions.append(button("Cancel", () => act(operation, "cancel")));
  if (["rejected", "failed"].includes(operation.state)) {
    actions.append(button("Retry", () => act(operation, "retry")));
  }
  if (operation.state === "in_doubt") actions.append(button("Decide…", () => decide(operation)));
  return tr;
}

function words({ result, problem, progress, step }) {
  if (result) return Object.entries(result).map(([name, value]) => `${name} ${value}`).join(", ");
  return problem?.detail ?? progress?.text ?? step ?? "";
}

function cell(tr, text, className = "") {
  const td = tr.insertCell();
  td.textContent = text;
  td.className = className;
  return td;
}

function button(text, action) {
  const button = document.createElement("button");
  button.textContent = text;
  button.addEventListener("click", action);
  return button;
}

async function act(operation, verb, body) {
  const path = `/v1/agents/${session.agent}/operations/${operation.id}/${verb}`;
  const answer = await call("POST", path, body);
  if (!answer.ok) alert(answer.problem);
}

function decide(operation) {
  const dialog = $("doubt");
  $("doubt-evidence").textContent = operation.problem?.detail ?? "";
  dialog.returnValue = "";
  dialog.onclose = () => {
    const outcome = dialog.returnValue;
    if (!outcome) return;
    const note = $("doubt-note").value || undefined;
    if (outcome !== "applied") return act(operation, "resolve", { outcome, note });
    try {
      act(operation, "resolve", { outcome, note, receipt: JSON.parse($("doubt-receipt").value) });
    } catch {
      alert("The receipt must be JSON, such as {\"order\": \"1042\"}.");
    }
  };
  dialog.showModal();
}

function addLine() {
  $("lines").append($("line").content.cloneNode(true));
}

async function submitOrder(event) {
  event.preventDefault();
  const form = new FormData($("order"));
  const column = (name) => form.getAll(name);
  const payload = {
    customer: form.get("customer").trim(),
    date: form.get("date"),
    lines: column("product").map((product, index) => ({
      product: product.trim(),
      quantity: Number(column("quantity")[index]),
      discount: column("discount")[index] || "0",
    })),
  };
  if (form.get("reference")) payload.reference = form.get("reference");
  const body = { kind: "submit-order", payload };
  const text = JSON.stringify(body);
  const key = unanswered?.text === text ? unanswered.key : uuid();
  unanswered = { text, key };
  const answer = await call("POST", `/v1/agents/${session.agent}/operations`, body, key);
  if (answer.status < 500) unanswered = null;
  $("order-answer").textContent = answer.ok ? "Accepted." : answer.problem;
}

/** { ok, status, body, problem }; without a status, no answer came. */
async function call(method, path, body, key) {
  const headers = { Authorization: `Bearer ${session.token}`, "X-Device-Id": session.device };
  if (body) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  try {
    const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    const answer = await response.json();
    return { ok: response.ok, status: response.status, body: answer, problem: answer.detail };
  } catch {
    return { ok: false, problem: "No answer came. Submitting again does not do it twice." };
  }
}

// crypto.randomUUID is missing where the page comes over plain HTTP from another machine.
function uuid() {
  const hex = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0"));
  return hex.join("");
}
