"use strict";

const MODEL = "ssrvae";
const MOST_PIXELS = 256 * 256; // the server's signature refuses more
const TIMEOUT = 120000; // milliseconds, as the server's own

const element = (id) => document.getElementById(id);
const drop = element("drop");
const slider = element("slider");
const server = element("server");
let waiting = null; // what cancels the photo under way, once another is chosen
let shown = []; // addresses of the pictures on the page

/** What a person is told; anything else that is thrown is a mistake of this page. */
class Told extends Error {}

/* ------------------------------------------------------------------------------------------------------- the server */

function address() {
  return server.value.trim().replace(/\/+$/, "");
}

/** Ask the server, and give the list that its JSON holds under `name`. */
async function ask(path, name, options = {}) {
  let response, text;
  try {
    response = await fetch(`${address()}/v1/models/${MODEL}${path}`, options);
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (error.name === "TimeoutError") {
      throw new Told(`${address()} gave no answer within ${TIMEOUT / 1000} s. Try a smaller photo.`);
    }
    // A browser does not tell a page which of the two it was.
    throw new Told(
      `No server answers at ${address()}. Is it running, and was it started with --rest_api_enable_cors_support?`
    );
  }
  const other = new Told(`What answers at ${address()} is not TensorFlow Serving. Check the address and its port.`);
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
  // Without a Content-Type of JSON the browser asks nothing beforehand (no preflight).
  const [prediction] = await ask(":predict", "predictions", { method: "POST", body, signal });
  let characters;
  try {
    characters = atob(prediction.b64);
  } catch {
    throw new Told(`The answer of ${address()} holds no image. Is its model ${MODEL} one of this project?`);
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

/* ------------------------------------------------------------------------------------------------- what is remembered */

// A browser that is told to keep nothing throws at the mere word localStorage.

function remember(server) {
  try {
    localStorage.setItem("server", server);
  } catch {
    // then it is typed again
  }
}

function remembered() {
  try {
    return localStorage.getItem("server");
  } catch {
    return null;
  }
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

element("server-form").addEventListener("submit", (event) => {
  event.preventDefault();
  remember(address());
  check();
});

element("most").textContent = MOST_PIXELS.toLocaleString("en");
element("most-sides").textContent = `${Math.sqrt(MOST_PIXELS)}×${Math.sqrt(MOST_PIXELS)}`;
const sameHost = `${location.protocol === "https:" ? "https:" : "http:"}//${location.hostname || "localhost"}:8501`;
server.value = new URLSearchParams(location.search).get("server") || remembered() || sameHost;
check();
