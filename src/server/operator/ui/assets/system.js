// The server: its version, its health, plots from its metrics, webhooks, configuration.

import { get, locked, text } from "./api.js";
import { html, useEffect, useLoad, useState, useStore } from "./lib.js";
import { bytes, capital, duration, words } from "./format.js";
import { me } from "./actions.js";
import { Icon, Problem, Skeleton, State, Time, Toggle } from "./parts.js";
import { parse, Plot, quantile, sum } from "./plots.js";

const EVERY = 3000;
const KEPT = 300;

// What is plotted of two scrapes, one after the other. A counter that has fallen was
// begun again with a start of the server.
function point(before, after, seconds) {
  const rate = (name, fits) => Math.max(0, (sum(after, name, fits) - sum(before, name, fits)) / seconds);
  const stream = (labels) => !/events/.test(labels.operation ?? "");
  return {
    started: rate("arp_runs_started_total"),
    completed: rate("arp_runs_completed_total"),
    failed: rate("arp_runs_completed_total", (labels) => labels.state === "failed"),
    median: quantile(before, after, "http_server_request_duration_seconds", 0.5, stream),
    slow: quantile(before, after, "http_server_request_duration_seconds", 0.99, stream),
    commit: quantile(before, after, "arp_journal_commit_duration_seconds", 0.5),
    slowCommit: quantile(before, after, "arp_journal_commit_duration_seconds", 0.99),
    due: sum(after, "arp_work_due"),
    hand: sum(after, "arp_work_in_hand"),
    parked: sum(after, "arp_work_parked"),
    live: sum(after, "arp_runs_live"),
    outbox: sum(after, "arp_outbox_entries"),
    memory: sum(after, "process_resident_memory_bytes"),
    journal: sum(after, "arp_journal_bytes"),
  };
}

function useMetrics(admitted) {
  const [state, setState] = useState({ points: [], error: null });
  useEffect(() => {
    const aborter = new AbortController();
    let [before, timer] = [null, 0];
    async function scrape() {
      try {
        if (!document.hidden) {
          const after = { at: Date.now(), values: parse(await text("metrics", aborter.signal)) };
          if (before) {
            const fresh = { at: after.at, ...point(before.values, after.values, (after.at - before.at) / 1000) };
            setState((old) => ({ points: [...old.points, fresh].slice(-KEPT), error: null }));
          }
          before = after;
        }
      } catch (error) {
        if (aborter.signal.aborted) return;
        setState((old) => ({ ...old, error }));
      }
      timer = setTimeout(scrape, before && state.points.length === 0 ? 1500 : EVERY);
    }
    scrape();
    return () => { aborter.abort(); clearTimeout(timer); };
  }, [admitted]);
  return state;
}

