// What the reader chose, and what of the runs it selects.

const state = { run: 0, measure: 0, by: "layer", layer: "", from: null, to: null };
let runs = [];

const run = () => runs[state.run];
const measure = () => run().measure[state.measure];
const by = () => (measure().by[state.by] ? state.by : "layer");
const groups = () => run().by[by()];

// Places of the groups that are looked at: all, or those of one layer.
const chosen = () => {
  const all = groups().labels.map((_, i) => i);
  return state.layer === "" ? all : all.filter((i) => groups().layer[i] === state.layer);
};

// The same measure in every run that has it, with the run's number.
const alike = () =>
  runs.map((one, i) => [i, one.measure.find((found) => found.name === measure().name)])
    .filter(([, found]) => found);

const column = (name, i) => array(measure().by[by()].table[name])[i];
const largestFirst = (places, most) =>
  [...places].sort((a, b) => Math.abs(column("lca", b)) - Math.abs(column("lca", a))).slice(0, most)
    .sort((a, b) => a - b);

const noun = (n) => `${n.toLocaleString("en")} ${{ layer: "layer", leaf: "leaf", unit: "unit" }[by()]}`
  .replace(/leaf$/, n === 1 ? "leaf" : "leaves") + (n === 1 || by() === "leaf" ? "" : "s");

// Whether there is nothing to draw: no step, or none that was looked at and came to finite values.
const nothingKnown = (one = measure()) => !one.known;

const endOf = (one) => array(one.by.layer.edges).at(-1);
const last = () => endOf(run());
// The last step of the runs that are drawn together, which may differ in length.
const lastOfAll = () => Math.max(...alike().map(([i]) => endOf(runs[i])));
const zoomed = (whole) => ({ range: state.from === null ? [0, Math.max(whole, 1)] : [state.from, state.to], autorange: false });

// Looks at whole steps of the run, at least one of them: an end that lies outside is moved inside.
const zoom = (from, to) => {
  const most = lastOfAll(), within = (step, least, end) => Math.min(Math.max(Math.round(step), least), end);
  state.from = within(from, 0, most - 1);
  state.to = within(to, state.from + 1, most);
  if (state.to - state.from >= most) state.from = state.to = null;
};

// An end that comes to lie beyond the other one lets that go to its end of the run.
const zoomEnd = (name, typed) => {
  const most = lastOfAll(), free = { from: 0, to: most }, wanted = typed === "" ? free[name] : Number(typed);
  const ends = { from: state.from ?? 0, to: state.to ?? most, [name]: wanted };
  const other = name === "from" ? "to" : "from";
  if (ends.from >= ends.to) ends[other] = free[other];
  zoom(ends.from, ends.to);
};

// Over how many steps of the training the runs that are compared went.
const lengths = () => {
  const all = alike().map(([i]) => runs[i].trained), [least, most] = [Math.min(...all), Math.max(...all)];
  const spans = new Set(alike().map(([i]) => runs[i].span));
  if (spans.size === 1) return run().span;
  return least === most ? count(most, "step") : `${count(least)} to ${count(most, "step")}, each run over its own`;
};

// What is measured at once: a step, or a segment of several.
const measured = (n) => count(n, measure().books.each);
const each = (stride) =>
  stride > 1 ? ` Each point stands for ${measured(stride)}; the lowest and highest of them are kept.` : "";

// What one value is of: a look at a step counts for all that it stands for.
const stood = () => (measure().every > 1 ? ` A look stands for ${measured(measure().every)}.` : "");

// Why nothing is known of the steps that are grey.
const why = () => {
  const { lost, passed } = measure();
  return ["not finite", "not looked at"].filter((_, i) => [lost, passed][i]).join(" or ");
};

// The steps between two edges of a chart along them.
const spans = (edges) => Array.from(edges.subarray(1), (end, k) =>
  end - edges[k] > 1 ? `steps ${edges[k] + 1}–${end}` : `step ${end}`);

// What the ± of several is, by name where it is not the same for all.
const uncertainties = (named) => {
  const found = [...new Set(named.map(([, one]) => one.uncertainty))];
  const of = (one) => named.filter(([, other]) => other.uncertainty === one).map(([name]) => name).join(", ");
  return found.length === 1 ? found[0] : found.map((one) => `${one} (${of(one)})`).join(" or ");
};
