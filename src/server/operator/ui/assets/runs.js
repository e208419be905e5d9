// The list of runs: filters are in the address, pages are keyset pages of the API.
//
//   first page ─▶ asked again every few seconds; rows change in place, new ones are
//                 announced and shown on demand: nothing moves under the pointer
//   older pages ▶ asked once

import { get, locked } from "./api.js";
import { html, clock, useEffect, useLoad, useMemo, useRef, useState, useStore } from "./lib.js";
import { count, duration, ENDED, plural, words } from "./format.js";
import { Empty, Icon, place, Problem, replacePlace, runPlace, Skeleton, State, Time, goTo } from "./parts.js";

const PAGE = 50;
const EVERY = 4000;
const FILTERS = [
  ["id_prefix", "Id begins with"], ["node_type", "Node type"], ["owner", "Owner"], ["tenant", "Tenant"],
  ["error_code", "Error code"], ["label", "Label (name=value)"], ["started_after", "Started after", "datetime-local"], ["started_before", "Started before", "datetime-local"],
];
const VIEWS = [
  ["attention", "Needs attention", { attention: "true" }], ["all", "All", {}],
  ...["running", "queued", "succeeded", "failed", "canceled"].map((state) => [state, words(state).replace(/^./, (c) => c.toUpperCase()), { state }]),
];

// Why a run needs attention, as the API names it.
const ATTENTION = {
  parked: "its decisions fail", approval: "waits for an approval", retrying: "was put back several times", waiting: "no executor takes it",
};

// The query of the API for an address. Dates of an address are local.
function asked(query) {
  const wanted = {};
  for (const [name, , type] of FILTERS) {
    if (!query[name]) continue;
    const at = type ? new Date(query[name]) : null;
    const [label, value] = query[name].split(/=(.*)/s);
    if (name === "label") { if (label && value) wanted[`label.${label}`] = value; }
    else if (!at) wanted[name] = query[name];
    else if (!Number.isNaN(at.getTime())) wanted[name] = at.toISOString();
  }
  const view = VIEWS.find(([name]) => name === query.view) ?? VIEWS[1];
  return { filters: wanted, view };
}

export function Runs({ query }) {
  const admitted = useStore(locked) === null;
  const key = JSON.stringify(query);
  const { filters, view } = useMemo(() => asked(query), [key]);
  const first = !query.page;
  const { data, error, loading, again } = useLoad(
    async (signal) => ({ key, ...(await get("x/runs", { ...filters, ...view[2], limit: PAGE, page_token: query.page }, signal)) }),
    [key, admitted], first ? EVERY : 0);
  const { data: counts } = useLoad(
    (signal) => get("x/runs:count", { ...filters, by: "state" }, signal).catch(() => null), [JSON.stringify(filters), admitted], 15_000);
  const { data: hot } = useLoad(
    (signal) => get("x/runs", { attention: "true", limit: 100 }, signal).catch(() => null), [admitted], 10_000);
  // Rows of the place before stay until those of this one are there.
  const isCurrent = data?.key === key;
  const calm = useCalm(isCurrent ? data.items : null, key, first);
  const shown = isCurrent ? calm : { items: data?.items ?? null, fresh: 0 };
  const [more, setMore] = useState(() => FILTERS.slice(2).some(([name]) => query[name]));
  const total = counts && Object.values(counts.runs).reduce((sum, number) => sum + number, 0);
  const number = (name) => {
    if (name === "attention") return hot?.items.length ? `${hot.items.length}${hot.next_page ? "+" : ""}` : null;
    if (!counts) return null;
    const value = name === "all" ? total : counts.runs[name] ?? 0;
    return `${count(value)}${counts.next_page ? "+" : ""}`;
  };
  const to = (change) => place("/runs", { ...query, page: "", ...change });
  const hasFilters = Object.keys(filters).length > 0;
  return html`
    <div class="heading"><h1>Runs</h1>
      <span class="live" title="The first page is kept up to date">${first ? html`<i class=${error ? "off" : ""} />${error ? "not up to date" : "live"}` : "older page"}</span>
      ${shown.fresh ? html`<button type="button" class="primary" onClick=${shown.show}>Show ${plural(shown.fresh, "new run")}</button>` : null}
    </div>
    <nav class="views" aria-label="Views">${VIEWS.map(([name, title]) => html`
      <a key=${name} href=${to({ view: name === "all" ? "" : name })} aria-current=${view[0] === name ? "true" : null}>
        ${name === "all" ? null : html`<${Icon} state=${name} />`}${title}${number(name) === null ? null : html` <span class=${name === "attention" ? "number hot" : "number"}>${number(name)}</span>`}</a>`)}
    </nav>
    <div class="filters" role="search" aria-label="Filters">
      ${FILTERS.slice(0, more ? FILTERS.length : 2).map(([name, title, type]) => html`
        <${Filter} key=${name} title=${title} type=${type} value=${query[name] ?? ""} set=${(value) => replacePlace(to({ [name]: value }))} />`)}
      <button type="button" class="quiet" aria-expanded=${more ? "true" : "false"} onClick=${() => setMore(!more)}>${more ? "Fewer filters" : "More filters"}</button>
      ${hasFilters ? html`<a class="button quiet" href=${place("/runs", { view: query.view })}>Clear</a>` : null}
    </div>
    ${error ? html`<${Problem} error=${error} again=${again} />` : null}
    ${loading && !shown.items ? html`<${Skeleton} rows=${12} />`
      : shown.items?.length ? html`<${Table} runs=${shown.items} />`
      : error || !isCurrent ? null
      : html`<${Nothing} view=${view[0]} hasFilters=${hasFilters} more=${data?.next_page} />`}
    <nav class="pages" aria-label="Pages of the list">
      ${first ? null : html`<a class="button" href=${to({})}>Newest</a>`}
      ${first ? null : html`<button type="button" onClick=${() => history.back()}>Back</button>`}
      <span class="gap" />
      ${isCurrent && data.next_page ? html`<a class="button" href=${to({ page: data.next_page })}>Older</a>` : null}
    </nav>`;
}

