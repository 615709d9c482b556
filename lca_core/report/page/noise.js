// How noisy learning is: who helps, how much, how often, and when they turn back.

const helpingChart = () => {
  const found = measure().by[by() === "unit" ? "layer" : by()];
  if (!found.helped || nothingKnown()) return null;
  const grouping = by() === "unit" ? run().by.layer : groups();
  const one = state.layer === "" ? -1 : grouping.labels.indexOf(state.layer);
  const i = one < 0 ? grouping.labels.length : one;
  const [helped, hurt] = [row(found.helped, i), row(found.hurt, i)];
  const ends = array(grouping.edges), middle = Array.from(helped, (_, k) => (ends[k] + ends[k + 1]) / 2);
  const { help, hurt: red, ink, still: grey, pale } = colours();
  const still = helped.map((value, k) => 1 - value - hurt[k]), unknown = helped.map((value) => (known(value) ? 0 : 1));
  const range = spans(ends), both = (values) => Array.from(values, (value) => [value, value]).flat();
  const area = (y, name, color) => ({ x: Array.from(range, (_, k) => [ends[k], ends[k + 1]]).flat(), name,
    y: both(y.map((value) => 100 * (known(value) ? value : 0))), stackgroup: "all", mode: "lines", line: { width: 0, color },
    fillcolor: color, text: both(range.map((steps_, k) => `${steps_}: ${unknown[k] ? why() : `${fixed(100 * y[k], 1)} % ${name}`}`)),
    hovertemplate: "%{text}<extra></extra>" });
  const moving = helped.map((value, k) => (100 * value) / (value + hurt[k]));
  const missing = unknown.includes(1);
  const stands = grouping.stride > 1 ? ` Each point is the mean of ${measured(grouping.stride)}.` : "";
  const who = one < 0 ? count(run().parameters, "parameter") : `the parameters of ${state.layer}`;
  return {
    sentence: `Shares of ${who} whose allocation was negative (helped), zero or positive (hurt) at each step${measure().passed ? " that was looked at" : ""}. ` +
      `Line: helped among those that moved, ${percent(column50(moving))} in the median; coins would give 50 %.${missing ? ` Grey: ${why()}.` : ""}${stands}`,
    traces: [
      area(helped, "helped", help), area(still, "zero", grey), area(hurt, "hurt", red), ...(missing ? [area(unknown, why(), pale)] : []),
      { ...marked({ x: middle, y: moving }, 6, ink), name: "helped / (helped + hurt)", cliponaxis: false, text: range,
        line: { color: ink, width: 1.4 }, hovertemplate: "%{text}: %{y:.2f} % of the moving<extra></extra>" },
    ],
    layout: layout(narrow() ? 300 : 300, { xaxis: steps(),
      yaxis: axis("parameters (%)", { range: [0, 100], fixedrange: true }),
      shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: 50, y1: 50, line: { color: ink, width: 1, dash: "dot" } }] }),
  };
};

const column50 = (values) => {
  const sorted = Array.from(values).filter(known).sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] / 100 : NaN;
};

const sizesChart = () => {
  const found = measure().sizes;
  if (!found || !found.edges.shape[0]) return null;
  const layers = run().by.layer.labels, one = layers.indexOf(state.layer);
  const i = one < 0 ? layers.length : one;
  const edges = array(found.edges), { help, hurt } = colours(), thinned = measure().every > 1;
  const middle = Array.from(edges.subarray(1), (end, k) => Math.sqrt(end * edges[k]));
  const text = middle.map((_, k) => `${number(edges[k], 3)} to ${number(edges[k + 1], 3)}`);
  const curve = (packed, name, color) => ({ x: middle, y: row(packed, i).map((n) => n || NaN), name, text,
    mode: "lines+markers", marker: { size: 4 }, line: { color, width: 1.8 },
    hovertemplate: `|A| of %{text}: %{y:,} ${name}<extra></extra>` });
  const sum = (packed) => row(packed, i).reduce((a, b) => a + b, 0);
  const h = sum(found.helped), v = sum(found.hurt), z = array(found.zeros)[i], all = h + v + z;
  const mean = one < 0 ? ` Their mean is ${number(found.mean, 3)}; tail index ${number(found.tail, 2)}.` : "";
  return {
    sentence: `Allocations of single parameters at single ${thinned ? "looks" : "steps"} by their size, n = ${count(all)}: ` +
      `${percent(h / all)} helped, ${percent(z / all)} were zero (not drawn), ${percent(v / all)} hurt.${mean}${stood()}`,
    traces: [curve(found.helped, "helped", help), curve(found.hurt, "hurt", hurt)],
    layout: layout(300, { xaxis: axis("|allocation| (loss units)", logarithmic),
      yaxis: axis(`parameters × ${thinned ? "looks" : "steps"}`, logarithmic) }),
  };
};

