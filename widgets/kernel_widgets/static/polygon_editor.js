// Draw polygons on an image. Every change goes to the model as one list of shapes.
// common.js stands before this text.

const HELP =
  "Click: add a corner. Enter or a click on the first corner: close. Drag: move. " +
  "Tab: next corner. Arrows: move it (Shift: by 5). Delete: remove it. " +
  "Ctrl+Z / Ctrl+Y: undo and redo. Escape: drop the open outline.";

const isPolygon = (shape) => (shape.shape_type ?? "polygon") === "polygon";

class Editor {
  constructor(model, host) {
    this.model = model;
    this.open = []; // corners of the outline that is being drawn
    this.chosen = null; // [shape, corner]
    this.past = [];
    this.future = [];
    this.controller = new AbortController();
    this.build(host);
    this.onShapes = () => this.render();
    model.on("change:shapes", this.onShapes);
    this.render();
  }

  get shapes() {
    return this.model.get("shapes") ?? [];
  }

  build(host) {
    const [height, width] = this.model.get("size");
    this.size = { height, width };
    this.unit = Math.max(height, width) / 100;
    this.page = h("div", { class: "kernel-widget kernel-polygons" });
    this.stage = s("svg", {
      viewBox: `0 0 ${width} ${height}`,
      tabindex: "0",
      role: "application",
      "aria-label": `Outline of the object on ${this.model.get("name")}. ${HELP}`,
    });
    const picture = s("image", { href: this.model.get("picture"), width, height });
    this.layer = s("g", {});
    this.stage.append(picture, this.layer);
    this.status = h("p", { class: "kp-status", role: "status" });
    this.page.append(this.bar(), this.stage, this.status, h("p", { class: "kw-quiet" }, HELP));
    host.append(this.page);
    const signal = this.controller.signal;
    this.stage.addEventListener("pointerdown", (event) => this.press(event), { signal });
    this.stage.addEventListener("pointermove", (event) => this.move(event), { signal });
    this.stage.addEventListener("pointerup", () => this.release(), { signal });
    this.stage.addEventListener("keydown", (event) => this.key(event), { signal });
  }

  bar() {
    const label = h("input", { type: "text", value: this.model.get("label"), size: "12" });
    label.addEventListener("change", () => this.save("label", label.value));
    const button = (text, action) => {
      const element = h("button", { type: "button" }, text);
      element.addEventListener("click", () => {
        action();
        this.stage.focus();
      });
      return element;
    };
    return h(
      "div",
      { class: "kp-bar" },
      h("label", {}, "Label ", label),
      button("Close outline", () => this.close()),
      button("Undo", () => this.undo()),
      button("Redo", () => this.redo()),
      button("Delete polygon", () => this.drop()),
    );
  }

  save(name, value) {
    this.model.set(name, value);
    this.model.save_changes();
  }

  // Every change leaves what was before on the pile of the past.
  change(shapes, remember = true) {
    if (remember) this.remember();
    this.save("shapes", shapes);
    this.render();
  }

  remember() {
    this.past.push(JSON.stringify([this.shapes, this.open]));
    this.future = [];
  }

  restore(from, to) {
    if (!from.length) return;
    to.push(JSON.stringify([this.shapes, this.open]));
    const [shapes, open] = JSON.parse(from.pop());
    this.open = open;
    this.chosen = null;
    this.change(shapes, false);
  }

  undo() {
    this.restore(this.past, this.future);
  }

  redo() {
    this.restore(this.future, this.past);
  }

  point(event) {
    const box = this.stage.getBoundingClientRect();
    const clamp = (value, most) => Math.min(Math.max(value, 0), most);
    const x = ((event.clientX - box.left) / box.width) * this.size.width;
    const y = ((event.clientY - box.top) / box.height) * this.size.height;
    return [
      Math.round(clamp(x, this.size.width - 0.01) * 100) / 100,
      Math.round(clamp(y, this.size.height - 0.01) * 100) / 100,
    ];
  }

  press(event) {
    this.stage.focus();
    const corner = event.target.dataset?.corner;
    if (corner === "open:0" && this.open.length > 2) {
      this.close();
    } else if (corner && !corner.startsWith("open")) {
      this.chosen = corner.split(":").map(Number);
      this.remember();
      this.dragging = true;
      this.stage.setPointerCapture?.(event.pointerId);
      this.render();
    } else if (event.target.dataset?.shape !== undefined && !this.open.length) {
      this.chosen = [Number(event.target.dataset.shape), 0];
      this.render();
    } else {
      this.remember();
      this.open.push(this.point(event));
      this.chosen = null;
      this.render();
    }
    event.preventDefault();
  }

  move(event) {
    if (this.dragging) this.place(this.point(event));
  }

  release() {
    this.dragging = false;
  }

