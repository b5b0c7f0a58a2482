// Three small charts of the last hours.

import { OUTCOMES, SPANS, ends, percentile, waitsOf } from "./board-history.js";
import { el, say, span, svg, time } from "./board-dom.js";
import { t } from "./i18n.js";

const WIDTH = 320;
const HEIGHT = 72;
const MINUTE_MS = 60_000;

/** Puts the charts into a box; the answer draws them anew, of a span of the history. */
export function charts(box) {
  const throughput = chart("throughput");
  const waits = chart("waits");
  const outcomes = chart("outcomes");
  box.append(throughput.figure, waits.figure, outcomes.figure);
  return (history, of, now) => {
    const shown = { bars: history.bars(of, now), each: SPANS[of][0] * MINUTE_MS, now };
    drawThroughput(throughput, shown, ends(history.lastMinute(now)));
    drawWaits(waits, shown);
    drawOutcomes(outcomes, shown);
  };
}

function chart(name) {
  const [title, value] = [el("span"), el("output.value")];
  const plot = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  const ends = el("div.ends", { "aria-hidden": "true" }, el("span"), el("span"), el("span"));
  return { name, title, value, plot, ends, figure: el("figure.chart", {}, el("figcaption", {}, title, value), plot, ends) };
}

function drawThroughput(chart, shown, lately) {
  const stacks = shown.bars.map((sums) => [["completed", ends(sums)]]);
  bars(chart, shown, stacks, t("chart.a-minute", { count: lately }));
}

function drawOutcomes(chart, shown) {
  const sum = (outcome) => shown.bars.reduce((total, sums) => total + sums[outcome], 0);
  const told = OUTCOMES.filter((outcome) => outcome === "completed" || sum(outcome));
  const text = told.map((outcome) => `${sum(outcome)} ${t(`outcome.${outcome}`)}`).join(" · ");
  const shares = (sums) => OUTCOMES.map((outcome) => [outcome, sums[outcome] / (ends(sums) || 1)]);
  bars(chart, shown, shown.bars.map(shares), text);
}

function drawWaits(chart, shown) {
  const all = waitsOf(shown.bars);
  const lines = [["p99", 0.99], ["p50", 0.5]].map(([name, share]) => [name, shown.bars.map(({ waits }) => percentile(waits, share))]);
  const top = Math.max(1000, ...lines.flatMap(([, values]) => values.map((value) => value ?? 0)));
  const paths = lines.map(([name, values]) => svg("path", { class: name, d: line(values, top) }));
  const words = { p50: span(percentile(all, 0.5)), p99: span(percentile(all, 0.99)) };
  finish(chart, shown, paths, t("chart.wait", words), span(top));
}

function bars(chart, shown, stacks, text) {
  const top = Math.max(1, ...stacks.map((stack) => stack.reduce((sum, [, value]) => sum + value, 0)));
  const width = WIDTH / stacks.length;
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
  finish(chart, shown, drawn, text, chart.name === "outcomes" ? "100 %" : String(top));
}

function line(values, top) {
  const step = WIDTH / values.length;
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

function finish({ plot, title, value, ends, name }, { bars, each, now }, paths, text, top) {
  const words = t(`chart.${name}`, { each: span(each) });
  plot.replaceChildren(...paths);
  plot.setAttribute("aria-label", `${words}: ${text}`);
  say(title, words);
  say(value, text);
  const begin = Math.floor(now / each - bars.length + 1) * each;
  [time(begin), t("chart.top", { top }), t("chart.now")].forEach((word, place) => say(ends.children[place], word));
}
