// Triage of suspicious predictions. One model, one root element, no network, no kernel needed.
// common.js stands before this text.

const STEP = 0.01; // of coverage, for one press of a key
const KEYS = [
  ["← → ↑ ↓", "another image"],
  ["[ ]", "withhold more, withhold fewer"],
  ["s", "next score"],
  ["w", "all, only wrong, only right"],
  ["?", "these keys"],
];

// ---------------------------------------------------------------- small helpers

const tenths = (share) => (Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : "–");
const count = (number) => number.toLocaleString("en-US");

// ---------------------------------------------------------------- data


/** Everything that follows from the choice of a score: the order of all images. */
function rankingOf(arrays, position) {
  const total = arrays.wrong.data.length;
  const suspicion = arrays.suspicion.data.subarray(position * total, (position + 1) * total);
  const order = Array.from({ length: total }, (_, index) => index);
  order.sort((a, b) => suspicion[a] - suspicion[b] || a - b);
  const rank = new Int32Array(total);
  const errors = new Int32Array(total + 1); // errors among the k most trusted
  order.forEach((image, place) => {
    rank[image] = place;
    errors[place + 1] = errors[place] + arrays.wrong.data[image];
  });
  return { order, rank, errors, total, suspicion };
}

function paint({ data, shape }, index, className = "kt-pixels") {
  const [, height, width] = shape;
  const canvas = h("canvas", { width, height, class: className });
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  const start = index * height * width * 3;
  for (let pixel = 0; pixel < height * width; pixel += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      picture.data[4 * pixel + channel] = data[start + 3 * pixel + channel];
    }
    picture.data[4 * pixel + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}

// ---------------------------------------------------------------- the app

function createApp(model, root) {
  const meta = model.get("meta");
  const arrays = readArrays(model.get("atlas"), model.get("atlas_layout"));
  const app = { model, root, meta, arrays, ranking: null };
  app.position = () => Math.max(0, meta.scores.findIndex(({ name }) => name === model.get("score")));
  app.set = (name, value) => {
    if (model.get(name) === value) return;
    model.set(name, value);
    model.save_changes();
  };
  app.kept = () => Math.round(clamp(model.get("coverage"), 0, 1) * app.ranking.total);
  app.isKept = (image) => app.ranking.rank[meta.images[image].index] < app.kept();
  app.visible = () => {
    const only = model.get("only");
    const isWrong = (image) => Boolean(arrays.wrong.data[meta.images[image].index]);
    return meta.images
      .map((_, image) => image)
      .filter((image) => only === "all" || isWrong(image) === (only === "wrong"))
      .sort((a, b) => app.ranking.rank[meta.images[b].index] - app.ranking.rank[meta.images[a].index]);
  };
  return app;
}

function start(app) {
  const { model, root } = app;
  const parts = [topPart(app), linePart(app), bodyPart(app)];
  const live = h("p", { class: "kw-spoken", "aria-live": "polite", role: "status" });
  app.help = helpDialog(KEYS);
  const foot = h("footer", { class: "kw-foot kw-quiet" }, app.meta.words.map((text) => h("p", {}, text)));
  root.append(h("div", { class: "kw-page kt-page" }, parts.map(({ node }) => node), foot, live), app.help);

  const refresh = (changed) => {
    if (!changed || changed === "score") app.ranking = rankingOf(app.arrays, app.position());
    parts.forEach((part) => part.refresh(changed));
    if (changed) live.textContent = changed === "selected" ? selectedWords(app) : sideWords(app);
  };
  const names = ["score", "coverage", "selected", "only"];
  const listeners = names.map((name) => [`change:${name}`, () => refresh(name)]);
  listeners.forEach(([event, listener]) => model.on(event, listener));
  refresh(null);

  const keys = (event) => onKey(app, event);
  root.addEventListener("keydown", keys);
  const watcher = new ResizeObserver(() => parts.forEach((part) => part.resize?.()));
  watcher.observe(root);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const repaint = () => parts.forEach((part) => part.resize?.());
  scheme.addEventListener("change", repaint);
  return () => {
    listeners.forEach(([event, listener]) => model.off(event, listener));
    root.removeEventListener("keydown", keys);
    scheme.removeEventListener("change", repaint);
    watcher.disconnect();
  };
}

// ---------------------------------------------------------------- top: title, score, filter

function topPart(app) {
  const { meta, model } = app;
  const menu = h(
    "select",
    { class: "kt-menu", onchange: (event) => chooseScore(app, event.target.value) },
    meta.scores.map(({ name, title, auroc }) =>
      h("option", { value: name },
        auroc === null ? title : `${title} (AUROC ${auroc.toFixed(3)})`)),
  );
  const choices = ["all", "wrong", "right"].map((name) =>
    h("button", { class: "kt-choice", onclick: () => app.set("only", name) }, name));
  const node = h(
    "header",
    { class: "kt-top" },
    h("h2", { class: "kt-title" }, meta.title),
    h("label", { class: "kt-label" }, h("span", { class: "kw-quiet" }, "sort by"), menu),
    h("div", { class: "kt-choices", role: "group", "aria-label": "Show" }, choices),
    h("button", { class: "kw-button", title: "Keys", "aria-label": "Keys", onclick: () => openHelp(app) }, "?"),
  );
  const refresh = () => {
    menu.value = meta.scores[app.position()].name;
    choices.forEach((choice) =>
      choice.setAttribute("aria-pressed", String(choice.textContent === model.get("only"))));
  };
  return { node, refresh };
}

function chooseScore(app, name) {
  app.set("score", name);
}

// ---------------------------------------------------------------- all images on one line

function linePart(app) {
  const strip = h("canvas", { class: "kt-strip", "aria-hidden": "true" });
  const range = h("input", {
    class: "kt-range", type: "range", min: 0, max: 1, step: "any", "aria-label": "Share of images kept",
    oninput: (event) => app.set("coverage", Number(event.target.value)),
  });
  const sides = [sidePart("kept", ""), sidePart("withheld", "kt-withheld")];
  const caught = h("p", { class: "kw-quiet" });
  const node = h(
    "section",
    { class: "kt-line", "aria-label": "All images by suspicion" },
    h("div", { class: "kt-stage" }, strip, range,
      h("div", { class: "kt-ends kw-quiet" }, h("span", {}, "most trusted"),
        h("span", {}, "each line an image, tall and orange where the prediction is wrong"),
        h("span", {}, "most suspicious"))),
    h("div", { class: "kt-sides" }, sides.map((side) => side.node)),
    caught,
  );
  const draw = () => drawStrip(app, strip);
  const refresh = (changed) => {
    if (changed === "selected" || changed === "only") return;
    const { errors, total } = app.ranking;
    const kept = app.kept();
    range.value = app.model.get("coverage");
    range.setAttribute("aria-valuetext", sideWords(app));
    sides[0].show(kept, errors[kept], total);
    sides[1].show(total - kept, errors[total] - errors[kept], total);
    caught.textContent =
      `${count(errors[total] - errors[kept])} of ${count(errors[total])} errors are withheld; ` +
      `without withholding, ${tenths(1 - errors[total] / total)} of ${count(total)} predictions are right.`;
    draw();
  };
  return { node, refresh, resize: draw };
}

function sidePart(word, className) {
  const number = h("span", { class: "kt-number" });
  const words = h("span", {});
  const node = h("div", { class: `kt-side ${className}` }, number, words);
  const show = (size, errors, total) => {
    number.textContent = size ? tenths(1 - errors / size) : "–";
    words.replaceChildren(
      size ? `of ${count(size)} images ` : "no image ", h("b", {}, word),
      size ? ` (${tenths(size / total)}) are right` : "");
  };
  return { node, show };
}

function sideWords(app) {
  const { errors, total } = app.ranking;
  const kept = app.kept();
  const share = (part, whole) => (whole ? tenths(1 - part / whole) : "none");
  return `${tenths(kept / total)} kept, ${share(errors[kept], kept)} of them right; ` +
    `withheld ${share(errors[total] - errors[kept], total - kept)} right`;
}

/** Every image is a column; where columns are thinner than a pixel, errors are drawn last. */
function drawStrip(app, canvas) {
  const box = canvas.getBoundingClientRect();
  if (!box.width) return;
  const density = window.devicePixelRatio || 1;
  canvas.width = Math.round(box.width * density);
  canvas.height = Math.round(box.height * density);
  const style = getComputedStyle(app.root);
  const color = (name) => resolved(app.root, style.getPropertyValue(name));
  const context = canvas.getContext("2d");
  const { order, total } = app.ranking;
  const kept = app.kept();
  const wide = canvas.width / total;
  const [right, wrong, paper] = ["--kt-right", "--kt-wrong", "--kw-wash"].map(color);
  context.fillStyle = paper;
  context.fillRect(0, 0, canvas.width, canvas.height);
  const column = (place, tall) => {
    const width = Math.max(wide * (wide > 3 * density ? 0.8 : 1), density);
    context.fillRect(place * wide, canvas.height * (1 - tall), width, canvas.height * tall);
  };
  context.fillStyle = right;
  for (let place = 0; place < total; place += 1) {
    context.globalAlpha = place < kept ? 0.75 : 0.35;
    if (!app.arrays.wrong.data[order[place]]) column(place, 0.42);
  }
  context.fillStyle = wrong;
  context.globalAlpha = 1;
  for (let place = 0; place < total; place += 1) {
    if (app.arrays.wrong.data[order[place]]) column(place, 1);
  }
}

/** Canvas does not know light-dark() or var(): ask the browser what a colour comes to. */
function resolved(root, value) {
  const probe = h("span", { style: `color:${value};display:none` });
  root.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

// ---------------------------------------------------------------- gallery

function bodyPart(app) {
  const gallery = h("div", { class: "kt-gallery", role: "listbox", "aria-label": "Images, most suspicious first" });
  const detail = h("aside", { class: "kt-detail", "aria-label": "The chosen image" });
  const node = h("div", { class: "kt-body" }, gallery, detail);
  const cards = app.meta.images.map((_, image) => card(app, image));
  const refresh = (changed) => {
    const hadFocus = gallery.contains(document.activeElement);
    if (!changed || changed === "score" || changed === "only") {
      gallery.replaceChildren(...app.visible().map((image) => cards[image]));
    }
    const selected = app.model.get("selected");
    cards.forEach((each, image) => {
      each.classList.toggle("kt-withheld", !app.isKept(image));
      each.setAttribute("aria-selected", String(image === selected));
      each.tabIndex = image === selected ? 0 : -1;
    });
    const tabbable = gallery.querySelector("[tabindex='0']") ?? gallery.firstElementChild;
    if (tabbable) tabbable.tabIndex = 0;
    // A card that had the focus may be gone; keys must still find the widget.
    if (hadFocus && !gallery.contains(document.activeElement)) (tabbable ?? app.root).focus();
    detail.replaceChildren(...detailParts(app, selected));
  };
  app.focusCard = (image) => cards[image].focus({ preventScroll: false });
  return { node, refresh };
}

function card(app, image) {
  const { label, predicted } = app.meta.images[image];
  const isWrong = label !== predicted;
  return h(
    "button",
    {
      class: "kt-card", role: "option", "data-image": image,
      "aria-label": `says ${predicted}, ${isWrong ? `wrong, is ${label}` : "right"}`,
      onclick: () => app.set("selected", image),
    },
    paint(app.arrays.inputs, image),
    h("span", { class: isWrong ? "kt-said kt-is-wrong" : "kt-said" },
      isWrong ? `✖ ${predicted}, is ${label}` : `✔ ${predicted}`),
  );
}

// ---------------------------------------------------------------- one image

function detailParts(app, image) {
  const record = app.meta.images[image];
  return [headPart(app, image, record), votesPart(app, record), mapsPart(app, record), nearPart(app, record)];
}

function headPart(app, image, { index, label, predicted, probability }) {
  const { rank, total } = app.ranking;
  const isWrong = label !== predicted;
  return h(
    "div",
    { class: "kt-head" },
    paint(app.arrays.inputs, image),
    h("div", {},
      h("p", { class: isWrong ? "kt-lead kt-is-wrong" : "kt-lead" },
        isWrong ? `Says ${predicted}, is ${label}` : `Says ${predicted}, and it is`),
      h("p", { class: "kw-quiet" }, `with probability ${probability.toFixed(3)}`),
      h("p", { class: "kw-quiet" },
        `${count(total - rank[index])} of ${count(total)} from the most suspicious; ` +
        `${app.isKept(image) ? "kept" : "withheld"}`)),
  );
}

function votesPart(app, { votes, predicted }) {
  if (!votes.length) return "";
  const total = app.meta.num_mutants;
  const changed = total - (votes.find(({ name }) => name === predicted)?.count ?? 0);
  const rows = votes.slice(0, 4).map(({ name, count: number }) =>
    h("li", { class: name === predicted ? "kt-vote kt-own" : "kt-vote" },
      h("span", { class: "kt-vote-name", title: name }, name),
      h("span", { class: "kt-bar" }, h("span", { class: "kt-fill", style: `width:${(100 * number) / total}%` })),
      h("span", { class: "kt-vote-count" }, String(number))));
  return h(
    "section",
    {},
    h("h3", { class: "kt-sub" }, `Votes of ${count(total)} mutants`),
    h("ul", {}, rows),
    h("p", { class: "kw-quiet" }, `${tenths(changed / total)} change the label.`),
  );
}

function mapsPart(app, { maps, predicted }) {
  if (!maps.length) return "";
  return h(
    "section",
    {},
    h("h3", { class: "kt-sub" }, `Conductance of the maps that stand for ${predicted}`),
    mapsChart(maps),
    h("p", { class: "kw-quiet" },
      `Columns: this image, orange outside two deviations. Grey: right predictions of ${predicted}. ` +
      `Maps of ${app.meta.tap}.`),
  );
}

function mapsChart(maps) {
  const [width, height, floor] = [360, 118, 16];
  const low = Math.min(0, ...maps.map(({ value, mean, deviation }) => Math.min(value, mean - 2 * deviation)));
  const high = Math.max(1e-9, ...maps.map(({ value, mean, deviation }) => Math.max(value, mean + 2 * deviation)));
  const y = (value) => (height - floor) * (1 - (value - low) / (high - low));
  const wide = width / maps.length;
  const groups = maps.map(({ map, value, mean, deviation }, place) => {
    const left = place * wide;
    const isOutside = Math.abs(value - mean) > 2 * deviation;
    const top = Math.min(y(value), y(0));
    return s("g", {},
      s("title", {}, `map ${map}: ${value.toFixed(3)}, class ${mean.toFixed(3)} ± ${deviation.toFixed(3)}`),
      s("rect", { class: "kt-band", x: left + 2, width: wide - 4, y: y(mean + 2 * deviation),
        height: Math.max(1, y(mean - 2 * deviation) - y(mean + 2 * deviation)) }),
      s("rect", { class: isOutside ? "kt-column kt-outside" : "kt-column", x: left + wide * 0.3,
        width: wide * 0.4, y: top, height: Math.max(1, Math.abs(y(value) - y(0))) }),
      s("line", { class: "kt-mean", x1: left + 2, x2: left + wide - 2, y1: y(mean), y2: y(mean) }),
      s("text", { x: left + wide / 2, y: height - 3 }, String(map)));
  });
  const zero = s("line", { class: "kt-zero", x1: 0, x2: width, y1: y(0), y2: y(0) });
  const words = maps.map(({ map, value, mean }) => `map ${map} ${value.toFixed(2)}, class ${mean.toFixed(2)}`);
  return s("svg", { class: "kt-chart", viewBox: `0 0 ${width} ${height}`,
    role: "img", "aria-label": words.join("; ") }, groups, zero);
}

function nearPart(app, { neighbours }) {
  const items = neighbours.map((place) => {
    const { label, predicted } = app.meta.neighbours[place];
    const isWrong = label !== predicted;
    return h("li", {}, paint(app.arrays.neighbour_inputs, place),
      h("p", { class: isWrong ? "kt-said kt-is-wrong" : "kt-said", title: `is ${label}, network says ${predicted}` },
        isWrong ? `is ${label}, says ${predicted}` : `is ${label}`));
  });
  return h("section", {}, h("h3", { class: "kt-sub" }, "Most like it among calibration images"),
    h("ul", { class: "kt-near" }, items));
}

function selectedWords(app) {
  const { label, predicted } = app.meta.images[app.model.get("selected")];
  return `Says ${predicted}, ${label === predicted ? "right" : `wrong, is ${label}`}`;
}

// ---------------------------------------------------------------- help and keys

function onKey(app, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || app.help.open) return;
  if (event.target.closest("select, input") && event.key.startsWith("Arrow")) return;
  const action = actionFor(app, event.key);
  if (!action) return;
  event.preventDefault();
  event.stopPropagation();
  action();
}

function actionFor(app, key) {
  const { model, meta } = app;
  const cover = (by) => () => app.set("coverage", clamp(model.get("coverage") + by, 0, 1));
  const move = (by) => () => {
    const visible = app.visible();
    if (!visible.length) return;
    const place = visible.indexOf(model.get("selected"));
    const next = visible[clamp(place + by, 0, visible.length - 1)];
    app.set("selected", next);
    app.focusCard(next);
  };
  const turn = ["all", "wrong", "right"];
  return {
    ArrowRight: move(1),
    ArrowLeft: move(-1),
    ArrowDown: move(columns(app)),
    ArrowUp: move(-columns(app)),
    "[": cover(-STEP),
    "]": cover(STEP),
    s: () => chooseScore(app, meta.scores[(app.position() + 1) % meta.scores.length].name),
    w: () => app.set("only", turn[(turn.indexOf(model.get("only")) + 1) % turn.length]),
    "?": () => openHelp(app),
  }[key];
}

function columns(app) {
  const gallery = app.root.querySelector(".kt-gallery");
  return getComputedStyle(gallery).gridTemplateColumns.split(" ").length;
}

// ---------------------------------------------------------------- entry

function render({ model, el }) {
  const root = addRoot(el, "kernel-triage");
  const app = createApp(model, root);
  const stop = start(app);
  return () => {
    stop();
    root.remove();
  };
}

export default { render };
