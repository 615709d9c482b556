// How all charts look: colours from the style sheet, axes, hover, the same for all.

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const narrow = () => window.innerWidth < 640;

const colours = () => ({
  ink: css("--ink"), muted: css("--muted"), rule: css("--rule"), page: css("--page"),
  help: css("--help"), hurt: css("--hurt"), pale: css("--pale"), zero: css("--zero"), still: css("--still"),
});

const KIND = ["#4477aa", "#cc6677", "#ddaa33", "#228833", "#66ccee", "#aa3377", "#999933", "#ee8866",
  "#8877cc", "#44aa99"];
const kind = (i) => KIND[i % KIND.length];

const signed = (values) => {
  const { help, hurt } = colours();
  return Array.from(values, (value) => (value < 0 ? help : hurt));
};

const axis = (title, more = {}) => {
  const { ink, muted, rule } = colours();
  return {
    title: { text: title, font: { size: 13, color: muted }, standoff: 8 },
    tickfont: { size: more.type === "log" ? 10 : 12, color: ink }, gridcolor: rule, linecolor: muted, zerolinecolor: muted,
    zerolinewidth: 1, exponentformat: "power", minexponent: 4, automargin: true, ...more,
  };
};

// Whole steps, however far one zooms in.
const steps = (whole = last()) => {
  const shown = zoomed(whole), few = shown.range[1] - shown.range[0] < 8;
  return axis("step", { showgrid: false, tickformat: ",d", ...(few ? { dtick: 1 } : {}), ...shown });
};

const logarithmic = { type: "log", fixedrange: true, nticks: 6 };

const layout = (height, more = {}) => {
  const { ink, muted, page, rule } = colours();
  return {
    height, margin: { l: narrow() ? 52 : 72, r: 12, t: 8, b: 8 }, paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)", font: { family: css("--font"), size: 12, color: ink },
    hoverlabel: { bgcolor: page, bordercolor: rule, font: { family: css("--font"), color: ink, size: 13 },
      align: "left", namelength: -1 },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 }, itemwidth: 30 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: muted, activecolor: ink },
    hovermode: "closest", dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    barcornerradius: 1, ...more,
  };
};

// A key of colours above the chart, so that all charts along steps are equally wide.
const keyOfColours = () => ({
  orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", lenmode: "pixels", len: narrow() ? 150 : 220,
  thickness: 8, outlinewidth: 0, nticks: narrow() ? 4 : 5, exponentformat: "power", tickfont: { size: 11 }, ypad: 4, xpad: 0,
});

// Names, short ones, at whole places of an axis, as many as there is room for.
const places = (names, room) => {
  const every = Math.max(1, Math.ceil(names.length / room));
  const at = names.map((_, i) => i).filter((i) => i % every === 0);
  return {
    tickmode: "array", tickvals: at, range: [names.length - 0.5, -0.5], fixedrange: true,
    ticktext: at.map((i) => safe(names[i])), showgrid: false,
    zeroline: false, ticks: "",
  };
};

const OPTIONS = {
  displaylogo: false, responsive: true,
  modeBarButtons: [["toImage", "resetScale2d"]],
};
