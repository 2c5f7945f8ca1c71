"use strict";
// Draws the plots in the page's colours, sorts and filters tables, and marks the section in view.

const root = document.documentElement;

// --- plots -------------------------------------------------------------------------------------

const COLOUR = /^var\((--[a-z0-9-]+)\)$/;

function themed(node, key, styles) {
  if (Array.isArray(node)) return node.map((item) => themed(item, key, styles));
  if (node && typeof node === "object") {
    return Object.fromEntries(Object.entries(node).map(([name, value]) => [name, themed(value, name, styles)]));
  }
  if (key !== "color" || typeof node !== "string") return node;
  const found = COLOUR.exec(node);
  return found ? styles.getPropertyValue(found[1]).trim() : node;
}

function template(styles) {
  const get = (name) => styles.getPropertyValue(name).trim();
  const axis = { gridcolor: get("--grid"), linecolor: get("--edge"), tickcolor: get("--edge"), title: { standoff: 8 } };
  return {
    layout: {
      font: { family: get("--sans"), size: 12.5, color: get("--ink") },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      hoverlabel: {
        align: "left",
        bgcolor: get("--raised"),
        bordercolor: get("--edge"),
        font: { family: get("--sans"), size: 12.5, color: get("--ink") },
      },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: get("--edge"), activecolor: get("--link") },
      xaxis: { ...axis, showline: true },
      yaxis: { ...axis },
    },
  };
}

const BUTTONS = [["toImage", "zoom2d", "pan2d", "resetScale2d"]]; // none that leaves this page
const coarse = matchMedia("(pointer: coarse)").matches;
const specs = new Map();

function draw(plot, width) {
  if (!specs.has(plot)) specs.set(plot, JSON.parse(plot.querySelector("script").textContent));
  const spec = specs.get(plot);
  const styles = getComputedStyle(root);
  const layout = themed(spec.layout, "layout", styles);
  layout.template = template(styles);
  layout.dragmode = coarse ? false : "zoom"; // a finger scrolls the page
  if (width) Object.assign(layout, { width, height: layout.height ?? 300, autosize: false });
  const hidden = hiddenGroups(plot);
  const data = themed(spec.data, "data", styles).map((trace) => ({ ...trace, visible: !hidden.has(trace.legendgroup) }));
  const config = { responsive: true, displaylogo: false, displayModeBar: coarse ? false : "hover", modeBarButtons: BUTTONS };
  const canvas = plot.querySelector(".canvas");
  const done = Plotly.react(canvas, data, layout, config);
  plot.dataset.drawn = "yes";
  return done;
}

function hiddenGroups(plot) {
  const buttons = plot.closest("figure").querySelectorAll(".legend button[aria-pressed=false]");
  return new Set([...buttons].map((button) => button.dataset.group));
}

const plots = [...document.querySelectorAll(".plot")];

function drawWaiting() {
  const next = plots.find((plot) => !plot.dataset.drawn);
  if (!next) {
    root.dataset.drawn = "all";
    return;
  }
  draw(next);
  setTimeout(drawWaiting, 0);
}

if (typeof Plotly === "undefined") {
  for (const plot of plots) plot.querySelector(".canvas").textContent = "plotly.min.js is missing beside this page; the table holds the numbers.";
} else {
  drawWaiting();
  const redraw = (width) => plots.forEach((plot) => draw(plot, width));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
  addEventListener("beforeprint", () => {
    root.classList.add("printing");
    redraw(640);
  });
  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    redraw();
  });
}

for (const button of document.querySelectorAll(".legend button")) {
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    for (const plot of button.closest("figure").querySelectorAll(".plot[data-drawn]")) draw(plot);
  });
}

// --- tables ------------------------------------------------------------------------------------

function key(row, column) {
  return row.cells[column].dataset.sort;
}

function compare(one, other) {
  if (one === other) return 0;
  const [a, b] = [toNumber(one), toNumber(other)];
  if (Number.isNaN(a) || Number.isNaN(b)) return one.localeCompare(other, "en", { numeric: true });
  return a < b ? -1 : a > b ? 1 : 0;
}

function toNumber(text) {
  if (text === "inf") return Infinity;
  return text === "-inf" ? -Infinity : Number(text);
}

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", direction);
      const sign = direction === "ascending" ? 1 : -1;
      const rows = [...body.rows].sort((one, other) => {
        const [a, b] = [key(one, column), key(other, column)];
        if (a === "" || b === "") return (a === "") - (b === ""); // what has no value stays last
        return sign * compare(a, b);
      });
      body.append(...rows);
    });
  });
  if (body.rows.length > 12) addFilter(table, body);
}

function addFilter(table, body) {
  const label = document.createElement("label");
  label.className = "filter";
  const input = Object.assign(document.createElement("input"), { type: "search", placeholder: "relu batch …" });
  const shown = document.createElement("output");
  const rows = [...body.rows];
  const update = () => {
    const terms = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const cells = [...row.cells].map((cell) => cell.textContent.toLowerCase());
      row.hidden = !terms.every((term) => cells.some((cell) => cell.includes(term)));
    }
    shown.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  };
  input.addEventListener("input", update);
  label.append("Filter rows ", input, shown);
  table.parentElement.before(label);
  update();
}

// --- navigation --------------------------------------------------------------------------------

const links = new Map([...document.querySelectorAll("nav li a")].map((link) => [link.hash.slice(1), link]));
const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      const link = links.get(target.id);
      link.setAttribute("aria-current", "true");
      const strip = link.closest("ul");
      strip.scrollTo({ left: link.offsetLeft - strip.clientWidth / 3 });
    }
  },
  { rootMargin: "-20% 0px -70% 0px" },
);
for (const id of links.keys()) {
  const target = document.getElementById(id);
  if (target) watcher.observe(target);
}
