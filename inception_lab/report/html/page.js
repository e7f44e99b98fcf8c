"use strict";
// What is there already is sorted, filtered, folded and coloured; without this script it all stands there unfolded.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
const svgElement = (name, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};
const onPress = (element, action) => {
  element.addEventListener("click", action);
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    action(event);
  });
};
document.documentElement.classList.add("js");

// Quantities, as the tool itself writes them: 1.58 G, 36.5 MiB
const scales = {
  count: [["", 1], ["k", 1e3], ["M", 1e6], ["G", 1e9], ["T", 1e12], ["P", 1e15]],
  bytes: ["B", "KiB", "MiB", "GiB", "TiB", "PiB"].map((suffix, power) => [suffix, 1024 ** power]),
  milliseconds: [["us", 1e-3], ["ms", 1], ["s", 1e3]],
};
function quantity(value, unit) {
  if (!value) return "0";
  const [suffix, scale] = scales[unit].filter(([, least]) => value >= 0.9995 * least).pop() || scales[unit][0];
  const number = value / scale, isExact = scale === 1 && Number.isInteger(value);
  const digits = isExact || number >= 99.95 ? 0 : number < 9.995 ? 2 : 1;
  return `${rounded(number, digits, isExact)} ${suffix}`.trim();
}
function rounded(number, digits, useGrouping = false) {
  const format = { minimumFractionDigits: digits, maximumFractionDigits: digits, roundingMode: "halfEven", useGrouping };
  return number.toLocaleString("en", format);
}

// The map. Boxes are placed as report/map/layout.py places them, with those that are folded as boxes of their own.
const [GAP_X, GAP_Y, PADDING, HEADER] = data.distances || [], SOURCE = -1;
const boxes = (data.boxes || []).map((box, number) => ({ ...box, number, g: document.getElementById(`b${number}`), folded: false }));
boxes.forEach((box) => {
  box.children = (box.c || []).map((number) => boxes[number]);
  box.link = $(":scope > .b", box.g);
  box.rect = $(":scope > .b > rect", box.g);
  box.bands = $$(":scope > .b > .f", box.g);
  box.children.forEach((child) => { child.parent = box; child.sources = []; });
  (box.f || []).forEach(([from, to]) => { if (from !== SOURCE) box.children[to].sources.push(box.children[from]); });
  box.tops = new Set((box.s || []).flatMap(([lanes]) => [...new Map([...lanes].reverse().map(([child, lane]) => [lane, child])).values()]));
});
const half = (length) => Math.floor(length / 2);
function rowsOf(box) { return [...box.children.flatMap(rowsOf), ...box.r]; }

function place(box) {
  box.columns = {};
  if (box.folded || !box.children.length) { box.width = box.w; box.height = box.h; return; }
  box.children.forEach(place);
  let y = HEADER;
  const widths = box.s.map((stage) => {
    const [width, bottom] = placeStage(box, stage, y);
    y = bottom;
    return width;
  });
  box.width = Math.max(box.w, ...widths.map((width) => width + 2 * PADDING));
  box.height = y + GAP_Y;
  box.s.forEach(([lanes, skips, , end], number) => {
    const by = half(box.width - widths[number]);
    lanes.forEach(([child]) => { box.children[child].x += by; });
    if (end !== null) box.children[end].x += by;
    skips.forEach(([band]) => { box.columns[band] += by; });
  });
}

function placeStage(box, [lanes, skips, count, end], top) {
  const widths = Array(count).fill(0), starts = [], bottoms = Array(count).fill(top);
  lanes.forEach(([child, lane]) => { widths[lane] = Math.max(widths[lane], box.children[child].width); });
  skips.forEach(([band, lane]) => { widths[lane] = Math.max(widths[lane], box.f[band][2]); });
  let x = 0;
  widths.forEach((width) => { starts.push(x); x += width + GAP_X; });
  const last = end === null ? null : box.children[end];
  const total = Math.max(x - GAP_X, last ? last.width : 0);
  lanes.forEach(([number, lane]) => {
    const child = box.children[number];
    child.y = Math.max(bottoms[lane], ...child.sources.map((other) => other.y + other.height)) + GAP_Y;
    child.x = starts[lane] + half(widths[lane] - child.width);
    bottoms[lane] = child.y + child.height;
  });
  skips.forEach(([band, lane]) => { box.columns[band] = starts[lane] + half(widths[lane]); });
  let bottom = Math.max(...bottoms);
  if (last) {
    last.x = half(total - last.width);
    last.y = bottom + 2 * GAP_Y;
    bottom = last.y + last.height;
  }
  return [total, bottom];
}

