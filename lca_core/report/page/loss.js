// Does the sum account for the loss? The loss, what was booked, and what is left over.

// A line, and a dot where a value has no known neighbour that a line could lead to.
const marked = ({ x, y }, size, color) => {
  const alone = Array.from(y, (value, k) => Number.isFinite(value) && ![y[k - 1], y[k + 1]].some(Number.isFinite));
  if (!alone.includes(true)) return { x, y, mode: "lines" };
  return { x, y, mode: "lines+markers", cliponaxis: false,
    marker: { color, size: alone.map((one) => (one ? size : 0)), line: { width: 0 } } };
};

const lossChart = () => {
  if (alike().every(([i]) => !runs[i].steps)) return null;
  const { ink } = colours();
  const several = alike().length > 1;
  const traces = alike().flatMap(([i, found]) => {
    const alone = found.books.estimated ? "loss of the steps' samples" : "true loss";
    const name = several ? safe(runs[i].name) : alone;
    const colour = several ? kind(i) : css("--true");
    return [
      { ...marked(line(found.course.loss, 0), 9, colour), name, line: { color: colour, width: several ? 3 : 5 },
        hovertemplate: `${name}<br>after step %{x}: loss %{y:.6g}<extra></extra>` },
      { ...marked(line(found.course.loss, 1), 4, ink),
        name: "L<sub>0</sub> + everything allocated since", legendrank: 2000, showlegend: i === alike()[0][0],
        line: { color: ink, width: 1.2, dash: "4px,2px" },
        hovertemplate: `L<sub>0</sub> + allocations after step %{x}: %{y:.6g}<extra></extra>` },
    ];
  });
  const { books, course } = measure();
  const whose = runs.length > 1 ? `${run().name}, ${measure().name}` : measure().name;
  const sums = nothingKnown() ? "; no allocation is known" : `; the allocations of ${count(run().parameters, "parameter")} sum to ${number(books.allocated, 5)}` +
    `${books.buffers ? `, moving buffers caused ${number(books.buffers)}` : ""}`;
  const lines = books.estimated ? " The thick line is the loss of the steps' own samples."
    : " Where the dashed line lies on the thick one, the allocations account for the loss.";
  const together = several ? ` ${alike().length} runs are drawn, over ${lengths()}.` : "";
  const thick = nothingKnown() && books.seen ? "" : lines;
  const whole = `${books.change}${books.seen ? "" : ","} over ${run().span}${books.seen ? sums : ""}.${thick}`;
  const told = run().steps ? whole : `${books.closing}, so only the loss that it began with is drawn.`;
  return {
    sentence: `${whose}: ${told}${together}${each(course.stride)}`,
    traces,
    layout: layout(narrow() ? 280 : 320, { xaxis: steps(lastOfAll()), yaxis: axis("loss", { fixedrange: true }) }),
  };
};

const MEANS = { CAP: "ran out of points", STALLED: "stalled", NONFINITE: "not finite" };

const gapChart = () => {
  if (!run().steps || measure().books.estimated) return null;
  const { ink, muted, hurt } = colours();
  const { course, books } = measure();
  const [gap, noise] = [line(course.gap, 0), line(course.gap, 1)];
  const open = course.open;
  const at = array(open.step), size = array(open.gap);
  const lowest = Math.min(...[...gap.y, ...noise.y].filter((value) => value > 0 && value < Infinity));
  const bottom = lowest < Infinity ? lowest : 0; // where lost steps are marked, which have no gap
  const traces = [
    { ...marked(noise, 6, muted), name: "noise floor", visible: noise.y.some(Number.isFinite), line: { color: muted, width: 1 },
      hovertemplate: "step %{x}: rounding alone does %{y:.3g}<extra></extra>" },
    { x: gap.x, y: gap.y.map((value) => (value > 0 ? value : NaN)), name: `gap of a ${books.each}`, mode: "markers", cliponaxis: false,
      visible: gap.y.some((value) => value > 0),
      marker: { color: ink, size: 3.5 }, hovertemplate: "step %{x}: gap %{y:.4g}<extra></extra>" },
    ...Object.keys(MEANS).map((status) => {
      const mine = open.status.map((one, i) => i).filter((i) => open.status[i] === status);
      return {
        x: mine.map((i) => at[i]), name: MEANS[status], mode: "markers", cliponaxis: false,
        y: mine.map((i) => (status === "NONFINITE" || !(size[i] > 0) ? bottom : size[i])),
        text: mine.map((i) => number(size[i])), visible: mine.length > 0,
        marker: { color: hurt, size: 8, symbol: { CAP: "diamond", STALLED: "square", NONFINITE: "x" }[status] },
        hovertemplate: `step %{x} ${MEANS[status]}: gap %{text}<extra></extra>`,
      };
    }),
  ];
  const scale = lowest < Infinity ? logarithmic
    : { fixedrange: true, rangemode: "tozero", showticklabels: gap.y.some(Number.isFinite), showgrid: gap.y.some(Number.isFinite) };
  const shown = open.of > open.status.length ? ` The ${open.status.length} largest of ${open.of} are marked.` : "";
  const largest = known(books.largest_gap) ? `largest gap ${number(books.largest_gap, 3)}, at ` : "";
  const closing = nothingKnown() ? `Nothing of it is known: ${books.closing}`
    : `It is known, not estimated. ${books.closing[0].toUpperCase()}${books.closing.slice(1)}`;
  return {
    sentence: `What is left over at each ${books.each}: true loss change minus the sum of all allocations, in ` +
      `loss units. ${closing}; ${largest}` +
      `${books.cost}.${shown}${each(course.stride)}`,
    traces,
    layout: layout(narrow() ? 240 : 260, {
      showlegend: true, xaxis: steps(),
      yaxis: axis("|gap| (loss units)", scale),
    }),
  };
};
