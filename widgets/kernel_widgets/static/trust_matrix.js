// Explore a trust matrix: which tasks can be read off networks that were not trained for them?
//
// Everything is precomputed. The model brings one block of floats (`atlas`), where its arrays lie
// (`atlas_layout`), and the texts (`meta`); after that no kernel is needed. The page is made of
// parts (header, maps, card, curve). A part is a function of the app that returns {node, refresh}.
// common.js stands before this text.

const STATE_NAMES = ["layer", "probe", "score", "primary", "task"];
const LISTS = {
  layer: "layers", probe: "probes", score: "scores", primary: "primaries", task: "tasks",
};
const SIGNIFICANCE = 0.05;

// The same stops as in trust_matrix.py.
const CIVIDIS = ["#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838"];
const LEAKS = ["#0a3f78", "#3f84c4", "#a9cdea", "#f7f7f5", "#f8c48e", "#dd7a22", "#8a3200"];

const KEYS = [
  ["↑ ↓ ← →", "another cell"],
  ["[ ]", "previous, next layer"],
  ["P", "next probe"],
  ["S", "next score"],
  ["?", "this list"],
];

// ---------------------------------------------------------------- small helpers


function number(value, digits = 2) {
  if (!Number.isFinite(value)) return "–";
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

const signed = (value) => (value >= 0 && Number.isFinite(value) ? `+${number(value)}` : number(value));
const between = (low, high) => `[${number(low)}, ${number(high)}]`;

function channels(stop) {
  return [1, 3, 5].map((start) => parseInt(stop.slice(start, start + 2), 16));
}

/** The colour at a place from 0 to 1 along evenly spaced stops, as three bytes. */
function colourAt(stops, share) {
  const place = clamp(share, 0, 1) * (stops.length - 1);
  const left = Math.min(Math.floor(place), stops.length - 2);
  const [from, to] = [channels(stops[left]), channels(stops[left + 1])];
  return from.map((value, channel) => Math.round(value + (place - left) * (to[channel] - value)));
}

/** Black or white, whichever can be read on the colour (WCAG relative luminance). */
function inkOn(rgb) {
  const linear = rgb.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return light > 0.179 ? "#000000" : "#ffffff";
}

// ---------------------------------------------------------------- data and state

/** Each array as a function of its indices. */
function readValues(model) {
  const arrays = Object.entries(readArrays(model.get("atlas"), model.get("atlas_layout")));
  return Object.fromEntries(
    arrays.map(([name, array]) => [name, (...indices) => at(array, ...indices)]),
  );
}

function createStore(model, meta, onChange) {
  const most = (name) => meta[LISTS[name]].length - 1;
  const tidy = (state) =>
    Object.fromEntries(STATE_NAMES.map((name) => [name, clamp(state[name] || 0, 0, most(name))]));
  const first = Object.fromEntries(STATE_NAMES.map((name) => [name, model.get(name)]));
  return makeStore(model, STATE_NAMES, first, tidy, onChange);
}

// ---------------------------------------------------------------- parts

function headerPart(app) {
  const { meta } = app;
  const { sign, word } = STATUS[meta.verdict.status];
  const readouts = ["trust", "preservation", "leakage"].map((name) => readout(app, name));
  const sentence = h("p", { class: "kw-quiet kt-sentence" });
  const node = h(
    "header",
    { class: "kt-header" },
    h(
      "div",
      { class: "kt-words" },
      h("p", { class: "kt-title" }, meta.title),
      h("h2", { class: "kt-lead" }, "What can be read off networks that were never asked to know it?"),
      h(
        "p",
        { class: `kt-verdict kt-${meta.verdict.status}` },
        h("span", { class: "kt-mark" }, `${sign} ${word}`),
        ` ${meta.verdict.headline}`,
      ),
    ),
    h(
      "div",
      { class: "kt-scores" },
      h("div", { class: "kt-readouts" }, readouts.map((each) => each.node)),
      sentence,
    ),
  );
  return {
    node,
    refresh() {
      readouts.forEach((each) => each.refresh());
      sentence.textContent = meta.scores[app.state.score].sentence;
    },
  };
}

function readout(app, name) {
  const value = h("span", { class: "kt-number" });
  const ends = h("span", { class: "kw-quiet" });
  const title = { trust: "trust", preservation: "own task kept", leakage: "others leaked" }[name];
  const node = h(
    "div",
    { class: "kt-readout", "data-readout": name },
    h("span", { class: "kw-quiet" }, title),
    value,
    ends,
  );
  return {
    node,
    refresh() {
      const { layer, probe, score } = app.state;
      const read = (end) => app.arrays[`${name}${end}`](layer, probe, score, 0);
      value.textContent = number(read(""));
      ends.textContent = between(read("_low"), read("_high"));
    },
  };
}

function toolbarPart(app) {
  const menus = ["layer", "probe", "score"].map((name) => menu(app, name));
  const help = h(
    "button",
    { class: "kw-button", type: "button", "aria-label": "Keys", onclick: () => openHelp(app) },
    h("kbd", {}, "?"),
  );
  return {
    node: h("div", { class: "kt-toolbar" }, menus.map((each) => each.node), help),
    refresh: () => menus.forEach((each) => each.refresh()),
  };
}

function menu(app, name) {
  const titles = {
    layer: (entry) => `${entry.name} (${entry.size.toLocaleString("en")} features)`,
    probe: (entry) => entry.title,
    score: (entry) => entry.title,
  };
  const options = app.meta[LISTS[name]].map((entry, index) =>
    h("option", { value: index }, titles[name](entry)),
  );
  const select = h(
    "select",
    { class: "kt-menu", onchange: () => app.update({ [name]: Number(select.value) }) },
    options,
  );
  const label = name[0].toUpperCase() + name.slice(1);
  return {
    node: h("label", { class: "kt-label" }, label, select),
    refresh: () => (select.value = String(app.state[name])),
  };
}

const MAPS = {
  accuracy: {
    title: "Read off the networks",
    value: (app, row, column) => app.cell("accuracy", row, column),
    colour: (value) => colourAt(CIVIDIS, value),
    text: number,
  },
  ideal: {
    title: "Ideal",
    value: (app, row, column) => app.arrays.ideal(row, column),
    colour: (value) => colourAt(CIVIDIS, value),
    text: number,
  },
  difference: {
    title: "Difference",
    value: (app, row, column) => app.cell("accuracy", row, column) - app.arrays.ideal(row, column),
    colour: (value) => colourAt(LEAKS, 0.5 + value / 2),
    text: signed,
  },
};

function mapsPart(app) {
  const maps = Object.keys(MAPS).map((name) => heatMap(app, name));
  return {
    node: h("div", { class: "kt-maps" }, maps.map((each) => each.node)),
    refresh: () => maps.forEach((each) => each.refresh()),
    focus: () => maps[0].focus(),
  };
}

function heatMap(app, name) {
  const { meta } = app;
  const map = MAPS[name];
  const head = h(
    "tr",
    {},
    h("td", { class: "kt-corner" }),
    meta.tasks.map((task) => h("th", { scope: "col" }, h("span", {}, task.name))),
  );
  const cells = [];
  const rows = meta.primaries.map((primary, row) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, primary),
      meta.tasks.map((task, column) => {
        const choose = () => app.update({ primary: row, task: column });
        const button = h("button", { class: "kt-cell", type: "button", onclick: choose });
        if (name === "accuracy") button.addEventListener("focus", choose);
        cells.push({ button, row, column, primary, task: task.name });
        return h("td", {}, button);
      }),
    ),
  );
  const table = h(
    "table",
    { class: "kt-map", "aria-label": map.title, "data-map": name },
    h("thead", {}, head),
    h("tbody", {}, rows),
  );
  const current = () =>
    cells.find(({ row, column }) => row === app.state.primary && column === app.state.task);
  return {
    node: h("section", { class: "kt-map-box" }, h("h3", { class: "kt-subtitle" }, map.title), table),
    focus: () => current().button.focus({ preventScroll: true }),
    refresh: () => cells.forEach((cell) => refreshCell(app, name, cell)),
  };
}

