"use strict";
// Draws what the page's data describes: pictures as SVG with values under the pointer, and the runs as a
// table that filters, sorts and draws what is ticked.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const NS = "http://www.w3.org/2000/svg";
function node(name, attributes = {}, ...children) {
  const made = name.startsWith("svg:") ? document.createElementNS(NS, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) continue;
    if (key === "style") made.style.cssText = value; else made.setAttribute(key, value);
  }
  for (const child of children) made.append(child);
  return made;
}
const MARKS = { ok: "", spike: "⚡", unfinished: "…", stuck: "□", collapsed: "▽", diverged: "↗", non_finite: "✕" };
const WORDS = { ok: "trained", spike: "trained, with spikes", non_finite: "not finite" };
const word = (mark) => WORDS[mark] || mark;
function digits(x) {
  if (x === null || x === undefined || !Number.isFinite(x)) return "–";
  if (x === 0) return "0";
  const size = Math.abs(x);
  return size >= 1e-3 && size < 1e6 ? String(Number(x.toPrecision(4))) : x.toExponential(2);
}

// ---- what the pointer is on
const tip = byId("tip");
function say(event, text) {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8)) + "px";
  tip.style.top = Math.max(4, Math.min(event.clientY + 16, innerHeight - box.height - 8)) + "px";
}
const hush = () => { tip.hidden = true; };

// ---- scales
function scaled(axis, values, from, to) {
  const log = axis.scale !== "linear";
  const usable = values.filter((v) => Number.isFinite(v) && (!log || v > 0));
  let [low, high] = axis.range || [Math.min(...usable), Math.max(...usable)];
  if (!usable.length && !axis.range) [low, high] = log ? [1, 10] : [0, 1];
  const forth = log ? Math.log : (v) => v;
  let [a, b] = [forth(low), forth(high)];
  if (a === b) { const room = log ? 0.7 : Math.abs(a) / 2 || 1; a -= room; b += room; }
  else if (!axis.range) { const room = 0.04 * (b - a); a -= room; b += room; }
  const at = (v) => from + ((forth(v) - a) / (b - a)) * (to - from);
  const back = log ? Math.exp : (v) => v;
  return { at, ticks: ticks(axis.scale, back(a), back(b)), holds: (v) => Number.isFinite(v) && (!log || v > 0) };
}
function ticks(scale, low, high) {
  const found = [];
  if (scale === "log2") {
    const every = Math.max(1, Math.ceil(Math.log2(high / low) / 8));
    for (let e = Math.ceil(Math.log2(low) - 1e-9); 2 ** e <= high * (1 + 1e-9); e += every) found.push(2 ** e);
    if (found.length > 1) return found;
  }
  if (scale !== "linear") {
    const decades = Math.log10(high / low);
    const every = Math.max(1, Math.ceil(decades / 8));
    for (let e = Math.floor(Math.log10(low)); 10 ** e <= high * (1 + 1e-9); e += every)
      for (const m of decades < 3 ? [1, 3] : [1]) {
        const v = m * 10 ** e;
        if (v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9)) found.push(v);
      }
    if (found.length > 1) return found;
    found.length = 0;
  }
  const raw = (high - low) / 5, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  for (let i = Math.ceil(low / step); i * step <= high * (1 + 1e-12); i += 1) found.push(i * step);
  return found;
}

