// Step through a saliency cascade: which maps change when the network is destroyed?
//
// Everything is precomputed. The model brings one block of bytes (`atlas`), where its arrays lie
// (`atlas_layout`), and the texts (`meta`); after that neither a kernel nor a network is needed.
// The page is made of parts (strip, slider, grid, curves, ...). A part is a function of the app
// that returns {node, refresh}; refresh(state, before) redraws what depends on the state.
// common.js stands before this text.

const IMAGES_PER_PAGE = 4;
const FADE_MS = 120;
const PLAY_MS = 1000;
const PAGE_STEPS = 3;

// One entry for each of TESTS in frames.py; a test holds the two equal.
const TESTS = {
  cascade: {
    tab: "Cascade",
    state: "random",
    icon: "dice",
    verb: "randomised",
    lead: "Destroy the network block by block. Which maps do not notice?",
  },
  smooth: {
    tab: "Smooth cascade",
    state: "random",
    icon: "dice",
    verb: "randomised",
    lead: "Destroy the network block by block, from the input up. Which maps do not notice?",
  },
  independent: {
    tab: "Independent",
    state: "random",
    icon: "dice",
    verb: "randomised",
    lead: "Destroy one block at a time. Which maps do not notice?",
  },
  full: {
    tab: "All at once",
    state: "random",
    icon: "dice",
    verb: "randomised",
    lead: "Destroy the whole network at once. Which maps do not notice?",
  },
  noise: {
    tab: "Noise",
    state: "noisy",
    icon: "wave",
    verb: "",
    lead: "Add noise to the weights. Which maps change as much as the network does?",
  },
  labels: {
    tab: "Labels",
    state: "taught random labels",
    icon: "shuffle",
    verb: "",
    lead: "A second network learned random labels. Which maps look the same?",
  },
  random_logit: {
    tab: "Other classes",
    state: "explained for another class",
    icon: "shuffle",
    verb: "",
    lead: "Explain another class of the same network. Which maps do not notice?",
  },
};

// The same stops as in palettes.py.
const MAGMA = [
  "#000004",
  "#1d1147",
  "#51127c",
  "#832681",
  "#b73779",
  "#e75263",
  "#fc8961",
  "#fec488",
  "#fcfdbf",
];
const DIVERGING = ["#0a3f78", "#3f84c4", "#a9cdea", "#f7f7f5", "#f8c48e", "#dd7a22", "#8a3200"];

const ICONS = {
  dice:
    "M3 1h10a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2H3a2 2 0 0 1-2-2V3a2 2 0 0 1 2-2zm0 1.5v11h10v-11z" +
    "M4 4h2.4v2.4H4zM9.6 4H12v2.4H9.6zM6.8 6.8h2.4v2.4H6.8zM4 9.6h2.4V12H4zM9.6 9.6H12V12H9.6z",
  wave:
    "M1 8c1.2-6 3-6 4.4-1 .9 3.4 1.6 3.4 2.6 0C9.4 2 11.6 2 15 8l-1.4.8" +
    "C11 4 10.4 4 9.4 7.6c-1.4 5-4 5-5.4 0C3.4 5.6 3 6 2.5 8.5z",
  shuffle:
    "M10.5 2L14.5 5l-4 3V6H9L5.5 11H1V9.5h3.7L8.2 4.5h2.3zM1 4.5h3.8l1 1.5" +
    "-.9 1.2L4 6H1zM10.5 9.5V8l4 3-4 3v-2H8.2L7 10.3l.9-1.3.9 1z",
  play: "M4 2.5v11l9-5.5z",
  pause: "M4 2.5h3v11H4zM9 2.5h3v11H9z",
  previous: "M10.5 2.5L5 8l5.5 5.5 1.2-1.2L7.4 8l4.3-4.3z",
  next: "M5.5 2.5L4.3 3.7 8.6 8l-4.3 4.3 1.2 1.2L11 8z",
  save: "M7.2 1.5h1.6v6.7l2.5-2.5 1.1 1.1L8 11.2 3.6 6.8l1.1-1.1 2.5 2.5zM2.5 12.9h11v1.6h-11z",
  eye:
    "M8 3c3.4 0 6 2.3 7.2 5-1.2 2.7-3.8 5-7.2 5S2 10.7.8 8C2 5.3 4.6 3 8 3zm0 1.5" +
    "C5.5 4.5 3.5 6 2.5 8c1 2 3 3.5 5.5 3.5S12.5 10 13.5 8c-1-2-3-3.5-5.5-3.5zm0 1.3" +
    "a2.2 2.2 0 1 1 0 4.4 2.2 2.2 0 0 1 0-4.4z",
  pass: "M6.3 12.6L1.9 8.2l1.3-1.3 3.1 3.1 6.5-6.6 1.3 1.3z",
  warning: "M8 1.5L15.3 14H.7zM7.2 6v4h1.6V6zm0 5v1.5h1.6V11z",
  fail:
    "M3.5 2.2L8 6.7l4.5-4.5 1.3 1.3L9.3 8l4.5 4.5-1.3 1.3L8 9.3l-4.5 4.5-1.3-1.3" +
    "L6.7 8 2.2 3.5z",
  undetermined: "M2 7.2h12v1.6H2z",
};

const FLAGS = {
  "x input": {
    sign: "×",
    words: "multiplied by the input, so the input shows whatever the weights",
  },
  stochastic: {
    sign: "≈",
    words: "uses random noise; its dashed line is the method against itself",
  },
  control: { sign: "", words: "a control that does not look at the network as a method should" },
};

const KEYS = [
  ["→ ↑ ← ↓", "one step forward, one step back"],
  ["Home End", "trained, last step"],
  ["PageUp PageDown", "three steps forward, three back"],
  ["Space", "play or pause"],
  ["C", "hold to see the maps of the trained model"],
  ["[ ]", "previous, next image"],
  ["1 – 9", "focus a method; again to leave"],
  ["A", "absolute or signed maps"],
  ["O", "maps laid over the input"],
  ["M", "next similarity measure"],
  ["S", "next seed"],
  ["?", "this list"],
];
const HELP_NOTE =
  "Press and hold a map to see the trained one. Click a method to focus it, a block or a tick to " +
  "go to that step, and anywhere in the curves to move there.";

// ---------------------------------------------------------------- small tools

function icon(name) {
  return s(
    "svg",
    { viewBox: "0 0 16 16", class: "kc-icon", "aria-hidden": "true" },
    s("path", { d: ICONS[name], "fill-rule": "evenodd" }),
  );
}

function spoken(text) {
  return h("span", { class: "kw-spoken" }, text);
}


function decimal(value) {
  if (!Number.isFinite(value)) return "–";
  const text = Math.abs(value).toFixed(2);
  return value < 0 && text !== "0.00" ? `−${text}` : text;
}

function debounceFrame(action) {
  let pending = 0;
  return () => {
    cancelAnimationFrame(pending);
    pending = requestAnimationFrame(action);
  };
}

function reducedMotion() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

// ---------------------------------------------------------------- data

function readTab(atlas, layout, meta) {
  const arrays = readArrays(atlas, layout);
  const [height, width] = arrays.maps_absolute.shape.slice(-2);
  const [inputHeight, inputWidth] = arrays.inputs.shape.slice(1, 3);
  return {
    ...meta,
    last: meta.steps.length - 1,
    grounds: [],
    size: { width, height },
    inputSize: { width: inputWidth, height: inputHeight },
    value: (...indices) => at(arrays.values, ...indices), // seed, step, method, metric, image
    curve: (kind, ...indices) => at(arrays[`curve_${kind}`], ...indices), // metric, method, step
    ceiling: (metric, method) => at(arrays.ceilings, metric, method),
    isEmpty: (...indices) => at(arrays.empty, ...indices) > 0, // seed, step, method, image
    map: (view, ...indices) => block(arrays[`maps_${view}`], ...indices),
    input: (image) => block(arrays.inputs, image),
  };
}

function readTabs(model) {
  const atlas = model.get("atlas");
  const layouts = model.get("atlas_layout").tabs;
  return model.get("meta").tabs.map((meta, index) => readTab(atlas, layouts[index], meta));
}

// ---------------------------------------------------------------- state

const FIRST_STATE = {
  tab: 0,
  step: 0,
  seed: 0,
  image: 0,
  view: "absolute",
  metric: "",
  focus: "",
  playing: false,
};
const STATE_NAMES = Object.keys(FIRST_STATE);

function normalise(state, tabs) {
  const tab = tabs[clamp(state.tab, 0, tabs.length - 1)];
  const known = (list, name) => list.some((entry) => entry.name === name);
  return {
    ...state,
    tab: tabs.indexOf(tab),
    step: clamp(state.step, 0, tab.last),
    seed: clamp(state.seed, 0, tab.seeds.length - 1),
    image: clamp(state.image, 0, tab.images.length - 1),
    metric: known(tab.metrics, state.metric) ? state.metric : tab.metrics[0].name,
    focus: known(tab.methods, state.focus) ? state.focus : "",
  };
}

