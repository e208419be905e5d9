// The work of all runs: what is due, in hand, set aside, waiting for people or stores,
// and the executors that do it.

import { get, locked } from "./api.js";
import { html, useLoad, useStore } from "./lib.js";
import { count, words } from "./format.js";
import { Acts, nameOf } from "./actions.js";
import { Icon, Problem, runPlace, Skeleton, Time } from "./parts.js";

export function Work() {
  const admitted = useStore(locked) === null;
  const { data: work, error, again } = useLoad((signal) => get("x/work", {}, signal), [admitted], 3000);
  const { data: paused, again: pausesAgain } = useLoad((signal) => get("x/dispatch", {}, signal), [admitted], 3000);
  return html`
    <div class="heading"><h1>Work</h1><span class="faint">Of all runs</span>${work ? html`<span class="live"><i class=${error ? "off" : ""} />${error ? "not up to date" : "live"}</span>` : null}<span class="gap" /><${Acts} of="work" object=${{}} after=${pausesAgain} /></div>
    ${paused?.pauses.length ? html`<ul class="cards pauses">${paused.pauses.map((pause) => html`<${Pause} key=${JSON.stringify(pause.scope)} pause=${pause} after=${pausesAgain} />`)}</ul>` : null}
    ${error ? html`<${Problem} error=${error} again=${again} what="The overview" />` : null}
    ${work ? html`<${Overview} work=${work} />` : error ? null : html`<${Skeleton} rows=${8} />`}`;
}

const Pause = ({ pause, after }) => html`
  <li class="why t-attention"><${Icon} state="held" /><div><p class="sentence">Dispatch is paused for ${pause.scope.kind === "all" ? "everything" : html`${words(pause.scope.kind)} <code>${nameOf(pause.scope)}</code>`}.</p>
    <p class="faint">${pause.reason} · by ${pause.by.principal?.subject ?? words(pause.by.kind)} · since <${Time} at=${pause.since} /></p></div>
    <${Acts} of="pause" object=${pause} after=${after} /></li>`;

const Tile = ({ name, value, children, tone = "" }) => html`
  <div class="tile ${tone}"><span>${name}</span><b class="digits">${count(value)}</b><small>${children ?? " "}</small></div>`;

