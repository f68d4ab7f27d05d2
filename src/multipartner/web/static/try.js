// The page works without this file; with it, the code follows what is typed and the request can be sent from here.
"use strict";

const byId = (id) => document.getElementById(id);
const fields = ["base", "version", "solution", "business"].map(byId);
const token = byId("token");
const snippets = [...document.querySelectorAll("code[data-template]")];

for (const id of ["token-row", "reveal-row", "send", "copy"]) byId(id).hidden = false;
byId("fill").hidden = true;
byId("base").value = location.origin;

function written(snippet, raw) {
  // Only what a caller token is made of is written into code; anything else would need quoting in three languages.
  if (!byId("reveal").checked || !/^[A-Za-z0-9._-]+$/.test(raw)) return snippet.dataset.token;
  return snippet.dataset.quote + raw + snippet.dataset.quote;
}

function values() {
  const [base, version, solution, business] = fields.map((field) => field.value.trim());
  return { base: base.replace(/\/+$/, ""), version, solution, business };
}

function refill() {
  const filled = fields.every((field) => field.checkValidity());
  const sameOrigin = values().base === location.origin;
  byId("send").disabled = !filled || !sameOrigin || token.value === "";
  byId("note").textContent = !filled
    ? "Ids are digits only."
    : sameOrigin
      ? (token.value === "" ? "Enter a caller token to send the request from here." : "")
      : "The request can be sent from here to this page's own address only.";
  if (!filled || /["'`\\$\s]/.test(values().base)) return;
  for (const snippet of snippets) {
    const known = { ...values(), token: written(snippet, token.value) };
    snippet.textContent = snippet.dataset.template.replace(/\{(base|version|solution|business|token)\}/g, (_, name) => known[name]);
  }
}

async function send() {
  const { version, solution, business } = values();
  byId("send").disabled = true;
  try {
    const answer = await fetch(`/${version}/${solution}/access_token?business_id=${business}`, {
      headers: { authorization: `Bearer ${token.value}` },
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
    });
    show(answer, await answer.text());
  } catch {
    byId("note").textContent = "The request did not reach the service.";
  } finally {
    byId("send").disabled = false;
  }
}

function show(answer, text) {
  const named = ["facebook-api-version", "x-fb-request-id", "x-app-usage", "retry-after", "www-authenticate"];
  byId("result").hidden = false;
  byId("result-status").textContent = String(answer.status);
  byId("result-status").className = `chip s${Math.floor(answer.status / 100)}`;
  byId("result-note").textContent = answer.ok ? "A granular token. Treat it as a secret." : "Refused; see below for what this one means.";
  byId("result-headers").textContent = named
    .filter((name) => answer.headers.has(name))
    .map((name) => `${name}: ${answer.headers.get(name)}`)
    .join("\n");
  let shown = text;
  try {
    shown = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // Not JSON: shown as it came.
  }
  byId("result-body").textContent = shown;
}

async function copy() {
  const shown = snippets.find((snippet) => snippet.offsetParent !== null);
  if (!shown) return;
  try {
    await navigator.clipboard.writeText(shown.textContent);
    byId("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(shown);
    byId("copy").textContent = "Selected";
  }
  setTimeout(() => { byId("copy").textContent = "Copy"; }, 1500);
}

byId("ask").addEventListener("input", refill);
byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!byId("send").disabled) send();
});
byId("send").addEventListener("click", send);
byId("copy").addEventListener("click", copy);
// The browser may keep the page for its back button; the token must not be kept with it.
addEventListener("pagehide", () => { token.value = ""; byId("reveal").checked = false; byId("result").hidden = true; byId("result-body").textContent = ""; refill(); });
refill();