function readModel(model) {
  const read = STATE_NAMES.map((name) => [name, model.get(name)]);
  const set = read.filter(([, value]) => value !== undefined && value !== null);
  return { ...FIRST_STATE, ...Object.fromEntries(set), playing: false };
}

// The state of a page of its own lives in its address, so that a view can be sent to someone.
function createAddress(model) {
  const standalone = model.get("standalone");
  if (!standalone) return { read: () => ({}), write: () => {} };
  const prefix = typeof standalone === "string" ? `${standalone}.` : "";
  const kept = STATE_NAMES.filter((name) => name !== "playing");
  const parameters = () => new URLSearchParams(location.hash.slice(1));
  const read = () => {
    const given = parameters();
    const found = kept.filter((name) => given.has(prefix + name));
    return Object.fromEntries(found.map((name) => [name, parse(name, given.get(prefix + name))]));
  };
  const write = (state) => {
    const next = parameters();
    kept.forEach((name) => next.set(prefix + name, state[name]));
    history.replaceState(null, "", `#${next}`);
  };
  return { read, write };
}

function parse(name, text) {
  if (typeof FIRST_STATE[name] !== "number") return text;
  return Number.parseInt(text, 10) || 0;
}

function createStore(model, tabs, onChange) {
  const address = createAddress(model);
  const first = { ...readModel(model), ...address.read() };
  const tidy = (state) => normalise(state, tabs);
  const store = makeStore(model, STATE_NAMES, first, tidy, onChange);
  const onHash = () => store.change(address.read());
  window.addEventListener("hashchange", onHash);
  return {
    get state() {
      return store.state;
    },
    update(patch) {
      const before = store.state;
      store.update(patch);
      if (STATE_NAMES.some((name) => store.state[name] !== before[name]))
        address.write(store.state);
    },
    dispose() {
      store.dispose();
      window.removeEventListener("hashchange", onHash);
    },
  };
}

// ---------------------------------------------------------------- words

function valueText(tab, step) {
  const { label, accuracy } = tab.steps[step];
  const verb = step > 0 && !label.includes("random") ? TESTS[tab.test].verb : "";
  const parts = [`${step} of ${tab.last}`, `${label} ${verb}`.trim()];
  if (accuracy !== null) parts.push(`accuracy ${Math.round(100 * accuracy)} percent`);
  return parts.join(", ");
}

function predictionParts(tab, state, image) {
  const row = tab.images[image].predictions[state.seed];
  const now = row[state.step];
  return now === row[0] ? [`predicted ${now}`] : [`predicted ${now}`, `(was ${row[0]})`];
}

const predictionText = (...where) => predictionParts(...where).join(" ");

function similarityOf(app, method, image) {
  const { seed, step } = app.state;
  return app.tab.value(seed, step, method, app.metricIndex(), image);
}

// ---------------------------------------------------------------- colours and pictures

const OPAQUE = () => 255;

/** A colour for each of the 256 levels of a map, packed as the four bytes of a pixel. */
function palette(stops, position, alpha = OPAQUE) {
  const colours = stops.map((stop) => [1, 3, 5].map((i) => parseInt(stop.slice(i, i + 2), 16)));
  const bytes = new Uint8ClampedArray(256 * 4);
  for (let level = 0; level < 256; level += 1) {
    const place = clamp(position(level), 0, 1) * (stops.length - 1);
    const left = Math.min(Math.floor(place), stops.length - 2);
    const mixed = [0, 1, 2].map((channel) => {
      const [from, to] = [colours[left][channel], colours[left + 1][channel]];
      return from + (place - left) * (to - from);
    });
    bytes.set([...mixed, alpha(level)], 4 * level);
  }
  return new Uint32Array(bytes.buffer);
}

const PALETTES = {
  absolute: palette(MAGMA, (level) => level / 255),
  signed: palette(DIVERGING, (level) => level / 254), // 127, zero, lies in the middle
  // Over an input: only the bright colours, and the weaker the map the clearer.
  overlay: palette(
    MAGMA,
    (level) => 0.45 + (0.55 * level) / 255,
    (level) => 255 * (level / 255) ** 0.8,
  ),
};

function newCanvas({ width, height }, attributes = {}) {
  return h("canvas", { width, height, ...attributes });
}

function paintPixels(size, colourOf) {
  const canvas = newCanvas(size);
  const context = canvas.getContext("2d");
  const picture = context.createImageData(size.width, size.height);
  for (let pixel = 0; pixel < size.width * size.height; pixel += 1) {
    colourOf(picture.data, 4 * pixel, pixel);
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}

function paintInput(tab, image) {
  const rgb = tab.input(image);
  return paintPixels(tab.inputSize, (data, to, pixel) => {
    for (let channel = 0; channel < 3; channel += 1) data[to + channel] = rgb[3 * pixel + channel];
    data[to + 3] = 255;
  });
}

/** The input as a dim grey ground; painted once, as every overlay of an image lies on it. */
function groundOf(tab, image) {
  tab.grounds[image] ??= paintGround(tab, tab.input(image));
  return tab.grounds[image];
}

function paintGround(tab, rgb) {
  return paintPixels(tab.inputSize, (data, to, pixel) => {
    const [red, green, blue] = [3 * pixel, 3 * pixel + 1, 3 * pixel + 2];
    const light = 0.55 * (0.3 * rgb[red] + 0.59 * rgb[green] + 0.11 * rgb[blue]);
    data.fill(light, to, to + 3);
    data[to + 3] = 255;
  });
}

function paintLevels(tab, view, levels) {
  const canvas = newCanvas(tab.size);
  const context = canvas.getContext("2d");
  const picture = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(picture.data.buffer);
  const table = PALETTES[view];
  for (let pixel = 0; pixel < levels.length; pixel += 1) pixels[pixel] = table[levels[pixel]];
  context.putImageData(picture, 0, 0);
  return canvas;
}

function pictureSize(tab, view) {
  if (view !== "overlay") return tab.size;
  const { size, inputSize } = tab;
  return inputSize.width > size.width ? inputSize : size;
}

/** The picture of one map as a canvas of its own, in the pixels of the data. */
function paintMap(tab, view, { seed, step, method, image }) {
  if (view !== "overlay") return paintLevels(tab, view, tab.map(view, seed, step, method, image));
  const canvas = newCanvas(pictureSize(tab, view));
  const context = canvas.getContext("2d");
  const area = [0, 0, canvas.width, canvas.height];
  context.drawImage(groundOf(tab, image), ...area);
  const levels = tab.map("absolute", seed, step, method, image);
  context.drawImage(paintLevels(tab, "overlay", levels), ...area);
  return canvas;
}

function showPicture(canvas, picture) {
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
  }
  canvas.getContext("2d").drawImage(picture, 0, 0);
}

/** Pixels stay square where a picture is enlarged, and are averaged where it is made smaller. */
function keepPixelsSharp(root) {
  for (const canvas of root.querySelectorAll("canvas")) {
    const shown = canvas.getBoundingClientRect().width * devicePixelRatio;
    canvas.classList.toggle("kc-sharp", shown >= canvas.width);
  }
}

// ---------------------------------------------------------------- the app

function createApp(model, root) {
  const tabs = readTabs(model);
  const listening = new AbortController();
  const app = {
    root,
    tabs,
    parts: [],
    listening: listening.signal,
    blinking: false,
    lit: null, // the method under the pointer
    lastMetric: {}, // the measure chosen last in each view
    get state() {
      return app.store.state;
    },
    get tab() {
      return tabs[app.state.tab];
    },
    metricIndex: () => app.tab.metrics.findIndex((metric) => metric.name === app.state.metric),
    methodIndex: (name) => app.tab.methods.findIndex((method) => method.name === name),
    update: (patch) => app.store.update(patch),
    refresh: (before) => app.parts.forEach((part) => part.refresh(app.state, before)),
    announce: (what) => root.dispatchEvent(new CustomEvent(`kc-${what}`)),
    on: (what, action) => root.addEventListener(`kc-${what}`, action, { signal: app.build.signal }),
  };
  app.store = createStore(model, tabs, (state, before) => {
    if (state.tab !== before.tab) buildPage(app);
    else app.refresh(before);
    app.player.follow(state, before);
  });
  app.player = createPlayer(app);
  app.dispose = () => {
    app.player.stop();
    listening.abort();
    app.build?.abort();
    app.resizing?.disconnect();
    app.store.dispose();
    root.replaceChildren();
  };
  return app;
}