function refreshCell(app, name, { button, row, column, primary, task }) {
  const map = MAPS[name];
  const value = map.value(app, row, column);
  const rgb = map.colour(Number.isFinite(value) ? value : 0);
  const isOwn = primary === task;
  const leaks = !isOwn && app.cell("p_holm", row, column) <= SIGNIFICANCE;
  const isCurrent = row === app.state.primary && column === app.state.task;
  button.style.backgroundColor = `rgb(${rgb.join(" ")})`;
  button.style.color = inkOn(rgb);
  button.textContent = map.text(value);
  button.classList.toggle("kt-current", isCurrent);
  button.classList.toggle("kt-own", isOwn);
  button.classList.toggle("kt-leak", leaks && name !== "ideal");
  button.tabIndex = isCurrent && name === "accuracy" ? 0 : -1;
  const star = leaks && name !== "ideal" ? ", significant leak" : "";
  button.setAttribute("aria-label", `${primary} tells ${task}: ${map.text(value)}${star}`);
  button.setAttribute("aria-pressed", String(isCurrent));
}

// The card: one cell, its interval, and everything it should be held against.

const MARKERS = [
  ["ideal", "ideal", "kt-ideal"],
  ["untrained", "untrained networks", "kt-untrained"],
  ["pixels", "raw pixels", "kt-pixels"],
  ["control_accuracy", "control task (memory alone)", "kt-control"],
];

