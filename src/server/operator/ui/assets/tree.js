// The tree of a run and its timeline in one: indented rows, each with its bar on one
// axis of time.
//
//   pages of the tree ─▶ Model: nodes by path ─▶ rows (closed subtrees, filter) ─▶ window
//                                                                                  └─ the rows in view
//
// Rows have one height, and only those in view are in the document: a run of 10,000
// nodes costs as much as one of 50. Arrow keys, Home, End and Enter work as in a file
// manager (ARIA: treegrid).

import { get, enc } from "./api.js";
import { clock, html, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, useStore } from "./lib.js";
import { byPath, count, duration, ENDED, plural } from "./format.js";
import { Empty, Icon, Problem, Skeleton } from "./parts.js";

export const ROW = 30;
const PAGE = 500;
const MOST = 50_000;

// Loads the tree, page by page, and again while the run lives.
export function useTree(run, dirty, isLive) {
  const [state, setState] = useState({ nodes: null, complete: false, error: null });
  const control = useRef({ run: () => {} });
  useEffect(() => {
    const aborter = new AbortController();
    const { signal } = aborter;
    let [busy, wanted, timer] = [false, false, 0];
    async function load() {
      if (busy) { wanted = true; return; }
      busy = true;
      const began = performance.now();
      try {
        const nodes = [];
        let token;
        do {
          const page = await get(`x/runs/${enc(run)}/tree`, { limit: PAGE, page_token: token }, signal);
          nodes.push(...page.items);
          token = page.next_page;
          const complete = !token || nodes.length >= MOST;
          // Until all are there for the first time, what is there is shown; later, all at once.
          if (complete) nodes.sort((a, b) => byPath(a.path, b.path));
          setState((old) => (old.complete && !complete ? old : { nodes: nodes.slice(), complete, cut: !!token, error: null }));
        } while (token && nodes.length < MOST);
      } catch (error) {
        if (signal.aborted) return;
        setState((old) => ({ ...old, error }));
      }
      busy = false;
      // The larger the run, the rarer.
      const pause = Math.max(700, 6 * (performance.now() - began));
      timer = setTimeout(() => { if (wanted) { wanted = false; load(); } else timer = 0; }, pause);
    }
    control.current.run = () => { if (busy || timer) wanted = true; else load(); };
    load();
    return () => { aborter.abort(); clearTimeout(timer); control.current.run = () => {}; };
  }, [run]);
  useEffect(() => { if (dirty) control.current.run(); }, [dirty]);
  useEffect(() => {
    if (!isLive) return undefined;
    const timer = setInterval(() => { if (!document.hidden) control.current.run(); }, 5000);
    return () => clearInterval(timer);
  }, [isLive, run]);
  return { ...state, again: () => control.current.run() };
}

const SHOWS = {
  all: ["All", () => true],
  live: ["Not ended", (node) => !ENDED.has(node.state)],
  failed: ["Failed", (node) => node.state === "failed"],
  retried: ["Retried", (node) => node.attempt > 1],
};

const parentOf = (path) => path.slice(0, Math.max(0, path.lastIndexOf(".")));

// The rows to show, with the ancestors of those that fit.
function rowsOf(nodes, closed, show, text) {
  const fits = SHOWS[show][1];
  const wanted = text.toLowerCase();
  let kept = null;
  if (show !== "all" || wanted) {
    kept = new Set();
    for (const node of nodes) {
      if (!fits(node)) continue;
      if (wanted && !node.node_type_ref.node_type_id.toLowerCase().includes(wanted) && !node.node_run_id.toLowerCase().startsWith(wanted) && node.path !== wanted) continue;
      for (let path = node.path; path && !kept.has(path); path = parentOf(path)) kept.add(path);
    }
  }
  const rows = [];
  const hidden = new Set();
  for (const node of nodes) {
    const parent = parentOf(node.path);
    if (parent && hidden.has(parent)) { hidden.add(node.path); continue; }
    if (kept && !kept.has(node.path)) continue;
    rows.push(node);
    if (closed.has(node.path)) hidden.add(node.path);
  }
  return rows;
}

// Round steps of an axis.
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 12e5, 18e5, 36e5, 72e5, 108e5, 216e5, 432e5, 864e5, 1728e5, 6048e5, 2592e6, 7776e6];
function ticks(span, width) {
  const most = Math.max(2, Math.floor(width / 90));
  const step = STEPS.find((one) => span / one <= most) ?? STEPS[STEPS.length - 1];
  return Array.from({ length: Math.floor(span / step) + 1 }, (_, at) => at * step);
}
const tickName = (ms) => (ms === 0 ? "0" : ms < 1000 ? `${ms} ms` : ms < 60_000 ? `${ms / 1000} s` : duration(ms).replace(/ 00[smh]$/, ""));