function way(box, number) {
  const [from, to, , shift] = box.f[number], target = box.children[to], column = box.columns[number];
  const x = target.x + half(target.width) + shift, y = target.y, source = box.children[from];
  const left = source ? source.x + half(source.width) : half(box.width), top = source ? source.y + source.height : 0;
  if (column !== undefined) return `M${left} ${top}C${left} ${top + 16} ${column} ${top} ${column} ${top + 18}V${y - 18}C${column} ${y} ${x} ${y - 16} ${x} ${y}`;
  if (box.tops.has(to)) {
    const start = from === SOURCE ? HEADER : top, bottom = Math.min(y, start + 2 * GAP_Y), middle = half(start + bottom);
    return `M${left} ${top}C${left} ${middle} ${x} ${middle} ${x} ${bottom}${y > bottom ? `V${y}` : ""}`;
  }
  const bottom = Math.max(top, y - 2 * GAP_Y);
  return `M${left} ${top}${bottom > top ? `V${bottom}` : ""}C${left} ${y} ${x} ${bottom} ${x} ${y}`;
}

function draw(box) {
  box.g.setAttribute("transform", `translate(${box.x} ${box.y})`);
  box.rect.setAttribute("width", box.width);
  box.rect.setAttribute("height", box.height);
  box.g.classList.toggle("folded", box.folded);
  box.toggle?.setAttribute("aria-expanded", !box.folded);
  if (box.folded) return;
  box.bands.forEach((band, number) => band.setAttribute("d", way(box, number)));
  box.children.forEach(draw);
}

function drawMap() {
  const [root] = boxes, svg = $("#map");
  place(root);
  root.x = root.y = 0;
  draw(root);
  svg.setAttribute("width", root.width + 2);
  svg.setAttribute("height", root.height + 2);
  svg.setAttribute("viewBox", `-1 -1 ${root.width + 2} ${root.height + 2}`);
  colour();
}

// The most that a box has which is shown as one has all the colour.
function colour() {
  const metric = data.metrics.find((one) => one.name === $("#metric").value);
  if (!metric) return;
  const whole = boxes.filter((box) => (box.folded || !box.children.length) && !isInside(box, (outer) => outer.folded));
  const largest = Math.max(...whole.map((box) => valueOf(box, metric)));
  whole.forEach((box) => { box.g.style.setProperty("--t", Math.sqrt(valueOf(box, metric) / (largest || 1)).toFixed(2)); });
  $("#most").textContent = `${metric.label} ${quantity(largest, metric.unit)}`;
}

function valueOf(box, metric) {
  if (box.m) return metric.name === "macs" ? box.m : 0;
  const values = rowsOf(box).map((row) => metric.values[row]);
  return metric.sum ? values.reduce((sum, one) => sum + one, 0) : values.length ? values[values.length - 1] : 0;
}

