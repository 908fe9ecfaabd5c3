import { STEP, Viewer } from "./viewer.js";

const OFTEN = 500; // milliseconds between questions while anything goes on
const SELDOM = 20_000; // otherwise, so that the server knows that the page is open
const GOES_ON = ["sending", "waiting", "running"];
const HINTS = {
  "faces-x4": "for real photos: blurred, noisy, compressed",
  "faces-x4-clean": "for sharp photos that were cleanly made smaller",
};

const element = (id) => document.getElementById(id);
const viewer = new Viewer(element("viewer"), {
  onZoom: (zoom) => (element("zoom").textContent = `${Math.round(zoom * 100)} %`),
});
const cards = new Map(); // by the photo's key
let options = null;
let shown = null; // the photo that is looked at
let compares = false; // whether a person does: what is shown then stays when another photo is done
let due = 0;
let changes = 0; // of `cards`

/** What a person is told; anything else that is thrown is a mistake of this page. */
class Told extends Error {}

/* ------------------------------------------------------------------------------------------------------- the server */

async function ask(path, request = {}) {
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new Told("The program behind this page does not answer. Has it been ended?");
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  const answer = await response.json().catch(() => null);
  throw new Told(answer?.error ?? `The program behind this page answered ${response.status}.`);
}

/** How many photos the server has. */
function kept() {
  return [...cards.values()].filter((card) => !card.isNew).length;
}

/** How photos are to be enlarged, as the end of an address. */
function chosen() {
  const model = element("model").value;
  const detail = options.models.find((each) => each.model === model).detail === null ? {} : { detail: element("detail").value };
  const faces = element("only-faces").checked ? { faces: "only" } : {};
  return new URLSearchParams({ model, ...detail, strength: element("strength").value, ...faces });
}

async function send(file) {
  const { megabytes, photos } = options.limits;
  if (!file.size) throw new Told(`${file.name}: an empty file: choose another`);
  if (file.size > megabytes * 1e6) throw new Told(`${file.name}: the file is larger than ${megabytes} MB: choose a smaller one`);
  if (kept() >= photos) throw new Told(`${file.name}: there are ${photos} photos already: remove some first`);
  await file.slice(0, 1).arrayBuffer().catch(() => {
    throw new Told(`${file.name}: cannot be read: choose photos, not folders of them`);
  });
  const settings = chosen();
  settings.set("name", file.name);
  return ask(`photos?${settings}`, { method: "POST", body: file });
}

/** One after the other, so that all of them take turns with those of other people. */
let sending = Promise.resolve();
function add(files) {
  element("messages").replaceChildren();
  compares = false;
  for (const file of files) {
    const placeholder = new Card({ name: file.name, state: "sending" });
    placeholder.show(URL.createObjectURL(file));
    sending = sending.then(async () => {
      try {
        const photo = await send(file);
        placeholder.become(photo);
        look();
      } catch (error) {
        placeholder.remove();
        tell(error);
      }
    });
  }
}

/** Ask how far the photos are, and again after a while. */
async function look() {
  clearTimeout(due);
  let wait = SELDOM;
  try {
    const before = changes;
    const photos = await ask("photos");
    if (changes !== before) return look(); // the answer may lack what has come since, or hold what has gone
    update(photos);
    if (photos.some((photo) => GOES_ON.includes(photo.state))) wait = OFTEN;
  } catch (error) {
    tell(error);
  }
  clearTimeout(due);
  due = setTimeout(look, wait);
}

function update(photos) {
  const keys = new Set(photos.map((photo) => photo.key));
  for (const [key, card] of cards) if (!keys.has(key) && !card.isNew) card.remove();
  for (const photo of photos) {
    const card = cards.get(photo.key) ?? [...cards.values()].find((each) => each.photo.key === photo.key);
    if (card) card.update(photo);
    else if (!sendingNow()) new Card(photo); // else it is one whose answer is still on its way
  }
}

function sendingNow() {
  return [...cards.values()].some((card) => card.photo.state === "sending");
}

/* ---------------------------------------------------------------------------------------------------- what is shown */

function made(kind, settings = {}, ...inside) {
  const element = Object.assign(document.createElement(kind), settings);
  element.append(...inside);
  return element;
}

let numbers = 0;

