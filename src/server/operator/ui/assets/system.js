// The server: its version, its health, and plots from its metrics.

import { get, locked, text } from "./api.js";
import { html, useEffect, useLoad, useState, useStore } from "./lib.js";
import { bytes, capital, duration, words } from "./format.js";
import { Icon, Problem, Skeleton, State, Time } from "./parts.js";
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
    </section>`;
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