// ---- lines
const SHAPES = {
  circle: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0", square: "M-4-4h8v8h-8z", diamond: "M0-5.5 5.5 0 0 5.5-5.5 0z",
  up: "M0-5 5 4h-10z", pentagon: "M0-5 4.8-1.5 3 4h-6L-4.8-1.5z", star: "M0-6 1.6-2 6-2 2.4.8 3.8 5 0 2.4-3.8 5-2.4.8-6-2-1.6-2z",
  plus: "M-1.5-5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5v-3h3.5z", left: "M-5 0 4-5v10z", bar: "M-1.5-5h3v10h-3z", bow: "M-5-4 5 4v-8l-10 8z",
};
let clips = 0;
function lines(panel, hidden) {
  // Text keeps its size on a narrow screen.
  const W = Math.max(300, Math.min(620, document.documentElement.clientWidth - 30));
  const [H, left, right, top, bottom] = [Math.max(250, 0.61 * W), 62, 14, 14, 46];
  const shown = panel.series.filter((s) => !hidden.has(s.label));
  const all = shown.flatMap((s) => s.points);
  const ys = all.map((p) => p[1]).concat(shown.flatMap((s) => s.band.flatMap((b) => [b[1], b[2]])), panel.references.map((r) => r.value));
  const x = scaled(panel.x, all.map((p) => p[0]), left, W - right);
  const y = scaled(panel.y, ys, H - bottom, top);
  const id = "clip" + (clips += 1);
  const svg = node("svg:svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${panel.title} ${panel.y.label} over ${panel.x.label}` });
  svg.append(node("svg:clipPath", { id }, node("svg:rect", { x: left, y: top, width: W - left - right, height: H - top - bottom })));
  for (const t of x.ticks) {
    svg.append(node("svg:line", { class: "grid", x1: x.at(t), x2: x.at(t), y1: top, y2: H - bottom }));
    svg.append(node("svg:text", { x: x.at(t), y: H - bottom + 16, "text-anchor": "middle" }, digits(t)));
  }
  for (const t of y.ticks) {
    svg.append(node("svg:line", { class: "grid", x1: left, x2: W - right, y1: y.at(t), y2: y.at(t) }));
    svg.append(node("svg:text", { x: left - 6, y: y.at(t) + 4, "text-anchor": "end" }, digits(t)));
  }
  svg.append(node("svg:path", { class: "axis", fill: "none", d: `M${left} ${top}V${H - bottom}H${W - right}` }));
  svg.append(node("svg:text", { x: (left + W - right) / 2, y: H - 8, "text-anchor": "middle", class: "name" }, panel.x.label));
  const body = node("svg:g", { "clip-path": `url(#${id})` });
  svg.append(body);
  for (const r of panel.references) {
    body.append(node("svg:line", { class: "reference", x1: left, x2: W - right, y1: y.at(r.value), y2: y.at(r.value) }));
    body.append(node("svg:text", { x: left + 6, y: y.at(r.value) - 4 }, r.label));
  }
  const spots = [];
  for (const s of shown) {
    const style = `--c:${s.colour}`;
    const band = s.band.filter((b) => x.holds(b[0]) && y.holds(b[1]) && y.holds(b[2]));
    if (band.length > 1) {
      const there = band.map((b) => `${x.at(b[0])} ${y.at(b[2])}`);
      const back = band.map((b) => `${x.at(b[0])} ${y.at(b[1])}`).reverse();
      body.append(node("svg:path", { class: "band", style, d: `M${there.join("L")}L${back.join("L")}Z` }));
    }
    let path = "", open = false;
    for (const p of s.points) {
      const ok = x.holds(p[0]) && y.holds(p[1]);
      if (ok) { path += `${open ? "L" : "M"}${x.at(p[0]).toFixed(1)} ${y.at(p[1]).toFixed(1)}`; spots.push([x.at(p[0]), y.at(p[1]), s, p]); }
      open = ok;
    }
    if (s.stroke !== "none") body.append(node("svg:path", { class: "s", style, d: path, "stroke-dasharray": s.dash.map((d) => d / 2).join(" ") || null }));
    if (s.markers && s.points.length <= 60)
      for (const p of s.points) if (x.holds(p[0]) && y.holds(p[1]))
        body.append(node("svg:path", { class: "f", style, d: SHAPES[s.marker], transform: `translate(${x.at(p[0])} ${y.at(p[1])})` }));
    const last = s.points.filter((p) => x.holds(p[0]) && y.holds(p[1])).pop();
    if (last && s.end && MARKS[s.end]) body.append(node("svg:text", { class: "name", x: x.at(last[0]) - 12, y: y.at(last[1]) - 6 }, MARKS[s.end]));
  }
  const ring = node("svg:circle", { r: 6, class: "axis", fill: "none", visibility: "hidden" });
  svg.append(ring);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const [px, py] = [((event.clientX - box.left) * W) / box.width, ((event.clientY - box.top) * H) / box.height];
    let best = null, least = 40 * 40;
    for (const spot of spots) {
      const d = (spot[0] - px) ** 2 + (spot[1] - py) ** 2;
      if (d < least) [best, least] = [spot, d];
    }
    if (!best) { ring.setAttribute("visibility", "hidden"); return hush(); }
    ring.setAttribute("cx", best[0]); ring.setAttribute("cy", best[1]); ring.setAttribute("visibility", "visible");
    const band = best[2].band.find((b) => b[0] === best[3][0]);
    const spread = band ? ` (${digits(band[1])} – ${digits(band[2])})` : "";
    say(event, `${best[2].label}\n${panel.x.label} ${digits(best[3][0])}\n${panel.y.label} ${digits(best[3][1])}${spread}`);
  });
  svg.addEventListener("pointerleave", () => { ring.setAttribute("visibility", "hidden"); hush(); });
  return svg;
}
function swatch(s) {
  const style = `--c:${s.colour}`;
  const svg = node("svg:svg", { viewBox: "0 0 34 12", "aria-hidden": "true" });
  if (s.stroke !== "none") svg.append(node("svg:path", { class: "s", style, d: "M1 6H33", "stroke-dasharray": s.dash.map((d) => d / 2).join(" ") || null }));
  if (s.markers) svg.append(node("svg:path", { class: "f", style, d: SHAPES[s.marker], transform: "translate(17 6)" }));
  return svg;
}
function panels(figure, host) {
  const hidden = new Set(), grid = node("div", { class: "panels" }), legend = node("ul", { class: "legend" });
  const draw = () => grid.replaceChildren(...figure.panels.map((panel) =>
    node("div", {}, node("h3", {}, panel.title), node("p", { class: "sub" }, panel.y.label), lines(panel, hidden))));
  const known = new Set();
  for (const s of figure.panels.flatMap((p) => p.series)) {
    if (known.has(s.label)) continue;
    known.add(s.label);
    const button = node("button", { type: "button", "aria-pressed": "true" }, swatch(s), s.label);
    button.addEventListener("click", () => {
      if (!hidden.delete(s.label)) hidden.add(s.label);
      button.setAttribute("aria-pressed", String(!hidden.has(s.label)));
      draw();
    });
    legend.append(node("li", {}, button));
  }
  draw();
  host.append(grid, legend);
}

