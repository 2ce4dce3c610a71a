// The private report: window, zoom, slices, and the decision about each suspect. Nothing is loaded or sent.
"use strict";

const byId = (id) => document.getElementById(id);
const cards = [...document.querySelectorAll(".suspect")];

function start() {
  byId("tools").hidden = false;
  for (const part of document.querySelectorAll(".decision")) part.hidden = false;
  listenToTools();
  listenToKeys();
  for (const card of cards) {
    card.addEventListener("focusin", () => setCurrent(card, false));
    card.addEventListener("change", (event) => onDecision(card, event));
    for (const view of card.querySelectorAll(".panel:not(.plot) .view")) listenToMouse(card, view);
  }
  listenToSlices();
  startVolumes();
  setCurrent(cards[0], false);
  showProgress();
  // Whoever closes the page without saving loses the decisions: they are kept nowhere else.
  window.addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
}

// ---- Window and level: one SVG filter serves all grey images; grey out = slope * grey in + intercept, 0 to 1.

function setWindow(level, width) {
  byId("level").value = level;
  byId("width").value = width;
  const slope = 256 / Number(byId("width").value);
  const intercept = 0.5 - slope * Number(byId("level").value) / 256;
  for (const channel of document.querySelectorAll("#window feComponentTransfer > *")) {
    channel.setAttribute("slope", slope);
    channel.setAttribute("intercept", intercept);
  }
}

const windowNow = () => [Number(byId("level").value), Number(byId("width").value)];

// ---- Zoom and position: the same for all images of all suspects, as shares of an image's size.

const place = { zoom: 1, x: 0, y: 0 };

function setPlace(zoom, x, y) {
  place.zoom = Math.min(8, Math.max(1, zoom));
  // The image always covers its frame.
  place.x = Math.min(0, Math.max(1 - place.zoom, x));
  place.y = Math.min(0, Math.max(1 - place.zoom, y));
  byId("zoom").value = place.zoom;
  const root = document.documentElement;
  root.classList.toggle("zoomed", place.zoom >= 2);
  root.style.setProperty("--zoom", place.zoom);
  root.style.setProperty("--x", `${100 * place.x}%`);
  root.style.setProperty("--y", `${100 * place.y}%`);
}

function zoomAt(factor, x, y) {
  const before = place.zoom;
  const after = Math.min(8, Math.max(1, before * factor));
  // The point under the pointer stays where it is.
  setPlace(after, x - (x - place.x) * after / before, y - (y - place.y) * after / before);
}

function resetView() {
  setWindow(128, 256);
  setPlace(1, 0, 0);
}

function listenToTools() {
  byId("level").addEventListener("input", () => setWindow(...windowNow()));
  byId("width").addEventListener("input", () => setWindow(...windowNow()));
  byId("zoom").addEventListener("input", (event) => zoomAt(Number(event.target.value) / place.zoom, 0.5, 0.5));
  byId("reset").addEventListener("click", resetView);
  byId("save").addEventListener("click", save);
  byId("large").addEventListener("click", toggleLarge);
  if (byId("channel")) byId("channel").addEventListener("change", showChannel);
}

// ---- Channels: each suspect has one set of panels per channel, and all suspects show the same one.

const shownPanels = (card) => card.querySelector(".panels:not([hidden])");

function showChannel() {
  showTraining(false);
  for (const panels of document.querySelectorAll(".panels[data-view]")) panels.hidden = panels.dataset.view !== byId("channel").value;
  startVolumes();
}

function nextChannel() {
  const choice = byId("channel");
  if (!choice) return;
  choice.selectedIndex = (choice.selectedIndex + 1) % choice.options.length;
  showChannel();
}

function toggleLarge() {
  const large = document.body.classList.toggle("large");
  byId("large").setAttribute("aria-pressed", large);
  current.scrollIntoView({ block: "start" });
}

function listenToMouse(card, view) {
  let from = null;
  view.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    setCurrent(card, false);
    from = { x: event.clientX, y: event.clientY, window: windowNow(), place: { ...place } };
    view.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  view.addEventListener("pointermove", (event) => {
    if (!from) return;
    const [x, y] = [event.clientX - from.x, event.clientY - from.y];
    const box = (view.querySelector(".plane") || view).getBoundingClientRect();
    if (event.shiftKey) setPlace(place.zoom, from.place.x + x / box.width, from.place.y + y / box.height);
    else setWindow(from.window[0] - y, from.window[1] + 2 * x);
  });
  for (const name of ["pointerup", "pointercancel"]) view.addEventListener(name, () => { from = null; });
  view.addEventListener("dblclick", resetView);
  // Without Ctrl the wheel scrolls the page, as everywhere.
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const box = (event.target.closest(".plane") || view).getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    zoomAt(event.deltaY < 0 ? 1.25 : 0.8, x, y);
  }, { passive: false });
}