function buildPage(app) {
  app.build?.abort();
  app.build = new AbortController();
  app.lit = null;
  app.blinking = false;
  const made = Object.fromEntries(
    Object.entries({
      header: headerPart,
      strip: stripPart,
      slider: sliderPart,
      toolbar: toolbarPart,
      grid: gridPart,
      curves: curvesPart,
      verdicts: verdictsPart,
      film: filmPart,
      live: livePart,
    }).map(([name, make]) => [name, make(app)]),
  );
  app.parts = Object.values(made);
  const help = helpDialog(KEYS, HELP_NOTE);
  app.help = help;
  app.live = made.live.node;
  app.root.replaceChildren(
    h(
      "div",
      { class: "kw-page kc-page" },
      made.header.node,
      h("div", { class: "kc-control" }, made.strip.node, made.slider.node),
      made.toolbar.node,
      h("div", { class: bodyClass(app.tab) }, made.grid.node, made.curves.node),
      made.film.node,
      made.verdicts.node,
      footer(app.tab),
      made.live.node,
      help,
    ),
  );
  app.refresh(null);
  watchSize(app);
}

function watchSize(app) {
  app.resizing?.disconnect();
  const resize = debounceFrame(() => app.parts.forEach((part) => part.resize?.()));
  app.resizing = new ResizeObserver(resize);
  app.resizing.observe(app.root);
  app.parts.forEach((part) => part.resize?.());
}

function createPlayer(app) {
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
  };
  // Time, not a count, says which step it is: two views of one widget then agree.
  function start() {
    const from = app.state.step < app.tab.last ? app.state.step : 0;
    const began = performance.now();
    app.update({ step: from });
    timer = setInterval(() => {
      const step = from + Math.round((performance.now() - began) / PLAY_MS);
      app.update({ step, playing: step < app.tab.last });
    }, PLAY_MS);
  }
  function follow(state, before) {
    if (state.tab !== before.tab && state.playing) app.update({ playing: false });
    else if (state.playing !== before.playing) state.playing ? start() : stop();
  }
  return { stop, follow };
}

const goTo = (app, step) => app.update({ step, playing: false });

function chooseView(app, view) {
  const wanted = view === "overlay" ? "absolute" : view;
  const current = app.tab.metrics[app.metricIndex()];
  app.lastMetric[current.view] = current.name;
  app.update({ view, metric: metricFor(app, wanted, current) });
}

/** The measure of a view that matches the present one, so that numbers speak of what is seen. */
function metricFor(app, view, current) {
  if (current.view === view) return current.name;
  const stem = (name) => name.replace(/signed|absolute|abs/, "");
  const candidates = app.tab.metrics.filter((metric) => metric.view === view);
  const twin = candidates.find((metric) => stem(metric.name) === stem(current.name));
  const last = candidates.find((metric) => metric.name === app.lastMetric[view]);
  return (twin ?? last ?? candidates[0] ?? current).name;
}

function chooseMetric(app, name) {
  const { view } = app.tab.metrics.find((metric) => metric.name === name);
  const overlay = app.state.view === "overlay" && view === "absolute";
  app.update({ metric: name, view: overlay ? "overlay" : view });
}

function toggleFocus(app, name) {
  app.update({ focus: app.state.focus === name ? "" : name });
}

function light(app, method) {
  if (app.lit === method) return;
  app.lit = method;
  app.announce("light");
}

function blink(app, target) {
  if (app.blinking === target) return;
  app.blinking = target;
  app.announce("blink");
}

// ---------------------------------------------------------------- header

function headerPart(app) {
  const { test, steps } = app.tab;
  const sentences = steps.map((_, step) => sentenceOf(app.tab, step));
  const readouts = [
    readout("accuracy", column(steps, "accuracy"), percent),
    readout("logit correlation", column(steps, "logit_correlation"), decimal),
  ].filter(Boolean);
  const numbers = readouts.map((each) => each.node);
  const words = h(
    "div",
    { class: "kc-words" },
    h("h2", { class: "kc-lead" }, TESTS[test].lead),
    h("div", { class: "kc-sentences" }, ...sentences),
  );
  const headline = h(
    "div",
    { class: "kc-headline" },
    words,
    h("div", { class: "kc-readouts" }, ...numbers),
  );
  return {
    node: h("header", { class: "kc-header" }, topLine(app), headline),
    refresh({ step }) {
      sentences.forEach((each, index) => each.classList.toggle("kc-current", index === step));
      readouts.forEach((each) => each.show(step));
    },
  };
}

const column = (records, name) => records.map((record) => record[name]);

function sentenceOf({ steps, last }, step) {
  const count = h("span", { class: "kc-count" }, `step ${step} of ${last}`);
  return h("p", { class: "kc-sentence" }, count, steps[step].sentence);
}

function topLine(app) {
  const keys = { class: "kc-button", "aria-haspopup": "dialog", title: "Keys (?)" };
  const save = () => trySavePicture(app);
  const tools = h(
    "span",
    { class: "kc-tools" },
    iconButton("save", "Picture", "Save this view as a PNG picture", save),
    h("button", { ...keys, onclick: () => openHelp(app) }, h("kbd", {}, "?"), "Keys"),
  );
  const title = h("span", { class: "kc-title" }, app.tab.title);
  return h("div", { class: "kc-topline" }, title, tabBar(app), tools);
}

function readout(name, values, format) {
  if (values[0] === null) return null;
  const number = h("span", { class: "kc-number" });
  const bar = h("span", { class: "kc-meter-now" });
  const was = h("span", { class: "kc-meter-was", style: `left: ${100 * values[0]}%` });
  const node = h(
    "div",
    { class: "kc-readout" },
    h("span", { class: "kw-quiet" }, name),
    number,
    h("span", { class: "kc-meter", "aria-hidden": "true" }, bar, was),
    h("span", { class: "kw-quiet" }, `trained ${format(values[0])}`),
  );
  const show = (step) => {
    const value = values[step] ?? NaN;
    number.textContent = Number.isFinite(value) ? format(value) : "–";
    bar.style.width = `${100 * clamp(value || 0, 0, 1)}%`;
  };
  return { node, show };
}

function tabBar(app) {
  if (app.tabs.length === 1) return null;
  const names = app.tabs.map(({ test }) => TESTS[test].tab);
  const unique = new Set(names).size === names.length;
  const buttons = app.tabs.map((tab, index) =>
    h(
      "button",
      {
        class: "kc-tab",
        role: "tab",
        "aria-selected": String(index === app.state.tab),
        tabindex: index === app.state.tab ? 0 : -1,
        onclick: () => switchTab(app, index),
        onkeydown: (event) => turnTabs(app, event),
      },
      unique ? names[index] : tab.title,
    ),
  );
  return h("div", { class: "kc-tabs", role: "tablist", "aria-label": "Experiment" }, ...buttons);
}

/** On a tab the arrows turn tabs; everywhere else they move the slider. */
function turnTabs(app, event) {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by) return;
  event.preventDefault();
  switchTab(app, (app.state.tab + by + app.tabs.length) % app.tabs.length);
}

function switchTab(app, tab) {
  app.update({ tab, step: 0, playing: false });
  app.root.querySelector(".kc-tab[aria-selected=true]")?.focus();
}

function iconButton(name, text, title, onclick, attributes = {}) {
  const label = text ? [text] : [];
  return h(
    "button",
    { class: "kc-button", title, "aria-label": text ? null : title, onclick, ...attributes },
    icon(name),
    ...label,
  );
}

// ---------------------------------------------------------------- model strip

function stripPart(app) {
  const { tab } = app;
  const { icon: sign, state: word } = TESTS[tab.test];
  const boxes = tab.blocks.map((name) => blockBox(app, name, sign));
  const list = h(
    "ol",
    { class: "kc-strip", "aria-label": "Blocks of the network, from input to output" },
    h("li", { class: "kc-end", "aria-hidden": "true" }, "input"),
    boxes.map((box) => box.node),
    h("li", { class: "kc-end", "aria-hidden": "true" }, "output"),
  );
  return {
    node: list,
    refresh({ step }) {
      boxes.forEach((box) => box.show(tab.steps[step].changed.includes(box.name), word));
    },
    resize: () => arrangeNames(list, ".kc-block-name"),
  };
}

function blockBox(app, name, sign) {
  const said = spoken("");
  const target = app.tab.steps.findIndex((step) => step.changed.includes(name));
  const button = h(
    "button",
    {
      class: "kc-block",
      tabindex: -1,
      title: name,
      disabled: target < 0,
      onclick: () => goTo(app, target),
    },
    h("span", { class: "kc-block-name" }, name),
    icon(sign),
    said,
  );
  const show = (changed, word) => {
    button.classList.toggle("kc-changed", changed);
    said.textContent = changed ? `, ${word}` : ", trained";
  };
  return { name, node: h("li", {}, button), show };
}

