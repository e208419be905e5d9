// One run: its state and why it is there, budgets, what a person can do; the tree with
// its timeline, the events, the records. The node run or event that is looked at opens
// at the side.
//
//   events (one stream) ─▶ "something has changed" ─▶ run, explanation and tree are asked again
//                        └▶ the list of events

import { enc, eventsAfter, follow, get, locked, record } from "./api.js";
import { html, useBeat, useCallback, useEffect, useLoad, useRef, useState, useStore } from "./lib.js";
import { capital, ENDED, plural, words } from "./format.js";
import { Acts, me } from "./actions.js";
import { Trail } from "./audit.js";
import { CancelReport } from "./report.js";
import { Events } from "./events.js";
import { NodePanel } from "./node.js";
import { Budgets, Copy, Icon, Json, place, Problem, replacePlace, runPlace, Skeleton, State, Tabs, Time, Toggle } from "./parts.js";
import { Took } from "./runs.js";
import { Tree, useTree } from "./tree.js";

const TAIL = 1000;
const KEPT = 20_000;

// The events of the run: the newest, what follows, and older ones on demand.
function useEvents(id) {
  const [state, setState] = useState({ events: [], link: "connecting" });
  useEffect(() => {
    const aborter = new AbortController();
    let waiting = [];
    let frame = 0;
    // Many events are shown at once: one change a frame.
    function flush() {
      frame = 0;
      const batch = waiting;
      waiting = [];
      setState((old) => {
        const events = old.events.concat(batch);
        return { ...old, events: events.length > KEPT ? events.slice(-KEPT) : events };
      });
    }
    follow(id, TAIL, {
      batch: (events) => { waiting.push(...events); frame ||= setTimeout(flush, 50); },
      state: (link) => setState((old) => (old.link === link ? old : { ...old, link })),
    }, aborter.signal);
    return () => { aborter.abort(); clearTimeout(frame); };
  }, [id]);
  const earlier = useCallback(async () => {
    const first = state.events[0]?.seq ?? 1;
    const after = Math.max(0, first - 1 - TAIL);
    const older = await eventsAfter(id, after, first - 1 - after);
    setState((old) => (old.events[0]?.seq === first ? { ...old, events: older.filter((event) => event.seq < first).concat(old.events) } : old));
  }, [id, state.events]);
  return { ...state, earlier };
}