// ---- The current suspect, and keys.

let current = null;

function setCurrent(card, focus) {
  if (current !== card) {
    if (current) current.classList.remove("current");
    showTraining(false);
    current = card;
    card.classList.add("current");
  }
  if (focus) {
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "start" });
  }
}

const KEYS = {
  ArrowRight: () => step(1),
  ArrowLeft: () => step(-1),
  k: () => decide(current, "keep"),
  w: () => decide(current, "withhold"),
  b: () => showTraining(!trainingShown),
  c: nextChannel,
  "+": () => zoomAt(1.25, 0.5, 0.5),
  "=": () => zoomAt(1.25, 0.5, 0.5),
  "-": () => zoomAt(0.8, 0.5, 0.5),
  0: resetView,
  "[": () => changeWindow(0, -16),
  "]": () => changeWindow(0, 16),
  "<": () => changeWindow(-8, 0),
  ">": () => changeWindow(8, 0),
  ",": () => moveSlice(-1),
  ".": () => moveSlice(1),
};

function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, summary");
    if (!byId("shortcuts").checked || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = Object.hasOwn(KEYS, event.key) && KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function step(by) {
  const next = cards[cards.indexOf(current) + by];
  if (next) setCurrent(next, true);
}

function changeWindow(level, width) {
  const now = windowNow();
  setWindow(now[0] + level, now[1] + width);
}

// Showing one image in place of the other makes small differences visible as motion.

let trainingShown = false;

function showTraining(shown) {
  if (!current || shown === trainingShown) return;
  const [synthetic, training] = shownPanels(current).querySelectorAll(".panel.grey");
  const [one, other] = [synthetic, training].map((panel) => panel.querySelector("img"));
  [one.src, other.src] = [other.src, one.src];
  for (const panel of [synthetic, training]) {
    const caption = panel.querySelector("figcaption");
    const label = caption.dataset.label || (caption.dataset.label = caption.textContent);
    const swapped = panel === synthetic ? "Training in its place" : "Synthetic in its place";
    caption.textContent = shown ? swapped : label;
  }
  trainingShown = shown;
  if (current.dataset.size) readSheets(current).then(() => drawPlanes(current));
}

// ---- Decisions: every suspect stays withheld until a person keeps it.

let unsaved = false;
const rowOf = (rank) => document.querySelector(`#list tr[data-rank="${rank}"]`);

function onDecision(card, event) {
  if (event.target.type === "radio") decide(card, event.target.value);
}

function decide(card, decision) {
  const rank = card.dataset.rank;
  for (const choice of card.querySelectorAll(".decision input")) choice.checked = choice.value === decision;
  const row = rowOf(rank);
  row.dataset.reviewed = "yes";
  row.lastElementChild.textContent = decision;
  unsaved = true;
  showProgress(`Suspect ${rank}: ${decision}. `);
}

function showProgress(before = "") {
  const reviewed = document.querySelectorAll("#list tr[data-reviewed]").length;
  byId("progress").textContent = `${before}${reviewed} of ${cards.length} reviewed`;
}

const HEAD = ["rank", "file", "train_file", "patient", "similarity", "full_size", "reason", "confidence", "decision", "reviewed"];

function csv() {
  const rows = [...document.querySelectorAll("#list tbody tr")].map((row) => [
    ...[...row.cells].map((cell) => neutral(cell.textContent)), row.dataset.reviewed || "no",
  ]);
  // In some languages a spreadsheet divides cells at these, but not within quotation marks.
  const divided = rows.some((row) => row.some((text) => /[;\t|]/.test(text)));
  return [HEAD, ...rows].map((row) => row.map((text) => quoted(text, divided)).join(",")).join("\r\n") + "\r\n";
}

// A spreadsheet would run a name that begins like a formula: an apostrophe makes it text. A name that begins with
// apostrophes before such a letter gets one more, so that taking one away always gives the name again.
const FORMULA = /^'*[=+\-@\t\r\n]/;
const NUMBER = /^([-+]?[0-9.]+(e[-+]?[0-9]+)?%?|-)$/;
const neutral = (text) => (FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text);
const quoted = (text, always) => (always || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "decisions.csv";
  link.click();
  URL.revokeObjectURL(link.href);
  unsaved = false;
}

// ---- Volumes: an image holds all axial slices side by side, and three planes are cut from it.

const sheets = new Map(); // card -> pixels of its panels; only of the last few, because each takes megabytes
const KEPT = 4;

function listenToSlices() {
  for (const card of cards.filter((one) => one.dataset.size)) {
    card.querySelector(".slices").hidden = false;
    for (const slider of card.querySelectorAll(".slices input")) {
      slider.addEventListener("input", () => readSheets(card).then(() => drawPlanes(card)));
    }
  }
}

function startVolumes() {
  const volumes = cards.filter((card) => card.dataset.size);
  // One after the other in the background: scrolling and printing then show the planes.
  const next = () => {
    const card = volumes.shift();
    if (card) readSheets(card).then(() => drawPlanes(card)).then(() => setTimeout(next, 0));
    else document.body.dataset.planes = "drawn";
  };
  next();
}

const numbers = (text) => text.split(" ").map(Number);

const volumePanels = (card) => [...shownPanels(card).querySelectorAll(".panel.volume")];
const sourcesOf = (card) => volumePanels(card).map((panel) => panel.querySelector("img").src).join();

async function readSheets(card) {
  const sources = sourcesOf(card);
  const known = sheets.get(card);
  const sheet = known && known.sources === sources ? known : { sources, pixels: await Promise.all(volumePanels(card).map(pixelsOf)) };
  if (sources !== sourcesOf(card)) return; // another channel was chosen in the meantime, and is read on its own
  sheets.delete(card); // put at the end again: the first of the map is the one used longest ago
  sheets.set(card, sheet);
  if (sheets.size > KEPT) sheets.delete(sheets.keys().next().value);
}

async function pixelsOf(panel) {
  const image = panel.querySelector("img");
  image.loading = "eager";
  await image.decode();
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const { data, width } = context.getImageData(0, 0, canvas.width, canvas.height);
  return { colours: new Uint32Array(data.buffer), width };
}

function drawPlanes(card) {
  const sheet = sheets.get(card);
  if (!sheet || sheet.sources !== sourcesOf(card)) return;
  const size = numbers(card.dataset.size);
  const spacing = numbers(card.dataset.spacing);
  const sliders = [...card.querySelectorAll(".slices input")];
  const at = sliders.map((slider) => Number(slider.value));
  const counts = [size[2], size[1], size[0]];
  sliders.forEach((slider, plane) => { slider.nextElementSibling.value = `${at[plane] + 1} / ${counts[plane]}`; });
  volumePanels(card).forEach((panel, number) => {
    canvasesOf(panel).forEach((canvas, plane) => {
      drawPlane(canvas, plane, at[plane], sheet.pixels[number], size, spacing, Number(card.dataset.columns));
    });
  });
}

function canvasesOf(panel) {
  const view = panel.querySelector(".view");
  if (!view.classList.contains("drawn")) {
    const text = view.querySelector("img").alt;
    for (const plane of ["axial", "coronal", "sagittal"]) {
      const frame = document.createElement("div");
      frame.className = "plane";
      const canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${text}, ${plane}`);
      frame.append(canvas);
      view.append(frame);
    }
    view.classList.add("drawn");
  }
  return [...view.querySelectorAll("canvas")];
}

// Axial: right to left, front to back. Coronal: right to left, top to bottom. Sagittal: front to back, top to bottom.
function drawPlane(canvas, plane, at, sheet, [width, height, depth], spacing, columns) {
  const point = [(u, v) => [u, v, at], (u, v) => [u, at, depth - 1 - v], (u, v) => [at, u, depth - 1 - v]][plane];
  const [across, down] = [[width, height], [width, depth], [height, depth]][plane];
  const [wide, high] = [[0, 1], [0, 2], [1, 2]][plane];
  canvas.width = across;
  canvas.height = down;
  canvas.style.aspectRatio = `${across * spacing[wide]} / ${down * spacing[high]}`;
  const context = canvas.getContext("2d");
  const drawn = context.createImageData(across, down);
  const colours = new Uint32Array(drawn.data.buffer);
  for (let v = 0; v < down; v++) {
    for (let u = 0; u < across; u++) {
      const [x, y, z] = point(u, v);
      const row = Math.floor(z / columns) * height + y;
      colours[v * across + u] = sheet.colours[row * sheet.width + (z % columns) * width + x];
    }
  }
  context.putImageData(drawn, 0, 0);
}

function moveSlice(by) {
  const slider = current.querySelector(".slices input");
  if (!slider) return;
  slider.value = Number(slider.value) + by;
  slider.dispatchEvent(new Event("input"));
}

if (cards.length) start(); // last: the values above exist only from here on
