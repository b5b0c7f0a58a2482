// The first page: sign in, and the ways on.

import { languageChoice, t } from "./i18n.js";
import { signInForm, signOut, whoAmI } from "./session.js";

const $ = (id) => document.getElementById(id);
let me = null;

languageChoice($("language"));
signInForm($("sign-in"), (signedIn) => {
  const next = new URLSearchParams(location.search).get("next");
  if (["/app", "/board", "/demo"].includes(next)) location.assign(next);
  else show(signedIn);
});
$("sign-out").addEventListener("click", async () => {
  await signOut();
  show(null);
  $("sign-in").elements.token.focus();
});
document.addEventListener("languagechange", () => show(me));
show(await whoAmI().catch((error) => {
  $("sign-in").querySelector("[role=alert]").textContent = error.message;
  return null;
}));

function show(now) {
  me = now;
  $("sign-in").hidden = me !== null;
  $("inside").hidden = me === null;
  $("to-board").hidden = me !== null && me.scope !== "operator";
  if (me) $("who").textContent = t("signed-in-as", { name: me.name });
}