// ---- tables of cells
const VIRIDIS = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37]];
function viridis(t) {
  const at = Math.max(0, Math.min(1, t)) * (VIRIDIS.length - 1), i = Math.min(VIRIDIS.length - 2, Math.floor(at));
  return VIRIDIS[i].map((v, k) => Math.round(v + (at - i) * (VIRIDIS[i + 1][k] - v)));
}
function maps(figure, host) {
  const row = node("div", { class: "maps" });
  const good = figure.maps.flatMap((m) => m.cells).filter((c) => c.ground === "coloured").map((c) => c.value);
  const scale = scaled({ ...figure.value, range: null }, good, 0, 1);
  for (const map of figure.maps) {
    const names = Math.min(210, 14 + 7 * Math.max(map.row_label.length, ...map.rows.map((r) => r.length)));
    const size = map.columns.length > 16 ? 20 : 64, height = map.rows.length > 16 ? 14 : 36;
    const slant = size < 7 * Math.max(...map.columns.map((c) => c.length));
    const head = slant ? Math.min(150, 24 + 5 * Math.max(...map.columns.map((c) => c.length))) : 40;
    const [W, H] = [names + size * map.columns.length + (slant ? 60 : 8), head + height * map.rows.length + 8];
    const svg = node("svg:svg", { viewBox: `0 0 ${W} ${H}`, width: W, height: H, role: "img", "aria-label": `${map.title} ${map.row_label} by ${map.column_label}` });
    svg.append(node("svg:text", { x: names, y: 14 }, map.column_label), node("svg:text", { x: names - 8, y: head - 8, "text-anchor": "end" }, map.row_label));
    map.columns.forEach((c, i) => {
      const [x, y] = [names + size * (i + 0.5), head - 8];
      svg.append(node("svg:text", slant ? { class: "name", x: x - 4, y, transform: `rotate(-40 ${x - 4} ${y})` } : { class: "name", x, y, "text-anchor": "middle" }, c));
    });
    map.rows.forEach((r, i) => svg.append(node("svg:text", { class: "name", x: names - 8, y: head + height * (i + 0.5) + 4, "text-anchor": "end" }, r)));
    for (const cell of map.cells) {
      const [x, y] = [names + size * cell.column, head + height * cell.row];
      const rgb = cell.ground === "coloured" && scale.holds(cell.value) ? viridis(scale.at(cell.value)) : null;
      const fill = rgb ? `rgb(${rgb})` : cell.ground === "pale" ? "var(--panel)" : "var(--grid)";
      const rect = node("svg:rect", { x: x + 1, y: y + 1, width: size - 2, height: height - 2, fill, stroke: rgb ? "none" : "var(--line)" });
      svg.append(rect);
      const mark = cell.mark ? MARKS[cell.mark] : "";
      const text = [mark, size > 30 ? digits(cell.value) : ""].filter((t) => t && t !== "–").join(" ");
      const dark = rgb && 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] < 140;
      const ink = rgb ? (dark ? "#fff" : "#111") : "var(--soft)";
      if (text && height > 16) svg.append(node("svg:text", { x: x + size / 2, y: y + height / 2 + 4, "text-anchor": "middle", style: `fill:${ink};pointer-events:none` }, text));
      const count = cell.count ? `\n${cell.count[0]} of ${cell.count[1]} train` : "";
      const how = cell.mark ? `\n${word(cell.mark)}` : "";
      rect.addEventListener("pointermove", (event) => say(event, `${map.row_label} ${map.rows[cell.row] || ""}\n${map.column_label} ${map.columns[cell.column] || ""}\n${figure.value.label} ${digits(cell.value)}${how}${count}`));
      rect.addEventListener("pointerleave", hush);
    }
    row.append(node("div", {}, node("h3", {}, map.title), svg));
  }
  host.append(row);
  const used = [...new Set(figure.maps.flatMap((m) => m.cells).map((c) => c.mark).filter((m) => m && m !== "ok"))];
  const key = used.map((m) => `${MARKS[m]} ${word(m)}`).join("   ");
  host.append(node("p", { class: "sub" }, `Colour: ${figure.value.label}; grey cells ${figure.hatched}. ${key}`));
}

