// Components that several pages use.

import { clock, html, store, useEffect, useLayoutEffect, useRef, useState, useStore } from "./lib.js";
import { absolute, capital, count, exact, relative, words } from "./format.js";

// Whether times are shown as distances or as dates: kept on this machine.
function chosen() {
  try { return localStorage.getItem("times") === "absolute"; } catch { return false; }
}
export const absoluteTimes = store(chosen());
absoluteTimes.listen((value) => {
  try { localStorage.setItem("times", value ? "absolute" : "relative"); } catch { /* for now only */ }
});

export function Time({ at }) {
  const now = useStore(clock);
  const dates = useStore(absoluteTimes);
  if (!at) return html`<span class="faint">–</span>`;
  const ms = Date.parse(at);
  return html`<time datetime=${at} title=${exact(ms)}>${dates ? absolute(ms) : relative(ms, now)}</time>`;
}

const SHAPES = {
  queued: html`<circle cx="8" cy="8" r="5.5" stroke-dasharray="2.6 2.15" />`,
  assigned: html`<circle cx="8" cy="8" r="5.5" /><circle cx="8" cy="8" r="1.6" class="dot" />`,
  running: html`<circle cx="8" cy="8" r="5.5" opacity=".3" /><path d="M8 2.5A5.5 5.5 0 0 1 13.5 8" class="spin" />`,
  succeeded: html`<circle cx="8" cy="8" r="6.5" class="full" /><path d="M5 8.2l2.1 2.1L11 6.3" class="mark" />`,
  failed: html`<circle cx="8" cy="8" r="6.5" class="full" /><path d="M5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4" class="mark" />`,
  canceled: html`<circle cx="8" cy="8" r="5.5" /><path d="M4.2 11.8l7.6-7.6" />`,
  held: html`<circle cx="8" cy="8" r="6.5" class="full" /><path d="M6.3 5.5v5M9.7 5.5v5" class="mark" />`,
  attention: html`<path d="M8 2.2L14.4 13.4H1.6z" class="full" /><path d="M8 6.6v3M8 11.6v.1" class="mark" />`,
  ok: html`<circle cx="8" cy="8" r="6.5" class="full" /><path d="M5 8.2l2.1 2.1L11 6.3" class="mark" />`,
};
SHAPES.degraded = SHAPES.attention;
SHAPES.down = SHAPES.failed;

// A shape for each state, so that colour is not all that tells them apart.
export const Icon = ({ state }) => html`
  <svg class="icon s-${Object.hasOwn(SHAPES, state) ? state : "queued"}" viewBox="0 0 16 16" width="16" height="16"
    aria-hidden="true">${Object.hasOwn(SHAPES, state) ? SHAPES[state] : SHAPES.queued}</svg>`;

export const State = ({ state }) => html`
  <span class="state s-${Object.hasOwn(SHAPES, state) ? state : "queued"}"><${Icon} state=${state} />${capital(words(state))}</span>`;

// What happened, for eyes and for screen readers.
const said = store({ text: "", at: 0 });
export const say = (text) => said.set({ text, at: Date.now() });

export function Toast() {
  const { text, at } = useStore(said);
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (!text) return undefined;
    setShown(true);
    const timer = setTimeout(() => setShown(false), 4000);
    return () => clearTimeout(timer);
  }, [at]);
  return html`<div class="toast ${shown ? "shown" : ""}" role="status" aria-live="polite">${text}</div>`;
}

export async function copy(what, name) {
  try {
    await navigator.clipboard.writeText(what);
    say(`${name} copied`);
  } catch {
    say("The browser does not let the page copy");
  }
}

export const Copy = ({ text, name }) => html`
  <button type="button" class="quiet copy" title=${`Copy ${name}`} aria-label=${`Copy ${name}`}
    onClick=${() => copy(text, capital(name))}>
    <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" class="line"><rect x="5.5" y="5.5" width="8" height="8" rx="1.5" /><path d="M10.5 3.5a1 1 0 0 0-1-1h-6a1 1 0 0 0-1 1v6a1 1 0 0 0 1 1" /></svg>
  </button>`;

export const Empty = ({ title, children }) => html`
  <div class="empty"><strong>${title}</strong><p>${children}</p></div>`;

export function Problem({ error, again, what = "This" }) {
  if (!error) return null;
  const title = error.status === 0 ? "No connection"
    : error.status === 403 ? "You may not see this"
    : error.status === 404 ? `${what} does not exist`
    : error.status === 429 || error.status === 503 ? "The coordinator is busy"
    : "That did not work";
  const more = error.status === 404 ? " It may have been deleted, or belong to others." : "";
  return html`
    <div class="problem" role="alert">
      <${Icon} state="attention" />
      <div><strong>${title}</strong><p>${error.message}${/[.!?]$/.test(error.message) ? "" : "."}${more}
        ${error.code && error.status ? html` <code>${error.code}</code>` : null}</p></div>
      ${again ? html`<button type="button" onClick=${again}>Try again</button>` : null}
    </div>`;
}

