// The dashboard's page: three lines, drawn from the feed.

export const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Dashboard</title>
<style>
  body { font: 16px system-ui; margin: 2rem auto; max-width: 40rem; padding: 0 1rem; color-scheme: light dark }
  figure { margin: 0 0 1.5rem } figcaption b { float: right }
  svg { width: 100%; height: 90px; background: #8882; border-radius: 8px }
  path { fill: none; stroke: #2a7f9e; stroke-width: 2; vector-effect: non-scaling-stroke }
</style>
<h1>How the server feels</h1>
<div id="charts"></div>
<script type="module">
  const CHARTS = { delayMs: "event-loop delay, ms", memoryMiB: "memory, MiB", processorPercent: "processor, %" };
  const series = {};
  for (const [name, title] of Object.entries(CHARTS)) {
    charts.insertAdjacentHTML("beforeend", '<figure id="' + name + '"><figcaption>' + title + ' <b></b></figcaption>' +
      '<svg viewBox="0 0 240 100" preserveAspectRatio="none"><path/></svg></figure>');
    series[name] = [];
  }
  new EventSource("/feed").onmessage = ({ data }) => {
    for (const [name, value] of Object.entries(JSON.parse(data))) {
      const values = series[name];
      values.push(value);
      if (values.length > 240) values.shift();
      const most = Math.max(...values, 1);
      const figure = document.getElementById(name);
      figure.querySelector("b").textContent = value;
      figure.querySelector("path").setAttribute("d",
        "M" + values.map((v, i) => (240 - values.length + i) + "," + (96 - (v / most) * 90)).join("L"));
    }
  };
</script>
</html>
`;
