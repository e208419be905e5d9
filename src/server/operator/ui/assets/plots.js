// Plots of what the metrics say, from when the page was opened: small SVGs, with the
// newest value as text.

import { html, useMemo, useRef, useState } from "./lib.js";
import { timeOfDay } from "./format.js";

// Samples of a scrape, by name: [{labels, value}].
export function parse(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    if (!line || line[0] === "#") continue;
    const [, name, inside, value] = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/.exec(line) ?? [];
    if (!name) continue;
    const labels = {};
    for (const [, key, text] of (inside ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[key] = text;
    if (!found.has(name)) found.set(name, []);
    found.get(name).push({ labels, value: Number(value) });
  }
  return found;
}

export const sum = (scrape, name, fits = () => true) =>
  (scrape.get(name) ?? []).filter(({ labels }) => fits(labels)).reduce((total, { value }) => total + value, 0);

// The quantile of what a histogram counted between two scrapes; null: nothing.
export function quantile(before, after, name, q, fits = () => true) {
  const grew = new Map();
  for (const [scrape, sign] of [[after, 1], [before, -1]]) {
    for (const { labels, value } of scrape.get(`${name}_bucket`) ?? []) {
      if (!fits(labels)) continue;
      const le = Number(labels.le.replace("+Inf", "Infinity"));
      grew.set(le, (grew.get(le) ?? 0) + sign * value);
    }
  }
  const buckets = [...grew].sort((a, b) => a[0] - b[0]);
  const all = buckets.length ? buckets[buckets.length - 1][1] : 0;
  if (!(all > 0)) return null;
  let [low, under] = [0, 0];
  for (const [le, number] of buckets) {
    if (number >= q * all) return le === Infinity ? low : low + ((le - low) * (q * all - under)) / Math.max(1, number - under);
    [low, under] = [le, number];
  }
  return low;
}

const [WIDTH, HEIGHT] = [320, 90];

export function Plot({ title, points, series, show }) {
  const [at, setAt] = useState(null);
  const ref = useRef(null);
  const top = useMemo(() => Math.max(...points.flatMap((point) => series.map(({ of }) => of(point) ?? 0)), 0), [points]);
  const ceiling = top > 0 ? top * 1.1 : 1;
  const [first, last] = [points[0]?.at ?? 0, points[points.length - 1]?.at ?? 1];
  const x = (point) => ((point.at - first) / Math.max(1, last - first)) * WIDTH;
  const y = (value) => HEIGHT - (value / ceiling) * (HEIGHT - 4) - 1;
  const looked = at === null ? points[points.length - 1] : points[at];
  const line = (of) => points.map((point) => [x(point), of(point)]).filter(([, value]) => value !== null)
    .map(([left, value], index) => `${index ? "L" : "M"}${left.toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const value = (of) => (looked && of(looked) !== null ? show(of(looked)) : "–");
  return html`
    <figure class="plot">
      <figcaption><span>${title}</span>${at === null ? null : html`<time class="faint digits">${timeOfDay(looked.at)}</time>`}</figcaption>
      <div class="legend">${series.map(({ name, of, tone }) => html`<span key=${name}><i class="key ${tone}" />${name} <b class="digits">${value(of)}</b></span>`)}</div>
      <span class="ceiling digits" aria-hidden="true">${top > 0 ? show(ceiling) : ""}</span>
      <svg ref=${ref} viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img"
        aria-label=${`${title}: ${series.map(({ name, of }) => `${name} ${value(of)}`).join(", ")}`}
        onPointerMove=${(event) => {
          const box = ref.current.getBoundingClientRect();
          const share = (event.clientX - box.left) / box.width;
          const wanted = first + share * (last - first);
          let best = 0;
          points.forEach((point, index) => { if (Math.abs(point.at - wanted) < Math.abs(points[best].at - wanted)) best = index; });
          setAt(best);
        }} onPointerLeave=${() => setAt(null)}>
        <path class="base" d=${`M0 ${HEIGHT - 1}H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}`} />
        ${series.map(({ name, of, tone }) => html`<path key=${name} class="curve ${tone}" d=${line(of)} />`)}
        ${at !== null && looked ? html`<path class="base" d=${`M${x(looked)} 0V${HEIGHT}`} />` : null}
      </svg>
      ${points.length < 2 ? html`<p class="faint">Collecting</p>` : null}
    </figure>`;
}
