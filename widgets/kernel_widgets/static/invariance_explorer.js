// Walk through a transformation: what does the network say at each step, and what moves?
//
// Everything is precomputed. The model brings one block of bytes (`atlas`), where its arrays lie
// (`atlas_layout`), and the texts (`meta`); after that neither a kernel nor a network is needed.
// The page is made of parts (slider, images, matrix, curves). A part is a function of the app that
// returns {node, refresh}; refresh(state) redraws what depends on the state.
// common.js stands before this text.

const PLAY_MS = 260;
const PAGE_STEPS = 5;

// The same stops as in invariance_explorer.py.
const VIRIDIS = [
  "#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30",
  "#fde725",
];

const KEYS = [
  ["→ ←", "one step up, one step down"],
  ["↑ ↓", "move the step it is compared with"],
  ["PageUp PageDown", "five steps"],
  ["Home End", "first step, last step"],
  ["I", "back to the untouched images"],
  ["M", "next matrix"],
  ["Space", "play or pause"],
  ["?", "this list"],
];
const HELP_NOTE = "Click or drag in the matrix to choose two steps, or in the curves.";

// ---------------------------------------------------------------- small helpers


// ---------------------------------------------------------------- data


function readData(model) {
  const arrays = readArrays(model.get("atlas"), model.get("atlas_layout"));
  const meta = model.get("meta");
  const [, , height, width] = arrays.pictures.shape;
  return {
    ...meta,
    width,
    height,
    last: meta.steps.length - 1,
    picture: (image, step) => block(arrays.pictures, image, step),
    classes: (image, step) => block(arrays.top_classes, image, step),
    shares: (image, step) => block(arrays.top_shares, image, step),
    cells: (matrix) => block(arrays.values, matrix),
    difference: (matrix, a, b) => block(arrays.values, matrix, a)[b],
  };
}

// ---------------------------------------------------------------- state

const STATE_NAMES = ["step", "other", "matrix", "playing"];

function normalise(state, data) {
  const known = data.matrices.some(({ name }) => name === state.matrix);
  return {
    ...state,
    step: clamp(state.step, 0, data.last),
    other: clamp(state.other, 0, data.last),
    matrix: known ? state.matrix : data.matrices[0].name,
  };
}

function createStore(model, data, onChange) {
  const first = { step: data.identity, other: data.identity, matrix: "", playing: false };
  const read = STATE_NAMES.map((name) => [name, model.get(name) ?? first[name]]);
  const tidy = (state) => normalise(state, data);
  const start = { ...Object.fromEntries(read), playing: false };
  return makeStore(model, STATE_NAMES, start, tidy, onChange);
}

// ---------------------------------------------------------------- colours

function palette(stops) {
  const colours = stops.map((stop) => [1, 3, 5].map((i) => parseInt(stop.slice(i, i + 2), 16)));
  const table = new Uint8ClampedArray(256 * 3);
  for (let level = 0; level < 256; level += 1) {
    const position = (level / 255) * (stops.length - 1);
    const left = Math.min(Math.floor(position), stops.length - 2);
    for (let channel = 0; channel < 3; channel += 1) {
      const [from, to] = [colours[left][channel], colours[left + 1][channel]];
      table[3 * level + channel] = Math.round(from + (position - left) * (to - from));
    }
  }
  return table;
}

const COLOURS = palette(VIRIDIS);

