// The server's clock and figures, once a second, over Server-Sent Events.

import { bytes, duration, element, number } from "./page.js";

const SECONDS = 60;
const history = [];
const state = element("live-state");
const [area, line] = element("chart").children;

// What ALPN has agreed upon: h2 over TLS, else http/1.1.
const [loaded] = performance.getEntriesByType("navigation");
element("protocol").textContent = loaded.nextHopProtocol;

const feed = new EventSource("/live");
feed.addEventListener("open", () => say("live"));
feed.addEventListener("error", () => say("lost"));
feed.addEventListener("figures", (event) => draw(JSON.parse(event.data)));

function say(word) {
  state.dataset.state = word;
  state.textContent = word;
}

function draw(figures) {
  element("clock").textContent = new Date(figures.now).toLocaleTimeString([], { hour12: false });
  element("uptime").textContent = duration(figures.uptimeSeconds);
  element("requests").textContent = number.format(figures.requests);
  element("connections").textContent = number.format(figures.connections);
  element("streams").textContent = number.format(figures.streams);
  element("bytes-in").textContent = bytes(figures.bytesIn);
  element("bytes-out").textContent = bytes(figures.bytesOut);
  element("memory").textContent = bytes(figures.memory);
  element("processor").textContent = `${figures.processorPercent} %`;
  remember(figures);
}

let last;
function remember(figures) {
  const total = figures.bytesIn + figures.bytesOut;
  if (last !== undefined && figures.now > last.now) {
    history.push(((total - last.total) / (figures.now - last.now)) * 1000);
    if (history.length > SECONDS) history.shift();
    element("rate").textContent = `${bytes(history.at(-1))}/s through the server`;
    plot();
  }
  last = { now: figures.now, total };
}

/** Newest on the right; a logarithmic scale, so that a clock tick and a big upload are both seen. */
function plot() {
  const points = history.map((value, i) => {
    const x = 600 - (history.length - 1 - i) * (600 / (SECONDS - 1));
    const y = 112 - Math.min(Math.log2(1 + value / 64) / 25, 1) * 100;
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  if (points.length < 2) return;
  const first = points[0].split(",")[0];
  line.setAttribute("d", `M${points.join("L")}`);
  area.setAttribute("d", `M${first},120L${points.join("L")}L600,120Z`);
}