const Nothing = ({ view, hasFilters, more }) => {
  if (more) return html`<${Empty} title="Nothing here yet">No run among those that were looked at fits. There are older ones: go on with Older.<//>`;
  if (view === "attention") return html`<${Empty} title="Nothing needs attention">No run waits for a person, is held up or has failed lately.<//>`;
  if (hasFilters || view !== "all") return html`<${Empty} title="No runs fit">Take a filter away, or look at all runs.<//>`;
  return html`<${Empty} title="No runs yet">Runs that are started through the ARP API appear here. <code>jarvis-run-coordinator demo --keep</code> starts one.<//>`;
};

// Typing changes the address, and so the list, when it pauses.
export function Filter({ title, type = "text", value, set }) {
  const [text, setText] = useState(value);
  const timer = useRef(0);
  useEffect(() => setText(value), [value]);
  function onInput(event) {
    const typed = event.target.value;
    setText(typed);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => set(typed.trim()), 350);
  }
  return html`<label><span>${title}</span><input type=${type} value=${text} onInput=${onInput} spellcheck="false" autocomplete="off" /></label>`;
}

// The rows that are shown: what is known of them is renewed in place, and new ones wait
// until they are asked for.
function useCalm(items, key, first) {
  const [ids, setIds] = useState(null);
  useEffect(() => setIds(null), [key]);
  useEffect(() => {
    if (items && (!ids || !first)) setIds(items.map((run) => run.run_id));
  }, [items, ids, first]);
  return useMemo(() => {
    if (!items || !ids || !first) return { items, fresh: 0, show: () => {} };
    const known = new Set(ids);
    const fresh = items.filter((run) => !known.has(run.run_id));
    // With another filter, or when most is new, the list is another one.
    if (fresh.length >= items.length || ids.length === 0) return { items, fresh: 0, show: () => {} };
    return {
      items: items.filter((run) => known.has(run.run_id)),
      fresh: fresh.length,
      show: () => setIds(items.map((run) => run.run_id)),
    };
  }, [items, ids, first]);
}

function Table({ runs }) {
  const ref = useRef(null);
  // Arrows go from row to row, as in a mail program.
  function onKeyDown(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key];
    if (!step || !event.target.closest("tbody")) return;
    const links = [...ref.current.querySelectorAll("tbody th a")];
    const next = links[links.indexOf(document.activeElement) + step];
    if (next) { event.preventDefault(); next.focus(); }
  }
  return html`
    <div class="scroll"><table class="runs" ref=${ref} onKeyDown=${onKeyDown}>
      <thead><tr><th scope="col">State</th><th scope="col">Run</th><th scope="col">Type</th><th scope="col">Started</th><th scope="col" class="right">Took</th><th scope="col">Owner</th><th scope="col">Error or trouble</th></tr></thead>
      <tbody>${runs.map((run) => html`<${Row} key=${run.run_id} run=${run} />`)}</tbody>
    </table></div>`;
}

function Row({ run }) {
  const open = (event) => {
    if (event.target.closest("a") || getSelection().toString()) return;
    goTo(runPlace(run.run_id));
  };
  return html`
    <tr onClick=${open}>
      <td><${State} state=${run.held && !ENDED.has(run.state) ? "held" : run.state} /></td>
      <th scope="row" class="cut"><a class="mono" href=${runPlace(run.run_id)} title=${run.run_id}>${run.run_id}</a></th>
      <td class="cut" title=${run.node_type_ref ? `${run.node_type_ref.node_type_id} ${run.node_type_ref.version}` : ""}>${run.node_type_ref?.node_type_id ?? ""}</td>
      <td class="nowrap"><${Time} at=${run.started_at} /></td>
      <td class="nowrap right"><${Took} from=${run.started_at} to=${run.ended_at} /></td>
      <td class="cut" title=${[run.owner?.subject, run.owner?.tenant].filter(Boolean).join(" · ")}>${run.owner?.subject ?? ""}</td>
      <td class="cut" title=${run.error_code ?? ""}>${run.attention ? html`<span class="s-attention">${ATTENTION[run.attention] ?? words(run.attention)}</span>` : run.error_code ? html`<code class="bad">${run.error_code}</code>` : ""}</td>
    </tr>`;
}

export function Took({ from, to }) {
  const now = useStore(clock);
  return html`${duration((to ? Date.parse(to) : now) - Date.parse(from))}`;
}
