// What every widget needs. This text stands in front of each widget's own module (assets.py): a
// widget is one ES module, and two widgets on a page share nothing.

const SVG = "http://www.w3.org/2000/svg";

const STATUS = {
  pass: { sign: "✔", word: "passes" },
  warning: { sign: "▲", word: "take care" },
  fail: { sign: "✖", word: "fails" },
  undetermined: { sign: "?", word: "undetermined" },
};

// ---------------------------------------------------------------- small helpers

function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false)
      node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null));
  return node;
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const range = (length) => Array.from({ length }, (_, index) => index);
const percent = (share) => `${Math.round(100 * share)} %`;

/** The element that holds a widget. It works without a kernel, so its host shows no broken link. */
function addRoot(el, name) {
  // JupyterLab's own single-key shortcuts would otherwise swallow letters and arrows.
  const root = h("div", {
    class: `kernel-widget ${name}`,
    tabindex: -1,
    "data-lm-suppress-shortcuts": "true",
  });
  el.classList.add("kernel-widget-host");
  el.append(root);
  return root;
}

// ---------------------------------------------------------------- arrays of the atlas

const KINDS = {
  uint8: Uint8Array,
  uint16: Uint16Array,
  int32: Int32Array,
  float32: Float32Array,
};

function asBytes(buffer) {
  if (buffer instanceof ArrayBuffer) return new Uint8Array(buffer);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

function readArray(bytes, { offset, shape, dtype = "float32" }) {
  const Kind = KINDS[dtype];
  const length = shape.reduce((product, size) => product * size, 1);
  const start = bytes.byteOffset + offset;
  // Views need aligned starts, which a slice of a larger message may not have.
  if (start % Kind.BYTES_PER_ELEMENT === 0)
    return { shape, data: new Kind(bytes.buffer, start, length) };
  const copy = bytes.slice(offset, offset + length * Kind.BYTES_PER_ELEMENT);
  return { shape, data: new Kind(copy.buffer) };
}

function readArrays(atlas, layout) {
  const bytes = asBytes(atlas);
  const entries = Object.entries(layout);
  return Object.fromEntries(entries.map(([name, entry]) => [name, readArray(bytes, entry)]));
}

function place({ shape }, indices) {
  let index = 0;
  shape.forEach((length, axis) => (index = index * length + (indices[axis] ?? 0)));
  return index;
}

const at = (array, ...indices) => array.data[place(array, indices)];

/** Everything under the first indices. */
function block(array, ...indices) {
  const size = array.shape.slice(indices.length).reduce((product, length) => product * length, 1);
  const start = place(array, indices);
  return array.data.subarray(start, start + size);
}

// ---------------------------------------------------------------- state

/** A state that follows the model and that the model follows; `tidy` keeps it in its bounds. */
function makeStore(model, names, first, tidy, onChange) {
  let state = tidy(first);
  let writing = false;

  function change(patch) {
    const before = state;
    state = tidy({ ...state, ...patch });
    const changed = names.filter((name) => state[name] !== before[name]);
    if (changed.length) onChange(state, before);
    return changed;
  }
  function update(patch) {
    const changed = change(patch);
    if (!changed.length) return;
    writing = true;
    changed.forEach((name) => model.set(name, state[name]));
    model.save_changes();
    writing = false;
  }
  const readers = names.map((name) => [
    `change:${name}`,
    () => !writing && change({ [name]: model.get(name) }),
  ]);
  readers.forEach(([event, reader]) => model.on(event, reader));
  return {
    get state() {
      return state;
    },
    change,
    update,
    dispose: () => readers.forEach(([event, reader]) => model.off(event, reader)),
  };
}

// ---------------------------------------------------------------- help

/** A dialog of [keys, what they do], and a note below. */
function helpDialog(keys, note = "") {
  const keyCap = (text) => (text === "–" ? "–" : h("kbd", {}, text));
  const rows = keys.map(([caps, words]) =>
    h("div", {}, h("dt", {}, caps.split(" ").map(keyCap)), h("dd", {}, words)),
  );
  const dialog = h(
    "dialog",
    { class: "kw-help", "aria-label": "Keys" },
    h("h3", {}, "Keys"),
    h("dl", {}, rows),
    note ? h("p", { class: "kw-quiet" }, note) : null,
    h("form", { method: "dialog" }, h("button", { class: "kw-button" }, "Close")),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  return dialog;
}

function openHelp({ root, help }) {
  const back = root.contains(document.activeElement) ? document.activeElement : null;
  help.showModal();
  help.addEventListener("close", () => back?.focus(), { once: true });
}
