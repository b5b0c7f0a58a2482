// Three small charts of the last quarter of an hour, drawn from what the stream told since the page was opened.

import { BUCKET_MS, percentile } from "./board-data.js";
import { el, say, span, svg, time } from "./board-dom.js";
import { t } from "./i18n.js";

const WIDTH = 320;
const HEIGHT = 72;
const OUTCOMES = ["completed", "rejected", "failed", "in_doubt", "cancelled"];

/** Puts the charts into a box; the answer draws them anew from a board's buckets. */
export function charts(box) {
  const throughput = chart("throughput");
  const waits = chart("waits");
  const outcomes = chart("outcomes");
  box.append(throughput.figure, waits.figure, outcomes.figure);
  return (buckets) => {
    drawThroughput(throughput, buckets);
    drawWaits(waits, buckets);
    drawOutcomes(outcomes, buckets);
  };
}

function chart(name) {
  const value = el("output.value");
  const plot = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  const ends = el("div.ends", { "aria-hidden": "true" }, el("span"), el("span"), el("span"));
  const title = el("figcaption", {}, el("span", { "data-t": `chart.${name}` }, t(`chart.${name}`)), value);
  return { name, value, plot, ends, figure: el("figure.chart", {}, title, plot, ends) };
}

function drawThroughput(chart, buckets) {
  const minutes = 60_000 / BUCKET_MS;
  const counts = buckets.map((bucket) => OUTCOMES.reduce((sum, outcome) => sum + bucket[outcome], 0));
  // The last bucket is not over: it would always look like a fall.
  const lately = counts.slice(-minutes - 1, -1);
  const text = t("chart.a-minute", { count: lately.reduce((sum, count) => sum + count, 0) });
  bars(chart, buckets, counts.map((count) => [["completed", count]]), text);
}

function drawOutcomes(chart, buckets) {
  const sum = (outcome) => buckets.reduce((total, bucket) => total + bucket[outcome], 0);
  const told = OUTCOMES.filter((outcome) => outcome === "completed" || sum(outcome));
  const text = told.map((outcome) => `${sum(outcome)} ${t(`outcome.${outcome}`)}`).join(" · ");
  const whole = (bucket) => OUTCOMES.reduce((total, outcome) => total + bucket[outcome], 0) || 1;
  bars(chart, buckets, buckets.map((bucket) => OUTCOMES.map((outcome) => [outcome, bucket[outcome] / whole(bucket)])), text);
}

function drawWaits(chart, buckets) {
  const all = buckets.flatMap((bucket) => bucket.waits);
  const lines = [["p99", 0.99], ["p50", 0.5]].map(([name, share]) => [name, buckets.map(({ waits }) => percentile(waits, share))]);
  const top = Math.max(1000, ...lines.flatMap(([, values]) => values.map((value) => value ?? 0)));
  const paths = lines.map(([name, values]) => svg("path", { class: name, d: line(values, top) }));
  const words = { p50: span(percentile(all, 0.5)), p99: span(percentile(all, 0.99)) };
  finish(chart, buckets, paths, t("chart.wait", words), span(top));
}

function bars(chart, buckets, stacks, text) {
  const top = Math.max(1, ...stacks.map((stack) => stack.reduce((sum, [, value]) => sum + value, 0)));
  const width = WIDTH / Math.max(30, buckets.length);
  const paths = new Map();
  stacks.forEach((stack, index) => {
    let base = HEIGHT;
    for (const [outcome, value] of stack) {
      const height = (value / top) * (HEIGHT - 4);
      if (!height) continue;
      const at = WIDTH - (stacks.length - index) * width;
      const path = `M${at.toFixed(1)} ${base.toFixed(1)}h${(width * 0.8).toFixed(1)}v${(-height).toFixed(1)}h${(-width * 0.8).toFixed(1)}z`;
      paths.set(outcome, (paths.get(outcome) ?? "") + path);
      base -= height;
    }
  });
  const drawn = [...paths].map(([outcome, d]) => svg("path", { class: `bar ${outcome}`, d }));
  finish(chart, buckets, drawn, text, chart.name === "outcomes" ? "100 %" : String(top));
}

function line(values, top) {
  const step = WIDTH / Math.max(30, values.length);
  let pen = "M";
  return values.map((value, index) => {
    if (value === null) return "";
    const x = WIDTH - (values.length - index - 0.5) * step;
    const y = HEIGHT - 2 - (value / top) * (HEIGHT - 6);
    const drawn = `${pen}${x.toFixed(1)} ${y.toFixed(1)}h.1`; // a point without neighbours is seen too
    pen = "L";
    return drawn;
  }).join("");
}

function finish({ plot, value, ends, name }, buckets, paths, text, top) {
  plot.replaceChildren(...paths);
  plot.setAttribute("aria-label", `${t(`chart.${name}`)}: ${text}`);
  say(value, text);
  const begin = Date.now() - Math.max(30, buckets.length) * BUCKET_MS;
  [time(begin), t("chart.top", { top }), t("chart.now")].forEach((word, place) => say(ends.children[place], word));
}
