/** A picture before and after, one over the other, that can be zoomed and moved; tiles are fetched where they are seen. */

const TILE = 512; // of what ssrvae_tf.photos.files.write_pyramid writes
const CLOSEST = 8; // pixels of the screen that one of the result is shown as, at most
export const STEP = 1.5; // of the zoom, by keys and buttons

export class Viewer {
  /** @param {HTMLElement} frame holds .layer #before, .layer #after and .handle. */
  constructor(frame, { onZoom }) {
    this.frame = frame;
    this.handle = frame.querySelector(".handle");
    this.layers = [];
    this.split = 0.5;
    this.onZoom = onZoom;
    this.pointers = new Map();
    new ResizeObserver(() => this.#resized()).observe(frame);
    frame.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    frame.addEventListener("pointerdown", (event) => this.#down(event));
    frame.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) frame.addEventListener(end, (event) => this.#up(event));
    frame.addEventListener("dblclick", (event) => this.#twice(event));
    frame.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Show a pair: where its tiles are, and { width, height, levels } of either. */
  show(address, before, after) {
    this.size = after;
    this.layers = [["before", before], ["after", after]].map(([side, view]) => {
      const element = this.frame.querySelector(`#${side}`);
      element.replaceChildren();
      return { element, ...view, tiles: new Map(), address: `${address}/${side}`, scale: view.width / after.width };
    });
    this.frame.style.setProperty("--ratio", after.width / after.height);
    this.fit();
    this.#setSplit(0.5);
  }

  /** Show nothing, so that nothing more is fetched. */
  clear() {
    this.layers = [];
  }

  fit() {
    if (!this.layers.length) return;
    this.zoom = this.#least();
    [this.x, this.y] = [0, 0];
    this.#draw();
  }

  /** Zoom so that one pixel of the result is so many of the screen, around a point of the frame. */
  zoomTo(zoom, x = this.frame.clientWidth / 2, y = this.frame.clientHeight / 2) {
    const wanted = Math.min(Math.max(zoom, this.#least()), CLOSEST);
    const factor = wanted / this.zoom;
    [this.x, this.y] = [x - (x - this.x) * factor, y - (y - this.y) * factor];
    this.zoom = wanted;
    this.#draw();
  }

  zoomBy(factor) {
    this.zoomTo(this.zoom * factor);
  }

  /** Bring a part of the result, in shares of its sides, into view. */
  showPart(left, top, right, bottom) {
    const { clientWidth: width, clientHeight: height } = this.frame;
    const [partWidth, partHeight] = [(right - left) * this.size.width, (bottom - top) * this.size.height];
    this.zoomTo(0.8 * Math.min(width / partWidth, height / partHeight));
    this.x = width / 2 - ((left + right) / 2) * this.size.width * this.zoom;
    this.y = height / 2 - ((top + bottom) / 2) * this.size.height * this.zoom;
    this.#draw();
  }

  /** The zoom at which all is seen; small photos are not made larger than they become. */
  #least() {
    const { clientWidth, clientHeight } = this.frame;
    return Math.min(clientWidth / this.size.width, clientHeight / this.size.height) || 1;
  }

  #resized() {
    if (!this.layers.length) return;
    if (this.zoom <= this.#least() * 1.01 || this.isFit) this.fit();
    else this.#draw();
  }

  #draw() {
    cancelAnimationFrame(this.due);
    this.due = requestAnimationFrame(() => this.#drawNow());
  }

  #drawNow() {
    if (!this.layers.length) return;
    const { clientWidth: width, clientHeight: height } = this.frame;
    const [across, down] = [this.size.width * this.zoom, this.size.height * this.zoom];
    // What is smaller than the frame stands in its middle, what is larger leaves no gap.
    this.x = across <= width ? (width - across) / 2 : Math.min(0, Math.max(width - across, this.x));
    this.y = down <= height ? (height - down) / 2 : Math.min(0, Math.max(height - down, this.y));
    this.isFit = this.zoom <= this.#least() * 1.01;
    this.frame.classList.toggle("fits", this.isFit);
    for (const layer of this.layers) this.#drawLayer(layer, width, height);
    this.onZoom(this.zoom);
  }

  #drawLayer(layer, width, height) {
    const zoom = this.zoom / layer.scale; // pixels of the screen for one of this layer at its full size
    const halvings = Math.floor(Math.log2(1 / (zoom * devicePixelRatio)));
    const level = layer.levels - 1 - Math.min(Math.max(halvings, 0), layer.levels - 1);
    const seen = new Set();
    for (const each of new Set([0, level])) { // the whole lies below, for as long as tiles are not there
      const side = TILE * 2 ** (layer.levels - 1 - each); // of a tile, in pixels of the full size
      const first = (start) => Math.max(0, Math.floor(-start / zoom / side));
      const last = (start, room, length) =>
        Math.min(Math.ceil(length / side) - 1, Math.floor((room - start) / zoom / side));
      for (let row = first(this.y); row <= last(this.y, height, layer.height); row++) {
        for (let column = first(this.x); column <= last(this.x, width, layer.width); column++) {
          const name = `${each}/${column}_${row}.jpg`;
          seen.add(name);
          const tile = layer.tiles.get(name) ?? this.#fetch(layer, name, each);
          const edge = (start, index, length) => Math.round(start + Math.min(index * side, length) * zoom);
          const [left, right] = [column, column + 1].map((index) => edge(this.x, index, layer.width));
          const [top, bottom] = [row, row + 1].map((index) => edge(this.y, index, layer.height));
          Object.assign(tile.style, {
            left: `${left}px`,
            top: `${top}px`,
            width: `${right - left}px`,
            height: `${bottom - top}px`,
          });
        }
      }
    }
    for (const [name, tile] of layer.tiles) {
      if (seen.has(name)) continue;
      tile.remove();
      layer.tiles.delete(name);
    }
  }

  #fetch(layer, name, level) {
    const tile = new Image();
    tile.alt = "";
    tile.draggable = false;
    tile.style.zIndex = level;
    tile.src = `${layer.address}/${name}`;
    layer.tiles.set(name, tile);
    layer.element.append(tile);
    return tile;
  }

  #setSplit(share) {
    this.split = Math.min(1, Math.max(0, share));
    const percent = Math.round(this.split * 100);
    this.frame.style.setProperty("--split", `${this.split * 100}%`);
    this.handle.setAttribute("aria-valuenow", percent);
    this.handle.setAttribute("aria-valuetext", `${percent} % before, ${100 - percent} % after`);
  }

  /* ------------------------------------------------------------------------------------------- what a person does */

  #place(event) {
    const box = this.frame.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #wheel(event) {
    const factor = Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002));
    if (this.isFit && factor < 1) return; // the page scrolls on
    event.preventDefault();
    this.zoomTo(this.zoom * factor, ...this.#place(event));
  }

  #down(event) {
    if (event.button) return;
    this.frame.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.#place(event));
    this.dragsHandle = event.target === this.handle;
    if (this.dragsHandle) this.handle.focus();
    else this.frame.focus({ preventScroll: true });
    event.preventDefault();
  }

  #move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = this.#place(event);
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    this.pointers.set(event.pointerId, now);
    if (this.dragsHandle) {
      this.#setSplit(now[0] / this.frame.clientWidth);
      return;
    }
    if (others.length === 1) {
      const [other] = others;
      const apart = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]);
      this.zoomTo((this.zoom * apart(now)) / Math.max(1, apart(before)), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    }
    this.x += (now[0] - before[0]) / (others.length + 1);
    this.y += (now[1] - before[1]) / (others.length + 1);
    this.#draw();
  }

  #up(event) {
    this.pointers.delete(event.pointerId);
    if (!this.pointers.size) this.dragsHandle = false;
  }

  #twice(event) {
    if (event.target === this.handle) this.#setSplit(0.5);
    else if (this.isFit) this.zoomTo(Math.max(1, this.zoom * 2), ...this.#place(event));
    else this.fit();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    const [across, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key] ?? [0, 0];
    if (event.target === this.handle && (across || key === "Home" || key === "End")) {
      this.#setSplit(across ? this.split + across / 50 : key === "End" ? 1 : 0);
    } else if (across || down) {
      if (this.isFit) return; // the page scrolls on
      [this.x, this.y] = [this.x - 80 * across, this.y - 80 * down];
      this.#draw();
    } else if (key === "+" || key === "=") this.zoomBy(STEP);
    else if (key === "-") this.zoomBy(1 / STEP);
    else if (key === "0") this.fit();
    else return;
    event.preventDefault();
  }
}
