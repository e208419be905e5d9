// The frame: which page is shown, who looks at it, and what asks for a token.
//
//   #/runs?…        runs.js        #/runs/{id}?…   run.js (tree.js, events.js, node.js)
//   #/approvals     approvals.js   #/work          work.js
//   #/audit         audit.js       #/system        system.js

import { get, locked, signIn, signOut, token } from "./api.js";
import { html, render, store, useEffect, useLoad, useRef, useState, useStore } from "./lib.js";
import { absoluteTimes, goTo, place, Problem, runPlace, Toast } from "./parts.js";
import { Asked, isReadOnly, me } from "./actions.js";
import { Approvals } from "./approvals.js";
import { Audit } from "./audit.js";
import { Run } from "./run.js";
import { Runs } from "./runs.js";
import { System } from "./system.js";
import { Work } from "./work.js";

function where() {
  const [path, search = ""] = location.hash.slice(1).split(/\?(.*)/s);
  let parts = path.split("/").filter(Boolean);
  try { parts = parts.map(decodeURIComponent); } catch { parts = ["runs"]; }
  return { page: parts[0] ?? "runs", id: parts[1], query: Object.fromEntries(new URLSearchParams(search)) };
}

const PAGES = [["runs", "Runs"], ["approvals", "Approvals"], ["work", "Work"], ["audit", "Audit"], ["system", "System"]];
// What is asked for by pages that not all may see.
const NEEDS = { work: "get_work", audit: "list_audit" };

function nextTheme() {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  const theme = dark ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem("theme", theme); } catch { /* for now only */ }
}

function Search() {
  const ref = useRef(null);
  useEffect(() => {
    function onKey(event) {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
      if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      ref.current.focus();
    }
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  async function onKeyDown(event) {
    if (event.key === "Escape") { ref.current.blur(); return; }
    const id = ref.current.value.trim();
    if (event.key !== "Enter" || !id) return;
    // The one run of that id, or those whose ids begin so.
    let found = [];
    try { found = (await get("x/runs", { id_prefix: id, limit: 2 })).items; } catch { /* the list says why */ }
    const exact = found.find((run) => run.run_id === id);
    goTo(exact || found.length === 1 ? runPlace((exact ?? found[0]).run_id) : place("/runs", { id_prefix: id }));
    ref.current.value = "";
    ref.current.blur();
  }
  return html`
    <div class="search"><input ref=${ref} type="search" name="run" placeholder="Go to a run" aria-label="Go to a run by its id, or the beginning of it"
      autocomplete="off" spellcheck="false" onKeyDown=${onKeyDown} /><kbd aria-hidden="true">/</kbd></div>`;
}

function Header({ page, who, waiting }) {
  const dates = useStore(absoluteTimes);
  return html`
    <header class="top">
      <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>Skip to the content</a>
      <a class="brand" href="#/runs" aria-label="Run Coordinator"><svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true"><rect width="32" height="32" rx="7" class="logo" /><path d="M9 9.5h11M12 16h11M9 22.5h7" class="logo-line" /></svg><span>Run Coordinator</span></a>
      ${page ? html`<nav aria-label="Pages">${PAGES.filter(([name]) => !NEEDS[name] || !who || who.operations.includes(NEEDS[name])).map(([name, title]) => html`
        <a key=${name} href=${`#/${name}`} aria-current=${name === page ? "page" : null}>${title}${name === "approvals" && waiting ? html` <span class="number hot">${waiting}</span>` : null}</a>`)}
      </nav><${Search} />` : html`<span class="gap" />`}
      <div class="tools">
        ${who && isReadOnly(who) ? html`<span class="chip" title="Your roles let you look at runs, not change them">Read only</span>` : null}
        <button type="button" class="quiet" aria-pressed=${dates ? "true" : "false"} title="Show times as dates" aria-label="Show times as dates" onClick=${() => absoluteTimes.set(!dates)}>
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" class="line"><circle cx="8" cy="8" r="6" /><path d="M8 4.5V8l2.4 1.6" /></svg></button>
        <button type="button" class="quiet" title="Dark or light" aria-label="Dark or light" onClick=${nextTheme}>
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" class="line"><circle cx="8" cy="8" r="6" /><path d="M8 2a6 6 0 0 0 0 12z" class="half" /></svg></button>
        ${who ? html`<span class="who" title=${[who.principal.subject, who.principal.tenant && `tenant ${who.principal.tenant}`, who.principal.issuer].filter(Boolean).join(" · ")}>${who.principal.subject}</span>` : null}
        ${token.get() ? html`<button type="button" class="quiet" onClick=${signOut}>Sign out</button>` : null}
      </div>
    </header>`;
}

function SignIn({ why }) {
  const [text, setText] = useState("");
  const ref = useRef(null);
  useEffect(() => ref.current.focus(), []);
  return html`
    <main class="sign-in" id="main" tabindex="-1">
      <form class="card" onSubmit=${(event) => { event.preventDefault(); if (text.trim()) signIn(text.trim().replace(/^Bearer\s+/i, "")); }}>
        <h1>Sign in</h1>
        <p>This coordinator asks for a token. Paste the one that you use with the ARP API.</p>
        ${why ? html`<p class="wrong" role="alert">${why}</p>` : null}
        <label for="token">Token</label>
        <input id="token" ref=${ref} type="password" autocomplete="off" value=${text} onInput=${(event) => setText(event.target.value)} />
        <button type="submit" class="primary" disabled=${!text.trim()}>Sign in</button>
        <p class="faint">It stays in this tab, is sent to this coordinator only, and is forgotten when the tab is closed.</p>
      </form>
    </main>`;
}

const route = store(where());
window.addEventListener("hashchange", () => route.set(where()));

function App() {
  const why = useStore(locked);
  const bearer = useStore(token);
  const { page, id, query } = useStore(route);
  const { data: who, error } = useLoad((signal) => get("x/me", {}, signal), [bearer, why === null], 60_000);
  const { data: waiting } = useLoad(
    (signal) => get("x/approvals", { limit: 100 }, signal).catch(() => null), [bearer, why === null, page], 15_000);
  useEffect(() => me.set(who), [who]);
  useEffect(() => {
    const title = PAGES.find(([name]) => name === page)?.[1] ?? "Run Coordinator";
    document.title = `${id ?? title} · Run Coordinator`;
  }, [page, id]);
  const number = waiting?.items.length ? `${waiting.items.length}${waiting.next_page ? "+" : ""}` : null;
  if (why !== null) return html`<${Header} page="" who=${null} /><${SignIn} why=${why} key=${bearer} /><${Toast} />`;
  const shown = page === "runs" && id ? html`<${Run} id=${id} query=${query} key=${id} />`
    : page === "approvals" ? html`<${Approvals} query=${query} />`
    : page === "audit" ? html`<${Audit} query=${query} />`
    : page === "work" ? html`<${Work} />`
    : page === "system" ? html`<${System} />`
    : html`<${Runs} query=${query} />`;
  return html`
    <${Header} page=${page} who=${who} waiting=${number} />
    ${error && !who && error.status !== 401 ? html`<${Problem} error=${error} />` : null}
    <main id="main" tabindex="-1" class=${id ? "run-page" : ""}>${shown}</main>
    <${Asked} /><${Toast} />`;
}

render(html`<${App} />`, document.body);