function cardPart(app) {
  const title = h("h3", { class: "kt-subtitle" });
  const big = h("p", { class: "kt-big" });
  const scale = s("svg", { class: "kt-scale", viewBox: "0 0 300 52", role: "img" });
  const facts = h("dl", { class: "kt-facts" });
  const node = h(
    "section",
    { class: "kt-card", "aria-live": "polite" },
    title,
    big,
    scale,
    facts,
  );
  return {
    node,
    refresh() {
      const { primary, task } = app.state;
      const names = [app.meta.primaries[primary], app.meta.tasks[task].name];
      title.textContent = names[0] === names[1]
        ? `A network trained for ${names[0]} tells it`
        : `A network trained for ${names[0]} tells ${names[1]}`;
      big.replaceChildren(
        h("span", { class: "kt-number" }, number(app.cell("accuracy", primary, task))),
        h("span", { class: "kw-quiet" }, ` accuracy, 95 % interval ${cellEnds(app)}`),
      );
      drawScale(app, scale);
      facts.replaceChildren(...factRows(app));
    },
  };
}

function cellEnds(app) {
  const { primary, task } = app.state;
  return between(app.cell("low", primary, task), app.cell("high", primary, task));
}

function held(app, name) {
  const { primary, task } = app.state;
  return name === "ideal" ? app.arrays.ideal(primary, task) : app.cell(name, primary, task);
}

function drawScale(app, scale) {
  const { primary, task } = app.state;
  const x = (value) => 8 + 284 * clamp(value, 0, 1);
  const value = app.cell("accuracy", primary, task);
  const ends = [app.cell("low", primary, task), app.cell("high", primary, task)];
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((at) =>
    s(
      "g",
      {},
      s("line", { class: "kt-guide", x1: x(at), x2: x(at), y1: 8, y2: 32 }),
      s("text", { x: x(at), y: 48, "text-anchor": "middle" }, at.toString()),
    ),
  );
  const marks = MARKERS.filter(([name]) => Number.isFinite(held(app, name))).map(([name, , kind]) =>
    marker(kind, x(held(app, name))),
  );
  scale.replaceChildren(
    ...ticks,
    s("line", { class: "kt-interval", x1: x(ends[0]), x2: x(ends[1]), y1: 20, y2: 20 }),
    ...marks,
    s("rect", { class: "kt-here", x: x(value) - 4.5, y: 15.5, width: 9, height: 9 }),
  );
  scale.setAttribute("aria-label", `accuracy ${number(value)} on a scale from 0 to 1`);
}

function marker(kind, x) {
  const shapes = {
    "kt-ideal": `M${x} 9V31`,
    "kt-untrained": `M${x - 4.5} 20a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0`,
    "kt-pixels": `M${x - 4} 16l8 8m0-8l-8 8`,
    "kt-control": `M${x} 15l4.8 8.6h-9.6z`,
  };
  return s("path", { class: `kt-sign ${kind}`, d: shapes[kind] });
}

function factRows(app) {
  const { meta } = app;
  const { primary, task } = app.state;
  const target = meta.tasks[task];
  const isOwn = meta.primaries[primary] === target.name;
  const p = app.cell("p_holm", primary, task);
  const rows = MARKERS.map(([name, words, kind]) =>
    Number.isFinite(held(app, name))
      ? [words, number(held(app, name)), s("svg", { viewBox: "0 8 14 24", class: "kt-key" }, marker(kind, 7))]
      : null,
  );
  rows.push(
    ["way to certainty", `${Math.round(100 * app.cell("share", primary, task))} %`],
    ["images", `${target.num_images.toLocaleString("en")} of ${target.classes.length} classes`],
    ["chance", number(target.chance)],
    isOwn || !Number.isFinite(p) ? null : ["p, corrected", p < 0.001 ? "< 0.001" : number(p, 3)],
    ["usable information", `${number(app.cell("usable_bits", primary, task))} bits an image`],
  );
  return rows
    .filter((row) => row !== null)
    .map(([name, value, sign]) =>
      h("div", {}, h("dt", {}, sign ?? null, name), h("dd", {}, value)),
    );
}

