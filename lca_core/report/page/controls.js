// The choices at the top of the page.

const element = (id) => document.getElementById(id);

const options = (select, found, chosen_) => {
  select.replaceChildren(...found.map(({ value, text, under }) => {
    const made = new Option(text, value, false, String(value) === String(chosen_));
    made.dataset.under = under ?? "";
    return made;
  }));
  select.closest("label").hidden = found.length < 2;
};

// Parts of a measure follow it, set in.
const measureOptions = () => {
  const { measures, parts } = run(), isPart = new Set(parts.flat());
  const wholes = measures.map((_, i) => i).filter((i) => !isPart.has(i));
  return wholes.flatMap((i) => [{ value: i, text: measures[i] },
    ...parts[i].map((k) => ({ value: k, text: `\u2003${measures[k].slice(measures[i].length + 1)}` }))]);
};

const BY = { layer: "layer", leaf: "leaf (named array)", unit: "unit" };

const showControls = () => {
  options(element("run"), runs.map((one, i) => ({ value: i, text: one.name })), state.run);
  options(element("measure"), measureOptions(), state.measure);
  options(element("by"), Object.keys(measure().by).map((one) => ({ value: one, text: BY[one] })), by());
  const { labels, short: names } = run().by.layer;
  options(element("layer"), [{ value: "", text: "all layers" },
    ...labels.map((one, i) => ({ value: one, text: names.wide[i] }))], state.layer);
  // An end that is free leaves its box empty, to be typed into.
  for (const [end, free] of Object.entries({ from: 0, to: lastOfAll() })) {
    element(end).max = lastOfAll();
    element(end).value = state[end] === free ? "" : state[end] ?? "";
    element(end).placeholder = String(free);
  }
};

const choose = (name, value) => {
  if (name === "run") {
    const wanted = measure().name;
    state.run = Number(value);
    state.measure = Math.max(run().measures.indexOf(wanted), 0);
    if (!run().by.layer.labels.includes(state.layer)) state.layer = "";
    state.from = state.to = null;
  } else if (name === "measure") {
    state.measure = Number(value);
    if (state.from !== null) zoom(state.from, state.to); // the runs that have it may be shorter
  } else if (name === "from" || name === "to") zoomEnd(name, value);
  else state[name] = value;
  showAll();
};

const remembered = (name, fallback) => {
  try { return localStorage.getItem(`lca-${name}`) ?? fallback; } catch { return fallback; }
};
const remember = (name, value) => {
  try { localStorage.setItem(`lca-${name}`, value); } catch { /* a file may have no storage */ }
};

const dress = (name, value) => {
  document.documentElement.dataset[name] = value;
  element(name).value = value;
};

const listen = () => {
  for (const name of ["run", "measure", "by", "layer", "from", "to"]) {
    element(name).addEventListener("change", (event) => choose(name, event.target.value));
  }
  element("whole").addEventListener("click", () => { state.from = state.to = null; showAll(); });
  for (const name of ["theme", "colours"]) {
    element(name).addEventListener("change", (event) => {
      dress(name, event.target.value);
      remember(name, event.target.value);
      showAll();
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showAll);
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (narrow() !== width < 640) showAll();
    width = window.innerWidth;
  });
};
