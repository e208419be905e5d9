// What all modules take from the vendored libraries, and the page's own hooks.
//
// Text gets into the document as text nodes and attributes only: `html` makes
// elements from templates that are in these files, never from data.

import { h, render } from "./vendor/preact.mjs";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.mjs";
import htm from "./vendor/htm.mjs";

export const html = htm.bind(h);
export { render, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState };

// A value that components share.
export function store(value) {
  const listeners = new Set();
  return {
    get: () => value,
    set(next) {
      if (next === value) return;
      value = next;
      for (const listener of [...listeners]) listener(value);
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export function useStore(shared) {
  const [value, setValue] = useState(shared.get());
  useEffect(() => {
    setValue(shared.get());
    return shared.listen(setValue);
  }, [shared]);
  return value;
}

// The time, once a second while the page is looked at: one timer for all.
export const clock = store(Date.now());
setInterval(() => { if (!document.hidden) clock.set(Date.now()); }, 1000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) clock.set(Date.now()); });

// Calls `act` after `value` has changed: soon, and at most once a second.
export function useBeat(value, act) {
  const state = useRef({ timer: 0, last: 0 });
  state.current.act = act;
  useEffect(() => {
    const own = state.current;
    if (!value || own.timer) return;
    const wait = Math.max(200, own.last + 1000 - Date.now());
    own.timer = setTimeout(() => { own.timer = 0; own.last = Date.now(); own.act(); }, wait);
  }, [value]);
  useEffect(() => () => { clearTimeout(state.current.timer); state.current.timer = 0; }, []);
}

// Loads with `load(signal)` when `keys` change, and again every `every` milliseconds
// and at `again()`. What was loaded stays until the next is there: nothing flickers.
export function useLoad(load, keys, every = 0) {
  const [state, setState] = useState({ data: null, error: null, loading: true });
  const trigger = useRef(() => {});
  useEffect(() => {
    const aborter = new AbortController();
    let timer = 0;
    let busy = false;
    let asked = false;
    async function run() {
      if (busy) { asked = true; return; }
      busy = true;
      clearTimeout(timer);
      try {
        const data = await load(aborter.signal);
        if (!aborter.signal.aborted) setState({ data, error: null, loading: false });
      } catch (error) {
        if (!aborter.signal.aborted) setState((old) => ({ data: old.data, error, loading: false }));
      }
      busy = false;
      if (aborter.signal.aborted) return;
      if (asked) { asked = false; run(); return; }
      if (every) timer = setTimeout(tick, every);
    }
    // A page that is not looked at asks for nothing.
    function tick() {
      if (document.hidden) timer = setTimeout(tick, every); else run();
    }
    trigger.current = run;
    setState((old) => ({ data: old.data, error: null, loading: true }));
    run();
    return () => { aborter.abort(); clearTimeout(timer); trigger.current = () => {}; };
  }, [...keys, every > 0]);
  const again = useCallback(() => trigger.current(), []);
  return { ...state, again };
}