function paint(canvas, width, height, colourOf) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    picture.data.set(colourOf(pixel), 4 * pixel);
    picture.data[4 * pixel + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

// ---------------------------------------------------------------- parts

function headPart({ data }) {
  const { status, headline, probability } = data.verdict;
  const { sign, word } = STATUS[status];
  const chance = probability === null ? null : h(
    "p", { class: "kw-quiet" },
    `Assessor without labels: ${percent(probability)} likely to be invariant`,
  );
  const node = h(
    "header", { class: "ki-head" },
    h("h2", { class: "ki-title" }, data.title),
    h("p", {}, h("span", { class: `ki-status ki-${status}` }, `${sign} ${word}`), ` ${headline}`),
    chance,
  );
  return { node, refresh: () => {} };
}

function sliderPart(app) {
  const { data } = app;
  const input = h("input", {
    type: "range", min: 0, max: data.last, step: 1, class: "ki-range",
    "aria-label": data.title,
    oninput: () => app.update({ step: Number(input.value), playing: false }),
  });
  const play = h("button", {
    class: "ki-button", onclick: () => app.update({ playing: !app.state.playing }),
  });
  const now = h("span", { class: "ki-now", "aria-hidden": "true" });
  const ends = [0, data.identity, data.last].filter((step, i, all) => all.indexOf(step) === i);
  const ticks = ends.map((step) => {
    const place = `left:calc(8px + (100% - 16px) * ${step / data.last})`;
    const words = step === data.identity ? `${data.steps[step].label} untouched` : data.steps[step].label;
    const edge = step === 0 ? "ki-left" : step === data.last ? "ki-right" : "";
    return h("button", {
      class: `ki-tick ${edge}`, style: place, tabindex: -1, onclick: () => app.update({ step }),
    }, words);
  });
  const node = h(
    "div", { class: "ki-slider" },
    play, now,
    h("div", { class: "ki-track" }, input, h("div", { class: "ki-ticks" }, ticks)),
    h("button", { class: "ki-button", "aria-label": "Keys", onclick: () => openHelp(app) }, "?"),
  );
  const refresh = (state) => {
    input.value = state.step;
    input.setAttribute("aria-valuetext", stepWords(app, state.step));
    now.textContent = data.steps[state.step].label;
    play.textContent = state.playing ? "❚❚" : "▶";
    play.setAttribute("aria-label", state.playing ? "Pause" : "Play");
  };
  return { node, refresh };
}

function stepWords({ data }, step) {
  const accuracy = data.curves.find(({ name }) => name === "accuracy");
  const parts = [step === data.identity ? "untouched" : data.steps[step].label];
  if (accuracy) parts.push(`accuracy ${Math.round(100 * accuracy.values[step])} percent`);
  return parts.join(", ");
}

function imagesPart(app) {
  const cards = range(app.data.images.length).map((image) => imageCard(app, image));
  const count = h("p", { class: "kw-quiet", "aria-live": "polite", role: "status" });
  const node = h(
    "section", { class: "ki-images", "aria-label": "Images at this step" },
    h("h3", { class: "ki-subtitle" }, "What the network says"),
    count,
    h("div", { class: "ki-grid" }, cards.map((card) => card.node)),
  );
  const refresh = (state) => {
    const changed = cards.filter((card) => card.show(state.step)).length;
    const label = app.data.steps[state.step].label;
    count.textContent = state.step === app.data.identity
      ? `${cards.length} images as they are; the first ones change most`
      : `At ${label}, ${changed} of these ${cards.length} images have another class than untouched`;
  };
  return { node, refresh };
}

function imageCard({ data }, image) {
  const canvas = h("canvas", { class: "ki-picture", role: "img" });
  const { label } = data.images[image];
  const truth = label === null ? "" : `is ${label}`;
  const bars = range(data.shares(image, 0).length).map(() => bar());
  const node = h(
    "figure", { class: "ki-card" },
    canvas,
    h("figcaption", {}, h("span", { class: "ki-truth" }, truth), bars.map((one) => one.node)),
  );
  const show = (step) => {
    const pixels = data.picture(image, step);
    paint(canvas, data.width, data.height, (pixel) => pixels.subarray(3 * pixel, 3 * pixel + 3));
    const classes = data.classes(image, step);
    const first = data.classes(image, data.identity)[0];
    const changed = classes[0] !== first;
    node.classList.toggle("ki-changed", changed);
    bars.forEach((one, rank) =>
      one.show(data.class_names[classes[rank]], data.shares(image, step)[rank], changed && !rank));
    const said = `${data.class_names[classes[0]]}, ${percent(data.shares(image, step)[0])}`;
    const was = changed ? `, untouched ${data.class_names[first]}` : "";
    canvas.setAttribute("aria-label", `Image ${image + 1} ${truth}: ${said}${was}`);
    return changed;
  };
  return { node, show };
}

function bar() {
  const name = h("span", { class: "ki-bar-name" });
  const share = h("span", { class: "ki-bar-share" });
  const length = h("span", { class: "ki-bar-length" });
  const node = h("span", { class: "ki-bar" }, length, name, share);
  const show = (text, value, changed) => {
    name.textContent = changed ? `≠ ${text}` : text;
    share.textContent = Math.round(100 * value);
    length.style.width = percent(value).replace(" ", "");
  };
  return { node, show };
}

function matrixPart(app) {
  const { data } = app;
  const canvas = h("canvas", {
    class: "ki-matrix-picture", role: "img",
    onpointerdown: (event) => {
      canvas.setPointerCapture(event.pointerId);
      pick(event);
    },
    onpointermove: (event) => canvas.hasPointerCapture(event.pointerId) && pick(event),
  });
  const choice = h(
    "select", {
      class: "ki-select", "aria-label": "Matrix",
      onchange: () => app.update({ matrix: choice.value }),
    },
    data.matrices.map(({ name, title }) => h("option", { value: name }, title)),
  );
  const across = h("div", { class: "ki-cross-x" });
  const up = h("div", { class: "ki-cross-y" });
  const value = h("p", { class: "ki-value" });
  const top = h("span", {});
  const ramp = h(
    "div", { class: "ki-ramp-row" }, "0",
    h("span", { class: "ki-ramp", style: `background:linear-gradient(90deg,${VIRIDIS.join(",")})` }),
    top,
  );
  const labels = [0, data.identity, data.last].map((step) => data.steps[step].label);
  const node = h(
    "section", { class: "ki-matrix", "aria-label": "Variance matrix" },
    h("div", { class: "ki-matrix-head" },
      h("h3", { class: "ki-subtitle" }, "Any two steps compared"), choice),
    h("div", { class: "ki-frame" }, canvas, across, up),
    h("div", { class: "ki-ends" },
      labels.filter((label, i) => labels.indexOf(label) === i).map((label) => h("span", {}, label))),
    ramp, value,
  );

  function pick(event) {
    const box = canvas.getBoundingClientRect();
    const size = data.last + 1;
    const column = Math.floor(((event.clientX - box.left) / box.width) * size);
    const row = Math.floor(((box.bottom - event.clientY) / box.height) * size);
    app.update({ step: column, other: row, playing: false });
    event.preventDefault();
  }
  let painted = "";
  const refresh = (state) => {
    const index = data.matrices.findIndex(({ name }) => name === state.matrix);
    if (painted !== state.matrix) {
      top.textContent = paintMatrix(canvas, data, index);
      painted = state.matrix;
    }
    choice.value = state.matrix;
    const share = (step) => `${(100 * (step + 0.5)) / (data.last + 1)}%`;
    across.style.bottom = share(state.other);
    up.style.left = share(state.step);
    const [a, b] = [state.step, state.other].map((step) => data.steps[step].label);
    const number = data.difference(index, state.step, state.other).toFixed(3);
    const same = data.plateau[state.step] === data.plateau[state.other] && state.step !== state.other;
    value.textContent = `${a} and ${b}: ${number}${same ? " (the same pixels)" : ""}`;
    canvas.setAttribute("aria-label", `${data.matrices[index].title}: ${value.textContent}`);
  };
  return { node, refresh };
}

function paintMatrix(canvas, data, index) {
  const size = data.last + 1;
  const cells = data.cells(index);
  const most = Math.max(0.15, ...cells); // a calm network looks calm
  paint(canvas, size, size, (pixel) => {
    const row = size - 1 - Math.floor(pixel / size);
    const level = Math.round((255 * cells[row * size + (pixel % size)]) / most);
    return COLOURS.subarray(3 * level, 3 * level + 3);
  });
  return most.toFixed(2);
}

function curvesPart(app) {
  const { data } = app;
  const [width, height, left, bottom] = [420, 190, 34, 24];
  const x = (step) => left + ((width - left - 8) * step) / data.last;
  const y = (value) => 8 + (height - bottom - 8) * (1 - value);
  const line = (values) => values.map((value, step) => `${step ? "L" : "M"}${x(step)} ${y(value)}`).join("");
  const cursor = s("line", { class: "ki-cursor", y1: 8, y2: height - bottom });
  const curves = data.curves.map((curve, index) => s(
    "g", { class: `ki-curve ki-colour-${index}` },
    curve.low ? s("path", {
      class: "ki-ribbon",
      d: `${line(curve.high)}${range(data.last + 1).reverse().map((step) => `L${x(step)} ${y(curve.low[step])}`).join("")}Z`,
    }) : null,
    s("path", { class: "ki-line", d: line(curve.values) }),
  ));
  const dots = data.curves.map((_, index) => s("circle", { class: `ki-dot ki-colour-${index}`, r: 4 }));
  const guides = [0, 0.5, 1].map((value) => s(
    "g", { class: "ki-guide" },
    s("line", { x1: left, x2: width - 8, y1: y(value), y2: y(value) }),
    s("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, String(value)),
  ));
  const names = [0, data.identity, data.last].filter((step, i, all) => all.indexOf(step) === i).map(
    (step) => s("text", {
      class: "ki-x-name", x: x(step), y: height - 6,
      "text-anchor": step === 0 ? "start" : step === data.last ? "end" : "middle",
    }, data.steps[step].label));
  const svg = s(
    "svg", { viewBox: `0 0 ${width} ${height}`, class: "ki-svg", role: "img",
      "aria-label": `Curves over ${data.title}: ${data.curves.map(({ title }) => title).join(", ")}` },
    guides, names, curves, cursor, dots,
  );
  const go = (event) => {
    const box = svg.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * width;
    const step = Math.round(((place - left) / (width - left - 8)) * data.last);
    app.update({ step: clamp(step, 0, data.last), playing: false });
  };
  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    go(event);
  });
  svg.addEventListener("pointermove", (event) => svg.hasPointerCapture(event.pointerId) && go(event));
  const numbers = data.curves.map(() => h("b", {}));
  const keys = data.curves.map(({ title }, index) => h(
    "li", {}, h("span", { class: `ki-key ki-colour-${index}` }), `${title} `, numbers[index]));
  const node = h(
    "section", { class: "ki-curves", "aria-label": "Curves" },
    h("h3", { class: "ki-subtitle" }, "Over all images"), svg, h("ul", { class: "ki-legend" }, keys),
  );
  const refresh = (state) => {
    cursor.setAttribute("x1", x(state.step));
    cursor.setAttribute("x2", x(state.step));
    data.curves.forEach(({ values }, index) => {
      dots[index].setAttribute("cx", x(state.step));
      dots[index].setAttribute("cy", y(values[state.step]));
      numbers[index].textContent = percent(values[state.step]);
    });
  };
  return { node, refresh };
}

