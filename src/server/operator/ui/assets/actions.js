// What a person can do: each act asks for a reason, and says what it will do.
//
// **Invariant:** an act is shown only if the coordinator has the operation and the
// caller may ask for it. Whether it may be done is decided by the coordinator alone.

import { address, call, enc, Failure } from "./api.js";
import { html, store, useRef, useState, useStore, useLayoutEffect } from "./lib.js";
import { ENDED, shell } from "./format.js";
import { copy, Dialog, say } from "./parts.js";

// The caller and what it may ask for, as `GET /x/me` says.
export const me = store(null);

const PROGRAM = "jarvis-run-coordinator";
const live = (run) => !ENDED.has(run.state);

// The scope of a pause: its kind, and the member that names it.
const MEMBERS = { executor: "executor", node_type: "node_type_id", tenant: "tenant" };
const scopeOf = (kind, typed) => ({ kind, ...(MEMBERS[kind] ? { [MEMBERS[kind]]: typed.trim() } : {}) });
export const nameOf = (scope) => scope[MEMBERS[scope.kind]] ?? "everything";
const scopeFlags = (scope) => (scope.kind === "all" ? ["--all"] : [`--${scope.kind.replace("_", "-")}`, nameOf(scope)]);

export const ACTS = {
  cancel: {
    operation: "cancel_run_with_report", of: "run", name: "Cancel run", tone: "danger", when: live,
    path: (run) => `x/runs/${enc(run.run_id)}:cancel`, cli: (run) => ["runs", "cancel", run.run_id], done: "Canceled",
    says: "Everything of this run that has not ended is canceled at once, and its executors are notified. This cannot be undone.",
  },
  hold: {
    operation: "hold_run", of: "run", name: "Hold", when: (run) => live(run) && !run.held,
    path: (run) => `x/runs/${enc(run.run_id)}:hold`, cli: (run) => ["runs", "hold", run.run_id], done: "Held",
    says: "Nothing more of this run is dispatched until it is released. What executors have in hand goes on.",
  },
  release: {
    operation: "release_run", of: "run", name: "Release", tone: "primary", when: (run) => live(run) && run.held,
    path: (run) => `x/runs/${enc(run.run_id)}:release`, cli: (run) => ["runs", "release", run.run_id], done: "Released",
    says: "The run goes on: what waits is dispatched.",
  },
  rerun: {
    operation: "rerun_run", of: "run", name: "Run again", when: (run) => !live(run),
    path: (run) => `x/runs/${enc(run.run_id)}:rerun`, cli: (run, choice) => ["runs", "rerun", run.run_id, "--from", choice], done: "Started again",
    says: "A new run is started with the same type, inputs and constraints. This one stays as it is.",
    body: (_, choice) => ({ from: choice }),
    choice: { title: "What is executed", values: [["start", "Everything"], ["succeeded", "Only what had not succeeded, and what is above it"]] },
    // The same dialog makes one run, however often its answer is lost.
    once: true,
  },
  wake: {
    operation: "wake_node_run", of: "node", name: "Wake", when: live,
    path: (node) => `x/node-runs/${enc(node.node_run_id)}:wake`, cli: (node) => ["nodes", "wake", node.node_run_id], done: "Woken",
    says: "The coordinator looks at this node run now instead of when its waiting time is over.",
  },
  pause: {
    operation: "pause_dispatch", of: "work", name: "Pause dispatch", when: () => true, done: "Paused",
    path: () => "x/dispatch:pause", cli: (_, choice, typed) => ["dispatch", "pause", ...scopeFlags(scopeOf(choice, typed))],
    says: "Node runs of this scope stay queued until dispatch is resumed. What executors have in hand goes on.",
    choice: { title: "What is paused", values: [["all", "Everything"], ["executor", "An executor"], ["node_type", "A node type"], ["tenant", "A tenant"]] },
    typed: (choice) => (choice === "all" ? null : { executor: "Name of the executor", node_type: "Id of the node type", tenant: "Tenant" }[choice]),
    body: (_, choice, typed) => ({ scope: scopeOf(choice, typed) }),
  },
  resume: {
    operation: "resume_dispatch", of: "pause", name: "Resume", tone: "primary", when: () => true, done: "Resumed",
    path: () => "x/dispatch:resume", cli: ({ scope }) => ["dispatch", "resume", ...scopeFlags(scope)],
    says: "Node runs of this scope are dispatched again.", body: ({ scope }) => ({ scope }),
  },
  approve: {
    operation: "approve_node_run", of: "approval", name: "Approve", tone: "primary", when: () => true,
    path: (approval) => `x/approvals/${enc(approval.approval_id)}:approve`, cli: (approval) => ["approvals", "approve", approval.approval_id], done: "Approved",
    says: "The node run goes on to its executor.",
  },
  deny: {
    operation: "deny_node_run", of: "approval", name: "Deny", tone: "danger", when: () => true,
    path: (approval) => `x/approvals/${enc(approval.approval_id)}:deny`, cli: (approval) => ["approvals", "deny", approval.approval_id], done: "Denied",
    says: "The node run fails, and its composite sees that.",
  },
};