function setUpMap() {
  boxes.forEach((box) => {
    const title = $(":scope > title", box.link);
    box.link.dataset.facts = title.textContent;
    box.link.setAttribute("aria-label", title.textContent.replaceAll("\n", ", "));
    if (!box.link.hasAttribute("href")) box.link.setAttribute("tabindex", 0);
    title.remove();
    if (box.children.length && box.number) addToggle(box);
  });
  const show = (event) => {
    const link = event.target.closest(".b");
    if (!link) return;
    const [name, ...lines] = link.dataset.facts.split("\n");
    const heading = document.createElement("h3"), list = document.createElement("ul");
    heading.textContent = name;
    list.append(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
    $("#facts").replaceChildren(heading, list);
  };
  $("#map").addEventListener("pointerover", show);
  $("#map").addEventListener("focusin", show);
  $("#metric").addEventListener("change", colour);
  onClick("#unfold", () => foldAll(() => false));
  onClick("#fold", () => foldAll((box) => box.number > 0 && box.children.length > 0));
  foldAll(startsFolded());
  const pane = $("#map").parentElement;
  pane.scrollLeft = (pane.scrollWidth - pane.clientWidth) / 2;
}
const onClick = (selector, action) => $(selector).addEventListener("click", action);

function addToggle(box) {
  const g = svgElement("g", { class: "t", role: "button", tabindex: 0, transform: "translate(3 3)" });
  g.append(svgElement("rect", { width: 16, height: 16 }), svgElement("path", { d: "M3 5h10l-5 6z" }));
  g.setAttribute("aria-label", `Boxes in ${box.link.dataset.facts.split("\n")[0].replace(/, [^,]*$/, "")}`);
  onPress(g, () => { box.folded = !box.folded; drawMap(); });
  box.toggle = g;
  box.link.after(g);
}

function foldAll(isFolded) {
  boxes.forEach((box) => { box.folded = isFolded(box); });
  drawMap();
}

// A net that is large starts with one of each run of equal modules unfolded, a very large one with none.
function startsFolded() {
  const leaves = boxes.filter((box) => !box.children.length).length;
  if (leaves <= data.most_boxes) return () => false;
  const first = new Set();
  boxes.forEach((box) => box.children.forEach((child, number) => {
    if (child.kind !== box.children[number - 1]?.kind) first.add(child);
  }));
  const alike = (box) => box.number > 0 && box.children.length > 0 && !first.has(box);
  const shown = boxes.filter((box) => !box.children.length && !isInside(box, alike)).length;
  return shown <= data.most_boxes ? alike : (box) => box.number > 0 && box.children.length > 0;
}
boxes.forEach((box) => { box.kind = `${box.children.length} ${$(":scope > title", box.link).textContent.split("\n")[0].split(", ").pop()}`; });
function isInside(box, test) {
  for (let outer = box.parent; outer; outer = outer.parent) if (test(outer)) return true;
  return false;
}

// The table of layers
const table = $("#layers");
let values = Object.fromEntries((data.metrics || []).map((metric) => [metric.name, metric]));
const rowNumber = (row) => Number(row.id.slice(1));
function exact(row, name) {
  const metric = values[name];
  if (!metric) return null;
  const rows = row.classList.contains("l") ? [rowNumber(row)] : row.dataset.rows.split(" ").map(Number);
  const numbers = rows.map((one) => metric.values[one]);
  return metric.sum ? numbers.reduce((sum, one) => sum + one, 0) : numbers[numbers.length - 1];
}

// Buttons in the heads of a table, which sort its rows: numbers from the largest, words from the first, then back again.
function makeSortable(element, sort) {
  const heads = $$("thead th", element);
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => {
      const orders = ["ascending", "descending"], before = head.getAttribute("aria-sort");
      if (isNumeric(head)) orders.reverse();
      const order = orders[orders.indexOf(before) + 1];
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (order) head.setAttribute("aria-sort", order);
      sort(column);
    });
    head.append(button);
  });
  $$("tbody tr", element).forEach((row, place) => { row.dataset.place = place; });
}
const isNumeric = (head) => head.matches(".n, [data-name]");
// The order of two rows by what a column has, from the head that sorts.
function comparing(element, column, keyOf) {
  const head = $$("thead th", element)[column], order = head.getAttribute("aria-sort");
  const sign = order === "descending" ? -1 : 1, inPlace = (a, b) => a.dataset.place - b.dataset.place;
  if (!order) return inPlace;
  return (a, b) => {
    const [first, second] = [keyOf(a), keyOf(b)];
    return sign * (typeof first === "number" ? first - second : first.localeCompare(second, undefined, { numeric: true })) || inPlace(a, b);
  };
}

function setUpTable() {
  const heads = $$("thead th", table);
  makeSortable(table, sortBy);
  $$("tr.mod, tr.br", table).forEach((row) => {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "fold" });
    button.setAttribute("aria-expanded", true);
    button.setAttribute("aria-label", `Layers of ${$("th", row).textContent.trim() || row.cells[row.cells.length - 1].textContent.trim()}`);
    button.addEventListener("click", () => { setFold(row, button.getAttribute("aria-expanded") === "true"); show(); });
    $("th", row).prepend(button);
  });
  table.addEventListener("pointerover", (event) => {
    const cell = event.target.closest("td.n, td.g"), row = cell?.parentElement;
    if (!cell || cell.title || !row.matches(".l, .mod, .br")) return;
    const number = exact(row, heads[cell.cellIndex].dataset.name);
    if (number !== null) cell.title = number.toLocaleString("en", { maximumFractionDigits: 6 });
  });
  $("#filter").addEventListener("input", show);
  onClick("#table-fold", () => foldTable(true));
  onClick("#table-unfold", () => foldTable(false));
  if (data.rows > data.most_rows) foldTable(true);
}

