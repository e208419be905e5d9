// The node run that is looked at: why it is where it is, what a person can do, its
// inputs and outputs, attempts, and the rest of its record.

import { enc, get, record } from "./api.js";
import { html, useBeat, useEffect, useLoad, useRef } from "./lib.js";
import { duration, ENDED, words } from "./format.js";
import { Acts } from "./actions.js";
import { Budgets, Copy, Json, Problem, Skeleton, State, Time } from "./parts.js";
import { Reasons } from "./run.js";
import { Took } from "./runs.js";

export function NodePanel({ id, beat, events, close, refresh }) {
  const path = `x/node-runs/${enc(id)}`;
  const ref = useRef(null);
  const { data: node, error, again } = useLoad((signal) => record(path, signal), [id]);
  const isLive = node ? !ENDED.has(node.state) : true;
  const { data: why, again: whyAgain } = useLoad((signal) => get(`${path}/explain`, {}, signal), [id], isLive ? 5000 : 0);
  const { data: attempts, again: attemptsAgain } = useLoad((signal) => get(`${path}/attempts`, { limit: 100 }, signal), [id]);
  useBeat(isLive ? beat : 0, () => { again(); whyAgain(); attemptsAgain(); });
  useEffect(() => { if (node && matchMedia("(max-width: 60rem)").matches) ref.current.scrollIntoView({ block: "start" }); }, [!node]);
  const after = () => { again(); whyAgain(); attemptsAgain(); refresh(); };
  return html`
    <aside class="side" aria-label="Node run" ref=${ref} onKeyDown=${(event) => { if (event.key === "Escape" && !event.target.closest("dialog")) close(); }}>
      <header>
        <h2 class="cut" title=${node?.node_type_ref.node_type_id ?? id}>${node?.node_type_ref.node_type_id ?? "Node run"}</h2>
        <button type="button" class="quiet" aria-label="Close" onClick=${close}>✕</button>
      </header>
      ${error ? html`<${Problem} error=${error} again=${again} what="This node run" />` : null}
      ${node ? html`<${Details} node=${node} why=${why} attempts=${attempts?.items ?? []} decisions=${events.filter((event) => event.node_run_id === id && event.type === "policy_decided")} after=${after} />` : error ? null : html`<${Skeleton} rows=${8} />`}
    </aside>`;
}

function Details({ node, why, attempts, decisions, after }) {
  const extensions = node.extensions ?? {};
  const failure = extensions.completion_error ?? extensions["jarvis.completion_error"];
  const policy = extensions["jarvis.approval"];
  const evaluation = node.evaluation_result;
  const { inputs, outputs, ...rest } = node;
  return html`
    <p class="state-line"><${State} state=${node.state} />
      ${node.started_at ? html`<span class="digits"><${Took} from=${node.started_at} to=${node.ended_at} /></span>` : null}
      <span class="faint">${node.kind ?? ""} · ${node.node_type_ref.version}</span></p>
    ${why ? html`<div class="reasons"><${Reasons} node=${why} after=${after} /></div>` : null}
    <${Acts} of="node" object=${node} after=${after} />
    ${failure ? html`<section class="failure"><h3>Error</h3><p><code class="bad">${failure.code}</code> ${failure.message}</p></section>` : null}
    <dl class="pairs">
      <dt>Id</dt><dd class="cut mono" title=${node.node_run_id}>${node.node_run_id}<${Copy} text=${node.node_run_id} name="the node run's id" /></dd>
      ${node.created_at ? html`<dt>Created</dt><dd><${Time} at=${node.created_at} /></dd>` : null}
      <dt>Started</dt><dd><${Time} at=${node.started_at} /></dd>
      <dt>Ended</dt><dd><${Time} at=${node.ended_at} /></dd>
      ${node.executor_binding ? html`<dt>Executor</dt><dd class="cut" title=${node.executor_binding.endpoint}>${node.executor_binding.executor_instance_id}</dd>` : null}
      ${evaluation ? html`<dt>Evaluation</dt><dd>${[evaluation.status, evaluation.reason_code, evaluation.score].filter((part) => part !== undefined && part !== null).join(" · ")}</dd>` : null}
      ${policy?.decision ? html`<dt>Approval</dt><dd>${policy.decision.outcome}${policy.decision.reason ? `: ${policy.decision.reason}` : ""}</dd>` : null}
    </dl>
    <${Budgets} account=${extensions["jarvis.budget"]} />
    ${attempts.length ? html`<section><h3>Earlier attempts</h3><ol class="attempts">${attempts.map((attempt) => html`
      <li key=${attempt.attempt} value=${attempt.attempt}><b>${words(attempt.outcome)}</b> after ${duration(Date.parse(attempt.ended_at) - Date.parse(attempt.started_at))}
        ${attempt.error_code ? html` · <code class="bad">${attempt.error_code}</code>` : null}
        ${attempt.error_message ? html`<p class="faint">${attempt.error_message}</p>` : null}</li>`)}</ol></section>` : null}
    ${decisions.length ? html`<section><h3>Policy</h3><ul class="attempts plain">${decisions.map(({ seq, time, data }) => html`
      <li key=${seq}><b class=${data.decision === "deny" ? "bad" : ""}>${words(data.decision)}</b> for ${data.action}${data.reason_code ? html` · <code>${data.reason_code}</code>` : null} <span class="faint"><${Time} at=${time} /></span>
        ${data.message ? html`<p class="faint">${data.message}</p>` : null}</li>`)}</ul></section>` : null}
    <section><h3>Inputs</h3>${inputs ? html`<${Json} value=${inputs} name="inputs" />` : html`<p class="faint">None.</p>`}</section>
    <section><h3>Outputs</h3>${outputs ? html`<${Json} value=${outputs} name="outputs" />` : html`<p class="faint">${ENDED.has(node.state) ? "None." : "None yet."}</p>`}
      ${node.output_artifacts?.length ? html`<ul class="artifacts">${node.output_artifacts.map((artifact, at) => html`<li key=${at}><${Artifact} artifact=${artifact} /></li>`)}</ul>` : null}</section>
    <details><summary>Record without inputs and outputs</summary><${Json} value=${rest} name="the record" /></details>`;
}

// Only addresses that a browser opens without running anything are links.
function Artifact({ artifact }) {
  const name = [artifact.type, artifact.id ?? artifact.uri].filter(Boolean).join(" · ");
  const isWeb = /^https?:/i.test(artifact.uri ?? "");
  return html`${isWeb ? html`<a href=${artifact.uri} target="_blank" rel="noopener noreferrer">${name}</a>` : html`<span>${name}</span>`}
    ${artifact.uri && !isWeb ? html` <code class="faint">${artifact.uri}</code>` : null}<${Copy} text=${artifact.uri ?? artifact.id ?? ""} name="the artifact's address" />`;
}
