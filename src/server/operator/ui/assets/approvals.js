// What waits for a person's yes or no, longest first.

import { get, locked } from "./api.js";
import { html, useLoad, useStore } from "./lib.js";
import { Acts } from "./actions.js";
import { Empty, place, Problem, runPlace, Skeleton, Time } from "./parts.js";
import { words } from "./format.js";

export function Approvals({ query }) {
  const admitted = useStore(locked) === null;
  const { data, error, again } = useLoad(
    (signal) => get("x/approvals", { limit: 50, page_token: query.page }, signal), [query.page, admitted], 4000);
  return html`
    <div class="heading"><h1>Approvals</h1><span class="faint">What waits for a decision, longest first</span></div>
    ${error ? html`<${Problem} error=${error} again=${again} />` : null}
    ${data ? data.items.length ? html`<ul class="cards">${data.items.map((one) => html`<${Card} key=${one.approval_id} approval=${one} after=${again} />`)}</ul>`
        : data.next_page ? html`<${Empty} title="Nothing here yet">There may be more behind Next.<//>`
        : html`<${Empty} title="Nothing waits for an approval">Node runs that policy, or a gate of their run, holds until a person decides appear here.<//>`
      : error ? null : html`<${Skeleton} rows=${5} />`}
    <nav class="pages" aria-label="Pages of the list">${query.page ? html`<a class="button" href=${place("/approvals")}>First</a>` : null}<span class="gap" />
      ${data?.next_page ? html`<a class="button" href=${place("/approvals", { page: data.next_page })}>Next</a>` : null}</nav>`;
}

function Card({ approval, after }) {
  return html`
    <li class="card approval">
      <div class="what">
        <h2 class="cut" title=${approval.node_type_ref.node_type_id}>${approval.node_type_ref.node_type_id} <span class="faint">${approval.node_type_ref.version}</span></h2>
        <p>${approval.message ?? (approval.demanded_by === "gate" ? "A gate in the constraints of the run demands an approval." : "Policy demands an approval.")}
          ${approval.reason_code ? html` <code>${approval.reason_code}</code>` : null}</p>
        <p class="faint cut">Run <a class="mono" href=${runPlace(approval.run_id, { node: approval.node_run_id })} title=${approval.run_id}>${approval.run_id}</a>${approval.owner ? ` of ${approval.owner.subject}` : ""}</p>
      </div>
      <dl class="pairs">
        <dt>Requested</dt><dd><${Time} at=${approval.requested_at} /></dd>
        <dt>Expires</dt><dd><${Time} at=${approval.expires_at} /></dd>
        <dt>Asked by</dt><dd>${words(approval.demanded_by)}${approval.action ? html` <span class="faint">${approval.action}</span>` : null}</dd>
      </dl>
      <${Acts} of="approval" object=${approval} after=${after} />
    </li>`;
}
