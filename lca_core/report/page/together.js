// Do layers learn at the same moments, and does it carry over to held-out data?

const peaksChart = () => {
  const found = measure().peaks;
  if (!found || !array(found.step).length) return null;
  const layers = run().by.layer.labels, band = layers.length + Math.ceil(layers.length / 6) + 1;
  const part = array(found.part), layer = array(found.layer), step = array(found.step), shared = array(found.together);
  const { muted, hurt } = colours();
  const dots = (wanted, name, color, size) => {
    const mine = [...step.keys()].filter((k) => shared[k] === wanted && (state.layer === "" || layers[layer[k]] === state.layer));
    return { x: mine.map((k) => step[k]), y: mine.map((k) => part[k] * band + layer[k]), mode: "markers", name, cliponaxis: false,
      text: mine.map((k) => `${safe(found.parts[part[k]])}, ${safe(layers[layer[k]])}`),
      marker: { color, size }, visible: mine.length > 0, hovertemplate: "%{text}<br>step %{x}<extra></extra>" };
  };
  const rows = found.parts.length * band;
  const single = found.parts.length === 1;
  const bands = { tickmode: "array", tickvals: found.parts.map((_, c) => c * band + (layers.length - 1) / 2),
    ticktext: short(found).map(safe), range: [rows - 1, -1], fixedrange: true, showgrid: false,
    zeroline: false, ticks: "" };
  const tested = document.querySelector(".story:not([hidden]) [data-topic=synchrony]") !== null;
  const order = layers.length > 1 && !single ? " In every band the first layer is on top." : "";
  return {
    sentence: `Up to 20 moments of learning a layer: the deepest local minima of every layer's allocation` +
      `${found.parts.length > 1 ? `, for each of ${found.parts.length} parts of ${measure().name}` : ""}. At ` +
      `${count(found.moments, "moment")} all ${found.active} layers${found.active < layers.length ? " that did anything" : ""} have one.${tested ? " What chance would give is in the story above." : ""}${order}`,
    traces: [dots(0, "a layer's own", muted, 4), dots(1, "all layers together", hurt, 5)],
    layout: layout(Math.min(110 + (single ? 24 : 10) * rows, 620), { xaxis: steps(),
      yaxis: axis("", single ? places(short(run().by.layer), 40) : bands) }),
  };
};

// The measure that this one is held against: another whole one.
const partner = () => {
  const isPart = new Set(run().parts.flat());
  if (isPart.has(state.measure)) return null;
  const others = run().measure.filter((_, i) => i !== state.measure && !isPart.has(i));
  return others.find((one) => one.name.startsWith("val")) ?? others[0] ?? null;
};

const MOST_PAIRS = 6;

const carryChart = () => {
  const other = partner();
  if (!other || nothingKnown() || nothingKnown(other)) return null;
  const shown = largestFirst(chosen(), MOST_PAIRS);
  const pair = (i, k) => [[measure(), "solid"], [other, "4px,3px"]].map(([one, dash]) => ({
    ...line(one.by[by()].since, i), mode: "lines", line: { color: kind(k), width: 1.8, dash },
    name: safe(short(groups())[i]), showlegend: dash === "solid", legendgroup: String(i),
    meta: `${safe(groups().labels[i])}, ${safe(one.name)}`,
    hovertemplate: "%{meta}<br>up to step %{x}: %{y:.6g}<extra></extra>" }));
  const few = shown.length < chosen().length ? ` The ${shown.length} largest of ${chosen().length}.` : "";
  const total = (one) => number(one.books.allocated, 5);
  return {
    sentence: `The same motion, allocated to two losses and added up since the start, in loss units: ${measure().name} ` +
      `(solid, ${total(measure())} in all) and ${other.name} (dashed, ${total(other)}). A dashed line that rises ` +
      `while the solid one falls is overfitting.${few}`,
    traces: shown.flatMap(pair),
    layout: layout(narrow() ? 320 : 330, { xaxis: steps(), yaxis: axis("allocation since the start", { fixedrange: true }) }),
  };
};

const carryBars = () => {
  const other = partner();
  if (!other || nothingKnown() || nothingKnown(other)) return null;
  const shown = largestFirst(chosen(), MOST_BARS), labels = shown.map((i) => groups().labels[i]);
  const of = (one, name) => shown.map((i) => array(one.by[by()].table[name])[i]);
  const dots = (one, symbol, color) => ({
    x: of(one, "lca"), y: shown.map((_, k) => k), mode: "markers", name: safe(one.name),
    marker: { symbol, size: 9, color }, hoverinfo: "text",
    error_x: { type: "data", array: of(one, "error").map((e) => (known(e) ? e : NaN)), thickness: 1.2, width: 3, color },
    hovertext: shown.map((i, k) => `${safe(labels[k])}, ${safe(one.name)}<br>${number(of(one, "lca")[k], 6)} ± ${number(of(one, "error")[k], 2)}`),
  });
  return {
    sentence: `What each ${by()} did to both over the whole run, with ${uncertainties([measure(), other].map((one) => [one.name, one]))} where it is known.`,
    traces: [dots(measure(), "circle", kind(0)), dots(other, "diamond-open", kind(1))],
    layout: layout(90 + 24 * Math.max(labels.length, 3), { xaxis: axis("allocation (loss units)", { fixedrange: true, nticks: narrow() ? 4 : 8 }),
      yaxis: axis("", { ...places(shown.map((i) => short(groups())[i]), 60), showgrid: true }) }),
  };
};
