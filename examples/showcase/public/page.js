// What the cards have in common: finding their elements, and saying amounts in words.

export function element(id) {
  return document.getElementById(id);
}

/** Shows an answer; `failed` colours it. */
export function show(output, text, { failed = false } = {}) {
  output.textContent = text;
  output.classList.add("full");
  output.classList.toggle("failed", failed);
}

/** Moves a bar of progress, and the percentage beside it. */
export function fill(progress, fraction) {
  progress.value = fraction;
  progress.nextElementSibling.textContent = `${Math.floor(fraction * 100)} %`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** 1536 → "1.5 KiB" */
export function bytes(count) {
  let unit = 0;
  let value = count;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** 83 → "1 min 23 s" */
export function duration(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${rest} s` : `${rest} s`;
}

export function rate(count, milliseconds) {
  return `${bytes((count / Math.max(milliseconds, 1)) * 1000)}/s`;
}

export const number = new Intl.NumberFormat("en");
