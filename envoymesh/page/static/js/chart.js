// Five minutes of figures, drawn by uPlot. The chart is made again when the theme or its width changes, and taken away
// with its component, so that none is left behind.
import uPlot from "../vendor/uplot.js";
import { useEffect, useRef } from "../vendor/preact-hooks.js";
import { html } from "./html.js";
import { colour, theme } from "./theme.js";

const HEIGHT = 132;

export function Chart({ label, times, lines, unit }) {
  const box = useRef(null);
  const chart = useRef(null);
  const dark = theme.value;
  useEffect(() => {
    const place = box.current;
    const made = new uPlot(options(place.clientWidth, lines, unit), data(times, lines), place);
    chart.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: place.clientWidth, height: HEIGHT }));
    observer.observe(place);
    return () => {
      observer.disconnect();
      made.destroy();
      chart.current = null;
    };
  }, [dark, label]);
  useEffect(() => chart.current?.setData(data(times, lines)), [times]);
  return html`<figure class="chart">
    <figcaption>${label} ${lines.map((line) => html`<span class="key ${line.colour}"></span>${line.name} `)}</figcaption>
    <div ref=${box} role="img" aria-label=${`${label}, the last five minutes. ${latest(lines, unit)}`}></div>
  </figure>`;
}

const data = (times, lines) => [times, ...lines.map((line) => line.values)];

const latest = (lines, unit) => `Now: ${lines.map((line) => `${line.name} ${line.values.at(-1) ?? "unknown"} ${unit}`).join(", ")}.`;

function options(width, lines, unit) {
  const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { size: 6 } },
    scales: { y: { range: (chart, low, high) => [0, Math.max(high * 1.1, 1)] } },
    axes: [{ ...axis, space: 70, size: 24, values: (chart, ticks) => ticks.map(minute) }, { ...axis, size: 44, space: 28 }],
    series: [{}, ...lines.map((line) => ({ label: `${line.name} ${unit}`, stroke: colour(line.colour), width: 1.75, dash: line.dash, points: { show: false } }))],
  };
}

const minute = (seconds) => new Date(seconds * 1000).toTimeString().slice(0, 5);
