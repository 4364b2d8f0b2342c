// The page "Try it": choose a network and an image, compute in a worker, show probability and cells, measure.
// Nothing is sent anywhere: the image stays in this page.
"use strict";

(() => {
  const root = document.getElementById("try");
  const static_ = new URL("./", document.currentScript.src).href;
  const find = (name) => root.querySelector(`[data-try="${name}"]`);
  const status = find("status"), bar = find("progress"), button = find("run");
  const threshold = find("threshold"), smallest = find("smallest"), flips = find("flips"), scale = find("scale");
  const state = { network: null, image: null, result: null, worker: null };
  root.state = state;  // for tests
  const MOST = 4096 * 4096;  // px

  const say = (text, wrong = false) => { status.textContent = text; status.classList.toggle("wrong", wrong); };
  const number = (value) => value.toLocaleString("en", { maximumFractionDigits: 1 });

  if (location.protocol === "file:") {
    say("This page was opened as a file, and a browser fetches nothing for a file. Run “make serve” in the project " +
        "and open the address that it prints.", true);
    return;
  }

  // Images ---------------------------------------------------------------------------------------------------------

  // Grey values of red, green, blue: the value where all three are equal, else their luminance.
  function grey(red, green, blue) {
    return red === green && green === blue ? red : 0.2125 * red + 0.7154 * green + 0.0721 * blue;
  }

  async function picture(blob) {
    const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
    const values = new Float32Array(bitmap.width * bitmap.height);
    for (let k = 0; k < values.length; k++) values[k] = grey(data[4 * k], data[4 * k + 1], data[4 * k + 2]);
    return { values, rows: bitmap.height, columns: bitmap.width };
  }

  function script(address) {
    return new Promise((resolve, reject) => {
      const one = document.createElement("script");
      one.src = address;
      one.onload = resolve;
      one.onerror = () => reject(new Error(`${address} cannot be loaded`));
      document.head.append(one);
    });
  }

  async function tiff(blob) {
    if (!window.GeoTIFF) await script(static_ + "try/geotiff.js");
    const file = await window.GeoTIFF.fromArrayBuffer(await blob.arrayBuffer());
    const page = await file.getImage(0), tags = page.fileDirectory;
    const photometric = tags.PhotometricInterpretation;
    const [rows, columns] = [page.getHeight(), page.getWidth()];
    if (![0, 1, 2].includes(photometric)) throw new Error("its colours are of a kind that is not read here: save it as grey or RGB");
    const planes = await page.readRasters(), values = new Float32Array(rows * columns);
    const bits = page.getBitsPerSample();
    for (let k = 0; k < values.length; k++) {
      values[k] = photometric === 2 ? grey(planes[0][k], planes[1][k], planes[2][k]) : planes[0][k];
      if (photometric === 0) values[k] = 2 ** bits - 1 - values[k];
    }
    const count = await file.getImageCount();
    const notes = [];
    if (count > 1) notes.push(`the first of ${count} pages`);
    if (photometric !== 2 && planes.length > 1) notes.push(`the first of ${planes.length} channels`);
    return { values, rows, columns, note: notes.join(", ") };
  }

  async function open(blob, name, credit = "") {
    try {
      const image = /\.tiff?$/i.test(name) ? await tiff(blob) : await picture(blob);
      if (image.values.length > MOST) throw new Error(`it has ${image.rows} x ${image.columns} px: at most 4096 x 4096 are taken here`);
      if (!image.values.every(Number.isFinite)) throw new Error("it holds NaN or infinite values");
      Object.assign(state, { image: { ...image, name, credit }, result: null });
      show();
      const made = image.note ? `, ${image.note}` : "";
      say(`${name}: ${image.rows} x ${image.columns} px${made}. Press “Run”.`);
    } catch (error) {
      say(`${name} cannot be read: ${error.message ?? error}.`, true);
    }
    ready();
  }

  // Cells ----------------------------------------------------------------------------------------------------------

  // Connected components above a threshold, those of fewer pixels dropped: a number a pixel, 0 = background.
  function components(probability, rows, columns, level, least, connectivity) {
    const labels = new Int32Array(probability.length), cells = [], waiting = [];
    const around = connectivity === 8 ? [[-1, -1], [-1, 0], [-1, 1], [0, -1], [0, 1], [1, -1], [1, 0], [1, 1]]
                                      : [[-1, 0], [0, -1], [0, 1], [1, 0]];
    for (let start = 0; start < labels.length; start++) {
      if (labels[start] || !(probability[start] > level)) continue;
      const label = cells.length + 1, members = [];
      labels[start] = label;
      waiting.push(start);
      while (waiting.length) {
        const at = waiting.pop(), row = Math.floor(at / columns), column = at % columns;
        members.push(at);
        for (const [down, across] of around) {
          const i = row + down, j = column + across, next = i * columns + j;
          if (i < 0 || j < 0 || i >= rows || j >= columns || labels[next] || !(probability[next] > level)) continue;
          labels[next] = label;
          waiting.push(next);
        }
      }
      if (members.length < least) for (const at of members) labels[at] = -1;
      else cells.push(members);
    }
    for (let k = 0; k < labels.length; k++) if (labels[k] < 0) labels[k] = 0;
    return { labels, cells };
  }

  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const rowsOf = ({ cells }, image) => cells.map((members, k) => ({
    label: k + 1,
    area: members.length,
    row: mean(members.map((at) => Math.floor(at / image.columns))),
    column: mean(members.map((at) => at % image.columns)),
    intensity: mean(members.map((at) => image.values[at])),
  }));

  // Pictures -------------------------------------------------------------------------------------------------------

  function paint(name, rows, columns, colour) {
    const canvas = find(name), pixels = new ImageData(columns, rows);
    [canvas.width, canvas.height] = [columns, rows];
    for (let k = 0; k < rows * columns; k++) pixels.data.set([...colour(k), 255], 4 * k);
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    canvas.closest("figure").hidden = false;
  }

  function brightness({ values }) {
    let low = Infinity, high = -Infinity;
    for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
    return (k) => 255 * (values[k] - low) / (high - low || 1);
  }

  // Colours of neighbours in number are far apart in hue: the golden angle.
  function hue(label) {
    const at = (label * 137.508) % 360, light = 0.45 + 0.1 * (label % 3);
    const channel = (n) => { const k = (n + at / 30) % 12; return light - Math.min(light, 1 - light) * 0.9 * Math.max(-1, Math.min(k - 3, 9 - k, 1)); };
    return [channel(0), channel(8), channel(4)].map((value) => 255 * value);
  }

  function show() {
    const { image, result } = state;
    for (const name of ["image", "probability", "cells"]) find(name).closest("figure").hidden = true;
    find("measured").hidden = true;
    if (!image) return;
    const grey_ = brightness(image), { rows, columns } = image;
    paint("image", rows, columns, (k) => [grey_(k), grey_(k), grey_(k)]);
    find("image-name").textContent = image.credit ? `${image.name}: ${image.credit}` : image.name;
    if (!result) return;
    paint("probability", rows, columns, (k) => Array(3).fill(255 * result.probability[k]));
    const { labels, cells } = result;
    const edge = (k) => (k % columns < columns - 1 && labels[k] !== labels[k + 1]) || (k + columns < labels.length && labels[k] !== labels[k + columns]);
    paint("cells", rows, columns, (k) => {
      if (edge(k)) return [255, 255, 255];
      if (!labels[k]) return [grey_(k), grey_(k), grey_(k)];
      const colour = hue(labels[k]);
      return colour.map((value) => 0.55 * value + 0.45 * grey_(k));
    });
    const measured = rowsOf(result, image), areas = measured.map((one) => one.area).sort((a, b) => a - b);
    const median = areas.length ? areas[Math.floor(areas.length / 2)] : 0;
    find("count").textContent = `${cells.length} ${cells.length === 1 ? "cell" : "cells"}, median area ${number(median)} px; ` +
      `${number(result.seconds)} s on this computer`;
    find("measured").hidden = false;
  }

  function segment() {
    if (!state.result) return;
    const { image, result, network } = state;
    const found = components(result.probability, image.rows, image.columns, Number(threshold.value), Number(smallest.value), network.settings.connectivity);
    Object.assign(result, found);
    show();
  }

  function saved() {
    const lines = rowsOf(state.result, state.image).map((one) => [one.label, one.area, one.row, one.column, one.intensity].join(","));
    const text = ["label,area,centroid-0,centroid-1,intensity_mean", ...lines].join("\n") + "\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = `${state.image.name.replace(/\.[^.]*$/, "")}.cells.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // Running --------------------------------------------------------------------------------------------------------

  function ready(running = false) {
    button.disabled = running || !state.image || !state.network;
    find("stop").hidden = !running;
    for (const one of root.querySelectorAll("fieldset")) one.disabled = running;
  }

  function stop() {
    if (state.worker) state.worker.terminate();
    state.worker = null;
    bar.hidden = true;
    ready();
  }

  function run() {
    const { image, network } = state;
    state.result = null;
    show();
    ready(true);
    bar.hidden = false;
    bar.removeAttribute("value");
    say("Loading the runtime …");
    if (!state.worker) {
      state.worker = new Worker(static_ + "try-worker.js", { type: "module" });
      state.worker.onerror = (event) => { stop(); say(`The worker failed: ${event.message || "it could not be loaded"}.`, true); };
    }
    state.worker.onmessage = ({ data }) => {
      if (data.kind === "loading") {
        say(`Loading the network: ${number(data.have / 2 ** 20)} of ${number(data.of / 2 ** 20)} MiB`);
        bar.value = data.have / data.of;
      } else if (data.kind === "tile") {
        const left = data.seconds ? `, about ${number(data.seconds / data.done * (data.of - data.done))} s left` : "";
        say(`Tile ${Math.min(data.done + 1, data.of)} of ${data.of}${left}`);
        bar.value = data.done / data.of;
      } else if (data.kind === "done") {
        state.image = image;  // another may have been opened meanwhile
        state.result = { probability: data.probability, seconds: data.seconds };
        segment();
        bar.hidden = true;
        ready();
        say("Done. Move the threshold: the cells follow.");
      } else if (data.kind === "error") {
        stop();
        say(`It did not work: ${data.text}.`, true);
      }
    };
    const asked = { network, image: image.values.slice(), rows: image.rows, columns: image.columns, scale: Number(scale.value) * network.scale, flips: flips.checked };
    state.worker.postMessage(asked, [asked.image.buffer]);
  }

  function choose(network) {
    const own = state.image && !state.image.credit;  // a sample is another network's
    Object.assign(state, { network, result: null, image: own ? state.image : null });
    threshold.value = network.settings.threshold;
    smallest.value = network.settings.smallest;
    flips.checked = network.flips;
    scale.value = "1";
    labelled();
    find("about").textContent = `Trained on ${network.about}. ${network.width} channels at the first level; ` +
      `${number(network.bytes / 2 ** 20)} MiB, and once 14 MiB of runtime. Record: ${network.record}.`;
    find("samples").replaceChildren(...network.samples.map((sample) => {
      const one = document.createElement("button");
      one.type = "button";
      one.textContent = `Sample: ${sample.name}`;
      one.onclick = async () => open(await (await fetch(`${static_}try/${sample.file}`)).blob(), sample.file, sample.credit);
      return one;
    }));
    show();
    ready();
    say(own ? `${state.image.name} is still there. Press “Run”.` : "Choose a sample, or an image of your own.");
  }

  const labelled = () => {
    find("threshold-value").textContent = Number(threshold.value).toFixed(2);
    find("smallest-value").textContent = `${smallest.value} px`;
  };

  threshold.oninput = smallest.oninput = () => { labelled(); segment(); };
  button.onclick = run;
  find("stop").onclick = () => { stop(); say("Stopped."); };
  find("save").onclick = saved;
  find("file").onchange = (event) => { const [file] = event.target.files; if (file) open(file, file.name); };
  for (const one of root.querySelectorAll(".try-larger")) {
    one.onclick = () => { one.textContent = one.closest("figure").classList.toggle("large") ? "smaller" : "larger"; };
  }
  const drop = find("drop");
  drop.ondragover = (event) => { event.preventDefault(); drop.classList.add("over"); };
  drop.ondragleave = () => drop.classList.remove("over");
  drop.ondrop = (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file && !drop.disabled) open(file, file.name);
  };

  fetch(`${static_}try/networks.json`).then((answer) => answer.json()).then(({ networks, runtime }) => {
    if (runtime) { say(runtime, true); return; }
    find("networks").replaceChildren(...networks.map((network, k) => {
      const label = document.createElement("label"), choice = document.createElement("input");
      Object.assign(choice, { type: "radio", name: "network", checked: k === 0 });
      choice.onchange = () => choose(network);
      label.append(choice, ` ${network.title}`);
      return label;
    }));
    find("panel").hidden = false;
    choose(networks[0]);
  }).catch((error) => say(`The list of networks cannot be loaded: ${error.message}.`, true));
})();