const rate = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)}/s`;
const time = (seconds) => duration(seconds * 1000);
const number = (value) => Math.round(value).toLocaleString("en");

export function System() {
  const admitted = useStore(locked) === null;
  const { data, error, again } = useLoad((signal) => get("x/system", {}, signal), [admitted], 5000);
  const { points, error: noMetrics } = useMetrics(admitted);
  const may = useStore(me)?.operations ?? [];
  const mayConfiguration = may.includes("get_configuration");
  const mayWebhooks = may.includes("list_webhooks");
  const { data: configuration } = useLoad(async (signal) => (mayConfiguration ? get("x/configuration", {}, signal) : null), [admitted, mayConfiguration]);
  const { data: hooks } = useLoad(async (signal) => (mayWebhooks ? get("x/webhooks", {}, signal).catch(() => null) : null), [admitted, mayWebhooks], 5000);
  return html`
    <div class="heading"><h1>System</h1>${data ? html`<span class="faint">Version ${data.version}</span>` : null}</div>
    ${error ? html`<${Problem} error=${error} again=${again} />` : null}
    ${data ? html`<${Checks} health=${data.health} />` : error ? null : html`<${Skeleton} rows=${6} />`}
    <section><h2>Now</h2>
      ${noMetrics ? html`<${Problem} error=${noMetrics} />` : null}
      <div class="plots">
        <${Plot} title="Runs" points=${points} show=${rate} series=${[{ name: "started", of: (p) => p.started, tone: "a" }, { name: "ended", of: (p) => p.completed, tone: "b" }, { name: "failed", of: (p) => p.failed, tone: "c" }]} />
        <${Plot} title="Requests" points=${points} show=${time} series=${[{ name: "median", of: (p) => p.median, tone: "a" }, { name: "99 %", of: (p) => p.slow, tone: "c" }]} />
        <${Plot} title="Commits" points=${points} show=${time} series=${[{ name: "median", of: (p) => p.commit, tone: "a" }, { name: "99 %", of: (p) => p.slowCommit, tone: "c" }]} />
        <${Plot} title="Backlog" points=${points} show=${number} series=${[{ name: "due", of: (p) => p.due, tone: "a" }, { name: "in hand", of: (p) => p.hand, tone: "b" }, { name: "parked", of: (p) => p.parked, tone: "c" }]} />
        <${Plot} title="Live runs" points=${points} show=${number} series=${[{ name: "live", of: (p) => p.live, tone: "a" }, { name: "owed to stores", of: (p) => p.outbox, tone: "b" }]} />
        <${Plot} title="Size" points=${points} show=${bytes} series=${[{ name: "memory", of: (p) => p.memory, tone: "a" }, { name: "journal", of: (p) => p.journal, tone: "b" }]} />
      </div>
      <p class="faint">Since this page was opened. Prometheus can keep them for longer: <code>GET /metrics</code>.</p>
    </section>
    ${hooks?.items.length ? html`<${Webhooks} hooks=${hooks.items} />` : null}
    ${configuration ? html`<${Configuration} settings=${configuration.settings} />` : null}`;
}

// What this server was started with: what differs from the defaults, or all.
function Configuration({ settings }) {
  const [all, setAll] = useState(false);
  const shown = settings.filter((setting) => all || !setting.is_default);
  return html`
    <section><div class="heading"><h2>Configuration</h2><${Toggle} label="Defaults too" on=${all} set=${setAll} /></div>
      <div class="scroll" role="region" aria-label="Configuration" tabindex="0"><table>
        <thead><tr><th scope="col">Setting</th><th scope="col">Value</th><th scope="col">From</th></tr></thead>
        <tbody>${shown.map((setting, at) => html`
          ${all && setting.group !== shown[at - 1]?.group ? html`<tr key=${setting.group}><th scope="rowgroup" colspan="3"><b>${setting.group}</b></th></tr>` : null}
          <tr key=${setting.name}><th scope="row" class="mono">${setting.name}</th><td class="value">${setting.value}</td><td class="faint nowrap">${setting.source}</td></tr>`)}</tbody></table></div>
      ${shown.length ? null : html`<p class="faint">Everything is as it is by default.</p>`}
    </section>`;
}

function Webhooks({ hooks }) {
  return html`
    <section><h2>Webhooks</h2><div class="scroll" role="region" aria-label="Webhooks" tabindex="0"><table>
      <thead><tr><th scope="col">Target</th><th scope="col">State</th><th scope="col" class="right">To be delivered</th><th scope="col">Last success</th><th scope="col">Last error</th></tr></thead>
      <tbody>${hooks.map(({ webhook_id: id, url, description, status }) => html`<tr key=${id}>
        <th scope="row" class="cut mono" title=${`${id} ${description ?? ""}`}>${url}</th>
        <td class="nowrap"><span class="state"><${Icon} state=${status.state === "ok" ? "ok" : "attention"} />${status.state}</span>${status.paused_until ? html` <span class="faint">again <${Time} at=${status.paused_until} /></span>` : null}</td>
        <td class="right digits">${number(status.backlog)}${status.given_up || status.dropped ? html` <span class="bad">${number(status.given_up + status.dropped)} lost</span>` : null}</td>
        <td class="nowrap"><${Time} at=${status.last_success_at} /></td>
        <td class="cut" title=${status.last_error ?? ""}>${status.last_error ?? ""}</td></tr>`)}</tbody></table></div></section>`;
}

function Checks({ health }) {
  const checks = health.checks ?? [];
  return html`
    <section><h2>Health</h2>
      <p class="state-line"><${State} state=${health.status} /><span class="faint">as of <${Time} at=${health.time} /></span></p>
      <ul class="checks">${checks.map((check) => html`
        <li key=${check.name}><${Icon} state=${check.status} /><div><b>${capital(words(check.name))}</b> <span class="unseen">${check.status}</span>
          ${check.message ? html`<p>${check.message}</p>` : null}
          ${details(check).length ? html`<dl class="pairs small">${details(check).map(([name, value]) => html`<dt key=${name}>${words(name)}</dt><dd class="cut" title=${value}>${value}</dd>`)}</dl>` : null}</div></li>`)}</ul>
    </section>`;
}

// What a check says besides, as far as it is short.
function details(check) {
  const all = Object.entries(check.details ?? check.extensions ?? {});
  return all.filter(([, value]) => ["string", "number", "boolean"].includes(typeof value)).slice(0, 8)
    .map(([name, value]) => [name, typeof value === "number" ? number(value) : String(value)]);
}