// ---- the page
byId("subtitle").textContent = data.subtitle;
for (const finding of data.findings) byId("findings").append(node("li", {}, finding));
for (const v of data.verdicts)
  byId("verdicts").append(node("div", { class: `verdict ${v.verdict}` }, node("p", {}, node("b", {}, v.verdict.replace("_", " ").toUpperCase()), ` ${v.statement}`),
    node("p", { class: "sub" }, `${v.source ? v.source + ". " : ""}Measured: ${v.measured}. Another verdict would need ${v.would_change}.`)));
for (const figure of data.figures) {
  const host = node("article", {}, node("h2", {}, figure.title), node("p", { class: "sub" }, figure.subtitle));
  (figure.kind === "maps" ? maps : panels)(figure, host);
  for (const note of figure.notes) host.append(node("p", { class: "sub" }, note));
  byId("figures").append(host);
}

// ---- runs
const columns = data.fields.map((f) => ({ name: f, of: (r) => r.values[f] }))
  .concat([{ name: "seed", of: (r) => r.seed }, { name: "outcome", of: (r) => word(r.outcome) }, { name: "held-out loss", of: (r) => r.val },
    { name: "training loss", of: (r) => r.loss }, { name: "steps", of: (r) => r.steps }, { name: "seconds", of: (r) => r.seconds }]);
