// Numbers and names as text.

const UNKNOWN = "–";
const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);
const minus = (text) => text.replaceAll("-", "−");

const RAISED = { "-": "⁻", "+": "", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const power = (value, decimals) => {
  if (!known(value)) return UNKNOWN;
  if (!Number.isFinite(value)) return value < 0 ? "−∞" : "∞";
  const [digits, exponent] = value.toExponential(Math.max(decimals, 0)).split("e");
  return `${minus(digits)}×10${Array.from(exponent, (letter) => RAISED[letter]).join("")}`;
};

const HUGE = 1e6; // from here on as a power of ten

// So many significant digits; powers of ten where zeros would fill the line.
const number = (value, digits = 4) => {
  if (!known(value)) return UNKNOWN;
  if (value === 0) return "0";
  const size = Math.abs(value);
  const plain = size >= 1e-3 && size < HUGE;
  return plain ? minus(Number(value.toPrecision(digits)).toString()) : power(value, digits - 2);
};
const fixed = (value, decimals) => (known(value) ? minus(value.toFixed(decimals)) : UNKNOWN);
const percent = (share) => (known(share) ? `${minus((100 * share).toFixed(1))} %` : UNKNOWN);
const count = (value, noun = "") => {
  const text = known(value) ? Math.round(value).toLocaleString("en") : UNKNOWN;
  return noun ? `${text} ${noun}${value === 1 ? "" : "s"}` : text;
};

const MOST_DECIMALS = 12;
const exponent = (value) => Math.floor(Math.log10(Math.abs(value)));

// Decimals with which the largest value of a column shows five digits; below zero where it has more.
const decimals = (values) => {
  const largest = Math.max(0, ...Array.from(values).filter(Number.isFinite).map(Math.abs));
  return largest ? Math.min(4 - exponent(largest), MOST_DECIMALS) : 0;
};

// As many decimals as its column, or as are known; a power of ten where it has too many digits for that, or
// where the column would show zeros.
const aligned = (value, column_, known_ = column_) => {
  const size = Math.abs(value), digits = Math.min(Math.max(exponent(value) + known_, 1), MOST_DECIMALS);
  if (size >= HUGE || (size && size < 10 ** -Math.max(column_, 0))) return power(value, digits);
  return fixed(value, Math.max(known_, 0));
};

// The charting library reads text as HTML, and what stands between dollars as a formula: names must
// come out as the letters that they are.
const MARKS = { "&": "&amp;", "<": "&lt;", ">": "&gt;", $: "&#36;" };
const safe = (text) => text.replace(/[&<>$]/g, (mark) => MARKS[mark]);

// Names as short as there is room for; they come with the data, kept apart from one another.
const short = (named) => named.short[narrow() ? "narrow" : "wide"];