const setFold = (row, isFolded) => $(".fold", row).setAttribute("aria-expanded", !isFolded);
const isFolded = (row) => $(".fold", row)?.getAttribute("aria-expanded") === "false";
function foldTable(isFolded) {
  $$("tr.mod", table).forEach((row) => setFold(row, isFolded));
  if (!isFolded) $$("tr.br", table).forEach((row) => setFold(row, false));
  show();
}

// A layer is found by its whole path, its branch, and what stands in its cells.
function textOf(row, head) {
  const [name, ...cells] = [...row.cells].map((cell) => cell.textContent);
  row.text ??= [`${head.cells[0].textContent.trim()}.${name}`, row.dataset.branch, ...cells].join(" ").toLowerCase();
  return row.text;
}

function show() {
  const words = $("#filter").value.toLowerCase().split(/\s+/).filter(Boolean), isOnly = $("#changed")?.checked;
  let count = 0;
  $$("tbody", table).forEach((body) => {
    let inModule = 0, branch = null, inBranch = 0;
    const endBranch = () => { if (branch) branch.hidden = !inBranch || (!words.length && isFolded(body.rows[0])); };
    for (const row of body.rows) {
      if (row.classList.contains("br")) { endBranch(); branch = row; inBranch = 0; }
      if (!row.classList.contains("l")) continue;
      if (row.dataset.branch !== branch?.dataset.branch) { endBranch(); branch = null; }
      const text = textOf(row, body.rows[0]), matches = words.every((word) => text.includes(word)) && !(isOnly && row.dataset.change === "unchanged");
      row.hidden = !matches || (!words.length && (isFolded(body.rows[0]) || (branch !== null && isFolded(branch))));
      inBranch += matches; inModule += matches;
    }
    endBranch();
    body.hidden = !inModule;
    count += inModule;
  });
  $("#count").textContent = words.length || isOnly ? `${count} of ${data.rows} layers` : "";
}

function sortBy(column) {
  const name = $$("thead th", table)[column].dataset.name;
  const compare = comparing(table, column, (row) => name in values ? exact(row, name) : row.cells[column].textContent.trim());
  const bodies = $$("tbody", table);
  bodies.forEach((body) => sortModule(body, compare));
  bodies.sort((a, b) => compare(a.rows[0], b.rows[0]));
  table.append(...bodies);
}

function sortModule(body, compare) {
  const [head, ...rows] = body.rows, groups = new Map();
  rows.forEach((row) => {
    const name = row.dataset.branch;
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(row);
  });
  const sorted = [...groups.values()].map((group) => {
    const [first, ...others] = group;
    return first.classList.contains("br") ? [first, ...others.sort(compare)] : group.sort(compare);
  });
  sorted.sort((a, b) => compare(a[0], b[0]));
  body.append(head, ...sorted.flat());
}

// Links lead to rows that may be folded away
function reveal() {
  const row = document.getElementById(location.hash.slice(1));
  if (!row?.closest("#layers")) return;
  $("#filter").value = "";
  const body = row.closest("tbody");
  setFold(body.rows[0], false);
  if (row.dataset.branch) $$("tr.br", body).filter((one) => one.dataset.branch === row.dataset.branch).forEach((one) => setFold(one, false));
  show();
  row.scrollIntoView({ block: "center" });
}

// Tables in which each row stands for itself
$$("table.sortable").forEach((element) => makeSortable(element, (column) => {
  const isNumber = isNumeric($$("thead th", element)[column]);
  const textOf = (cell) => isNumber ? Number.parseFloat((cell.title || cell.textContent).replaceAll(",", "")) || 0 : cell.textContent.trim();
  element.tBodies[0].append(...[...element.tBodies[0].rows].sort(comparing(element, column, (row) => textOf(row.cells[column]))));
}));

if (boxes.length) setUpMap();
if (table) setUpTable();
addEventListener("hashchange", reveal);
// a second click on a link changes no address, but the row may have been folded away in between
addEventListener("click", (event) => { if (event.target.closest("a")?.getAttribute("href") === location.hash) reveal(); });
reveal();
