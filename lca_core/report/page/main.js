// Everything that is shown, drawn again whenever a choice changes.

const CHARTS = {
  "chart-loss": lossChart, "chart-gap": gapChart, "chart-bars": barsChart, "chart-since": sinceChart,
  "chart-map": mapChart, "chart-helping": helpingChart, "chart-sizes": sizesChart, "chart-heroes": heroesChart,
  "chart-turns": turnsChart, "chart-peaks": peaksChart, "chart-carry": carryChart, "chart-carry-bars": carryBars,
};
const ALONG_STEPS = ["chart-loss", "chart-gap", "chart-since", "chart-map", "chart-helping", "chart-peaks", "chart-carry"];
let comparisons = {};

const show = (id, draw) => {
  const figure = element(id).closest("figure"), made = draw();
  figure.hidden = made === null;
  if (made === null) return Plotly.purge(id);
  figure.querySelector(".sentence").textContent = made.sentence;
  const title = figure.querySelector("h3").textContent;
  Plotly.react(id, made.traces, made.layout, OPTIONS);
  speak(element(id), title, made.sentence);
  if (ALONG_STEPS.includes(id)) linkZoom(element(id));
};

// A zoom along the steps of one chart is a choice for all of them. A drag sets both ends; the house and a
// double click set the range that the chart began with, which stands for all steps, also of a longer run.
const linkZoom = (plot) => {
  if (plot.dataset.linked) return;
  plot.dataset.linked = "yes";
  plot.on("plotly_relayout", (change) => {
    const [from, to] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
    if (from === undefined && !change["xaxis.range"] && !change["xaxis.autorange"]) return;
    const whole = plot.id === "chart-loss" ? lastOfAll() : last();
    const all = from === undefined || (from <= 0 && to >= whole);
    zoom(all ? 0 : from, all ? lastOfAll() : to);
    showAll();
  });
};

const showStories = () => {
  for (const one of document.querySelectorAll(".story")) {
    one.hidden = one.dataset.run !== String(state.run) || one.dataset.measure !== String(state.measure);
  }
  for (const one of document.querySelectorAll(".settings")) one.hidden = one.dataset.run !== String(state.run);
};

// A section without anything to show is left out.
const hideEmpty = () => {
  for (const section of document.querySelectorAll("section.charts")) {
    const figures = [...section.querySelectorAll("figure")];
    section.hidden = figures.every((figure) => figure.hidden);
  }
};

const showAll = () => {
  showControls();
  showStories();
  for (const [id, draw] of Object.entries(CHARTS)) {
    element(id).closest("section").hidden = false; // a hidden place has no width
    element(id).closest("figure").hidden = false;
    show(id, draw);
  }
  hideEmpty();
  layersTable();
  comparisonTable();
};

const begin = async () => {
  dress("theme", remembered("theme", "system"));
  dress("colours", remembered("colours", "authors"));
  const library = document.createElement("script");
  library.textContent = await inflated("library");
  document.head.append(library);
  const found = JSON.parse(await inflated("data"));
  runs = found.runs;
  comparisons = Object.assign(Object.create(null), found.comparisons);
  listen();
  listenToPrinter();
  showAll();
  document.documentElement.dataset.ready = "yes";
};

window.lcaReport = { state, choose, get runs() { return runs; }, array, row, line };
begin().catch((error) => {
  element("failure").hidden = false;
  element("failure").textContent = `The charts cannot be drawn in this browser (${error.message}). The story, the ` +
    "settings and the explanations below need no script; a browser of 2023 or later draws the rest.";
  throw error;
});