const heroesChart = () => {
  const found = measure().heroes;
  if (!found || !found.moved) return null;
  const edges = array(found.edges), counts = array(found.counts), { ink } = colours();
  const middle = Array.from(counts, (_, k) => 50 * (edges[k] + edges[k + 1]));
  const normal = (x) => Math.exp(-((x / 100 - 0.5) ** 2) / (2 * found.spread ** 2)) / (found.spread * Math.sqrt(2 * Math.PI));
  const fine = Array.from({ length: 401 }, (_, k) => k / 4);
  return {
    sentence: `On which share of its steps each parameter helped, n = ${count(found.moved, "parameter")} that moved: ` +
      `95 % of them lie between ${percent(found.between[0])} and ${percent(found.between[1])}. ` +
      `Line: what coins would give.`,
    traces: [
      { type: "bar", x: middle, y: counts, name: "parameters", marker: { color: css("--true") },
        hovertemplate: "%{x:.0f} %: %{y:,} parameters<extra></extra>" },
      { x: fine, y: fine.map((x) => normal(x) * found.moved * (edges[1] - edges[0])), name: "coins", mode: "lines",
        line: { color: ink, width: 1.2 }, hoverinfo: "skip" },
    ],
    layout: layout(280, { xaxis: axis("helped, % of the steps on which it moved", { range: [0, 100], fixedrange: true }),
      yaxis: axis("parameters", { fixedrange: true }), bargap: 0.05 }),
  };
};

const TURNING = { motion: "its motion", gradient: "its gradient", allocation: "its allocation" };

const turnsChart = () => {
  const found = measure().turns;
  if (!found || nothingKnown()) return null;
  const layers = run().by.leaf ?? run().by.layer;
  const keep = found.labels.map((_, i) => i).filter((i) =>
    i === found.labels.length - 1 || state.layer === "" || layers.layer[i] === state.layer).slice(-MOST_BARS);
  const labels = keep.map((i) => found.labels[i]), names = keep.map((i) => short(found)[i]);
  const all = found.labels.length - 1;
  const every = (between) => (between === Infinity ? "never" : `every ${number(between, 3)} steps`);
  const told = Object.keys(TURNING).map((of) => `${TURNING[of]} ${every(array(found[of])[all])}`);
  const turning = Object.keys(TURNING).map((of) => keep.map((i) => array(found[of])[i]));
  const beyond = turning.flat().some((between) => Number.isFinite(between) && between > run().steps);
  const pooled = beyond ? " The mean is pooled over parameters: longer than the run where most of them never turned." : "";
  const segment = measure().books.each === "step" ? "" : " A step is here a segment of the training's.";
  return {
    sentence: `How many steps pass between two changes of sign, averaged over parameters. Over all, a parameter turns ` +
      `${told.join(", ")}.${pooled}${segment}`,
    traces: Object.keys(TURNING).map((of, k) => ({
      x: turning[k].map((v) => (Number.isFinite(v) ? v : NaN)),
      y: keep.map((_, j) => j), mode: "markers", name: of, text: labels.map(safe),
      marker: { color: kind(k), size: 9, symbol: ["circle", "diamond", "square"][k] },
      hovertemplate: `%{text}<br>${of}: %{x:.3g} steps<extra></extra>` })),
    layout: layout(90 + 24 * Math.max(labels.length, 3), { xaxis: axis("steps between two turns", { rangemode: "tozero", fixedrange: true }),
      yaxis: axis("", { ...places(names, 42), showgrid: true }) }),
  };
};
