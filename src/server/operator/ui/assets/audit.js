// The audit trail: who has asked for what, and what came of it, newest first. Of all
// runs as a page, of one run as a tab of it.

import { get, locked } from "./api.js";
import { html, useLoad, useStore } from "./lib.js";
import { words } from "./format.js";
import { Empty, Icon, place, Problem, replacePlace, runPlace, Skeleton, Time } from "./parts.js";
import { Filter } from "./runs.js";

const FILTERS = [["actor", "Who"], ["operation", "Operation"]];
const OUTCOMES = [["", "All"], ["applied", "Applied"], ["refused", "Refused"]];

export function Audit({ query }) {
  const to = (change) => place("/audit", { ...query, page: "", ...change });
  return html`
    <div class="heading"><h1>Audit</h1><span class="faint">Who has asked for what, newest first</span></div>
    <div class="filters" role="search" aria-label="Filters">
      ${FILTERS.map(([name, title]) => html`<${Filter} key=${name} title=${title} value=${query[name] ?? ""} set=${(value) => replacePlace(to({ [name]: value }))} />`)}
      <label><span>Outcome</span><select value=${query.outcome ?? ""} onChange=${(event) => replacePlace(to({ outcome: event.target.value }))}>
        ${OUTCOMES.map(([value, title]) => html`<option key=${value} value=${value}>${title}</option>`)}</select></label>
    </div>
    <${Trail} filters=${query} older=${(page) => to({ page })} newest=${to({})} />`;
}

export function Trail({ run, filters = {}, beat, older, newest }) {
  const admitted = useStore(locked) === null;
  const { actor, operation, outcome, page } = filters;
  const { data, error, again } = useLoad(
    (signal) => get("x/audit", { run_id: run, actor, operation, outcome, page_token: page, limit: 100 }, signal),
    [run, actor, operation, outcome, page, admitted, beat], page || run ? 0 : 5000);
  return html`
    ${error ? html`<${Problem} error=${error} again=${again} what="The audit trail" />` : null}
    ${data?.items.length ? html`<div class="scroll" role="region" aria-label="Audit trail" tabindex="0"><table class="audit">
      <thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">What</th>${run ? null : html`<th scope="col">Run</th>`}<th scope="col">Outcome</th><th scope="col">Detail</th></tr></thead>
      <tbody>${data.items.map((item) => html`<${Row} key=${item.number} item=${item} run=${run} />`)}</tbody></table></div>`
      : data ? html`<${Empty} title="Nothing here">${data.next_page ? "There may be more behind Older." : "No record that you may see fits."}<//>`
      : error ? null : html`<${Skeleton} rows=${8} />`}
    <nav class="pages" aria-label="Pages of the list">${page ? html`<a class="button" href=${newest}>Newest</a>` : null}<span class="gap" />
      ${data?.next_page && older ? html`<a class="button" href=${older(data.next_page)}>Older</a>` : null}</nav>`;
}

function Row({ item, run }) {
  const { principal, kind, node_run_id: executor } = item.actor;
  const who = principal?.subject ?? executor ?? words(kind);
  const detail = [item.reason, item.detail, item.suppressed ? `${item.suppressed} more like it` : ""].filter(Boolean).join(" · ");
  const of = item.run_id && run !== item.run_id;
  return html`
    <tr>
      <td class="nowrap"><${Time} at=${item.at} /></td>
      <td class="cut" title=${[who, principal?.tenant].filter(Boolean).join(" · ")}>${who}</td>
      <td class="nowrap">${words(item.operation)}</td>
      ${run ? null : html`<td class="cut">${of ? html`<a class="mono" href=${runPlace(item.run_id, { node: item.node_run_id })} title=${item.run_id}>${item.run_id}</a>` : ""}</td>`}
      <td class="nowrap"><span class="state"><${Icon} state=${item.outcome === "applied" ? "ok" : "failed"} />${item.outcome}</span></td>
      <td class="cut" title=${detail}>${detail}</td>
    </tr>`;
}