// The curve: preservation and leakage over the layers; a click or a key moves the cursor.

const CURVE = { width: 560, height: 210, left: 34, right: 128, top: 12, bottom: 58 };

function curvePart(app) {
  const svg = s("svg", {
    class: "kt-curve",
    viewBox: `0 0 ${CURVE.width} ${CURVE.height}`,
    role: "slider",
    tabindex: 0,
    "aria-label": "Layer",
    "aria-valuemin": 0,
    "aria-valuemax": app.meta.layers.length - 1,
    onclick: (event) => app.update({ layer: nearestLayer(app, svg, event) }),
  });
  const title = h("h3", { class: "kt-subtitle" });
  return {
    node: h("section", { class: "kt-curve-box" }, title, svg),
    refresh() {
      title.textContent = "From input to output";
      svg.setAttribute("aria-valuenow", app.state.layer);
      svg.setAttribute("aria-valuetext", curveWords(app));
      svg.replaceChildren(...curveMarks(app));
    },
  };
}

function curveWords(app) {
  const { layer, probe, score } = app.state;
  const leakage = app.arrays.leakage(layer, probe, score, 0);
  return `${app.meta.layers[layer].name}, leakage ${number(leakage)}`;
}

function layerX(app, layer) {
  const count = app.meta.layers.length;
  const width = CURVE.width - CURVE.left - CURVE.right;
  return CURVE.left + (count === 1 ? width / 2 : (layer / (count - 1)) * width);
}

function nearestLayer(app, svg, event) {
  const box = svg.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * CURVE.width;
  const places = app.meta.layers.map((_, layer) => Math.abs(layerX(app, layer) - x));
  return places.indexOf(Math.min(...places));
}

function curveMarks(app) {
  const { meta, arrays } = app;
  const { layer, probe, score } = app.state;
  const y = (value) => CURVE.top + (1 - value) * (CURVE.height - CURVE.top - CURVE.bottom);
  const layers = range(meta.layers.length);
  const read = (name) => layers.map((each) => arrays[name](each, probe, score, 0));
  const path = (values) =>
    values.map((value, each) => `${each ? "L" : "M"}${layerX(app, each)} ${y(value)}`).join("");
  const area = (low, high) =>
    `${path(high)}${layers.map((each) => layers.length - 1 - each)
      .map((each) => `L${layerX(app, each)} ${y(low[each])}`).join("")}Z`;

  const guides = [0, 0.5, 1].map((at) =>
    s(
      "g",
      {},
      s("line", { class: "kt-guide", x1: CURVE.left, x2: layerX(app, layers.length - 1), y1: y(at), y2: y(at) }),
      s("text", { x: CURVE.left - 8, y: y(at) + 4, "text-anchor": "end" }, at.toString()),
    ),
  );
  const step = Math.ceil(layers.length / 9);
  const names = layers.filter((each) => each % step === 0 || each === layer).map((each) =>
    s(
      "text",
      {
        class: each === layer ? "kt-tick kt-now" : "kt-tick",
        transform: `translate(${layerX(app, each) + 4} ${CURVE.height - CURVE.bottom + 14}) rotate(-32)`,
        "text-anchor": "end",
      },
      shortName(meta.layers[each].name),
    ),
  );
  const series = [
    ["untrained_leakage", "kt-line-untrained", "others, untrained"],
    ["preservation", "kt-line-own", "own task kept"],
    ["leakage", "kt-line-leak", "others leaked"],
  ].filter(([name]) => read(name).every(Number.isFinite));
  const drawn = series.flatMap(([name, kind]) => [
    s("path", { class: `kt-band ${kind}`, d: area(read(`${name}_low`), read(`${name}_high`)) }),
    s("path", { class: `kt-line ${kind}`, d: path(read(name)) }),
    s("circle", { class: `kt-dot ${kind}`, cx: layerX(app, layer), cy: y(read(name)[layer]), r: 4.5 }),
  ]);
  const cursor = s("line", {
    class: "kt-cursor", x1: layerX(app, layer), x2: layerX(app, layer), y1: CURVE.top - 6,
    y2: CURVE.height - CURVE.bottom,
  });
  return [...guides, ...names, cursor, ...drawn, ...endLabels(app, series, y)];
}