function Overview({ work }) {
  const owed = work.outbox.reduce((sum, store) => sum + store.entries, 0);
  return html`
    <div class="tiles">
      <${Tile} name="Live runs" value=${work.runs_live}>${count(work.node_runs_live)} node runs<//>
      <${Tile} name="Due" value=${work.due.count}>${work.due.oldest ? html`since <${Time} at=${work.due.oldest} />` : "nothing waits"}<//>
      <${Tile} name="In hand" value=${work.in_hand.count}>claimed, not done<//>
      <${Tile} name="Parked" value=${work.parked.count} tone=${work.parked.count ? "warn" : ""}>${work.parked.count ? "decisions fail" : "nothing set aside"}<//>
      <${Tile} name="Approvals" value=${work.approvals.count} tone=${work.approvals.count ? "warn" : ""}>${work.approvals.oldest ? html`since <${Time} at=${work.approvals.oldest} />` : "nothing waits"}<//>
      <${Tile} name="Owed to stores" value=${owed}>${work.outbox.length ? "entries" : "no stores"}<//>
      ${work.without_wake_up ? html`<${Tile} name="Without wake-up" value=${work.without_wake_up} tone="bad">never expected<//>` : null}
    </div>
    <section><h2>Executors</h2>
      ${work.executors.length ? html`<div class="scroll" role="region" aria-label="Executors" tabindex="0"><table>
        <thead><tr><th scope="col">Executor</th><th scope="col">Slots</th><th scope="col" class="right">Waiting</th><th scope="col">Circuit breaker</th><th scope="col">Last error</th></tr></thead>
        <tbody>${work.executors.flatMap((executor) => executor.members.map((member, at) => html`
          <tr key=${`${executor.executor} ${member.name ?? ""}`}>
            <th scope="row" class="cut" title=${member.name ?? executor.executor}>${member.name ? html`<span class="faint">${executor.executor} / </span>${member.name}` : executor.executor}</th>
            <td><${Slots} member=${member} /></td>
            <td class="right digits">${at === 0 ? count(executor.waiting) : ""}</td>
            <td class="nowrap"><span class="state"><${Icon} state=${member.breaker === "closed" ? "ok" : "attention"} />${words(member.breaker)}</span>${member.open_until ? html` <span class="faint">until <${Time} at=${member.open_until} /></span>` : null}</td>
            <td class="cut" title=${member.last_error?.message ?? ""}>${member.last_error ? html`<span class="faint"><${Time} at=${member.last_error.at} /></span> ${member.last_error.message}` : ""}</td>
          </tr>`))}</tbody></table></div>` : html`<p class="faint">None has been called yet.</p>`}
    </section>
    ${work.parked.items.length ? html`<section><h2>Parked</h2><div class="scroll" role="region" aria-label="Parked" tabindex="0"><table>
      <thead><tr><th scope="col">Run</th><th scope="col">Job</th><th scope="col">Error</th><th scope="col">Since</th><th scope="col">Tried again</th></tr></thead>
      <tbody>${work.parked.items.map((item) => html`<tr key=${`${item.run_id} ${item.node_run_id ?? ""} ${item.job}`}>
        <th scope="row" class="cut"><a class="mono" href=${runPlace(item.run_id, { node: item.node_run_id })} title=${item.run_id}>${item.run_id}</a></th>
        <td>${words(item.job)}</td><td class="cut" title=${item.error}>${item.error}</td><td class="nowrap"><${Time} at=${item.since} /></td><td class="nowrap"><${Time} at=${item.until} /></td></tr>`)}</tbody>
    </table></div></section>` : null}
    <div class="columns">
      <section><h2>Due</h2>${work.due.lanes.length ? html`<${Lanes} lanes=${work.due.lanes} />` : html`<p class="faint">Nothing waits to be claimed.</p>`}</section>
      <section><h2>In hand</h2>${work.in_hand.lanes.length ? html`<${Lanes} lanes=${work.in_hand.lanes} />` : html`<p class="faint">Nothing.</p>`}</section>
      <section><h2>Stores</h2>${work.outbox.length ? html`<table><tbody>${work.outbox.map((store) => html`<tr key=${store.recipient}><th scope="row">${words(store.recipient)}</th>
        <td class="right digits">${count(store.entries)}${store.more ? "+" : ""}</td><td class="faint nowrap">${store.oldest ? html`since <${Time} at=${store.oldest} />` : ""}</td></tr>`)}</tbody></table>` : html`<p class="faint">None are configured, or nothing is owed.</p>`}</section>
    </div>`;
}

const Lanes = ({ lanes }) => html`<table><tbody>${lanes.map((lane) => html`
  <tr key=${`${lane.job} ${lane.kind ?? ""}`}><th scope="row">${words(lane.job)}${lane.kind ? html` <span class="faint">${lane.kind}</span>` : null}</th>
    <td class="right digits">${count(lane.count ?? lane.in_hand)}${lane.room === undefined ? "" : html`<span class="faint"> / ${count(lane.in_hand + lane.room)}</span>`}</td>
    <td class="faint nowrap">${lane.oldest ? html`since <${Time} at=${lane.oldest} />` : ""}</td></tr>`)}</tbody></table>`;

const Slots = ({ member }) => html`
  <span class="slots"><span class="meter" role="img" aria-label=${`${member.in_use} of ${member.slots} in use`}><i class="used" style=${{ width: `${member.slots ? Math.min(100, (100 * member.in_use) / member.slots) : 0}%` }} /></span>
    <span class="digits">${count(member.in_use)} / ${count(member.slots)}</span></span>`;
