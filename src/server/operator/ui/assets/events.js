// The events of a run: rows of one height, of which only those in view are in the
// document. At its end the list stays at its end while events come.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./lib.js";
import { count, plural, timeOfDay, absolute, words } from "./format.js";
import { Empty, say } from "./parts.js";

const ROW = 28;

// What an event says, in a few words.
function gist({ type, data = {} }) {
  switch (type) {
    case "run_started": return "";
    case "node_run_assigned": return data.root ? "the root" : "";
    case "composite_decomposed": return plural(data.node_run_count ?? 0, "child", "children");
    case "subtask_mapped": return data.chosen_node_type_ref?.node_type_id ?? "";
    case "policy_decided": return [data.action, data.decision, data.reason_code].filter(Boolean).join(" · ");
    case "node_evaluated": return [data.status, data.reason_code].filter(Boolean).join(" · ");
    case "recovery_applied": return [data.type, data.reason ?? data.extensions?.["jarvis.code"]].filter(Boolean).join(" · ");
    case "atomic_executed": case "run_completed": return [data.state, data.attempts > 1 ? `${data.attempts} attempts` : ""].filter(Boolean).join(" · ");
    default: return "";
  }
}

function tone({ type, data = {} }) {
  if (data.state === "failed" || data.decision === "deny" || data.status === "fail") return "failed";
  if (data.decision === "require_approval" || type === "recovery_applied") return "attention";
  if (data.state === "succeeded" || data.status === "success") return "succeeded";
  return "";
}

const who = (event) => {
  const actor = event.extensions?.["jarvis.actor"];
  return actor ? actor.subject ?? actor.kind ?? "" : "";
};

export function Events({ events, earlier, nodes, selected, only, setOnly, select }) {
  const box = useRef(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const [type, setType] = useState("");
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const atEnd = useRef(true);
  const types = useMemo(() => [...new Set(events.map((event) => event.type))].sort(), [events]);
  const names = useMemo(() => new Map((nodes ?? []).map((node) => [node.node_run_id, node])), [nodes]);
  const rows = useMemo(() => {
    const wanted = text.trim().toLowerCase();
    return events.filter((event) => (!type || event.type === type) && (!only || event.node_run_id === only)
      && (!wanted || JSON.stringify(event).toLowerCase().includes(wanted)));
  }, [events, type, text, only]);
  const first = events[0]?.seq ?? 1;
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const read = () => {
      atEnd.current = element.scrollTop + element.clientHeight >= element.scrollHeight - ROW;
      setView({ top: element.scrollTop, height: element.clientHeight });
    };
    const resized = () => {
      if (atEnd.current) element.scrollTop = element.scrollHeight;
      read();
    };
    const watcher = new ResizeObserver(resized);
    watcher.observe(element);
    element.addEventListener("scroll", read, { passive: true });
    return () => { watcher.disconnect(); element.removeEventListener("scroll", read); };
  }, [rows.length === 0]);
  useLayoutEffect(() => {
    if (atEnd.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [rows.length]);
  // Older events come on top: what is looked at stays where it is.
  const before = useRef(first);
  useLayoutEffect(() => {
    if (first < before.current && box.current && !type && !text && !only) box.current.scrollTop += (before.current - first) * ROW;
    before.current = first;
  }, [first]);
  const at = rows.findIndex((event) => String(event.seq) === selected);
  function onKeyDown(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -rows.length, End: rows.length }[event.key];
    if (!step || event.target !== box.current) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(rows.length - 1, (at < 0 ? (step > 0 ? -1 : rows.length) : at) + step));
    select(rows[next].seq);
    const [top, bottom] = [next * ROW, (next + 1) * ROW];
    if (top < box.current.scrollTop) box.current.scrollTop = top;
    else if (bottom > box.current.scrollTop + view.height) box.current.scrollTop = bottom - view.height;
  }
  // What the address names is brought into view once.
  const sought = useRef(selected);
  useEffect(() => {
    if (!sought.current || at < 0 || !box.current) return;
    sought.current = null;
    atEnd.current = false;
    box.current.scrollTop = Math.max(0, at * ROW - view.height / 2);
  }, [at]);
  async function load() {
    setBusy(true);
    atEnd.current = false;
    try { await earlier(); } catch (error) { say(error.message); }
    setBusy(false);
  }
  const from = Math.max(0, Math.floor(view.top / ROW) - 10);
  const to = Math.min(rows.length, Math.ceil((view.top + view.height) / ROW) + 10);
  return html`
    <div class="bar">
      <label class="unlabeled"><span class="unseen">Find in events</span><input type="search" placeholder="Find in events" value=${text} onInput=${(event) => setText(event.target.value)} spellcheck="false" /></label>
      <label class="unlabeled"><span class="unseen">Type</span><select value=${type} onChange=${(event) => setType(event.target.value)}>
        <option value="">All types</option>${types.map((name) => html`<option key=${name} value=${name}>${words(name)}</option>`)}</select></label>
      ${only ? html`<button type="button" class="quiet cut" title=${only} onClick=${() => setOnly("")}>Only of ${names.get(only)?.path ?? only} ✕</button>` : null}
      ${first > 1 ? html`<button type="button" class="quiet" disabled=${busy} onClick=${load}>${busy ? "Loading" : "Load earlier events"}</button>` : null}
      <span class="gap" />
      <span class="faint" role="status">${rows.length === events.length ? plural(events.length, "event") : `${count(rows.length)} of ${plural(events.length, "event")}`}${first > 1 ? `, from ${count(first)}` : ""}</span>
    </div>
    ${rows.length === 0 ? html`<${Empty} title=${events.length ? "No events fit" : "No events yet"}>${events.length ? "Choose another filter." : "They appear as they are committed."}<//>` : html`
      <div class="grid events" role="listbox" aria-label="Events" tabindex="0" ref=${box} onKeyDown=${onKeyDown}
        aria-activedescendant=${at >= from && at < to ? `event-${rows[at].seq}` : null}>
        <div class="grid-body" role="presentation" style=${{ height: `${rows.length * ROW}px` }}>
          ${rows.slice(from, to).map((event, offset) => html`
            <div key=${event.seq} id=${`event-${event.seq}`} role="option" aria-selected=${String(event.seq) === selected ? "true" : "false"}
              class="event ${String(event.seq) === selected ? "selected active" : ""}" style=${{ top: `${(from + offset) * ROW}px` }} onClick=${() => select(event.seq)}>
              <span class="seq">${event.seq}</span>
              <span class="digits" title=${absolute(Date.parse(event.time))}>${timeOfDay(Date.parse(event.time), true)}</span>
              <span class="cut kind"><i class="dot s-${tone(event)}" />${words(event.type)}</span>
              <span class="cut faint node-name" title=${event.node_run_id ?? ""}>${event.node_run_id ? (names.get(event.node_run_id)?.node_type_ref.node_type_id ?? event.node_run_id) : ""}</span>
              <span class="cut gist">${gist(event)}</span>
              <span class="cut faint actor">${who(event)}</span>
            </div>`)}
        </div>
      </div>`}`;
}
