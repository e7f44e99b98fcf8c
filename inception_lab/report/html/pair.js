// Two nets: the metric that is chosen is written into the rows, and so is its growth.
function setUpPair() {
  const select = () => data.pair.find((metric) => metric.name === $("#metric").value);
  values = pairValues(select());
  $("#metric").addEventListener("change", () => {
    values = pairValues(select());
    showPair(select());
    const sorted = $$("thead th", table).findIndex((head) => head.hasAttribute("aria-sort"));
    if (sorted >= 0) sortBy(sorted);
  });
  $("#changed").addEventListener("change", show);
}

function pairValues({ first, second }) {
  const growth = second.map((after, number) => after - first[number]);
  return Object.fromEntries(Object.entries({ first, second, growth }).map(([name, values]) => [name, { values, sum: true }]));
}

function showPair({ label, unit }) {
  const rows = $$("tbody tr", table), costs = rows.map((row) => [exact(row, "first"), exact(row, "second")]);
  const largest = Math.max(...costs.filter((_, number) => rows[number].classList.contains("mod")).flat()) || 1;
  $$(".metric", table).forEach((element) => { element.textContent = label; });
  rows.forEach((row, number) => {
    const [before, after] = costs[number], [, first, growth, second] = row.cells;
    [[first, before], [second, after]].forEach(([cell, cost]) => {
      cell.removeAttribute("title");
      if (cell.classList.contains("gap")) return;
      cell.textContent = quantity(cost, unit);
      cell.classList.toggle("z", !cost);
      cell.style.setProperty("--p", `${100 * cost / largest}%`);
      cell.style.setProperty("--q", `${100 * Math.min(before, after) / largest}%`);
    });
    growth.removeAttribute("title");
    growth.classList.toggle("up", after > before);
    growth.classList.toggle("down", after < before);
    $("b", growth).textContent = after === before ? "" : signOf(after - before) + quantity(Math.abs(after - before), unit);
    $("small", growth).textContent = growthNote(before, after, row.dataset.change);
  });
}

const signOf = (number) => number > 0 ? "+" : "\u2212";
function growthNote(before, after, change) {
  if (change !== "changed" || !before || before === after) return change;
  const percent = 100 * (after - before) / before, size = Math.abs(percent);
  if (percent >= 1000) return `${after / before < 99.95 ? rounded(after / before, 1) : Number((after / before).toPrecision(3)).toLocaleString("en")}×`;
  return `${signOf(percent)}${size < 0.05 ? "under 0.1" : rounded(size, size < 9.95 ? 1 : 0)} %`;
}
setUpPair();