function footPart({ data }) {
  const words = data.words.map((sentence) => h("p", {}, sentence));
  const notes = data.notes.map((sentence) => h("p", { class: "kw-quiet" }, sentence));
  return { node: h("footer", { class: "kw-foot" }, words, notes), refresh: () => {} };
}

// ---------------------------------------------------------------- help and keyboard

function onKey(app, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || app.help.open) return;
  if (event.target.closest("select")) return;
  if (event.key === " " && event.target.closest("button")) return;
  const action = keyAction(app, event.key);
  if (!action) return;
  event.preventDefault();
  event.stopPropagation();
  action();
}

function keyAction(app, key) {
  const { state, data } = app;
  const by = (amount) => () => app.update({ step: clamp(state.step + amount, 0, data.last) });
  const compare = (amount) => () => app.update({ other: clamp(state.other + amount, 0, data.last) });
  const place = data.matrices.findIndex(({ name }) => name === state.matrix);
  const actions = {
    ArrowRight: by(1), ArrowLeft: by(-1), PageUp: by(PAGE_STEPS), PageDown: by(-PAGE_STEPS),
    Home: by(-data.last), End: by(data.last), ArrowUp: compare(1), ArrowDown: compare(-1),
    i: () => app.update({ step: data.identity, other: data.identity }),
    m: () => app.update({ matrix: data.matrices[(place + 1) % data.matrices.length].name }),
    " ": () => app.update({ playing: !state.playing }),
    "?": () => openHelp(app),
  };
  return actions[key.length === 1 ? key.toLowerCase() : key];
}

