// Look through LabelMe files: masks over images, errors beside the files that have them.
// common.js stands before this text.

class Importer {
  constructor(model, host) {
    this.model = model;
    this.page = h("div", { class: "kernel-widget kernel-masks" });
    host.append(this.page);
    this.listeners = ["rows", "message", "known_labels", "labels", "polarity", "folder", "left_out"].map(
      (name) => [`change:${name}`, () => this.render()],
    );
    for (const [name, listener] of this.listeners) model.on(name, listener);
    this.render();
  }

  save(changes) {
    for (const [name, value] of Object.entries(changes)) this.model.set(name, value);
    this.model.save_changes();
  }

  render() {
    const focus = this.page.contains(document.activeElement) ? document.activeElement.id : "";
    const rows = this.model.get("rows") ?? [];
    const good = rows.filter((row) => !row.problem);
    const bad = rows.filter((row) => row.problem);
    this.page.replaceChildren(
      this.source(),
      this.choices(),
      h("p", { class: "km-message", role: "status" }, this.model.get("message")),
      this.problems(bad),
      this.grid(good),
      this.foot(good),
    );
    if (focus) this.page.querySelector(`#${CSS.escape(focus)}`)?.focus();
  }

  source() {
    const folder = h("input", { type: "text", id: "km-folder", value: this.model.get("folder") });
    folder.addEventListener("change", () => this.save({ folder: folder.value }));
    const files = h("input", { type: "file", id: "km-files", multiple: true, accept: ".json,.jsonl" });
    files.addEventListener("change", () => this.upload([...files.files]));
    return h(
      "div",
      { class: "km-bar" },
      h("label", { class: "km-grow" }, "Folder ", folder),
      h("label", {}, "or upload LabelMe files ", files),
    );
  }

  async upload(files) {
    const texts = await Promise.all(files.map((file) => file.text()));
    this.save({ uploads: Object.fromEntries(files.map((file, i) => [file.name, texts[i]])) });
  }

  choices() {
    const bar = h("div", { class: "km-bar" });
    const polarity = h("select", { id: "km-polarity" });
    for (const name of ["object", "background"]) {
      const selected = this.model.get("polarity") === name;
      polarity.append(h("option", { value: name, selected }, `the ${name}`));
    }
    polarity.addEventListener("change", () => this.save({ polarity: polarity.value }));
    bar.append(h("label", {}, "Shapes outline ", polarity));
    const known = this.model.get("known_labels") ?? [];
    const chosen = this.model.get("labels") ?? [];
    if (known.length > 1) {
      const set = h("fieldset", {}, h("legend", {}, "Labels that count"));
      known.forEach((label, place) => {
        const checked = !chosen.length || chosen.includes(label);
        const box = h("input", { type: "checkbox", id: `km-label-${place}`, checked });
        box.addEventListener("change", () => this.toggleLabel(label, box.checked));
        set.append(h("label", {}, box, ` ${label}`));
      });
      bar.append(set);
    }
    return bar;
  }

  toggleLabel(label, isOn) {
    const known = this.model.get("known_labels");
    const before = this.model.get("labels").length ? this.model.get("labels") : known;
    const after = known.filter((each) => (each === label ? isOn : before.includes(each)));
    // No label at all would mean every label: keep the last one.
    if (after.length) this.save({ labels: after.length === known.length ? [] : after });
    else this.render();
  }

  problems(bad) {
    if (!bad.length) return "";
    const list = h("ul", { class: "km-problems", "aria-label": "Files with problems" });
    for (const row of bad) {
      list.append(h("li", {}, h("b", {}, row.file), h("span", {}, row.problem)));
    }
    return list;
  }

  grid(good) {
    const grid = h("ul", { class: "km-grid", "aria-label": "Masks" });
    good.forEach((row, place) => {
      const used = !(this.model.get("left_out") ?? []).includes(row.file);
      const box = h("input", { type: "checkbox", id: `km-use-${place}`, checked: used });
      box.addEventListener("change", () => this.use(row.file, box.checked));
      const picture = h("img", { src: row.picture, alt: `Mask of ${row.file}`, loading: "lazy" });
      const text = `image ${row.index}, ${row.label}; ${Math.round(100 * row.covered)} % covered`;
      const caption = h("span", { class: "km-caption" }, box, " ", h("b", {}, row.file));
      const label = h("label", {}, picture, caption, h("small", {}, text));
      grid.append(h("li", { class: used ? "" : "km-out" }, label));
    });
    return grid;
  }

  use(file, isUsed) {
    const others = (this.model.get("left_out") ?? []).filter((each) => each !== file);
    this.save({ left_out: isUsed ? others : [...others, file] });
    this.render();
  }

  foot(good) {
    const target = h("input", { type: "text", id: "km-target", value: this.model.get("target") });
    target.addEventListener("change", () => this.save({ target: target.value }));
    const left = new Set(this.model.get("left_out") ?? []);
    const count = good.filter((row) => !left.has(row.file)).length;
    const button = h(
      "button",
      { type: "button", id: "km-save", disabled: count === 0 },
      `Save ${count} masks`,
    );
    button.addEventListener("click", () => {
      this.save({ target: target.value, save_clicks: this.model.get("save_clicks") + 1 });
    });
    return h("div", { class: "km-bar" }, h("label", { class: "km-grow" }, "Save to ", target), button);
  }

  stop() {
    for (const [name, listener] of this.listeners) this.model.off(name, listener);
    this.page.remove();
  }
}

function render({ model, el }) {
  const importer = new Importer(model, el);
  return () => importer.stop();
}

export default { render };
