// Who did the work: totals of groups, one run or several.

const MOST_BARS = 40, MOST_SIDE_BY_SIDE = 4;

const bars = (places_, values, errors, more) => ({
  type: "bar", orientation: "h", y: places_.map((_, k) => k), x: values,
  error_x: { type: "data", array: errors.map((one) => (known(one) ? one : NaN)), thickness: 1.2, width: 3,
    color: colours().ink },
  ...more,
});

const barsChart = () => {
  if (nothingKnown()) return null;
  const comparable = state.by === "layer" && comparisons[measure().name];
  const shown = largestFirst(chosen(), MOST_BARS);
  const few = shown.length < chosen().length ? ` The ${shown.length} largest of ${chosen().length}; the table has all.` : "";
  const cut = groups().of > groups().labels.length ? ` ${groups().labels.length} units of ${groups().of}, those that did most, are held in this report.` : "";
  const { traces, told } = comparable ? severalBars(comparable, shown) : oneRunBars(shown);
  const names = shown.map((i) => short(groups())[i]);
  const thick = traces.length > 1 && traces.length <= MOST_SIDE_BY_SIDE ? 12 + 10 * traces.length : 24;
  return {
    sentence: `Allocation summed over ${comparable ? lengths() : run().span}, in loss units; negative helped, positive ` +
      `hurt. ${told}${few}${cut}`,
    traces,
    layout: layout(80 + thick * Math.max(names.length, 3) + (comparable ? 30 : 0), {
      xaxis: axis("allocation (loss units)", { fixedrange: true, nticks: narrow() ? 4 : 8 }),
      yaxis: axis("", places(names, 60)), bargap: 0.28, showlegend: Boolean(comparable),
    }),
  };
};

const oneRunBars = (shown) => {
  const lca = shown.map((i) => column("lca", i)), errors = shown.map((i) => column("error", i));
  const text = shown.map((i) => `${safe(groups().labels[i])}<br>${number(column("lca", i), 6)} ± ` +
    `${number(column("error", i), 2)}<br>${percent(column("share", i))} of everything allocated<br>` +
    `${count(column("parameters", i), "parameter")}`);
  const sure = errors.some(known) ? `Whiskers are ${measure().uncertainty}.` : "Their ± is not known.";
  return {
    traces: [bars(shown, lca, errors, { marker: { color: signed(lca) }, hovertext: text, hoverinfo: "text" })],
    told: `n = ${count(run().parameters, "parameter")} in ${noun(groups().of)}. ${sure}`,
  };
};

// Which runs are in no mean and have no bar: those of which nothing is known.
const leftOut = (found) => {
  const without = runs.filter((_, r) => !array(found.known).includes(r)).map((one) => one.name);
  return without.length ? ` ${without.join(", ")} ${without.length > 1 ? "are" : "is"} left out: at no step were its values known.` : "";
};

// What the ± of the runs is that are compared.
const uncertaintiesOf = (found) =>
  uncertainties(alike().map(([i, one]) => [runs[i].name, one]).filter((_, i) => array(found.known).includes(i)));

const severalBars = (found, shown) => {
  const n = runs.length, averaged = found.known.shape[0];
  const of = (packed, r) => shown.map((i) => row(packed, r)[i]);
  const text = (r) => shown.map((i) => `${safe(found.labels[i])}, ${safe(runs[r].name)}<br>` +
    `${number(row(found.total, r)[i], 6)} ± ${number(row(found.error, r)[i], 2)}`);
  if (n <= MOST_SIDE_BY_SIDE || !found.mean) {
    const traces = runs.map((one, r) => bars(shown, of(found.total, r), of(found.error, r), {
      name: safe(one.name), marker: { color: kind(r) }, hovertext: text(r), hoverinfo: "text" }));
    return { traces, told: `${n} runs side by side; whiskers are ${uncertaintiesOf(found)}.${leftOut(found)}` };
  }
  const mean = shown.map((i) => array(found.mean)[i]), half = shown.map((i) => array(found.interval)[i]);
  const wide = shown.map((i, k) => `${safe(found.labels[i])}<br>mean ${number(mean[k], 6)} ± ${number(half[k], 2)}`);
  const dots = runs.map((one, r) => ({ x: of(found.total, r), y: shown.map((_, k) => k), mode: "markers",
    name: safe(one.name), marker: { color: colours().ink, size: 5, opacity: 0.6 }, hovertext: text(r),
    hoverinfo: "text", showlegend: false }));
  return {
    traces: [bars(shown, mean, half, { name: `mean of ${count(averaged, "run")}`, marker: { color: signed(mean) },
      hovertext: wide, hoverinfo: "text" }), ...dots],
    told: `Bars are the mean of ${count(averaged, "run")}, dots the runs; whiskers are the 95 % interval of the mean ` +
      `(Student's t), which means something if the runs differ by chance alone.${leftOut(found)}`,
  };
};