function blockKey(test) {
  const { icon: sign, state: word } = TESTS[test];
  return h(
    "span",
    { class: "kc-key", "aria-hidden": "true" },
    h("span", { class: "kc-swatch" }),
    "trained",
    h("span", { class: "kc-swatch kc-changed" }, icon(sign)),
    word,
  );
}

/** Where names do not fit beside their sign they go above it, and where they are too long even
 * for a line of their own they stand up: all together, measured in bold so that nothing jumps. */
function arrangeNames(list, selector) {
  const names = [...list.querySelectorAll(selector)];
  const isCrowded = (how) => {
    list.classList.add("kc-bold", ...how);
    const crowded = names.some((name) => name.scrollWidth > name.clientWidth + 1);
    list.classList.remove("kc-bold", ...how);
    return crowded;
  };
  list.classList.remove("kc-standing", "kc-stacked");
  if (!isCrowded(["kc-signed"])) return;
  list.classList.add(isCrowded(["kc-stacked"]) ? "kc-standing" : "kc-stacked");
}

// ---------------------------------------------------------------- slider

function sliderPart(app) {
  const { tab } = app;
  const position = (step) => `${(100 * step) / tab.last}%`;
  const thumb = h("span", { class: "kc-thumb" });
  const done = h("span", { class: "kc-done" });
  const track = h(
    "div",
    {
      class: "kc-track",
      role: "slider",
      tabindex: 0,
      "aria-label": tab.axis,
      "aria-valuemin": 0,
      "aria-valuemax": tab.last,
    },
    h("span", { class: "kc-rail" }, done),
    range(tab.last + 1).map((step) =>
      h("i", { class: "kc-notch", style: `left: ${position(step)}` }),
    ),
    thumb,
  );
  const ticks = tab.steps.map((step, index) => tickButton(app, step, index, position(index)));
  const tickList = h("div", { class: "kc-ticks", "aria-hidden": "true" }, ...ticks);
  const play = playButton(app);
  followPointer(track, (share) => goTo(app, Math.round(share * tab.last)));
  return {
    node: h(
      "div",
      { class: "kc-slider" },
      play.node,
      h("div", { class: "kc-ruler", style: `--kc-steps: ${tab.last}` }, track, tickList),
      h("div", { class: "kc-axis kw-quiet" }, h("span", {}, tab.axis), blockKey(tab.test)),
    ),
    refresh({ step, playing }) {
      track.setAttribute("aria-valuenow", step);
      track.setAttribute("aria-valuetext", valueText(tab, step));
      thumb.style.left = position(step);
      done.style.width = position(step);
      ticks.forEach((tick, index) => tick.classList.toggle("kc-current", index === step));
      play.show(playing);
    },
    resize() {
      arrangeNames(tickList, ".kc-tick-name");
      tickList.style.height = `${Math.max(...ticks.map((tick) => tick.offsetHeight))}px`;
    },
  };
}

function tickButton(app, step, index, left) {
  return h(
    "button",
    {
      class: "kc-tick",
      tabindex: -1,
      title: step.label,
      style: `left: ${left}`,
      onclick: () => goTo(app, index),
    },
    h("span", { class: "kc-tick-name" }, step.label),
  );
}

function playButton(app) {
  const toggle = () => app.update({ playing: !app.state.playing });
  const node = h("button", { class: "kc-play", onclick: toggle });
  const show = (playing) => {
    node.replaceChildren(icon(playing ? "pause" : "play"));
    node.setAttribute("aria-label", playing ? "Pause" : "Play, one step a second");
    node.title = playing ? "Pause (Space)" : "Play (Space)";
  };
  return { node, show };
}

/** Report where the pointer is along a node, as a share of its width, while it is pressed. */
function followPointer(node, report) {
  const share = (event) => {
    const box = node.getBoundingClientRect();
    return clamp((event.clientX - box.left) / box.width, 0, 1);
  };
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    node.setPointerCapture(event.pointerId);
    report(share(event));
  });
  node.addEventListener("pointermove", (event) => {
    if (node.hasPointerCapture(event.pointerId)) report(share(event));
  });
}

// ---------------------------------------------------------------- toolbar

function toolbarPart(app) {
  const { tab } = app;
  const views = { absolute: "Absolute", signed: "Signed", overlay: "Overlay" };
  const view = choiceBar("View", views, (name) => chooseView(app, name));
  const metric = metricMenu(app);
  const seed = seedChoice(app);
  const scale = h("span", { class: "kc-scale" });
  const held = h(
    "button",
    { class: "kc-button kc-hold", title: "Hold to see the maps of the trained model (C)" },
    icon("eye"),
    "Hold: trained",
  );
  held.addEventListener("pointerdown", () => blink(app, "all"));
  held.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") blink(app, "all");
  });
  app.on("blink", () => held.classList.toggle("kc-on", app.blinking === "all"));
  return {
    node: h(
      "div",
      { class: "kc-toolbar" },
      view.node,
      labelled("Similarity", metric),
      tab.seeds.length > 1 ? labelled("Seed", seed.node) : null,
      held,
      scale,
    ),
    refresh(state) {
      view.show(state.view);
      metric.value = state.metric;
      seed.show(state.seed);
      scale.replaceChildren(...scaleKey(state.view));
    },
  };
}

function labelled(text, node) {
  return h("label", { class: "kc-label" }, h("span", { class: "kw-quiet" }, text), node);
}

function choiceBar(name, choices, choose) {
  const buttons = Object.entries(choices).map(([value, text]) =>
    h("button", { class: "kc-choice", "data-value": value, onclick: () => choose(value) }, text),
  );
  const show = (current) =>
    buttons.forEach((button) =>
      button.setAttribute("aria-pressed", String(button.dataset.value === String(current))),
    );
  const node = h("div", { class: "kc-choices", role: "group", "aria-label": name }, ...buttons);
  return { node, show };
}

function menu(name, entries, choose) {
  const options = entries.map(([value, text]) => h("option", { value }, text));
  const onchange = (event) => choose(event.target.value);
  return h("select", { class: "kc-menu", "aria-label": name, onchange }, ...options);
}

function metricMenu(app) {
  const entries = app.tab.metrics.map((metric) => [metric.name, metric.title]);
  return menu("Similarity", entries, (name) => chooseMetric(app, name));
}

function seedChoice(app) {
  const seeds = app.tab.seeds.map((seed, index) => [index, String(seed)]);
  const choose = (index) => app.update({ seed: Number(index) });
  if (seeds.length <= 5) return choiceBar("Seed", Object.fromEntries(seeds), choose);
  const node = menu("Seed", seeds, choose);
  return { node, show: (seed) => (node.value = seed) };
}

function scaleKey(view) {
  const [stops, low, middle, high] =
    view === "signed" ? [DIVERGING, "against", "0", "for"] : [MAGMA, "0", "", "strongest"];
  const shown = view === "overlay" ? MAGMA.slice(3) : stops;
  const colours = `background: linear-gradient(to right, ${shown.join(", ")})`;
  const bar = h("span", { class: "kc-ramp", style: colours });
  if (middle) bar.append(h("i", { class: "kc-ramp-zero" }));
  const note = "Each map is scaled by its own maximum";
  return [h("span", { title: note }, low), bar, h("span", { title: note }, high)];
}

// ---------------------------------------------------------------- grid

/** Many methods need the whole width: the curves then go under the grid on common screens too. */
function bodyClass(tab) {
  return tab.methods.length > 9 ? "kc-body kc-many" : "kc-body";
}

function gridPart(app) {
  const { tab } = app;
  const heads = tab.methods.map((method, index) => methodHead(app, method, index));
  const body = h("tbody");
  const table = h(
    "table",
    { class: "kc-grid", style: `--kc-columns: ${tab.methods.length + 1}` },
    h("caption", { class: "kw-spoken" }, "Saliency maps: a row for each image, a column a method"),
    h(
      "thead",
      {},
      h("tr", {}, h("th", { class: "kc-input-head", scope: "col" }, "input"), ...heads),
    ),
    body,
  );
  const pager = pagerBar(app);
  const fader = createFader();
  let rows = [];
  let shownPage = -1;

  function rebuildRows(state) {
    shownPage = pageOf(state.image);
    rows = imagesOn(app.tab, shownPage).map((image) => imageRow(app, image));
    body.replaceChildren(...rows.map((row) => row.node));
  }
  const cells = () => rows.flatMap((row) => row.cells);
  const repaint = (animate) => {
    cells().forEach((cell) => cell.paint());
    fader.show(cells(), animate);
  };
  const markColumns = () => heads.forEach((head, index) => markColumn(app, table, head, index));

  app.on("light", markColumns);
  app.on("blink", () => repaint(false));
  table.addEventListener("pointerleave", () => light(app, null));
  return {
    node: h(
      "section",
      { class: "kc-maps", "aria-label": "Saliency maps" },
      h("div", { class: "kc-scroll" }, table),
      h("div", { class: "kc-under" }, pager.node, flagKey(tab)),
    ),
    refresh(state, before) {
      const newPage = pageOf(state.image) !== shownPage;
      if (newPage) rebuildRows(state);
      rows.forEach((row) => row.show(state));
      const stale = ["step", "seed", "view"].some((name) => state[name] !== before?.[name]);
      if (newPage || stale) repaint(before !== null && !newPage && state.view === before.view);
      pager.show(state);
      markColumns();
      if (newPage || state.view !== before?.view) keepPixelsSharp(table);
    },
    resize: () => keepPixelsSharp(table),
  };
}

