// Calls of the operator API, of the origin that served the page and no other.
//
//   call ────▶ fetch with the token ─▶ JSON, or a Failure with the envelope's words
//   follow ──▶ event stream ─▶ batches in order, each event once
//                └─ it breaks ─▶ again from the last seq, later each time

import { store } from "./lib.js";

const base = new URL(".", document.baseURI);
const TOKEN = "arp.token";

function stored() {
  try { return sessionStorage.getItem(TOKEN); } catch { return null; }
}

// The caller's token: in this tab only, gone with it, never in an address.
export const token = store(stored());
// Why a token is asked for; null while requests are admitted.
export const locked = store(null);

export function signIn(text) {
  try { sessionStorage.setItem(TOKEN, text); } catch { /* kept in memory only */ }
  token.set(text);
  locked.set(null);
}

export function signOut() {
  try { sessionStorage.removeItem(TOKEN); } catch { /* was in memory only */ }
  token.set(null);
  locked.set("You have signed out.");
}

// What the API answered instead of what was asked for; `status` 0: no answer.
export class Failure extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export function address(path, query = {}) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

async function request(method, path, { query, body, signal, accept = "application/json" } = {}) {
  const headers = { accept };
  const bearer = token.get();
  if (bearer) headers.authorization = `Bearer ${bearer}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(address(path, query), {
      method, headers, signal, credentials: "omit", cache: "no-store", redirect: "error",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Failure(0, "no_answer", "The coordinator does not answer. The page tries again.");
  }
  if (answer.ok) return answer;
  let envelope = {};
  try { envelope = (await answer.json()).error ?? {}; } catch { /* not an envelope */ }
  const failure = new Failure(answer.status, envelope.code ?? `http_${answer.status}`,
    envelope.message ?? `The coordinator answered ${answer.status}.`);
  // Only if the token is still the one that was refused.
  if (answer.status === 401 && token.get() === bearer) {
    locked.set(bearer ? `The token was not accepted: ${failure.message}.` : "");
  }
  throw failure;
}

export const call = async (method, path, options) => (await request(method, path, options)).json();
export const get = (path, query, signal) => call("GET", path, { query, signal });
export const text = async (path, signal) =>
  (await request("GET", path, { signal, accept: "text/plain" })).text();
// A record with what callers have sent: numbers of more digits than a script can hold
// stay as they were written.
export async function record(path, signal) {
  const text = await (await request("GET", path, { signal })).text();
  return JSON.parse(text, (_, value, context) => (typeof value === "number" && JSON.rawJSON
    && context?.source.replace(/e.*$/i, "").replace(/\D/g, "").length > 15 ? JSON.rawJSON(context.source) : value));
}

export const enc = encodeURIComponent;
const cursor = (seq) => btoa(String(seq));

async function* lines(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      yield parts.filter(Boolean).map((line) => JSON.parse(line));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// Events of a run that are there, from behind `after`.
export async function eventsAfter(run, after, limit, signal) {
  const query = { cursor: cursor(after), limit };
  const answer = await request("GET", `x/runs/${enc(run)}/events`, { query, signal });
  const all = [];
  for await (const some of lines(answer)) all.push(...some);
  return all;
}

const pause = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
});

// Follows the events of a run, of the stored ones the newest `tail`. `on.batch(events)`
// gets them in order and each once; `on.state` hears "live", "lost", "ended".
export async function follow(run, tail, on, signal) {
  let last = null;
  let wait = 500;
  while (!signal.aborted) {
    try {
      const query = last === null ? { follow: 1, tail } : { follow: 1, cursor: cursor(last) };
      const answer = await request("GET", `x/runs/${enc(run)}/events`, { query, signal, accept: "*/*" });
      on.state("live");
      for await (const some of lines(answer)) {
        wait = 500;
        const fresh = some.filter((event) => last === null || event.seq > last);
        if (fresh.length === 0) continue;
        if (last !== null && fresh[0].seq !== last + 1) break;
        last = fresh[fresh.length - 1].seq;
        on.batch(fresh);
        if (fresh.some((event) => event.type === "run_completed")) { on.state("ended"); return; }
      }
    } catch (error) {
      if (signal.aborted) return;
      // Of a run that is gone, or that the caller may not read, there is nothing more.
      if (error.status >= 400 && error.status < 500 && error.status !== 429) { on.state("ended"); return; }
    }
    if (signal.aborted) return;
    on.state("lost");
    await pause(wait * (0.75 + Math.random() / 2), signal);
    wait = Math.min(wait * 2, 10_000);
  }
}
