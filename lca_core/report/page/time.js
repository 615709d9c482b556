// When they did it: added up since the start, and step by step.

const mostLines = () => (narrow() ? 5 : 10);

const sinceChart = () => {
  if (nothingKnown()) return null;
  const { muted, pale } = colours();
  const packed = measure().by[by()].since, everyone = chosen();
  const named = largestFirst(everyone, mostLines()), others = everyone.filter((i) => !named.includes(i));
  const context = { x: [], y: [] };
  for (const i of others) {
    const one = line(packed, i);
    context.x.push(...one.x, null);
    context.y.push(...one.y, null);
  }
  const traces = named.map((i, k) => ({
    ...line(packed, i), name: safe(short(groups())[i]), mode: run().steps < 2 ? "lines+markers" : "lines",
    line: { color: kind(k), width: 1.8, dash: k >= KIND.length ? "dot" : "solid" },
    hovertemplate: `%{meta}<br>up to step %{x}: %{y:.6g}<extra></extra>`, meta: safe(groups().labels[i]),
  }));
  if (others.length) {
    traces.unshift({ ...context, name: `${others.length} others`, mode: "lines",
      line: { color: pale, width: 0.7 }, hoverinfo: "skip" });
  }
  const few = others.length ? ` The ${named.length} largest are coloured, the other ${others.length} grey.` : "";
  return {
    sentence: `Allocation of every ${by()} of ${measure().name}, added up since the first step, in loss units: ` +
      `falling lines are helping.${few}${each(groups().stride)}`,
    traces,
    layout: layout(narrow() ? 320 : 340, { xaxis: steps(),
      yaxis: axis("allocation since the start", { fixedrange: true }) }),
  };
};

// The value that 99 % of the cells do not exceed in size, between two cells where it falls there.
const reach = (rows) => {
  const sizes = rows.flatMap((one) => Array.from(one, Math.abs)).filter(known).sort((a, b) => a - b);
  const place = 0.99 * (sizes.length - 1), below = Math.floor(place), part = place - below;
  const found = part ? (1 - part) * sizes[below] + part * sizes[below + 1] : sizes[below];
  return found || sizes.at(-1) || 0;
};

// Columns of which nothing is known are grey: no colour of the scale, whose middle is a zero.
const holes = (z, ends, range) => {
  const empty = range.map((_, k) => (known(z[0][k]) ? NaN : 1));
  if (!empty.includes(1)) return [];
  const { pale } = colours();
  return [
    { type: "heatmap", x: ends, y: [-0.5, z.length - 0.5], z: [empty], customdata: [range], showscale: false,
      zmin: 0, zmax: 1, colorscale: [[0, pale], [1, pale]], hoverongaps: false,
      hovertemplate: `%{customdata}: ${why()}<extra></extra>` },
    { x: [null], y: [null], mode: "markers", name: why(), showlegend: true,
      marker: { symbol: "square", size: 12, color: pale } },
  ];
};

const mapChart = () => {
  if (nothingKnown()) return null;
  const { help, hurt, zero } = colours();
  const shown = chosen(), { edges, stride, labels } = groups();
  const z = shown.map((i) => row(measure().by[by()].map, i));
  const ends = array(edges), most = reach(z);
  const range = spans(ends);
  const label = shown.map((i) => Array(range.length).fill(safe(labels[i])));
  const grey = holes(z, ends, range);
  const unknown = grey.length ? ` Grey: ${why()}.` : "";
  const stands = stride > 1 ? ` Each column stands for ${measured(stride)} and shows the largest of them.` : "";
  return {
    sentence: `Allocation of every ${by()} at every step of ${measure().name}, in loss units: ${noun(shown.length)} × ` +
      `${run().span}. ${most ? `Colours end at the 99th percentile of what is shown, ±${number(most, 2)}.` : "All that is known of them is zero."}${unknown}${stood()}${stands}`,
    traces: [{
      type: "heatmap", x: ends, y: shown.map((_, k) => k), z, text: label, customdata: shown.map(() => range),
      zmin: -most || -1, zmax: most || 1, colorscale: [[0, help], [0.5, zero], [1, hurt]],
      hovertemplate: "%{text}<br>%{customdata}: %{z:.4g}<extra></extra>", hoverongaps: false,
      colorbar: keyOfColours(),
    }, ...grey],
    layout: layout(Math.min(130 + 24 * Math.max(shown.length, 3), 600), {
      xaxis: steps(), yaxis: axis("", places(shown.map((i) => short(groups())[i]), 40)),
      legend: { x: 1, xanchor: "right", y: 1.02, yanchor: "bottom", font: { size: 12 } } }),
  };
};