/** A photo in the list. */
class Card {
  constructor(photo) {
    this.key = photo.key ?? `sending ${numbers++}`;
    this.picture = made("img", { alt: "", className: "thumb", hidden: true });
    this.picture.addEventListener("error", () => (this.picture.hidden = true)); // some kinds no browser shows
    this.name = made("strong", { className: "name" });
    this.told = made("span", { className: "told" });
    this.progress = made("progress", { max: 1 });
    const button = (words, act, kind = "quiet") => {
      const each = made("button", { type: "button", className: kind, textContent: words });
      each.addEventListener("click", () => Promise.resolve(act()).catch(tell));
      return each;
    };
    this.look = button("Look", () => {
      this.open();
      compares = true;
      element("looked-at").scrollIntoView({ block: "nearest" });
    });
    this.download = made("a", { className: "button quiet", textContent: "Download" });
    this.again = button("Again with these settings", () => this.repeat());
    this.cancel = button("Cancel", () => ask(`photos/${this.key}/cancel`, { method: "POST" }).then(look));
    this.drop = button("Remove", () => ask(`photos/${this.key}`, { method: "DELETE" }).then(() => this.remove()));
    const actions = made("span", { className: "actions" }, this.look, this.download, this.again, this.cancel, this.drop);
    const words = made("div", { className: "words" }, this.name, this.told, this.progress, actions);
    this.row = made("li", {}, made("div", { className: "frame" }, this.picture), words);
    element("photos").append(this.row);
    cards.set(this.key, this);
    changes++;
    this.update(photo);
    element("all").hidden = false;
  }

  get isNew() {
    return this.photo.state === "sending";
  }

  /** Once the server has it. */
  become(photo) {
    cards.delete(this.key);
    this.key = photo.key;
    cards.set(this.key, this);
    changes++;
    this.update(photo);
  }

  show(address) {
    this.address = address;
    this.picture.hidden = false;
    this.picture.src = address;
  }

  update(photo) {
    const { name, state, result } = photo;
    const before = this.photo?.state;
    this.photo = photo;
    this.name.textContent = name;
    this.told.textContent = words(photo);
    this.row.className = state;
    this.progress.hidden = !GOES_ON.includes(state);
    if (state === "running" && photo.share) this.progress.value = photo.share;
    else this.progress.removeAttribute("value");
    this.progress.setAttribute("aria-label", `${name}: progress`);
    const allowed = [
      [this.look, state === "done"],
      [this.download, state === "done"],
      [this.again, ["done", "cancelled", "failed"].includes(state)],
      [this.cancel, ["waiting", "running"].includes(state)],
      [this.drop, !GOES_ON.includes(state)],
    ];
    for (const [each, may] of allowed) {
      each.hidden = !may;
      if (each !== this.download) each.setAttribute("aria-label", `${each.textContent}: ${name}`);
    }
    if (state === "done" && before !== "done") {
      Object.assign(this.download, { href: `photos/${this.key}/result`, download: result.name });
      this.download.setAttribute("aria-label", `Download: ${result.name}`);
      this.show(`photos/${this.key}/after/0/0_0.jpg`);
      if (!shown || (before && !compares)) this.open();
    }
  }

  open() {
    const { name, result } = this.photo;
    shown?.row.removeAttribute("aria-current");
    shown = this;
    compares = false;
    this.row.setAttribute("aria-current", "true");
    const { before, after } = result;
    element("looked-at").hidden = false;
    element("looked-at-title").textContent = name;
    element("sizes").textContent = `${before.width}×${before.height} → ${after.width}×${after.height}`;
    Object.assign(element("download"), { href: `photos/${this.key}/result`, download: result.name });
    viewer.show(`photos/${this.key}`, before, after);
    showFaces(`photos/${this.key}`, result.faces);
  }

  async repeat() {
    compares = false;
    const photo = await ask(`photos/${this.key}/again?${chosen()}`, { method: "POST" });
    const card = new Card(photo);
    if (this.address?.startsWith("blob:") || this.photo.result) card.show(this.picture.src);
    await look();
  }

  remove() {
    cards.delete(this.key);
    changes++;
    if (this.address?.startsWith("blob:")) URL.revokeObjectURL(this.address);
    this.row.remove();
    element("all").hidden = !cards.size;
    if (shown === this) {
      shown = null;
      viewer.clear();
      element("looked-at").hidden = true;
    }
  }
}