export function Run({ id, query }) {
  const admitted = useStore(locked) === null;
  const path = `x/runs/${enc(id)}`;
  const { events, link, earlier } = useEvents(id);
  const last = events.length ? events[events.length - 1].seq : 0;
  const [over, setOver] = useState(false);
  const { data: run, error, again } = useLoad((signal) => record(path, signal), [id, admitted], over ? 0 : 10_000);
  const isLive = run ? !ENDED.has(run.state) : false;
  useEffect(() => { if (run ? !isLive : error?.status === 404) setOver(true); }, [run, error]);
  const { data: why, again: explainAgain } = useLoad((signal) => get(`${path}/explain`, {}, signal), [id, admitted], isLive ? 5000 : 0);
  const { data: entry, again: entryAgain } = useLoad(
    async (signal) => (await get("x/runs", { id_prefix: id, limit: 20 }, signal)).items.find((one) => one.run_id === id) ?? null, [id, admitted], isLive ? 10_000 : 0);
  const [dirty, setDirty] = useState(0);
  const tree = useTree(id, dirty, isLive);
  const refresh = useCallback(() => { again(); explainAgain(); entryAgain(); setDirty((old) => old + 1); }, [again, explainAgain, entryAgain]);
  // Events come in bursts: what depends on them is asked for once a burst.
  useBeat(run ? last : 0, refresh);
  const who = useStore(me);
  const tab = ["events", "record", "audit"].includes(query.tab) ? query.tab : "tree";
  const go = (change) => replacePlace(runPlace(id, { ...query, ...change }));
  if (!run) {
    return html`<${Crumbs} id=${id} />${error ? html`<${Problem} error=${error} again=${again} what="This run" />` : html`<${Skeleton} rows=${12} />`}`;
  }
  const root = tree.nodes?.[0];
  const held = isLive && (entry?.held || (why?.nodes ?? []).some((node) => node.reasons.some((reason) => /held/.test(reason.cause.code))));
  const owner = run.extensions?.["jarvis.owner"];
  const original = run.extensions?.["jarvis.rerun_of"];
  const type = root?.node_type_ref ?? entry?.node_type_ref;
  const isReported = run.state === "canceled" && who?.operations.includes("get_cancel_report");
  const event = query.event ? events.find((one) => String(one.seq) === query.event) : null;
  const side = query.node
    ? html`<${NodePanel} id=${query.node} key=${query.node} beat=${last} events=${events} close=${() => go({ node: "" })} refresh=${refresh} />`
    : event ? html`<${EventPanel} event=${event} close=${() => go({ event: "" })} select=${(node) => go({ event: "", node })} />` : null;
  return html`
    <${Crumbs} id=${id} />
    <section class="summary" aria-label="Summary">
      <div class="facts">
        <${State} state=${held ? "held" : run.state} />
        ${type ? html`<span class="cut type" title=${`${type.node_type_id} ${type.version}`}>${type.node_type_id} <span class="faint">${type.version}</span></span>` : null}
        <span>started <${Time} at=${run.started_at} /></span>
        <span>${isLive ? "for" : "took"} <b class="digits"><${Took} from=${run.started_at} to=${run.ended_at} /></b></span>
        ${owner ? html`<span class="cut" title=${[owner.subject, owner.tenant, owner.client].filter(Boolean).join(" · ")}>by ${owner.subject}${owner.tenant ? html` <span class="faint">${owner.tenant}</span>` : null}</span>` : null}
        ${Object.entries(entry?.labels ?? {}).map(([name, value]) => html`<a key=${name} class="tag cut" title="Runs with this label" href=${place("/runs", { label: `${name}=${value}` })}>${name}=${value}</a>`)}
        ${typeof original === "string" ? html`<span class="cut">repeats <a class="mono" href=${runPlace(original)}>${original}</a></span>` : null}
      </div>
      <${Acts} of="run" object=${{ ...run, held }} after=${(answer) => {
        if (answer?.rerun_of) location.hash = runPlace(answer.run_id); else refresh();
      }} />
    </section>
    ${isReported ? html`<${CancelReport} id=${id} select=${(node) => go({ node, event: "", tab: "" })} />` : html`<${Why} why=${why} run=${run} after=${refresh} select=${(node) => go({ node, event: "", tab: "" })} />`}
    <${Budgets} account=${run.extensions?.["jarvis.budget"]} />
    <div class="tabs-row">
      <${Tabs} label="Views of the run" value=${tab} choose=${(name) => go({ tab: name === "tree" ? "" : name })}
        tabs=${[["tree", "Tree and timeline", tree.nodes?.length], ["events", "Events", last || undefined], ...(who?.operations.includes("list_audit") ? [["audit", "Audit"]] : []), ["record", "Record"]]} />
      <${Link} link=${link} />
    </div>
    <div class="split ${side ? "open" : ""}">
      <div id="panel" class="panel" role="tabpanel" aria-labelledby=${`tab-${tab}`}>
        ${tab === "tree" ? html`<${Tree} tree=${tree} run=${run} selected=${query.node} select=${(node) => go({ node: node === query.node ? "" : node, event: "" })} />`
          : tab === "events" ? html`<${Events} events=${events} earlier=${earlier} nodes=${tree.nodes} selected=${query.event} only=${query.of}
              setOnly=${(of) => go({ of })} select=${(seq) => go({ event: String(seq) === query.event ? "" : String(seq), node: "" })} />`
          : tab === "audit" ? html`<div class="record"><${Trail} run=${id} beat=${run.state} /></div>`
          : html`<div class="record"><${Json} value=${run} name="the run" /></div>`}
      </div>
      ${side}
    </div>`;
}

const Crumbs = ({ id }) => html`
  <nav class="crumbs" aria-label="Where this is"><a href="#/runs">Runs</a><span aria-hidden="true">/</span>
    <h1 class="mono cut" title=${id}>${id}</h1><${Copy} text=${id} name="the run's id" /></nav>`;