const pageOf = (image) => Math.floor(image / IMAGES_PER_PAGE);

function imagesOn(tab, page) {
  const first = page * IMAGES_PER_PAGE;
  return range(tab.images.length).slice(first, first + IMAGES_PER_PAGE);
}

function methodHead(app, method, index) {
  const flags = method.flags.filter((flag) => flag !== "control").map(flagSign);
  const shortcut = index < 9 ? ` (key ${index + 1})` : "";
  const button = h(
    "button",
    {
      class: "kc-method",
      title: `${method.title}: focus${shortcut}`,
      onclick: () => toggleFocus(app, method.name),
    },
    h(
      "span",
      { class: "kc-method-signs" },
      marker(app.tab, index),
      method.control ? h("span", { class: "kw-quiet" }, "control") : flags,
    ),
    h("span", { class: "kc-method-name" }, breakable(method.title)),
  );
  const first = method.control && !app.tab.methods[index - 1]?.control;
  return h(
    "th",
    {
      scope: "col",
      class: first ? "kc-first-control" : null,
      onpointerenter: () => light(app, index),
    },
    button,
  );
}

/** Lets "SmoothGrad" break before its second capital when its column is narrow. */
function breakable(title) {
  return title
    .split(/(?<=[a-z])(?=[A-Z])/)
    .flatMap((part, index) => (index ? [h("wbr"), part] : [part]));
}

function flagSign(flag) {
  const { sign, words } = FLAGS[flag] ?? { sign: flag, words: flag };
  return h("span", { class: "kc-flag", title: words }, sign, spoken(` ${flag} `));
}

function flagKey(tab) {
  const used = Object.keys(FLAGS).filter(
    (flag) => FLAGS[flag].sign && tab.methods.some((method) => method.flags.includes(flag)),
  );
  const entries = used.map((flag) =>
    h("span", {}, h("b", { class: "kc-flag" }, FLAGS[flag].sign), ` ${FLAGS[flag].words}`),
  );
  return h("p", { class: "kc-flag-key kw-quiet", "aria-hidden": "true" }, ...entries);
}

function markColumn(app, table, head, index) {
  const focus = app.methodIndex(app.state.focus);
  const faint = focus >= 0 && focus !== index;
  const cells = table.querySelectorAll(`[data-method="${index}"]`);
  head.querySelector("button").setAttribute("aria-pressed", String(focus === index));
  for (const node of [head, ...cells]) {
    node.classList.toggle("kc-faint", faint);
    node.classList.toggle("kc-lit", app.lit === index || focus === index);
  }
}

function imageRow(app, image) {
  const { tab } = app;
  const cells = tab.methods.map((method, index) => mapCell(app, method, index, image));
  const input = newCanvas(tab.inputSize, { class: "kc-picture", "aria-hidden": "true" });
  const says = h("span", { class: "kc-says" });
  showPicture(input, paintInput(tab, image));
  const { label } = tab.images[image];
  const head = h(
    "th",
    { scope: "row", class: "kc-input" },
    h(
      "button",
      {
        class: "kc-image",
        title: "Show this image in the curves",
        onclick: () => app.update({ image }),
      },
      input,
      h("span", { class: "kc-caption" }, h("span", { class: "kc-image-label" }, label), " ", says),
    ),
  );
  const node = h("tr", {}, head, ...cells.map((cell) => cell.node));
  const show = (state) => {
    const row = tab.images[image].predictions[state.seed];
    const parts = predictionParts(tab, state, image).map((part) => h("span", {}, part));
    says.replaceChildren(...parts.flatMap((part) => [part, " "]));
    says.title = says.textContent.trim();
    says.classList.toggle("kc-wrong", row[state.step] !== row[0]);
    node.classList.toggle("kc-chosen", state.image === image && tab.images.length > 1);
    head.firstChild.setAttribute("aria-pressed", String(state.image === image));
    cells.forEach((cell) => cell.show(state));
  };
  return { node, cells, show };
}

function mapCell(app, method, index, image) {
  const { tab } = app;
  const canvas = newCanvas(tab.size, { class: "kc-picture", "aria-hidden": "true" });
  const number = h("span", { class: "kc-badge" });
  const bar = h("i", { class: "kc-bar-now" });
  const first = method.control && !tab.methods[index - 1]?.control;
  const frame = h(
    "div",
    { class: "kc-frame", style: `aspect-ratio: ${tab.size.width} / ${tab.size.height}` },
    canvas,
    h("span", { class: "kc-empty-words" }, "empty map"),
    h("span", { class: "kc-trained-words", "aria-hidden": "true" }, "trained"),
  );
  const node = h(
    "td",
    { "data-method": index, class: first ? "kc-first-control" : null },
    frame,
    h("div", { class: "kc-similarity" }, h("span", { class: "kc-bar" }, bar), number),
  );
  const key = `${index}/${image}`;
  node.addEventListener("pointerenter", () => light(app, index));
  frame.addEventListener("pointerdown", (event) => event.button === 0 && blink(app, key));
  frame.addEventListener("contextmenu", (event) => app.blinking === key && event.preventDefault());

  const cell = { node, canvas, picture: null };
  cell.show = () => showSimilarity(node, number, bar, similarityOf(app, index, image));
  cell.paint = () => {
    const trained = app.blinking === "all" || app.blinking === key;
    const where = { ...app.state, step: trained ? 0 : app.state.step, method: index, image };
    frame.classList.toggle("kc-empty", tab.isEmpty(where.seed, where.step, index, image));
    frame.classList.toggle("kc-trained", trained);
    cell.picture = paintMap(tab, app.state.view, where);
  };
  return cell;
}

function showSimilarity(node, number, bar, value) {
  node.dataset.value = String(value);
  number.textContent = decimal(value);
  bar.style.width = `${100 * clamp(Math.abs(value) || 0, 0, 1)}%`;
  bar.classList.toggle("kc-negative", value < 0);
}

/** Cross-fade all cells from what they show to their new pictures, in one animation. */
function createFader() {
  let frame = 0;
  function show(cells, animate) {
    cancelAnimationFrame(frame);
    if (!animate || reducedMotion() || document.hidden) {
      cells.forEach((cell) => showPicture(cell.canvas, cell.picture));
      return;
    }
    const olds = cells.map((cell) => copyOf(cell.canvas));
    const began = performance.now();
    const advance = (now) => {
      const share = clamp((now - began) / FADE_MS, 0, 1);
      cells.forEach((cell, index) => mix(cell.canvas, olds[index], cell.picture, share));
      if (share < 1) frame = requestAnimationFrame(advance);
    };
    frame = requestAnimationFrame(advance);
  }
  return { show };
}

function copyOf(canvas) {
  const copy = newCanvas(canvas);
  copy.getContext("2d").drawImage(canvas, 0, 0);
  return copy;
}

function mix(canvas, old, next, share) {
  const context = canvas.getContext("2d");
  context.globalAlpha = 1;
  context.drawImage(old, 0, 0);
  context.globalAlpha = share;
  context.drawImage(next, 0, 0);
  context.globalAlpha = 1;
}

function pagerBar(app) {
  const { tab } = app;
  const count = tab.images.length;
  if (count <= IMAGES_PER_PAGE) return { node: "", show: () => {} };
  const thumbs = tab.images.map((_, image) => thumbnail(app, image));
  const words = h("span", { class: "kw-quiet" });
  const turn = (by) => app.update({ image: clamp(app.state.image + by, 0, count - 1) });
  const node = h(
    "div",
    { class: "kc-pager", role: "group", "aria-label": "Images" },
    iconButton("previous", "", "Previous image ([)", () => turn(-1)),
    h("div", { class: "kc-thumbs" }, ...thumbs),
    iconButton("next", "", "Next image (])", () => turn(1)),
    words,
  );
  const show = ({ image }) => {
    const shown = imagesOn(tab, pageOf(image));
    thumbs.forEach((thumb, index) => {
      thumb.classList.toggle("kc-here", shown.includes(index));
      thumb.setAttribute("aria-pressed", String(index === image));
    });
    words.textContent = `images ${shown[0] + 1} to ${shown.at(-1) + 1} of ${count}`;
  };
  return { node, show };
}

