// Charts of one name: rate, latency and errors by version, drawn by uPlot. The table of versions says the same in figures.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm.preact.js";
import { clock, minute, number } from "./figures.js";
import { SPAN_SECONDS } from "./history.js";

const HEIGHT = 140;
const SHORTEST_SECONDS = 60;
const STEPS = [0, 1, 2, 3, 4, 5, 6].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power)); // of axes that count: whole
const COLOURS = 6; // --series-1 … in page.css
const places = new Map(); // name and version → which colour, as long as the page is open

export function colourOf(name, version) {
  const key = `${name} ${version}`;
  if (!places.has(key)) {
    const others = [...places.keys()].filter((other) => other.startsWith(`${name} `)).length;
    places.set(key, 1 + (others % COLOURS));
  }
  return places.get(key);
}

const styleOf = (property) => getComputedStyle(document.documentElement).getPropertyValue(property).trim();

function useScheme() {
  const [scheme, setScheme] = useState(0);
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const changed = () => setScheme((count) => count + 1);
    dark.addEventListener("change", changed);
    return () => dark.removeEventListener("change", changed);
  }, []);
  return scheme;
}

// `lines` are {place, values, dashed}, `place` that of the colour; the cursors of a `group` move together.
function Chart({ title, unit, counts, group, times, lines, onCursor }) {
  const element = useRef();
  const chart = useRef(null);
  const shown = useRef([0, 1]); // the times at both ends
  const scheme = useScheme();
  const kind = lines.map(({ place, dashed }) => `${place}${dashed ? "-" : ""}`).join(" ");

  useLayoutEffect(() => {
    const width = () => Math.max(120, element.current.clientWidth);
    const axis = { stroke: styleOf("--muted"), font: `11px ${styleOf("--sans")}`, ticks: { show: false } };
    const grid = { stroke: styleOf("--line"), width: 1 };
    chart.current = new window.uPlot(
      {
        width: width(),
        height: HEIGHT,
        padding: [8, 26, 0, 0],
        legend: { show: false },
        cursor: { sync: { key: group }, drag: { x: false, y: false }, points: { size: 5 }, y: false },
        scales: {
          x: { range: () => shown.current },
          y: { range: (_, low, high) => [0, high > 0 ? 1.08 * high : 1] },
        },
        axes: [
          { ...axis, grid: { show: false }, size: 26, gap: 6, space: 54, values: (_, at, __, ___, step) => at.map(step < 60 ? clock : minute) },
          { ...axis, grid, size: 46, gap: 4, space: 28, incrs: counts ? STEPS : undefined, values: (_, values) => values.map(number) },
        ],
        series: [
          {},
          ...lines.map(({ place, dashed }) => ({
            stroke: styleOf(`--series-${place}`),
            width: dashed ? 1 : 1.5,
            dash: dashed ? [3, 3] : undefined,
            points: { show: false },
          })),
        ],
        hooks: { setCursor: [({ cursor }) => onCursor(cursor.idx ?? null)] },
      },
      null,
      element.current,
    );
    const observer = new ResizeObserver(() => chart.current?.setSize({ width: width(), height: HEIGHT }));
    observer.observe(element.current);
    return () => {
      observer.disconnect();
      chart.current.destroy();
      chart.current = null;
    };
  }, [kind, group, scheme]);

  useLayoutEffect(() => {
    const last = times.at(-1) ?? Date.now() / 1000;
    const length = Math.min(SPAN_SECONDS, Math.max(SHORTEST_SECONDS, last - (times[0] ?? last)));
    shown.current = [last - length, last];
    chart.current.setData([times, ...lines.map(({ values }) => values)]);
  });

  return html`<figure>
    <figcaption>${title} <span class="unit">${unit}</span></figcaption>
    <div class="canvas" ref=${element} aria-hidden="true"></div>
  </figure>`;
}

// `at` is the time that is pointed at; `onRead` is told the place among the times at which the cursor is; null when it is nowhere.
export function Charts({ name, columns, at, onRead }) {
  const { times, figures } = columns;
  const linesOf = (...parts) =>
    [...figures].flatMap(([version, own]) =>
      parts.map((part, index) => ({ place: colourOf(name, version), values: own[part], dashed: index > 0 })),
    );
  const shared = { group: name, times, onCursor: onRead };
  return html`<section class="charts" aria-label="Charts of the last minutes; their figures are in the table of versions">
    <${Chart} ...${shared} title="Rate" unit="requests a second" counts lines=${linesOf("requests")} />
    <${Chart} ...${shared} title="Latency" unit="ms, p50 and p99 (dashed)" lines=${linesOf("p50", "p99")} />
    <${Chart} ...${shared} title="Errors" unit="a second" counts lines=${linesOf("errors")} />
    ${at && html`<p class="at">${clock(at)}</p>`}
  </section>`;
}