// Placeholder rows of the size of what follows, so that nothing moves when it comes.
export const Skeleton = ({ rows = 8 }) => html`
  <div class="skeleton" aria-hidden="true">${Array.from({ length: rows }, (_, at) => html`<i key=${at} />`)}</div>
  <span class="unseen" role="status">Loading</span>`;

export function Dialog({ title, close, children, wide = false }) {
  const ref = useRef(null);
  useLayoutEffect(() => {
    const [dialog, before] = [ref.current, document.activeElement];
    dialog.showModal();
    // What is behind a dialog cannot have the focus before it is closed.
    return () => { dialog.close(); before?.focus?.(); };
  }, []);
  return html`
    <dialog ref=${ref} class=${wide ? "wide" : ""} aria-labelledby="dialog-title"
      onCancel=${(event) => { event.preventDefault(); close(); }}
      onMouseDown=${(event) => { if (event.target === ref.current) close(); }}>
      <div class="dialog">
        <header><h2 id="dialog-title">${title}</h2>
          <button type="button" class="quiet" aria-label="Close" onClick=${close}>✕</button></header>
        ${children}
      </div>
    </dialog>`;
}

// Tabs with arrow keys, as ARIA wants them.
export function Tabs({ tabs, value, choose, label }) {
  const ref = useRef(null);
  function onKeyDown(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = tabs.findIndex(([name]) => name === value);
    const next = (at + step + tabs.length) % tabs.length;
    event.preventDefault();
    choose(tabs[next][0]);
    ref.current.children[next].focus();
  }
  return html`
    <div class="tabs" role="tablist" aria-label=${label} ref=${ref} onKeyDown=${onKeyDown}>
      ${tabs.map(([name, title, number]) => html`
        <button type="button" role="tab" key=${name} id=${`tab-${name}`} aria-selected=${name === value ? "true" : "false"}
          aria-controls="panel" tabindex=${name === value ? 0 : -1} onClick=${() => choose(name)}>
          ${title}${number === undefined ? null : html` <span class="number">${count(number)}</span>`}
        </button>`)}
    </div>`;
}

export function Toggle({ label, on, set }) {
  return html`<button type="button" class="quiet" aria-pressed=${on ? "true" : "false"} onClick=${() => set(!on)}>${label}</button>`;
}

// JSON, as text of a size that a browser can bear; more on demand.
const SHOWN = 16_000;

export function Json({ value, name }) {
  const [all, setAll] = useState(false);
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const cut = !all && text.length > SHOWN;
  const shown = cut ? text.slice(0, SHOWN) : text;
  return html`
    <div class="json">
      <${Copy} text=${text} name=${name} />
      <pre tabindex="0" aria-label=${capital(name)}>${text.length > 200_000 && all ? shown : painted(shown)}</pre>
      ${cut ? html`<button type="button" class="quiet more" onClick=${() => setAll(true)}>
        Show all ${count(text.length)} characters</button>` : null}
    </div>`;
}

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;

function painted(text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(TOKEN)) {
    if (found.index > at) parts.push(text.slice(at, found.index));
    const kind = found[2] ? "key" : found[1] ? "string" : found[3] ? "word" : "digits";
    parts.push(html`<span class=${kind}>${found[1] ?? found[0]}</span>`);
    if (found[2]) parts.push(found[2]);
    at = found.index + found[0].length;
  }
  parts.push(text.slice(at));
  return parts;
}

// A place of the page: everything that it shows is in its address.
export function place(path, query = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) search.set(name, value);
  const text = search.toString();
  return `#${path}${text ? `?${text}` : ""}`;
}

export const runPlace = (id, query) => place(`/runs/${encodeURIComponent(id)}`, query);
export const goTo = (where) => { location.hash = where; };
export function replacePlace(where) {
  history.replaceState(null, "", where);
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}

const KINDS = { steps: "Steps", external_calls: "External calls", cost: "Cost" };

// A budget as a bar: used, reserved, what is left.
export function Budgets({ account }) {
  const kinds = Object.keys(KINDS).filter((kind) => account?.limit?.[kind] !== undefined);
  if (kinds.length === 0) return null;
  return html`<div class="budgets">${kinds.map((kind) => {
    const [limit, used, reserved] = [account.limit[kind], account.used?.[kind] ?? 0, account.reserved?.[kind] ?? 0];
    const share = (part) => `${limit > 0 ? Math.min(100, (100 * part) / limit) : 100}%`;
    const left = Math.max(0, limit - used - reserved);
    const number = (value) => value.toLocaleString("en", { maximumFractionDigits: 4 });
    const name = `${KINDS[kind]}: ${number(used)} used, ${number(reserved)} reserved, of ${number(limit)}`;
    return html`
      <div class="budget" key=${kind} title=${`${name}; ${number(left)} left`}>
        <span>${KINDS[kind]}</span>
        <div class="meter ${left === 0 ? "out" : ""}" role="img" aria-label=${name}>
          <i class="used" style=${{ width: share(used) }} /><i class="reserved" style=${{ width: share(reserved) }} />
        </div>
        <span class="figures">${number(used)}${reserved ? html`<small> + ${number(reserved)} reserved</small>` : null} / ${number(limit)}</span>
      </div>`;
  })}</div>`;
}