function thumbnail(app, image) {
  const picture = paintInput(app.tab, image);
  const { label } = app.tab.images[image];
  return h(
    "button",
    {
      class: "kc-thumb-image",
      tabindex: -1,
      title: label,
      "aria-label": `Image ${image + 1}, ${label}`,
      onclick: () => app.update({ image }),
    },
    picture,
  );
}

// ---------------------------------------------------------------- markers

// Outlines in a square from -1 to 1. With the colour they tell the methods apart twice.
const SHAPES = [
  "M-.85 0A.85 .85 0 1 0 .85 0A.85 .85 0 1 0-.85 0z",
  "M-.8-.8H.8V.8H-.8z",
  "M0-1L1 .8H-1z",
  "M0-1.1L1.1 0L0 1.1L-1.1 0z",
  "M0 1L1-.8H-1z",
  "M-.35-1H.35V-.35H1V.35H.35V1H-.35V.35H-1V-.35H-.35z",
  "M-1 0L-.5-.9H.5L1 0L.5 .9H-.5z",
  "M0-1.1L.32-.35L1.1-.3L.5 .2L.7 1L0 .55L-.7 1L-.5 .2L-1.1-.3L-.32-.35z",
  "M-.7-1L0-.35L.7-1L1-.7L.35 0L1 .7L.7 1L0 .35L-.7 1L-1 .7L-.35 0L-1-.7z",
  "M-.4-1L1 0L-.4 1z",
];
const NUM_COLOURS = SHAPES.length;

/** A method's colour class and shape. Controls share a grey and have hollow shapes. */
function look(tab, index) {
  const alike = tab.methods
    .slice(0, index)
    .filter((method) => method.control === tab.methods[index].control).length;
  const shape = SHAPES[alike % NUM_COLOURS];
  if (tab.methods[index].control) return { colour: "kc-colour-control", shape };
  return { colour: `kc-colour-${alike % NUM_COLOURS}`, shape };
}

function marker(tab, index) {
  const { colour, shape } = look(tab, index);
  return s(
    "svg",
    { viewBox: "-1.5 -1.5 3 3", class: `kc-marker ${colour}`, "aria-hidden": "true" },
    s("path", { d: shape }),
  );
}

// ---------------------------------------------------------------- curves

const CURVE_LOW = -0.25;
const CURVE_HIGH = 1.05;
const LABEL_GAP = 17;

function curvesPart(app) {
  const { tab } = app;
  const title = h("h3", { class: "kc-subtitle" });
  const holder = h("div", { class: "kc-chart" });
  let chart = null;
  const several = tab.seeds.length > 1 || tab.images.length > 1;
  const note = several ? ": mean and interval" : "";
  const about = h("p", { class: "kw-quiet" }, `similarity with the trained model's map${note}`);

  function rebuild() {
    const width = holder.clientWidth;
    if (width < 40) return;
    chart = drawChart(app, width);
    holder.replaceChildren(chart.node);
    chart.show();
  }
  app.on("light", () => chart?.show());
  return {
    node: h(
      "section",
      { class: "kc-curves", "aria-label": "Similarity curves" },
      title,
      about,
      holder,
    ),
    refresh(state, before) {
      title.textContent = tab.metrics[app.metricIndex()].title;
      const redraw =
        !before || ["metric", "image", "seed"].some((name) => state[name] !== before[name]);
      if (redraw) rebuild();
      else chart?.show();
    },
    resize: () => chart?.width !== holder.clientWidth && rebuild(),
  };
}

function drawChart(app, width) {
  const { tab } = app;
  const measure = textMeasure(app.root);
  const frame = chartFrame(tab, width, measure);
  const series = tab.methods.map((_, index) => drawSeries(app, frame, index));
  const labels = drawLabels(app, frame, measure);
  const cursor = s("line", { class: "kc-cursor", y1: frame.top, y2: frame.bottom });
  const node = s(
    "svg",
    {
      class: "kc-svg",
      width,
      height: frame.height,
      viewBox: `0 0 ${width} ${frame.height}`,
      role: "img",
      "aria-label": chartWords(app),
    },
    drawAxes(tab, frame),
    drawAccuracy(tab, frame),
    cursor,
    series.map((each) => each.node),
    labels.node,
  );
  listenToChart(app, frame, node);
  const show = () => {
    const { step } = app.state;
    cursor.style.transform = `translateX(${frame.x(step)}px)`;
    series.forEach((each) => each.show());
    labels.show();
    node.querySelectorAll(".kc-x-name").forEach((name, index) => {
      name.classList.toggle("kc-current", index === step);
      name.classList.toggle("kc-hidden", !hasRoom(frame, tab.last, index, step));
    });
  };
  return { node, width, show };
}

function textMeasure(root) {
  const context = document.createElement("canvas").getContext("2d");
  context.font = `12px ${getComputedStyle(root).fontFamily}`;
  return (text) => context.measureText(text).width;
}

function chartFrame(tab, width, measure) {
  const left = 40;
  const right = width - clamp(0.42 * width, 140, 200);
  const widest = Math.max(...tab.steps.map((step) => measure(step.label)));
  const slanted = widest + 6 > (right - left) / tab.last;
  const foot = slanted ? clamp(0.8 * widest, 20, 90) + 22 : 26; // the bold one is the widest
  const top = 8;
  const bottom = top + Math.max(250, (tab.methods.length + 1) * LABEL_GAP + 10);
  return {
    width,
    left,
    right,
    top,
    bottom,
    slanted,
    height: bottom + foot,
    x: (step) => left + 6 + ((right - left - 12) * step) / tab.last,
    y: (value) => bottom - ((value - CURVE_LOW) / (CURVE_HIGH - CURVE_LOW)) * (bottom - top),
  };
}

/** Where names of steps are crowded, the present one is kept and those that would touch it go. */
function hasRoom({ x, slanted }, last, index, current) {
  const apart = slanted ? Math.ceil(15 / (x(1) - x(0))) : 1;
  const kept = index % apart === 0 && (index === last || last - index >= apart);
  if (index === current || apart === 1) return true;
  return (kept || index === last) && Math.abs(index - current) >= apart;
}

function drawAxes(tab, frame) {
  const { left, right, bottom, x, y } = frame;
  const lines = [-0.25, 0, 0.25, 0.5, 0.75, 1].map((value) =>
    s(
      "g",
      { class: value === 0 ? "kc-zero" : "kc-guide" },
      s("line", { x1: left, x2: right, y1: y(value), y2: y(value) }),
      s(
        "text",
        { x: left - 6, y: y(value) + 4, "text-anchor": "end" },
        value < 0 ? "−0.25" : String(value),
      ),
    ),
  );
  const names = tab.steps.map((step, index) => {
    const [across, down] = [x(index), bottom + 16];
    const slant = { "text-anchor": "end", transform: `rotate(-45 ${across} ${down})` };
    const flat = { "text-anchor": index === 0 ? "start" : "middle", dx: index === 0 ? -8 : 0 };
    return s(
      "text",
      { class: "kc-x-name", x: across, y: down, ...(frame.slanted ? slant : flat) },
      shorten(step.label, 14),
    );
  });
  return s("g", {}, ...lines, ...names);
}

const shorten = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** The model's own accuracy, as a broad pale line behind: how much is left to explain. */
function drawAccuracy(tab, frame) {
  const values = tab.steps.map((step) => step.accuracy ?? NaN);
  return s("path", { class: "kc-accuracy", d: linePath(frame, values) });
}

function linePath({ x, y }, values) {
  let started = false;
  return values
    .map((value, step) => {
      const known = Number.isFinite(value);
      const command = started && known ? "L" : "M";
      started = known;
      return known ? `${command}${x(step).toFixed(1)} ${y(shownValue(value)).toFixed(1)}` : "";
    })
    .join("");
}

const shownValue = (value) => clamp(value, CURVE_LOW, CURVE_HIGH);

function ribbonPath({ x, y }, lows, highs) {
  const steps = range(lows.length).filter((step) => Number.isFinite(lows[step] + highs[step]));
  const point = (values) => (step) =>
    `${x(step).toFixed(1)} ${y(shownValue(values[step])).toFixed(1)}`;
  const edge = [...steps.map(point(highs)), ...steps.reverse().map(point(lows))];
  return edge.length ? `M${edge.join("L")}z` : "";
}

function curveValues(app, kind, method) {
  return range(app.tab.last + 1).map((step) =>
    app.tab.curve(kind, app.metricIndex(), method, step),
  );
}