  place(point) {
    const shapes = structuredClone(this.shapes);
    shapes[this.chosen[0]].points[this.chosen[1]] = point;
    this.change(shapes, false);
  }

  close() {
    if (this.open.length < 3) return;
    this.remember();
    const added = { label: this.model.get("label"), points: this.open, shape_type: "polygon" };
    this.open = [];
    this.change([...this.shapes, added], false);
  }

  drop() {
    const place = this.chosen?.[0] ?? this.shapes.length - 1;
    if (place < 0) return;
    this.chosen = null;
    this.change(this.shapes.filter((_, index) => index !== place));
  }

  removeCorner() {
    if (this.open.length) {
      this.remember();
      this.open.pop();
      this.render();
      return;
    }
    if (!this.chosen) return;
    const [shape, corner] = this.chosen;
    if (this.shapes[shape].points.length <= 3) {
      this.drop();
      return;
    }
    const shapes = structuredClone(this.shapes);
    shapes[shape].points.splice(corner, 1);
    this.chosen = [shape, Math.min(corner, shapes[shape].points.length - 1)];
    this.change(shapes);
  }

  next(step) {
    const corners = this.shapes.flatMap((shape, index) =>
      isPolygon(shape) ? shape.points.map((_, corner) => [index, corner]) : [],
    );
    if (!corners.length) return false;
    const now = corners.findIndex((each) => String(each) === String(this.chosen));
    const then = now < 0 ? (step > 0 ? 0 : corners.length - 1) : now + step;
    this.chosen = corners[then] ?? null; // past the end, the focus goes on
    this.render();
    return this.chosen !== null;
  }

  nudge(event) {
    const by = event.shiftKey ? 5 : 1;
    const steps = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by] };
    const step = steps[event.key];
    if (!step || !this.chosen) return false;
    const [x, y] = this.shapes[this.chosen[0]].points[this.chosen[1]];
    this.remember();
    const clamp = (value, most) => Math.min(Math.max(value, 0), most - 0.01);
    this.place([clamp(x + step[0], this.size.width), clamp(y + step[1], this.size.height)]);
    return true;
  }

  key(event) {
    const command = event.ctrlKey || event.metaKey;
    const letter = event.key.toLowerCase();
    let used = true;
    if (command && letter === "z" && !event.shiftKey) this.undo();
    else if (command && (letter === "y" || letter === "z")) this.redo();
    else if (event.key === "Tab") used = this.next(event.shiftKey ? -1 : 1);
    else if (event.key === "Enter") this.close();
    else if (event.key === "Delete" || event.key === "Backspace") this.removeCorner();
    else if (event.key === "Escape") {
      this.open = [];
      this.chosen = null;
      this.render();
    } else used = this.nudge(event);
    if (used) {
      event.preventDefault();
      event.stopPropagation(); // the notebook must not take the same key
    }
  }

  render() {
    this.layer.replaceChildren();
    this.shapes.forEach((shape, index) => {
      if (!isPolygon(shape)) return;
      const hole = shape.label === "hole" ? " kp-hole" : "";
      const chosen = this.chosen?.[0] === index ? " kp-chosen" : "";
      const outline = s("polygon", {
        points: shape.points.map((point) => point.join(",")).join(" "),
        class: `kp-shape${hole}${chosen}`,
        "stroke-width": this.unit * 0.6,
      });
      outline.dataset.shape = index;
      this.layer.append(outline);
      shape.points.forEach((point, corner) => this.dot(point, `${index}:${corner}`));
    });
    if (this.open.length) {
      const line = this.open.map((point) => point.join(",")).join(" ");
      const attributes = { points: line, class: "kp-open", "stroke-width": this.unit * 0.6 };
      this.layer.append(s("polyline", attributes));
      this.open.forEach((point, corner) => this.dot(point, `open:${corner}`));
    }
    const others = this.shapes.filter((shape) => !isPolygon(shape)).length;
    const rest = others ? `, ${others} of other kinds, kept as they are` : "";
    const open = this.open.length ? `; open outline of ${this.open.length} corners` : "";
    const count = this.shapes.length - others;
    this.status.textContent = `${count} polygon${count === 1 ? "" : "s"}${rest}${open}`;
  }

  dot([x, y], corner) {
    const chosen = String(this.chosen ?? "").replace(",", ":") === corner ? " kp-chosen" : "";
    const dot = s("circle", { cx: x, cy: y, r: this.unit * 1.2, class: `kp-dot${chosen}` });
    dot.dataset.corner = corner;
    this.layer.append(dot);
  }

  stop() {
    this.controller.abort();
    this.model.off("change:shapes", this.onShapes);
    this.page.remove();
  }
}

function render({ model, el }) {
  const editor = new Editor(model, el);
  return () => editor.stop();
}

export default { render };