const MUTATIONS = Object.values(ACTS).map((act) => act.operation);
export const isReadOnly = (who) => !who.operations.some((operation) => MUTATIONS.includes(operation));

// The act that is asked about. It is not part of the page below: what is there may
// change, or go, while a person types.
const asked = store(null);

export function Asked() {
  const now = useStore(asked);
  return now ? html`<${Ask} ...${now} close=${() => asked.set(null)} />` : null;
}

// Buttons for the acts of one kind that apply to `object` now.
export function Acts({ of, object, after, small = false }) {
  const who = useStore(me);
  const acts = Object.values(ACTS)
    .filter((act) => act.of === of && who?.operations.includes(act.operation) && act.when(object));
  if (acts.length === 0) return null;
  return html`
    <div class="acts ${small ? "small" : ""}">
      ${acts.map((act) => html`<button type="button" key=${act.operation} class=${act.tone ?? ""} onClick=${() => asked.set({ act, object, after })}>${act.name}</button>`)}
    </div>`;
}

const MAX = 1000;
const size = (text) => new TextEncoder().encode(text).length;

function Ask({ act, object, close, after }) {
  const [reason, setReason] = useState("");
  const [choice, setChoice] = useState(act.choice?.values[0][0]);
  const [typed, setTyped] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const ref = useRef(null);
  const key = useRef(null);
  useLayoutEffect(() => {
    ref.current.focus();
    key.current = act.once ? [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("") : null;
  }, []);
  const label = act.typed?.(choice);
  const request = (why) => ({ reason: why, ...act.body?.(object, choice, typed) });
  const wrong = size(reason) > MAX ? `A reason has at most ${MAX} bytes.` : null;
  const name = object.approval_id ?? object.node_run_id ?? object.run_id ?? (object.scope && nameOf(object.scope));
  const url = address(act.path(object)).href;
  const given = reason.trim() || "…";
  const curl = () => copy(`curl -X POST ${shell(url)} \\\n  -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\\n  -d ${shell(JSON.stringify(request(given)))}`, "curl command");
  const cli = () => copy([PROGRAM, ...act.cli(object, choice, typed), "--reason", given].map(shell).join(" "), "Command");
  const ready = !busy && !wrong && reason.trim() && (!label || typed.trim());
  async function submit(event) {
    event.preventDefault();
    if (!ready) return;
    setBusy(true);
    setError(null);
    try {
      const answer = await call("POST", act.path(object), { body: { ...request(reason.trim()), ...(key.current ? { idempotency_key: `${key.current}-${choice}` } : {}) } });
      say(act.done);
      close();
      after?.(answer);
    } catch (failure) {
      setError(failure instanceof Failure ? failure : new Failure(0, "", String(failure)));
      setBusy(false);
    }
  }
  return html`
    <${Dialog} title=${act.name} close=${close}>
      <form onSubmit=${submit}>
        ${name ? html`<p class="object"><code>${name}</code></p>` : null}
        <p>${act.says}</p>
        ${act.choice ? html`<fieldset><legend class="unseen">${act.choice.title}</legend>${act.choice.values.map(([value, title]) => html`
          <label key=${value} class="choice"><input type="radio" name="choice" checked=${choice === value} onChange=${() => setChoice(value)} />${title}</label>`)}</fieldset>` : null}
        ${label ? html`<label for="typed">${label}</label><input id="typed" value=${typed} required spellcheck="false" autocomplete="off" onInput=${(event) => setTyped(event.target.value)} />` : null}
        <label for="reason">Reason</label>
        <textarea id="reason" ref=${ref} rows="3" value=${reason} required aria-describedby="reason-note"
          onInput=${(event) => setReason(event.target.value)}
          onKeyDown=${(event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event); }} />
        <p id="reason-note" class=${wrong ? "wrong" : "faint"}>${wrong ?? "Kept in the audit trail with your name."}</p>
        ${error ? html`<p class="wrong" role="alert">${error.message}${error.code ? html` <code>${error.code}</code>` : null}</p>` : null}
        <footer>
          <button type="button" class="quiet" onClick=${curl}>Copy as curl</button>
          <button type="button" class="quiet" onClick=${cli}>Copy as command</button>
          <span class="gap" />
          <button type="button" onClick=${close}>Back</button>
          <button type="submit" class=${act.tone ?? "primary"} disabled=${!ready}>${busy ? "…" : act.name}</button>
        </footer>
      </form>
    <//>`;
}
