// Tables that sort by a click on a heading, or by the keyboard.

const sorted = {};

const cell = (tag, text, className = "") => {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
};

// columns: {key, title, text(value), tone(value)}; rows: arrays of values, one a column.
const fillTable = (id, caption, columns, rows, footer) => {
  const table = document.getElementById(id);
  const order = (sorted[id] ??= { column: -1, down: false });
  const place = (value) => (typeof value === "string" ? value : known(value) ? value : Infinity);
  const compare = (a, b) => {
    const [one, two] = [place(a[order.column]), place(b[order.column])];
    const found = typeof one === "string" ? one.localeCompare(two, undefined, { numeric: true }) : one - two || 0;
    const unknown = one === Infinity || two === Infinity;
    return order.down && !unknown ? -found : found;
  };
  const shown = order.column < 0 ? rows : [...rows].sort(compare);
  const head = document.createElement("tr");
  columns.forEach((column, i) => {
    const heading = cell("th", "", i ? "number" : "");
    heading.scope = "col";
    const mine = order.column === i;
    heading.setAttribute("aria-sort", mine ? (order.down ? "descending" : "ascending") : "none");
    const button = cell("button", column.title);
    button.type = "button";
    button.addEventListener("click", () => {
      sorted[id] = { column: i, down: mine ? !order.down : false };
      fillTable(id, caption, columns, rows, footer);
      document.querySelectorAll(`#${id} th button`)[i].focus();
    });
    heading.append(button);
    head.append(heading);
  });
  const written = (values) => {
    const made = document.createElement("tr");
    values.forEach((value, i) => {
      const { text, tone } = columns[i];
      const one = cell(i ? "td" : "th", text ? text(value, rows.indexOf(values)) : value, `${i ? "number" : ""} ${tone ? tone(value) : ""}`.trim());
      if (!i) one.scope = "row";
      made.append(one);
    });
    return made;
  };
  const body = document.createElement("tbody"), foot = document.createElement("tfoot"), top = document.createElement("thead");
  top.append(head);
  body.append(...shown.map(written));
  if (footer) foot.append(written(footer));
  table.classList.toggle("long", rows.some(([label]) => label.length > 12));
  table.replaceChildren(cell("caption", caption), top, body, ...(footer ? [foot] : []));
};

const tone = (value) => (!known(value) || value === 0 ? "" : value < 0 ? "helped" : "hurt");

const layersTable = () => {
  const names = ["parameters", "lca", "share", "per_parameter", "helping", "error"];
  const places_ = decimals(chosen().map((i) => column("lca", i)));
  const values = (i, label) => [label, ...names.map((name) => column(name, i))];
  const columns = [
    { title: by() }, { title: "parameters", text: (v) => count(v) },
    { title: "LCA", text: (v) => aligned(v, places_), tone }, { title: "share", text: percent },
    { title: "LCA per parameter", text: (v) => (v ? power(v, 2) : number(v)), tone },
    { title: "helping", text: percent }, { title: "± error", text: (v) => aligned(v, places_) },
  ];
  const rows = chosen().map((i) => values(i, groups().labels[i]));
  const n = groups().labels.length;
  const whole = state.layer === "" && array(measure().by[by()].table.lca).length > n;
  const { books, known: some } = measure();
  const missing = books.seen && run().steps ? books.closing : books.change;
  const summed = some ? `LCA summed over ${run().span}, in loss units` : missing;
  fillTable("layers-table", `${measure().name}, ${run().name}: ${summed}`, columns, rows, whole ? values(n, "total") : null);
  element("layers-note").textContent = "Click a heading to sort. Helping: helped / (helped + hurt), mean over steps. " +
    `± of the total: ${books.estimated ? "95 % of sampling" : "the sum of all gaps, which is known"}.`;
};

// A value with its ±, down to the first digit of that, and a star where it is a difference beyond it. Where
// there is little room, the ± goes on below the value.
const withError = (value, error, places_, star) => {
  const known_ = error > 0 && error < Infinity ? Math.min(Math.max(places_, -exponent(error)), MOST_DECIMALS) : places_;
  return `${star && value > 0 ? "+" : ""}${aligned(value, places_, known_)}` +
    `${known(error) ? ` ±\u00a0${number(error, 2)}` : ""}${star && known(error) && Math.abs(value) > error ? "\u00a0*" : ""}`;
};

const averages = (found) =>
  (found.mean ? " The ± of the mean is a 95 % interval (Student's t) if the runs differ by chance alone." : "");

// Why there is no table, and what is drawn of the runs instead.
const notCompared = () => {
  const name = measure().name, having = alike().length;
  if (having === 1) return `No other run has the measure ${name}, so there is nothing to set beside it, and its loss is drawn alone.`;
  const why = having < runs.length ? `Only ${having} of ${runs.length} runs have the measure ${name}` : "These runs do not share the layers";
  return `${why}, so only their losses of ${name} are drawn together.`;
};

const comparisonTable = () => {
  const section = document.getElementById("side-by-side");
  const found = comparisons[measure().name];
  if (!section) return;
  document.getElementById("comparison-note").textContent = found
    ? `Every layer's LCA of ${measure().name}, its difference to ${runs[0].name}, and * where that is larger than the ` +
      `± of both runs together. With every sum stands ${uncertaintiesOf(found)}: that two runs ` +
      `differ beyond it does not say why; the spread of seeds does. LCA is summed over ${lengths()}.${averages(found)}${leftOut(found)}`
    : notCompared();
  document.getElementById("comparison-table").closest(".wide").hidden = !found; // no stop for Tab either
  if (!found) return;
  const all = runs.map((one, r) => [one.name, row(found.total, r), row(found.error, r), false]);
  const differences = runs.slice(1).map((one, k) =>
    [`${one.name} − ${runs[0].name}`, row(found.difference, k + 1), row(found.difference_error, k + 1), true]);
  const mean = runs.length > 2 && found.mean ? [[`mean of ${count(found.known.shape[0], "run")}`, array(found.mean), array(found.interval), false]] : [];
  const held = [...all, ...differences, ...mean];
  const columns = [{ title: "layer" }, ...held.map(([title, totals, errors, star]) => ({
    title, tone, text: (value, i) => withError(value, errors[i], decimals(totals), star) }))];
  const cells = found.labels.map((label, i) => [label, ...held.map(([, values]) => values[i])]);
  fillTable("comparison-table", `${measure().name}, ${runs.length} runs side by side, in loss units`, columns, cells, null);
};