/** The faces that were found, each before and after; one that is chosen is looked at in its place. */
function showFaces(address, faces) {
  const rows = faces.map((part, number) => {
    const sides = ["before", "after"].map((side) => {
      const picture = made("img", { src: `${address}/${side}-${number}/0/0_0.jpg`, alt: side, loading: "lazy" });
      return made("span", { className: "side" }, picture, made("span", { className: "tag", ariaHidden: "true" }, side));
    });
    const face = made("button", { type: "button", className: "face", title: "Look at it in the photo" }, ...sides);
    face.setAttribute("aria-label", `Face ${number + 1}, before and after: look at it in the photo`);
    face.addEventListener("click", () => {
      viewer.showPart(...part);
      element("viewer").scrollIntoView({ block: "nearest" });
    });
    return made("li", {}, face);
  });
  element("faces-found").hidden = false;
  element("faces-title").textContent = faces.length === 1 ? "One face found" : `${faces.length || "No"} faces found`;
  element("faces").replaceChildren(...rows);
}

/** What is going on with a photo. */
function words({ state, stage, ahead, share, seconds_left, error, result, settings }) {
  if (state === "sending") return "Sending…";
  if (state === "waiting") return ahead ? `Waiting for ${ahead} ${ahead === 1 ? "photo" : "photos"} before it` : "Next";
  if (state === "running" && !share) return `${stage || "Starting"}…`;
  if (state === "running") {
    const left = seconds_left === null ? "" : `, ${duration(seconds_left)} left`;
    return share < 1 && stage === "Enlarging" ? `${stage}: ${Math.floor(share * 100)} %${left}` : `${stage}…`;
  }
  if (state === "cancelled") return "Cancelled";
  if (state === "failed") return error;
  const how = [settings.model, settings.detail === null ? "" : `detail ${settings.detail}`, `strength ${settings.strength}`];
  if (settings.faces) how.push("only the faces");
  return [how.filter(Boolean).join(", "), result.notes].filter(Boolean).join("; ");
}

function duration(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 90) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  return minutes < 90 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}

function tell(error) {
  if (!(error instanceof Told)) console.error(error);
  const text = error instanceof Told ? error.message : `That went wrong: ${error.message}`;
  const lines = [...element("messages").children].map((each) => each.textContent);
  if (!lines.includes(text)) element("messages").append(made("p", { className: "bad", textContent: text }));
}

/* --------------------------------------------------------------------------------------------------- what a person does */

function choose() {
  const { model, detail } = options.models.find((each) => each.model === element("model").value);
  element("model-hint").textContent = HINTS[model] ?? "";
  element("detail-row").hidden = detail === null;
  if (detail !== null) element("detail").value = detail;
  say();
}

function say() {
  for (const name of ["detail", "strength"]) element(`${name}-is`).textContent = element(name).value;
}

element("model").addEventListener("change", choose);
element("settings").addEventListener("input", say);
element("settings").addEventListener("submit", (event) => event.preventDefault());

element("file").addEventListener("change", (event) => {
  add([...event.target.files]);
  event.target.value = ""; // so that the same photo can be chosen again
});

// Wherever on the page photos are dropped: elsewhere the browser would leave the page to show them.
addEventListener("dragover", (event) => {
  event.preventDefault();
  element("drop").classList.add("over");
});
addEventListener("dragleave", () => element("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  element("drop").classList.remove("over");
  add([...event.dataTransfer.files]);
});
addEventListener("paste", (event) => add([...event.clipboardData.files]));

for (const touch of ["pointerdown", "wheel", "keydown"]) {
  element("looked-at").addEventListener(touch, () => (compares = true), { passive: true });
}
element("in").addEventListener("click", () => viewer.zoomBy(STEP));
element("out").addEventListener("click", () => viewer.zoomBy(1 / STEP));
element("fit").addEventListener("click", () => viewer.fit());
element("full").addEventListener("click", () => viewer.zoomTo(1));
element("remove-all").addEventListener("click", async () => {
  for (const card of [...cards.values()]) {
    if (card.isNew) continue;
    try {
      await ask(`photos/${card.key}`, { method: "DELETE" });
      card.remove();
    } catch (error) {
      tell(error);
    }
  }
});

try {
  options = await ask("options");
  for (const { model } of options.models) element("model").append(made("option", { value: model, textContent: model }));
  element("megapixels").textContent = options.limits.megapixels;
  element("minutes").textContent = options.limits.minutes;
  choose();
  await look();
} catch (error) {
  tell(error);
}