// ---------------------------------------------------------------- entry

function render({ model, el }) {
  const root = addRoot(el, "kernel-invariance");
  const data = readData(model);
  let timer = 0;
  let parts = [];
  const store = createStore(model, data, (state, before) => {
    parts.forEach((part) => part.refresh(state));
    if (state.playing !== before.playing) play(state.playing);
  });
  const app = {
    data, root, help: helpDialog(KEYS, HELP_NOTE), update: store.update,
    get state() {
      return store.state;
    },
  };
  const play = (on) => {
    clearInterval(timer);
    const forward = () => app.update({ step: (app.state.step + 1) % (data.last + 1) });
    timer = on ? setInterval(forward, PLAY_MS) : 0;
  };
  const [head, slider, images, matrix, curves, foot] = [
    headPart, sliderPart, imagesPart, matrixPart, curvesPart, footPart,
  ].map((part) => part(app));
  parts = [head, slider, images, matrix, curves, foot];
  root.append(h(
    "div", { class: "kw-page ki-page" },
    head.node, slider.node,
    h("div", { class: "ki-body" }, images.node, h("div", { class: "ki-side" }, matrix.node, curves.node)),
    foot.node, app.help,
  ));
  parts.forEach((part) => part.refresh(store.state));
  const listener = (event) => onKey(app, event);
  root.addEventListener("keydown", listener);
  return () => {
    clearInterval(timer);
    store.dispose();
    root.removeEventListener("keydown", listener);
    root.remove();
  };
}

export default { render };