const Link = ({ link }) => {
  const [name, title] = {
    live: ["live", "Events arrive as they are committed"], ended: ["complete", "The run has ended: there are no more events"],
    lost: ["reconnecting", "The connection was lost. It goes on without a gap"], connecting: ["connecting", ""],
  }[link];
  return html`<span class="live" title=${title} role="status"><i class=${link === "live" ? "" : link === "ended" ? "still" : "off"} />${name}</span>`;
};

const ACTORS = {
  done: null, coordinator: "The coordinator goes on by itself", executor: "Its executor has to answer",
  children: "What runs below it has to end", operator: "A person has to act",
};

// Why the run is where it is, in one sentence; the others on demand.
function Why({ why, run, select, after }) {
  const [all, setAll] = useState(false);
  if (!why) return html`<section class="why ${ENDED.has(run.state) ? "" : "placeholder"}" aria-hidden="true"><${Icon} state=${run.state} /><p> </p></section>`;
  const nodes = why.nodes.filter((node) => node.reasons.length);
  const [first, ...others] = nodes;
  if (!first) return null;
  const { acts } = first.reasons[0];
  const tone = acts === "done" ? run.state : acts === "operator" ? "attention" : "running";
  const counts = Object.entries(why.live).map(([state, number]) => `${number} ${words(state)}`).join(", ");
  return html`
    <section class="why t-${tone}" aria-label="Why it is where it is">
      <${Icon} state=${tone} />
      <div>
        <${Reasons} node=${first} select=${select} after=${after} isRun=${acts === "done"} />
        ${others.length || counts ? html`<p class="faint">
          ${counts ? `Live: ${counts}${why.more ? " and more" : ""}. ` : null}
          ${others.length ? html`<button type="button" class="link" aria-expanded=${all ? "true" : "false"} onClick=${() => setAll(!all)}>${all ? "Show less" : `${plural(others.length, "more node run")} that hold it up`}</button>` : null}</p>` : null}
        ${all ? html`<ul>${others.map((node) => html`<li key=${node.node_run_id}><${Reasons} node=${node} select=${select} after=${after} /></li>`)}</ul>` : null}
      </div>
    </section>`;
}

export function Reasons({ node, select, after, isRun = false }) {
  return node.reasons.map((reason, at) => html`
    <div class="reason" key=${at}>
      <p class=${at === 0 ? "sentence" : ""}>${capital(reason.sentence)}${/[.!?]$/.test(reason.sentence) ? "" : "."}
        ${at === 0 && select && !isRun ? html` <button type="button" class="link mono" onClick=${() => select(node.node_run_id)} title="Show the node run">${node.node_run_id}</button>` : null}</p>
      ${reason.acts === "done" ? null : html`<p class="faint">${[ACTORS[reason.acts], reason.since && html`since <${Time} at=${reason.since} />`, reason.until && html`at the latest <${Time} at=${reason.until} />`]
        .filter(Boolean).flatMap((part, index) => (index ? [" · ", part] : [part]))}</p>`}
      ${reason.command ? html`<p class="command"><code>${reason.command}</code><${Copy} text=${reason.command} name="the command" /></p>` : null}
      ${reason.cause.code === "waiting_for_approval" ? html`<${Acts} of="approval" object=${{ approval_id: reason.cause.approval_id }} after=${after} />` : null}
    </div>`);
}

function EventPanel({ event, close, select }) {
  const ref = useRef(null);
  useEffect(() => { if (matchMedia("(max-width: 60rem)").matches) ref.current.scrollIntoView({ block: "start" }); }, []);
  return html`
    <aside class="side" aria-label="Event" ref=${ref} onKeyDown=${(key) => { if (key.key === "Escape") close(); }}>
      <header><h2>Event ${event.seq}</h2><button type="button" class="quiet" aria-label="Close" onClick=${close}>✕</button></header>
      <dl class="pairs">
        <dt>Type</dt><dd>${words(event.type)}</dd>
        <dt>Time</dt><dd><${Time} at=${event.time} /></dd>
        ${event.node_run_id ? html`<dt>Node run</dt><dd class="cut"><button type="button" class="link mono" onClick=${() => select(event.node_run_id)}>${event.node_run_id}</button></dd>` : null}
      </dl>
      <${Json} value=${event} name="the event" />
    </aside>`;
}
