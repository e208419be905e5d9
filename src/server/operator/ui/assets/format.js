// Times, durations, sizes and states in words.

const pad = (number) => String(number).padStart(2, "0");
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "local time";

// 1m 05s: two units are enough to compare.
export function duration(ms) {
  if (!Number.isFinite(ms) || ms < 0) return "0 s";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${pad(seconds % 60)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h ${pad(minutes % 60)}m`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)}d ${pad(hours % 24)}h`;
}

export function relative(ms, now) {
  const distance = Math.abs(now - ms);
  if (distance < 1500) return "just now";
  const words = distance < 60_000 ? `${Math.round(distance / 1000)} s`
    : distance < 3_600_000 ? `${Math.round(distance / 60_000)} min`
    : distance < 86_400_000 ? `${Math.round(distance / 3_600_000)} h`
    : `${Math.round(distance / 86_400_000)} d`;
  return now >= ms ? `${words} ago` : `in ${words}`;
}

export function absolute(ms) {
  const at = new Date(ms);
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ` + timeOfDay(ms);
}

export function timeOfDay(ms, withMillis = false) {
  const at = new Date(ms);
  const seconds = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  return withMillis ? `${seconds}.${String(at.getMilliseconds()).padStart(3, "0")}` : seconds;
}

export const exact = (ms) => `${absolute(ms)} ${zone} · ${new Date(ms).toISOString()}`;

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  if (count < 1_000_000) return `${(count / 1000).toFixed(count < 10_000 ? 1 : 0)} kB`;
  if (count < 1e9) return `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} MB`;
  return `${(count / 1e9).toFixed(1)} GB`;
}

export const count = (number) => number.toLocaleString("en");
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

export const ENDED = new Set(["succeeded", "failed", "canceled"]);
export const words = (name) => name.replaceAll("_", " ");
export const capital = (word) => word === "pdp" ? "PDP" : word.charAt(0).toUpperCase() + word.slice(1);

// The difference of two paths as numbers, so that 1.2 comes before 1.10.
export function byPath(a, b) {
  const [left, right] = [a.split("."), b.split(".")];
  for (let at = 0; at < left.length && at < right.length; at += 1) {
    const difference = Number(left[at]) - Number(right[at]);
    if (difference) return difference;
  }
  return left.length - right.length;
}

// A word of a shell, quoted if it has to be.
export const shell = (word) =>
  /^[A-Za-z0-9._:/@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