function drawSeries(app, frame, method) {
  const { tab, state } = app;
  const metric = app.metricIndex();
  const means = curveValues(app, "mean", method);
  const image = range(tab.last + 1).map((step) =>
    tab.value(state.seed, step, method, metric, state.image),
  );
  const ceiling = tab.ceiling(metric, method);
  const { colour, shape } = look(tab, method);
  const points = means.map((value, step) => drawPoint(frame, shape, step, value));
  const lows = curveValues(app, "low", method);
  const highs = curveValues(app, "high", method);
  const node = s(
    "g",
    { class: `kc-series ${colour}`, "data-method": method },
    s("path", { class: "kc-ribbon", d: ribbonPath(frame, lows, highs) }),
    Number.isFinite(ceiling) ? drawCeiling(frame, ceiling) : null,
    s("path", { class: "kc-line", d: linePath(frame, means) }),
    s("path", { class: "kc-one-image", d: linePath(frame, image) }),
    points,
  );
  const show = () => {
    const chosen = app.lit ?? app.methodIndex(app.state.focus);
    node.classList.toggle("kc-faint", chosen >= 0 && chosen !== method);
    node.classList.toggle("kc-lit", chosen === method);
    points.forEach((point, step) => point.classList.toggle("kc-current", step === app.state.step));
  };
  return { node, show };
}

function drawCeiling({ left, right, y }, value) {
  const level = y(shownValue(value));
  return s("line", { class: "kc-ceiling", x1: left, x2: right, y1: level, y2: level });
}

function drawPoint({ x, y }, shape, step, value) {
  if (!Number.isFinite(value)) return s("path");
  const spot = `translate(${x(step).toFixed(1)} ${y(shownValue(value)).toFixed(1)})`;
  return s("g", { transform: spot, class: "kc-point" }, s("path", { d: shape }));
}

/** Name and present value at the end of each line; crowded labels make room for one another. */
function drawLabels(app, frame, measure) {
  const { tab } = app;
  const means = tab.methods.map((_, method) => curveValues(app, "mean", method));
  const wanted = means.map((values) => {
    const known = values.filter(Number.isFinite);
    return frame.y(shownValue(known.at(-1) ?? 0));
  });
  const accuracies = tab.steps.map((step) => step.accuracy);
  const withAccuracy = accuracies.every((value) => value !== null);
  if (withAccuracy) wanted.push(frame.y(accuracies.at(-1)));
  const heights = spreadOut(wanted, frame.top + 6, frame.bottom);
  const methods = tab.methods.map((method, index) =>
    methodLabel(app, frame, measure, { method, index, from: wanted[index], to: heights[index] }),
  );
  const extra = withAccuracy
    ? accuracyLabel(frame, wanted.at(-1), heights.at(-1), accuracies)
    : null;
  const show = () => {
    methods.forEach((label, index) => label.show(means[index][app.state.step]));
    extra?.show(app.state.step);
  };
  return {
    node: s(
      "g",
      {},
      methods.map((label) => label.node),
      extra?.node ?? null,
    ),
    show,
  };
}

function methodLabel(app, frame, measure, { method, index, from, to }) {
  const { colour, shape } = look(app.tab, index);
  const number = s("text", {
    class: "kc-label-number",
    x: frame.width - 2,
    y: to + 4,
    "text-anchor": "end",
  });
  const room = frame.width - frame.right - 30 - 38;
  const node = s(
    "g",
    {
      class: `kc-end-label ${colour}`,
      "data-method": index,
      onclick: () => toggleFocus(app, method.name),
      onpointerenter: () => light(app, index),
    },
    s("title", {}, method.title),
    s("rect", {
      class: "kc-hit",
      x: frame.right,
      y: to - LABEL_GAP / 2,
      width: frame.width - frame.right,
      height: LABEL_GAP,
    }),
    s("path", { class: "kc-leader", d: `M${frame.right - 2} ${from}L${frame.right + 12} ${to}` }),
    s(
      "g",
      { class: "kc-point", transform: `translate(${frame.right + 19} ${to})` },
      s("path", { d: shape }),
    ),
    s("text", { x: frame.right + 28, y: to + 4 }, fitText(method.title, room, measure)),
    number,
  );
  const show = (value) => {
    number.textContent = decimal(value);
    const chosen = app.lit ?? app.methodIndex(app.state.focus);
    node.classList.toggle("kc-faint", chosen >= 0 && chosen !== index);
  };
  return { node, show };
}

function accuracyLabel(frame, from, to, accuracies) {
  const number = s("text", {
    class: "kc-label-number",
    x: frame.width - 2,
    y: to + 4,
    "text-anchor": "end",
  });
  const node = s(
    "g",
    { class: "kc-accuracy-label" },
    s("path", { class: "kc-leader", d: `M${frame.right - 2} ${from}L${frame.right + 12} ${to}` }),
    s("text", { x: frame.right + 28, y: to + 4 }, "accuracy"),
    number,
  );
  return { node, show: (step) => (number.textContent = decimal(accuracies[step])) };
}

function fitText(text, room, measure) {
  if (measure(text) <= room) return text;
  let length = text.length;
  while (length > 3 && measure(`${text.slice(0, length)}…`) > room) length -= 1;
  return `${text.slice(0, length).trimEnd()}…`;
}

function spreadOut(wanted, low, high) {
  const order = range(wanted.length).sort((a, b) => wanted[a] - wanted[b]);
  const heights = [...wanted];
  order.forEach((index, rank) => {
    const above = rank ? heights[order[rank - 1]] + LABEL_GAP : low;
    heights[index] = Math.max(heights[index], above);
  });
  let limit = high;
  for (const index of order.reverse()) {
    heights[index] = Math.min(heights[index], limit);
    limit = heights[index] - LABEL_GAP;
  }
  return heights;
}

function chartWords(app) {
  const { tab } = app;
  const ends = tab.methods.map(
    (method, index) =>
      `${method.title} ${decimal(app.tab.curve("mean", app.metricIndex(), index, tab.last))}`,
  );
  return `Mean similarity with the trained map at the last step: ${ends.join(", ")}`;
}

function listenToChart(app, frame, svg) {
  const spot = (event) => {
    const box = svg.getBoundingClientRect();
    return { across: event.clientX - box.left, down: event.clientY - box.top };
  };
  const stepAt = (across) => {
    const share = (across - frame.x(0)) / (frame.x(app.tab.last) - frame.x(0));
    return clamp(Math.round(share * app.tab.last), 0, app.tab.last);
  };
  svg.addEventListener("pointerdown", (event) => {
    const { across } = spot(event);
    if (event.button !== 0 || across > frame.right + 8) return;
    svg.setPointerCapture(event.pointerId);
    goTo(app, stepAt(across));
  });
  svg.addEventListener("pointermove", (event) => {
    const { across, down } = spot(event);
    if (svg.hasPointerCapture(event.pointerId)) goTo(app, stepAt(across));
    else if (across <= frame.right) light(app, nearestCurve(app, frame, across, down));
  });
  svg.addEventListener("pointerleave", () => light(app, null));
}

function nearestCurve(app, frame, across, down) {
  const place = ((across - frame.x(0)) / (frame.x(app.tab.last) - frame.x(0))) * app.tab.last;
  const left = clamp(Math.floor(place), 0, app.tab.last - 1);
  const share = clamp(place - left, 0, 1);
  let best = null;
  let least = 14; // pixels
  app.tab.methods.forEach((_, method) => {
    const [from, to] = [0, 1].map((more) =>
      app.tab.curve("mean", app.metricIndex(), method, left + more),
    );
    const distance = Math.abs(frame.y(shownValue(from + share * (to - from))) - down);
    if (distance < least) [best, least] = [method, distance];
  });
  return best;
}

// ---------------------------------------------------------------- verdicts, film, foot

function verdictsPart(app) {
  const { verdicts } = app.tab;
  const items = verdicts.map((verdict) => verdictItem(app, verdict));
  const node = verdicts.length
    ? h(
        "section",
        { class: "kc-verdicts", "aria-label": "What the test shows" },
        h("h3", { class: "kc-subtitle" }, "What the test shows"),
        h(
          "ul",
          {},
          items.map((item) => item.node),
        ),
      )
    : "";
  const show = () => items.forEach((item) => item.show());
  app.on("light", show);
  return { node, refresh: show };
}

function verdictItem(app, { method: name, status, text }) {
  const index = app.methodIndex(name);
  const title = index < 0 ? name : app.tab.methods[index].title;
  const said = text.startsWith(title) ? text.slice(title.length).trimStart() : text;
  const node = h(
    "li",
    { class: `kc-verdict kc-${status}` },
    h("span", { class: "kc-status", title: status }, icon(status), spoken(`${status}: `)),
    h("span", {}, h("b", {}, title), " ", said),
  );
  const show = () => {
    const chosen = app.lit ?? app.methodIndex(app.state.focus);
    node.classList.toggle("kc-faint", index >= 0 && chosen >= 0 && chosen !== index);
  };
  return { node, show };
}

