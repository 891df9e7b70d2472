// The server's clock and figures, once a second, over Server-Sent Events. The stream begins with those of the last minute.

import { bytes, duration, element, number } from "./page.js";

const SECONDS = 60;
/** Where the chart has lines across, in bytes per second. */
const MARKS = [1024, 1024 ** 2, 1024 ** 3];

const state = element("live-state");
const stale = element("live-stale");
const chart = element("chart");
const [grid, area, line] = chart.children;

let readings = [];

// What ALPN has agreed upon: h2 over TLS, else http/1.1.
const [loaded] = performance.getEntriesByType("navigation");
element("protocol").textContent = loaded.nextHopProtocol;

rule();

const feed = new EventSource("/live");
feed.addEventListener("open", () => say("live"));
feed.addEventListener("error", () => say("lost"));
feed.addEventListener("history", (event) => {
  readings = JSON.parse(event.data);
  if (readings.length > 0) draw(readings.at(-1));
});
feed.addEventListener("figures", (event) => {
  readings.push(JSON.parse(event.data));
  draw(readings.at(-1));
});

/** Old figures are not shown as if they were new. */
function say(word) {
  state.dataset.state = word;
  state.textContent = word;
  stale.hidden = word === "live" || readings.length === 0;
  element("live").classList.toggle("is-stale", !stale.hidden);
  if (!stale.hidden) stale.textContent = `Connection lost. As of ${time(readings.at(-1))}; trying again.`;
}

function time(figures) {
  return new Date(figures.now).toLocaleTimeString([], { hour12: false });
}

function draw(figures) {
  element("clock").textContent = time(figures);
  element("uptime").textContent = duration(figures.uptimeSeconds);
  element("requests").textContent = number.format(figures.requests);
  element("connections").textContent = number.format(figures.connections);
  element("streams").textContent = number.format(figures.streams);
  element("bytes-in").textContent = bytes(figures.bytesIn);
  element("bytes-out").textContent = bytes(figures.bytesOut);
  element("memory").textContent = bytes(figures.memory);
  element("processor").textContent = `${figures.processorPercent} %`;
  plot(figures.now);
}

/** A logarithmic scale, so that a clock tick and a big upload are both seen. */
function height(perSecond) {
  return 112 - Math.min(Math.log2(1 + perSecond / 64) / 25, 1) * 100;
}

/** Draws and names the lines across the chart. */
function rule() {
  grid.setAttribute("d", MARKS.map((mark) => `M0,${height(mark).toFixed(1)}H600`).join(""));
  for (const mark of MARKS) {
    const label = document.createElement("span");
    label.className = "mark";
    label.textContent = `${bytes(mark).replace(".0", "")}/s`;
    label.style.top = `${(height(mark) / 120) * 100}%`;
    chart.parentElement.append(label);
  }
}

/** A point for each reading and the one before it; the newest is on the right. */
function plot(now) {
  readings = readings.filter((each) => now - each.now <= (SECONDS + 1) * 1000);
  const points = readings.slice(1).map((each, i) => {
    const before = readings[i];
    const total = each.bytesIn + each.bytesOut - before.bytesIn - before.bytesOut;
    const perSecond = (Math.max(total, 0) / Math.max(each.now - before.now, 1)) * 1000;
    return { x: 600 - ((now - each.now) / 1000) * (600 / SECONDS), y: height(perSecond), perSecond };
  });
  if (points.length === 0) return;
  element("rate").textContent = `now ${bytes(points.at(-1).perSecond)}/s`;
  const path = points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join("L");
  line.setAttribute("d", `M${path}`);
  area.setAttribute("d", `M${points[0].x.toFixed(1)},120L${path}L600,120Z`);
}
