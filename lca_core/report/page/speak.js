// What a screen reader says of a chart: a picture with its sentence, and buttons that say whose they are.

// The picture is the lowest of the drawings that lie on one another; buttons may lie in none.
const speak = (plot, title, sentence) => {
  const [picture, ...above] = plot.querySelectorAll(".main-svg");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", `Chart: ${title}. ${sentence}`);
  for (const drawing of above) drawing.setAttribute("aria-hidden", "true");
  for (const button of plot.querySelectorAll(".modebar-btn")) {
    button.setAttribute("aria-label", `${button.dataset.title}: ${title}`);
  }
};
