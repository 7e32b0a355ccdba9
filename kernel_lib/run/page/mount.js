// Mount the widgets of an exported notebook from the state the page carries: no kernel, no network.
// A widget sees the model that anywidget gives it; what it saves stays in the page.

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const models = new Map();
const modules = new Map();

class Model {
  #state;
  #listeners = new Map();

  constructor(state) {
    this.#state = state;
  }

  get(name) {
    return this.#state[name];
  }

  set(name, value) {
    const changes = typeof name === "object" ? name : { [name]: value };
    for (const [key, changed] of Object.entries(changes)) {
      if (this.#state[key] === changed) continue;
      this.#state[key] = changed;
      this.#tell(`change:${key}`, this, changed);
    }
    this.#tell("change", this);
  }

  on(events, callback) {
    for (const event of events.split(/\s+/)) {
      if (!this.#listeners.has(event)) this.#listeners.set(event, new Set());
      this.#listeners.get(event).add(callback);
    }
  }

  off(events, callback) {
    const names = events ? events.split(/\s+/) : [...this.#listeners.keys()];
    for (const event of names) {
      if (callback) this.#listeners.get(event)?.delete(callback);
      else this.#listeners.delete(event);
    }
  }

  save_changes() {}

  send() {}

  #tell(event, ...details) {
    for (const callback of [...(this.#listeners.get(event) ?? [])]) callback(...details);
  }
}

function bytes(base64) {
  const text = atob(base64);
  const array = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) array[at] = text.charCodeAt(at);
  return new DataView(array.buffer);
}

function model(id) {
  if (!models.has(id)) {
    const { state, buffers } = read(`model-${id}`);
    for (const { path, data } of buffers) {
      const holder = path.slice(0, -1).reduce((inside, key) => inside[key], state);
      holder[path.at(-1)] = bytes(data);
    }
    models.set(id, { model: new Model(state), initialized: null });
  }
  return models.get(id);
}

async function definition(name) {
  const { esm, css } = read(name);
  document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
  const url = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
  const { default: made, render, initialize } = await import(url);
  return (typeof made === "function" ? await made() : made) ?? { render, initialize };
}

async function mount(place) {
  const { model: name, module } = place.dataset;
  if (!modules.has(module)) modules.set(module, definition(module));
  const widget = await modules.get(module);
  const entry = model(name);
  const { signal } = new AbortController();
  const experimental = { invoke: () => Promise.reject(new Error("There is no kernel.")) };
  entry.initialized ??= Promise.resolve(
    widget.initialize?.({ model: entry.model, signal, experimental }),
  );
  await entry.initialized;
  const el = document.createElement("div");
  place.before(el);
  try {
    await widget.render({ model: entry.model, el, signal, experimental });
    place.remove();
  } catch (error) {
    el.remove();
    throw error;
  }
}

// A widget that cannot be shown leaves its still picture, and the others alone.
const places = [...document.querySelectorAll("[data-model]")];
const mounted = await Promise.allSettled(places.map(mount));
mounted.forEach(({ reason }) => reason && console.error(reason));
document.documentElement.dataset.widgets = "ready";