function shortName(name) {
  const last = name.split("/").pop();
  return last.length > 16 ? `${last.slice(0, 15)}…` : last;
}

/** The names of the lines at their right ends, moved apart where they would touch. */
function endLabels(app, series, y) {
  const last = app.meta.layers.length - 1;
  const { probe, score } = app.state;
  const labels = series
    .map(([name, kind, words]) => ({ kind, words, y: y(app.arrays[name](last, probe, score, 0)) }))
    .sort((one, two) => one.y - two.y);
  labels.forEach((label, index) => {
    if (index) label.y = Math.max(label.y, labels[index - 1].y + 15);
  });
  return labels.map(({ kind, words, y: place }) =>
    s("text", { class: `kt-end ${kind}`, x: layerX(app, last) + 12, y: place + 4 }, words),
  );
}

function footer({ meta }) {
  const runs = meta.num_runs > 1 ? `, means over ${meta.num_runs} runs` : "";
  const made = `Features: ${meta.reduction}. Ideal: ${meta.ideal_kind}${runs}. ★ a significant leak.`;
  return h(
    "footer",
    { class: "kw-foot kw-quiet" },
    [made, ...meta.words].map((sentence) => h("p", {}, sentence)),
  );
}

// ---------------------------------------------------------------- keys

function onKey(app, event) {
  if (event.altKey || event.ctrlKey || event.metaKey || app.help.open) return;
  const { layer, probe, score, primary, task } = app.state;
  const isMenu = event.target.tagName === "SELECT";
  const onCurve = event.target.classList?.contains("kt-curve");
  const count = (name) => app.meta[LISTS[name]].length;
  const cells = {
    ArrowUp: { primary: primary - 1 }, ArrowDown: { primary: primary + 1 },
    ArrowLeft: { task: task - 1 }, ArrowRight: { task: task + 1 },
  };
  const layers = {
    ArrowUp: { layer: layer + 1 }, ArrowDown: { layer: layer - 1 },
    ArrowLeft: { layer: layer - 1 }, ArrowRight: { layer: layer + 1 },
    Home: { layer: 0 }, End: { layer: count("layer") - 1 },
  };
  const others = {
    "[": { layer: layer - 1 }, "]": { layer: layer + 1 },
    p: { probe: (probe + 1) % count("probe") }, s: { score: (score + 1) % count("score") },
  };
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const patch = others[key] ?? (onCurve ? layers[key] : cells[key]);
  if (isMenu && !(key in others)) return;
  if (key === "?") openHelp(app);
  else if (!patch) return;
  else {
    app.update(patch);
    if (key in cells && !onCurve) app.maps.focus();
  }
  event.preventDefault();
  event.stopPropagation();
}

// ---------------------------------------------------------------- the app

function createApp(model, root) {
  const meta = model.get("meta");
  const arrays = readValues(model);
  const app = {
    root,
    meta,
    arrays,
    parts: [],
    get state() {
      return app.store.state;
    },
    cell: (name, row, column) => arrays[name](app.state.layer, app.state.probe, row, column),
    update: (patch) => app.store.update(patch),
  };
  app.store = createStore(model, meta, () => app.parts.forEach((part) => part.refresh()));
  const made = {
    header: headerPart(app), toolbar: toolbarPart(app), maps: mapsPart(app),
    card: cardPart(app), curve: curvePart(app),
  };
  app.parts = Object.values(made);
  app.maps = made.maps;
  app.help = helpDialog(KEYS);
  root.replaceChildren(
    h(
      "div",
      { class: "kw-page kt-page" },
      made.header.node,
      made.toolbar.node,
      made.maps.node,
      h("div", { class: "kt-under" }, made.card.node, made.curve.node),
      footer(app),
      app.help,
    ),
  );
  app.parts.forEach((part) => part.refresh());
  root.addEventListener("keydown", (event) => onKey(app, event));
  return app;
}

function render({ model, el }) {
  const root = addRoot(el, "kernel-trust");
  const app = createApp(model, root);
  return () => {
    app.store.dispose();
    root.remove();
  };
}

export default { render };