const numeric = columns.map((c) => data.runs.every((r) => c.of(r) === null || !Number.isNaN(Number(c.of(r)))));
let order = null, rising = true;
const ticked = new Set();
const thead = byId("table").tHead, tbody = byId("table").tBodies[0];
thead.append(node("tr", {}, node("th", {}), ...columns.map((c, i) => {
  const button = node("button", { type: "button" }, c.name);
  button.addEventListener("click", () => { rising = order === i ? !rising : true; order = i; rows(); });
  return node("th", { class: numeric[i] ? "n" : null }, button);
}), node("th", {}, node("button", { type: "button", disabled: "" }, "command"))));
const colours = ["#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9", "#882255", "#000000", "#3c3096", "#707070"];
function visible() {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const holds = (r) => words.every((w) => {
    const [field, value] = w.split("=");
    const column = value !== undefined && columns.find((c) => c.name === field);
    return column ? String(column.of(r)).toLowerCase() === value : r.text.includes(w);
  });
  const found = data.runs.filter(holds);
  if (order !== null) {
    const of = columns[order].of, number = numeric[order];
    const value = (r) => { const v = of(r); return number ? (v === null ? Infinity : Number(v)) : String(v); };
    found.sort((a, b) => { const [x, y] = [value(a), value(b)]; return (x < y ? -1 : x > y ? 1 : a.at - b.at) * (rising ? 1 : -1); });
  }
  return found;
}
function rows() {
  const found = visible();
  [...thead.rows[0].cells].forEach((th, i) => {
    if (i - 1 === order && order !== null) th.setAttribute("aria-sort", rising ? "ascending" : "descending"); else th.removeAttribute("aria-sort");
  });
  tbody.replaceChildren(...found.map((r) => {
    const box = node("input", { type: "checkbox", "aria-label": `draw run ${r.at + 1}` });
    box.checked = ticked.has(r.at);
    box.addEventListener("change", () => { if (box.checked) ticked.add(r.at); else ticked.delete(r.at); curves(); });
    const copy = node("button", { type: "button", title: r.command }, "copy");
    copy.addEventListener("click", () => {
      const done = () => { copy.textContent = "copied"; setTimeout(() => { copy.textContent = "copy"; }, 1200); };
      if (navigator.clipboard) navigator.clipboard.writeText(r.command).then(done, () => prompt("command", r.command)); else prompt("command", r.command);
    });
    return node("tr", {}, node("td", {}, box), ...columns.map((c, i) => node("td", { class: numeric[i] ? "n" : null }, typeof c.of(r) === "number" ? digits(c.of(r)) : String(c.of(r) ?? "–"))), node("td", {}, copy));
  }));
  byId("count").textContent = `${found.length} of ${data.runs.length} runs`;
}
function curves() {
  const chosen = data.runs.filter((r) => ticked.has(r.at)).slice(0, 40);
  const name = (r) => `${r.label} seed ${r.seed}`;
  const series = (of) => chosen.map((r, i) => ({ label: name(r), colour: colours[i % 10], dash: i < 10 ? [] : [10, 6], marker: "circle", stroke: "styled", points: of(r), band: [], markers: of(r).length < 30, end: r.outcome }));
  const one = (title, of) => ({ title, x: { label: "step", scale: "linear", range: null }, y: { label: data.unit, scale: "linear", range: null }, references: [], series: series(of) });
  byId("curves").replaceChildren();
  if (chosen.length) panels({ panels: [one("training loss", (r) => r.curve), one("held-out loss", (r) => r.held)] }, byId("curves"));
}
byId("filter").addEventListener("input", rows);
byId("tick").addEventListener("click", () => { visible().forEach((r) => ticked.add(r.at)); rows(); curves(); });
byId("untick").addEventListener("click", () => { ticked.clear(); rows(); curves(); });
byId("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
rows();

// ---- #check: the page tries itself, for a test that drives it in a browser
if (location.hash === "#check") {
  const results = [];
  const expect = (what, holds) => results.push(`${holds ? "ok" : "FAILED"} ${what}`);
  const begun = performance.now();
  expect("every figure is drawn", document.querySelectorAll("#figures svg").length >= data.figures.length);
  expect("every run is listed", tbody.rows.length === data.runs.length);
  const first = data.runs[0];
  byId("filter").value = `seed=${first.seed}`;
  byId("filter").dispatchEvent(new Event("input"));
  const same = data.runs.filter((r) => r.seed === first.seed).length;
  expect("a filter keeps what it names", tbody.rows.length === same);
  byId("filter").value = "";
  byId("filter").dispatchEvent(new Event("input"));
  const loss = columns.findIndex((c) => c.name === "held-out loss");
  thead.rows[0].cells[loss + 1].firstChild.click();
  const sorted = [...tbody.rows].map((row) => { const t = row.cells[loss + 1].textContent; return t === "–" ? Infinity : Number(t); });
  expect("a head sorts", sorted.every((v, i) => i === 0 || sorted[i - 1] <= v));
  const box = tbody.rows[0].cells[0].firstChild;
  box.click();
  expect("a tick draws the run", document.querySelectorAll("#curves svg .s").length >= 1);
  byId("tick").click();
  byId("untick").click();
  expect("nothing ticked, nothing drawn", byId("curves").children.length === 0);
  const svg = document.querySelector("#figures .panels > div > svg");
  if (svg) {
    const at = svg.getBoundingClientRect();
    let said = false;
    for (let x = 0; x < at.width && !said; x += 8) for (let y = 0; y < at.height && !said; y += 8) {
      svg.dispatchEvent(new PointerEvent("pointermove", { clientX: at.left + x, clientY: at.top + y }));
      said = !tip.hidden && tip.textContent.includes("\n");
    }
    expect("the pointer tells a value", said);
  }
  expect("nothing is wider than the page", document.documentElement.scrollWidth <= innerWidth + 1);
  byId("theme").click();
  expect("the theme changes", ["light", "dark"].includes(document.documentElement.dataset.theme));
  document.body.append(node("pre", { id: "checked" }, `${results.join("\n")}\n${Math.round(performance.now() - begun)} ms`));
}