export function Tree({ tree, run, selected, select }) {
  const [closed, setClosed] = useState(() => new Set());
  const [show, setShow] = useState("all");
  const [text, setText] = useState("");
  const { nodes, complete, cut, error, again } = tree;
  const rows = useMemo(() => (nodes ? rowsOf(nodes, closed, show, text.trim()) : []), [nodes, closed, show, text]);
  const composites = useMemo(() => (nodes ?? []).filter((node) => node.children > 0), [nodes]);
  const toggle = useCallback((path) => setClosed((old) => {
    const next = new Set(old);
    if (!next.delete(path)) next.add(path);
    return next;
  }), []);
  if (!nodes) return error ? html`<${Problem} error=${error} again=${again} />` : html`<${Skeleton} rows=${10} />`;
  return html`
    <div class="bar">
      <label class="unlabeled"><span class="unseen">Find a node run</span><input type="search" placeholder="Find a node run" value=${text} onInput=${(event) => setText(event.target.value)} spellcheck="false" /></label>
      <label class="unlabeled"><span class="unseen">Show</span><select value=${show} onChange=${(event) => setShow(event.target.value)}>
        ${Object.entries(SHOWS).map(([name, [title]]) => html`<option key=${name} value=${name}>${title}</option>`)}</select></label>
      <button type="button" class="quiet" onClick=${() => setClosed(new Set())}>Open all</button>
      <button type="button" class="quiet" onClick=${() => setClosed(new Set(composites.filter((node) => node.path.includes(".")).map((node) => node.path)))}>Close all</button>
      <span class="gap" />
      <span class="faint" role="status">${rows.length === nodes.length ? plural(nodes.length, "node run") : `${count(rows.length)} of ${plural(nodes.length, "node run")}`}${complete ? cut ? ", the first of more" : "" : ", loading more"}</span>
    </div>
    ${error ? html`<${Problem} error=${error} again=${again} />` : null}
    ${rows.length === 0 ? html`<${Empty} title="No node runs fit">Choose another filter.<//>`
      : html`<${Grid} rows=${rows} run=${run} closed=${closed} toggle=${toggle} selected=${selected} select=${select} />`}`;
}

function Grid({ rows, run, closed, toggle, selected, select }) {
  const box = useRef(null);
  const [view, setView] = useState({ top: 0, height: 600, width: 500 });
  const [active, setActive] = useState(null);
  useLayoutEffect(() => {
    const element = box.current;
    const read = () => setView((old) => {
      const lane = element.querySelector(".axis")?.clientWidth ?? 500;
      const next = { top: element.scrollTop, height: element.clientHeight, width: lane };
      return old.top === next.top && old.height === next.height && old.width === next.width ? old : next;
    });
    read();
    const watcher = new ResizeObserver(read);
    watcher.observe(element);
    element.addEventListener("scroll", read, { passive: true });
    return () => { watcher.disconnect(); element.removeEventListener("scroll", read); };
  }, []);
  const at = useMemo(() => rows.findIndex((node) => node.node_run_id === (active ?? selected)), [rows, active, selected]);
  const current = Math.max(0, at);

  function reveal(index) {
    const element = box.current;
    const [top, bottom] = [index * ROW, (index + 1) * ROW];
    const room = element.clientHeight - ROW;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (bottom > element.scrollTop + room) element.scrollTop = bottom - room;
  }
  // A node that the address names is brought into view once.
  useEffect(() => { if (selected && at >= 0) reveal(at); }, [selected]);

  function move(index) {
    const next = Math.max(0, Math.min(rows.length - 1, index));
    setActive(rows[next].node_run_id);
    reveal(next);
  }
  function onKeyDown(event) {
    const node = rows[current];
    const page = Math.max(1, Math.floor(view.height / ROW) - 2);
    const open = node.children > 0 && !closed.has(node.path);
    const acts = {
      ArrowDown: () => move(current + 1), ArrowUp: () => move(current - 1), Home: () => move(0), End: () => move(rows.length - 1),
      PageDown: () => move(current + page), PageUp: () => move(current - page),
      ArrowRight: () => { if (node.children > 0 && !open) toggle(node.path); else if (open) move(current + 1); },
      ArrowLeft: () => {
        if (open) { toggle(node.path); return; }
        const parent = rows.findIndex((other) => other.path === parentOf(node.path));
        if (parent >= 0) move(parent);
      },
      Enter: () => select(node.node_run_id), " ": () => select(node.node_run_id),
    };
    const act = acts[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey || event.target !== box.current) return;
    event.preventDefault();
    act();
  }
  const from = Math.max(0, Math.floor(view.top / ROW) - 8);
  const to = Math.min(rows.length, Math.ceil((view.top + view.height) / ROW) + 8);
  const now = useStore(clock);
  const start = Date.parse(run.started_at);
  const end = Math.max(start + 1, run.ended_at ? Date.parse(run.ended_at) : now);
  const span = end - start;
  const marks = ticks(span, view.width);
  const share = (ms) => `${((ms / span) * 100).toFixed(3)}%`;
  return html`
    <div class="grid" role="treegrid" aria-label="Node runs" aria-rowcount=${rows.length + 1} tabindex="0" ref=${box}
      aria-activedescendant=${current >= from && current < to ? `row-${current}` : null} onKeyDown=${onKeyDown}>
      <div class="grid-head" role="row" aria-rowindex="1">
        <span role="columnheader">Node run</span>
        <span role="columnheader" class="axis" aria-label="Time">${marks.map((mark) => html`<i key=${mark} style=${{ left: share(mark) }}>${tickName(mark)}</i>`)}</span>
      </div>
      <div class="grid-body" role="rowgroup" style=${{ height: `${rows.length * ROW}px` }}>
        <div class="lines" aria-hidden="true">${marks.map((mark) => html`<i key=${mark} style=${{ left: share(mark) }} />`)}</div>
        ${rows.slice(from, to).map((node, offset) => html`<${Node} key=${node.node_run_id} node=${node} index=${from + offset} start=${start} end=${end} span=${span}
          isClosed=${closed.has(node.path)} isSelected=${node.node_run_id === selected} isActive=${from + offset === current} toggle=${toggle}
          select=${(id) => { setActive(id); select(id); }} />`)}
      </div>
    </div>`;
}

function Node({ node, index, start, end, span, isClosed, isSelected, isActive, toggle, select }) {
  const level = node.path.split(".").length;
  const name = node.node_type_ref.node_type_id;
  const began = node.started_at ? Date.parse(node.started_at) : null;
  const ended = node.ended_at ? Date.parse(node.ended_at) : ENDED.has(node.state) ? began : end;
  const took = began === null ? null : duration(ended - began);
  const left = began === null ? 0 : Math.max(0, Math.min(1, (began - start) / span));
  const width = began === null ? 0 : Math.max(0, Math.min(1 - left, (ended - began) / span));
  const words = `${node.state}${took ? `, ${took}` : ""}${node.attempt > 1 ? `, attempt ${node.attempt}` : ""}`;
  return html`
    <div class="node ${isSelected ? "selected" : ""} ${isActive ? "active" : ""}" role="row" id=${`row-${index}`} aria-level=${level} aria-rowindex=${index + 2}
      aria-expanded=${node.children > 0 ? (isClosed ? "false" : "true") : null} aria-selected=${isSelected ? "true" : "false"}
      style=${{ top: `${index * ROW}px` }} onClick=${() => select(node.node_run_id)}>
      <span role="gridcell" class="name" title=${`${name} ${node.node_type_ref.version} · ${node.node_run_id}`} style=${{ paddingLeft: `${8 + Math.min(level - 1, 12) * 16}px` }}>
        <span class="twist" aria-hidden="true" onClick=${(event) => { if (node.children > 0) { event.stopPropagation(); toggle(node.path); } }}>${node.children > 0 ? (isClosed ? "▸" : "▾") : ""}</span>
        <${Icon} state=${node.state} />
        <span class="title">${name}</span>
        ${node.attempt > 1 ? html`<span class="tag" title=${`Attempt ${node.attempt}`}>×${node.attempt}</span>` : null}
        ${isClosed && node.children > 0 ? html`<span class="tag">${plural(node.children, "child", "children")}</span>` : null}
        <span class="path">${node.path}</span>
      </span>
      <span role="gridcell" class="lane" aria-label=${words}>
        ${began === null ? html`<span class="none">${ENDED.has(node.state) ? "never started" : node.state}</span>` : html`
          <i class="strip s-${node.state}" style=${{ left: `${(left * 100).toFixed(3)}%`, width: `${(width * 100).toFixed(3)}%` }} />
          <span class="took" style=${{ left: `${((left + width) * 100).toFixed(3)}%` }}>${took}</span>`}
      </span>
    </div>`;
}
