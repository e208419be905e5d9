// What became of the node runs that a cancel has ended: whether their executors know.

import { enc, get } from "./api.js";
import { html, useEffect, useLoad, useState } from "./lib.js";
import { count, words } from "./format.js";
import { Icon, Time } from "./parts.js";

const FATES = {
  never_started: "never started", acknowledged: "acknowledged by their executors",
  notified: "being notified", given_up: "whose executors could not be reached",
};

export function CancelReport({ id, select }) {
  const [open, setOpen] = useState(false);
  const [settled, setSettled] = useState(false);
  const { data: report } = useLoad((signal) => get(`x/runs/${enc(id)}/cancel-report`, {}, signal), [id], settled ? 0 : 2000);
  useEffect(() => { if (report && !report.counts.notified) setSettled(true); }, [report]);
  if (!report) return null;
  const { canceled, counts, node_runs: nodes } = report;
  const fates = Object.entries(FATES).filter(([fate]) => counts[fate]);
  return html`
    <section class="why ${counts.given_up ? "t-attention" : ""}" aria-label="What became of its node runs"><${Icon} state="canceled" /><div>
      <p class="sentence">${canceled ? `Canceled by ${canceled.by.principal?.subject ?? words(canceled.by.kind)}: ${canceled.reason}` : "What became of its node runs"}</p>
      <p class="faint">${fates.length ? fates.map(([fate, title]) => `${count(counts[fate])} ${title}`).join(" · ") : "None was live."}
        ${nodes.length ? html` <button type="button" class="link" aria-expanded=${open ? "true" : "false"} onClick=${() => setOpen(!open)}>${open ? "Show less" : "Show them"}</button>` : null}</p>
      ${open ? html`<ul>${nodes.slice(0, 200).map((node) => html`<li key=${node.node_run_id}>
        <button type="button" class="link mono" onClick=${() => select(node.node_run_id)}>${node.path}</button> ${words(node.fate)}${node.tries ? `, ${node.tries} tries` : ""}
        ${node.next_at ? html` <span class="faint">next <${Time} at=${node.next_at} /></span>` : null}${node.error ? html` <span class="faint">${node.error}</span>` : null}</li>`)}
        ${nodes.length > 200 || report.more ? html`<li class="faint">and more: <code>GET /x/runs/${id}/cancel-report</code></li>` : null}</ul>` : null}
    </div></section>`;
}