/** The focused method at every step at once, for the chosen image. */
function filmPart(app) {
  const node = h("section", { class: "kc-film", "aria-label": "All steps of the focused method" });
  let frames = [];

  function rebuild({ focus, image }) {
    const method = app.methodIndex(focus);
    const { title } = app.tab.methods[method];
    const { label } = app.tab.images[image];
    frames = app.tab.steps.map((_, step) => filmFrame(app, method, step));
    const leave = h(
      "button",
      { class: "kc-button", onclick: () => toggleFocus(app, focus) },
      "Leave focus",
    );
    const head = h("h3", { class: "kc-subtitle" }, `${title}, image “${label}”, at every step`);
    node.replaceChildren(
      h("div", { class: "kc-film-head" }, head, leave),
      h("div", { class: "kc-film-strip" }, frames),
    );
    keepPixelsSharp(node);
  }
  return {
    node,
    refresh(state, before) {
      const shown = app.methodIndex(state.focus) >= 0;
      const kept = ["focus", "image", "seed", "view", "metric"];
      node.hidden = !shown;
      if (shown && (!before || kept.some((name) => state[name] !== before[name]))) rebuild(state);
      if (shown) frames.forEach((frame, step) => markCurrent(frame, step === state.step));
    },
    resize: () => keepPixelsSharp(node),
  };
}

function markCurrent(node, current) {
  node.classList.toggle("kc-current", current);
  node.setAttribute("aria-current", current ? "step" : "false");
}

function filmFrame(app, method, step) {
  const { seed, image, view } = app.state;
  const empty = app.tab.isEmpty(seed, step, method, image);
  const picture = paintMap(app.tab, view, { seed, step, method, image });
  picture.className = "kc-picture";
  const value = app.tab.value(seed, step, method, app.metricIndex(), image);
  return h(
    "button",
    { class: "kc-film-frame", title: app.tab.steps[step].sentence, onclick: () => goTo(app, step) },
    h(
      "span",
      { class: empty ? "kc-frame kc-empty" : "kc-frame" },
      picture,
      h("span", { class: "kc-empty-words" }, "empty map"),
    ),
    h("span", { class: "kc-film-name" }, app.tab.steps[step].label),
    h("span", { class: "kc-badge" }, decimal(value)),
  );
}

function footer(tab) {
  const words = tab.words.map((sentence) => h("p", {}, sentence));
  const notes = tab.notes.map((sentence) => h("p", { class: "kw-quiet" }, sentence));
  return h("footer", { class: "kw-foot" }, ...words, ...notes);
}

function livePart(app) {
  const node = h("p", { class: "kw-spoken kc-live", "aria-live": "polite", role: "status" });
  return {
    node,
    refresh(state, before) {
      if (!before) return; // silence on arrival
      const { label } = app.tab.images[state.image];
      const says = predictionText(app.tab, state, state.image);
      const sentence = app.tab.steps[state.step].sentence.replace(/\.$/, "");
      node.textContent = `${valueText(app.tab, state.step)}. ${sentence}. Image ${label}: ${says}.`;
    },
  };
}

// ---------------------------------------------------------------- help


// ---------------------------------------------------------------- keyboard and holding

function listenToKeys(app) {
  const { root, listening } = app;
  const options = { signal: listening };
  root.addEventListener("keydown", (event) => onKey(app, event), options);
  root.addEventListener("keyup", () => blink(app, false), options);
  for (const end of ["pointerup", "pointercancel", "blur"]) {
    window.addEventListener(end, () => blink(app, false), options);
  }
}

function onKey(app, event) {
  const modified = event.ctrlKey || event.metaKey || event.altKey;
  if (modified || event.defaultPrevented || app.help.open) return;
  if (event.target.closest("select")) return;
  if (event.key === " " && event.target.closest("button")) return;
  const action = keyAction(app, event.key);
  if (!action) return;
  event.preventDefault();
  event.stopPropagation();
  if (!event.repeat || event.key.length > 1) action();
}

function keyAction(app, key) {
  const { state, tab } = app;
  const by = (amount) => () => goTo(app, clamp(state.step + amount, 0, tab.last));
  const turn = (amount) => () =>
    app.update({ image: clamp(state.image + amount, 0, tab.images.length - 1) });
  const actions = {
    ArrowRight: by(1),
    ArrowUp: by(1),
    ArrowLeft: by(-1),
    ArrowDown: by(-1),
    PageUp: by(PAGE_STEPS),
    PageDown: by(-PAGE_STEPS),
    Home: by(-tab.last),
    End: by(tab.last),
    " ": () => app.update({ playing: !state.playing }),
    c: () => blink(app, "all"),
    "[": turn(-1),
    "]": turn(1),
    a: () => chooseView(app, state.view === "absolute" ? "signed" : "absolute"),
    o: () => chooseView(app, state.view === "overlay" ? "absolute" : "overlay"),
    m: () => nextMetric(app),
    s: () => app.update({ seed: (state.seed + 1) % tab.seeds.length }),
    "?": () => openHelp(app),
  };
  if (key === "Escape" && state.focus) return () => app.update({ focus: "" });
  if (/^[1-9]$/.test(key) && tab.methods[key - 1]) {
    return () => toggleFocus(app, tab.methods[key - 1].name);
  }
  return actions[key.length === 1 ? key.toLowerCase() : key];
}

function nextMetric(app) {
  const { metrics } = app.tab;
  chooseMetric(app, metrics[(app.metricIndex() + 1) % metrics.length].name);
}

// ---------------------------------------------------------------- saving a picture

async function trySavePicture(app) {
  try {
    await savePicture(app);
  } catch {
    app.live.textContent = "This browser could not draw the picture.";
    app.live.classList.remove("kw-spoken");
  }
}

/** Draw the page as it stands, without its buttons, into a PNG and hand it to the reader. */
async function savePicture(app) {
  const canvas = await drawPage(app.root, 2);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  const link = h("a", { href: URL.createObjectURL(blob), download: `${pictureName(app)}.png` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function pictureName({ tab, state }) {
  const words = [tab.title, tab.test, `step ${state.step}`, state.view].join(" ");
  return words.toLowerCase().replace(/[^a-z0-9]+/g, "-");
}

/** The page travels inside an SVG picture: its own nodes and styles, so what is seen is drawn. */
async function drawPage(root, scale) {
  const page = freeze(root);
  const style = h("style");
  style.textContent = ownStyles();
  page.prepend(style);
  root.after(page); // measured off-screen, as the picture has no toolbar
  const { width } = root.getBoundingClientRect();
  const height = page.scrollHeight;
  page.remove();
  page.classList.remove("kc-off-screen");
  page.setAttribute("xmlns", "http://www.w3.org/1999/xhtml");
  const holder = s("foreignObject", { width, height }, page);
  const picture = s("svg", { xmlns: SVG, width, height }, holder);
  const image = new Image(width, height);
  const text = new XMLSerializer().serializeToString(picture);
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = newCanvas({ width: Math.ceil(width * scale), height: Math.ceil(height * scale) });
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.drawImage(image, 0, 0, width, height);
  return canvas;
}

function freeze(root) {
  const page = root.cloneNode(true);
  const canvases = root.querySelectorAll("canvas");
  page.querySelectorAll("canvas").forEach((copy, index) => {
    const { width, height, className } = canvases[index];
    const src = canvases[index].toDataURL();
    copy.replaceWith(h("img", { src, width, height, class: className }));
  });
  page.querySelectorAll("dialog, .kc-live").forEach((node) => node.remove());
  page.classList.add("kc-picture-page", "kc-off-screen");
  const style = getComputedStyle(root);
  page.style.width = `${root.getBoundingClientRect().width}px`;
  page.style.colorScheme = isDark(root) ? "dark" : "light";
  page.style.fontFamily = style.fontFamily;
  for (const name of ["--jp-layout-color1", "--jp-ui-font-color1"]) {
    const value = style.getPropertyValue(name);
    if (value) page.style.setProperty(name, value);
  }
  return page;
}

function isDark(root) {
  const scheme = getComputedStyle(root).colorScheme;
  if (scheme === "light" || scheme === "dark") return scheme === "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function ownStyles() {
  const readable = [...document.styleSheets].flatMap((sheet) => {
    try {
      return [...sheet.cssRules];
    } catch {
      return []; // a style sheet of another origin is not ours
    }
  });
  return readable
    .map((rule) => rule.cssText)
    .filter((text) => /\.kernel-(widget|cascade)/.test(text))
    .join("\n");
}

// ---------------------------------------------------------------- entry

function render({ model, el }) {
  const root = addRoot(el, "kernel-cascade");
  const app = createApp(model, root);
  buildPage(app);
  listenToKeys(app);
  return () => {
    app.dispose();
    root.remove();
  };
}

export default { render };
