// Paper is light, whatever the screen is, and does not scroll.

const MOST_ON_PAPER = 4; // columns with a value and its ±, beside the names of the layers

// A table without its columns before and after these; names of rows stay.
const withColumns = (table, from, to, part) => {
  const copy = table.cloneNode(true);
  copy.removeAttribute("id");
  copy.classList.add("part");
  copy.caption.textContent += `, ${part}`;
  for (const row of copy.rows) [...row.cells].forEach((one, i) => { if (i && (i < from || i >= to)) one.remove(); });
  return copy;
};

// As many tables below one another as the columns take, about equally wide.
const split = (table) => {
  const columns = table.rows[0].cells.length - 1, parts = Math.ceil(columns / MOST_ON_PAPER);
  if (parts < 2) return;
  const most = Math.ceil(columns / parts);
  table.after(...Array.from({ length: parts }, (_, k) =>
    withColumns(table, 1 + k * most, 1 + (k + 1) * most, `part ${k + 1} of ${parts}`)));
  table.hidden = true;
};

const listenToPrinter = () => {
  let worn = "system";
  window.addEventListener("beforeprint", () => {
    worn = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    showAll();
    const table = element("comparison-table");
    if (table && !table.closest(".wide").hidden) split(table);
  });
  window.addEventListener("afterprint", () => {
    document.documentElement.dataset.theme = worn;
    for (const part of document.querySelectorAll("table.part")) part.remove();
    if (element("comparison-table")) element("comparison-table").hidden = false;
    showAll();
  });
};
