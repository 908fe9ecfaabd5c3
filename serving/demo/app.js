"use strict";

const MODEL = "ssrvae";
const MOST_PIXELS = 256 * 256; // the server's signature refuses more
const TIMEOUT = 120000; // milliseconds, as the server's own
const SLOW = `The server gave no answer within ${TIMEOUT / 1000} s. Try a smaller photo.`;

const element = (id) => document.getElementById(id);
const drop = element("drop");
const slider = element("slider");
let waiting = null; // what cancels the photo under way, once another is chosen
let shown = []; // addresses of the pictures on the page

/** What a person is told; anything else that is thrown is a mistake of this page. */
class Told extends Error {}

/* ------------------------------------------------------------------------------------------------------- the server */

/**
 * Ask the server, and give the list that its JSON holds under `name`.
 *
 * It lies under the page's own address, whatever a link to the page says: photos go nowhere else.
 */
async function ask(path, name, options = {}) {
  let response, text;
  try {
    response = await fetch(`v1/models/${MODEL}${path}`, options);
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (error.name === "TimeoutError") throw new Told(SLOW);
    throw new Told("Where this page came from, nothing answers any more. Is it running?");
  }
  if (response.status === 502) throw new Told("TensorFlow Serving does not answer. Is it running? It may be starting.");
  if (response.status === 504) throw new Told(SLOW);
  const other = new Told("What answers under v1/ is not TensorFlow Serving. Check what is behind this page.");
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    throw other;
  }
  if (!response.ok) throw new Told(`The server refused (${response.status}): ${answer?.error ?? "it gave no reason"}`);
  if (!Array.isArray(answer?.[name])) throw other;
  return answer[name];
}

async function enlarge(png, signal) {
  const body = JSON.stringify({
    signature_name: "upscale_bytes",
    instances: [{ image_bytes: { b64: await toBase64(png) } }],
  });
  const [prediction] = await ask(":predict", "predictions", { method: "POST", body, signal });
  let characters;
  try {
    characters = atob(prediction.b64);
  } catch {
    throw new Told(`The server's answer holds no image. Is its model ${MODEL} one of this project?`);
  }
  return new Blob([Uint8Array.from(characters, (each) => each.charCodeAt(0))], { type: "image/png" });
}

async function toBase64(blob) {
  const reader = new FileReader();
  await new Promise((resolve, reject) => {
    reader.onload = resolve;
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
  return reader.result.split(",")[1];
}

async function check() {
  const state = element("state");
  state.className = "state";
  state.textContent = "asking…";
  try {
    const all = await ask("", "model_version_status", { signal: AbortSignal.timeout(TIMEOUT) });
    const versions = all.filter((each) => each?.state === "AVAILABLE");
    if (!versions.length) throw new Told(`The server has no version of ${MODEL} that is ready.`);
    state.classList.add("good");
    state.textContent = `ready, version ${versions[0].version}`;
  } catch (error) {
    state.classList.add("bad");
    state.textContent = error.message;
  }
}

/* -------------------------------------------------------------------------------------------------------- the photo */

/** The photo as a PNG, upright, without transparency: what the server would not know of, the browser has done. */
async function readPhoto(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Told(`${file.name} is not a photo that this browser can read. Choose a JPEG or a PNG.`);
  }
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) {
    const pixels = (width * height).toLocaleString("en");
    throw new Told(
      `${file.name} is too large: ${width}×${height} are ${pixels} pixels, ` +
        `at most ${MOST_PIXELS.toLocaleString("en")} are taken. Cut out the face, or shrink it.`
    );
  }
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const png = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  return { png, width, height };
}

async function run(file) {
  waiting?.abort();
  const mine = (waiting = new AbortController());
  const signal = AbortSignal.any([mine.signal, AbortSignal.timeout(TIMEOUT)]);
  element("result").hidden = true;
  try {
    tell("Reading the photo…", "busy");
    const photo = await readPhoto(file);
    tell("The server is at work…", "busy");
    const started = performance.now();
    const result = await enlarge(photo.png, signal);
    const seconds = (performance.now() - started) / 1000;
    if (mine.signal.aborted) return;
    await show(file.name, photo, result, seconds);
    tell("");
  } catch (error) {
    if (mine.signal.aborted) return; // another photo has taken its place
    tell(error instanceof Told ? error.message : `That went wrong: ${error.message}`, "bad");
  }
}

async function show(name, photo, result, seconds) {
  shown.forEach((each) => URL.revokeObjectURL(each));
  shown = [photo.png, result].map((blob) => URL.createObjectURL(blob));
  const [before, after] = [element("before"), element("after")];
  [before.src, after.src] = shown;
  await Promise.all([before.decode(), after.decode()]);
  element("compare").style.setProperty("--ratio", photo.width / photo.height);
  const scale = after.naturalWidth / photo.width;
  element("sizes").textContent =
    `${photo.width}×${photo.height} → ${after.naturalWidth}×${after.naturalHeight} in ${seconds.toFixed(1)} s`;
  const download = element("download");
  download.href = shown[1];
  download.download = `${name.replace(/\.[^.]*$/, "")}_x${scale}.png`;
  slider.value = 50;
  split();
  element("result").hidden = false;
}

function split() {
  element("compare").style.setProperty("--split", `${slider.value}%`);
  slider.setAttribute("aria-valuetext", `${slider.value} % before, ${100 - slider.value} % after`);
}

function tell(text, kind = "") {
  element("message").textContent = text;
  element("message").className = `message ${kind}`;
}

/* --------------------------------------------------------------------------------------------------- what a person does */

element("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  event.target.value = ""; // so that the same photo can be chosen again
  if (file) run(file);
});

// Wherever on the page a photo is dropped: elsewhere the browser would leave the page to show it.
addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
addEventListener("dragleave", () => drop.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) run(file);
});
addEventListener("paste", (event) => {
  const [file] = event.clipboardData.files;
  if (file) run(file);
});

slider.addEventListener("input", split);

element("check").addEventListener("click", check);

element("most").textContent = MOST_PIXELS.toLocaleString("en");
element("most-sides").textContent = `${Math.sqrt(MOST_PIXELS)}×${Math.sqrt(MOST_PIXELS)}`;
check();
