// Computes a network's probability of an image, tile by tile, off the page's thread. The steps are those of
// reprolib.tiling.predict: resample, normalise, mirror at the edges, step by multiples of 16 px, mean over mirror images.
import * as ort from "./try/ort.wasm.min.mjs";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL("./try/", import.meta.url).href;
const HALO = 92, DEPTH = 16;
let session = null, loaded = "";

// Bytes of a file, with how many are there.
async function fetched(address, report) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address}: ${answer.status} ${answer.statusText}`);
  const parts = [], reader = answer.body.getReader();
  let have = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    report(have += value.length);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

async function load(network) {
  if (loaded === network.name) return;
  const address = new URL(`./try/${network.name}.onnx`, import.meta.url).href;
  const bytes = await fetched(address, (have) => postMessage({ kind: "loading", have, of: network.bytes }));
  session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  loaded = network.name;
}

const reflect = (k, side) => {  // the edge pixel once
  if (side === 1) return 0;
  const there = ((k % (2 * (side - 1))) + 2 * (side - 1)) % (2 * (side - 1));
  return Math.min(there, 2 * (side - 1) - there);
};

// A filter along one axis of an image (rows x columns), its edges mirrored.
function blurred(image, rows, columns, sigma, alongRows) {
  if (sigma <= 0) return image;
  const radius = Math.floor(4 * sigma + 0.5), weights = [];
  for (let k = -radius; k <= radius; k++) weights.push(Math.exp(-0.5 * (k / sigma) ** 2));
  const sum = weights.reduce((a, b) => a + b, 0), out = new Float32Array(image.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let total = 0;
      for (let k = -radius; k <= radius; k++) {
        const at = alongRows ? reflect(i + k, rows) * columns + j : i * columns + reflect(j + k, columns);
        total += image[at] * weights[k + radius];
      }
      out[i * columns + j] = total / sum;
    }
  }
  return out;
}

// Linear between pixel centres; beyond the first and last centre the edge's value.
function resized(image, rows, columns, newRows, newColumns) {
  const out = new Float32Array(newRows * newColumns);
  const place = (k, side, newSide) => {
    const at = Math.min(side - 1, Math.max(0, (k + 0.5) * side / newSide - 0.5)), low = Math.floor(at);
    return [low, Math.min(side - 1, low + 1), at - low];
  };
  for (let i = 0; i < newRows; i++) {
    const [top, bottom, down] = place(i, rows, newRows);
    for (let j = 0; j < newColumns; j++) {
      const [left, right, across] = place(j, columns, newColumns);
      const above = image[top * columns + left] * (1 - across) + image[top * columns + right] * across;
      const below = image[bottom * columns + left] * (1 - across) + image[bottom * columns + right] * across;
      out[i * newColumns + j] = above * (1 - down) + below * down;
    }
  }
  return out;
}

function scaled(image, rows, columns, scale) {
  if (scale === 1) return { values: image, rows, columns };
  const newRows = Math.max(2, round(rows * scale)), newColumns = Math.max(2, round(columns * scale));
  let values = blurred(image, rows, columns, Math.max(0, (rows / newRows - 1) / 2), true);
  values = blurred(values, rows, columns, Math.max(0, (columns / newColumns - 1) / 2), false);
  return { values: resized(values, rows, columns, newRows, newColumns), rows: newRows, columns: newColumns };
}

const round = (x) => {  // halves to the even number, as Python does
  const low = Math.floor(x);
  return x - low === 0.5 ? low + (low % 2) : Math.round(x);
};

function normalised(image, rows, columns, network) {
  let low, span;
  if (network.normalisation === "percentiles") {
    const stride = Math.ceil(Math.sqrt(rows * columns / network.most_sampled)), sampled = [];
    for (let i = 0; i < rows; i += stride) for (let j = 0; j < columns; j += stride) sampled.push(image[i * columns + j]);
    const sorted = Float32Array.from(sampled).sort();
    const percentile = (q) => {
      const at = q / 100 * (sorted.length - 1), below = Math.floor(at), above = Math.min(sorted.length - 1, below + 1);
      return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
    };
    let [from, to] = network.percentiles.map(percentile);
    if (!(to > from)) [from, to] = [sorted[0], sorted[sorted.length - 1]];
    if (!(to > from)) throw new Error("the image is constant: there is nothing to segment");
    return image.map((value) => (value - from) * (2 / (to - from)) - 1);
  }
  let sum = 0, squares = 0;
  for (const value of image) sum += value;
  low = sum / image.length;
  for (const value of image) squares += (value - low) ** 2;
  span = Math.sqrt(squares / image.length);
  if (!(span > 0)) throw new Error("the image is constant: there is nothing to segment");
  return image.map((value) => (value - low) / span);
}

function flipped(image, rows, columns, upDown, leftRight) {
  if (!upDown && !leftRight) return image;
  const out = new Float32Array(image.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      out[i * columns + j] = image[(upDown ? rows - 1 - i : i) * columns + (leftRight ? columns - 1 - j : j)];
    }
  }
  return out;
}

const origins = (side, output, step) =>
  Array.from({ length: 1 + Math.max(0, Math.ceil((side - output) / step)) }, (_, k) => k * step);

async function predicted(image, rows, columns, network, progress) {
  const covering = 60 + DEPTH * Math.ceil((Math.max(rows, columns) + 2 * HALO - 60) / DEPTH);
  const tile = Math.min(covering, network.tile), output = tile - 2 * HALO, step = Math.floor(output / DEPTH) * DEPTH;
  const tops = origins(rows, output, step), lefts = origins(columns, output, step);
  const result = new Float32Array(rows * columns);
  progress.tiles(tops.length * lefts.length);
  for (const top of tops) {
    for (const left of lefts) {
      const input = new Float32Array(tile * tile);
      for (let i = 0; i < tile; i++) {
        const row = reflect(top - HALO + i, rows) * columns;
        for (let j = 0; j < tile; j++) input[i * tile + j] = image[row + reflect(left - HALO + j, columns)];
      }
      const answer = await session.run({ input: new ort.Tensor("float32", input, [1, 1, tile, tile]) });
      const plane = answer.output.data;
      for (let i = 0; i < Math.min(output, rows - top); i++) {
        for (let j = 0; j < Math.min(output, columns - left); j++) {
          result[(top + i) * columns + left + j] = plane[i * output + j];
        }
      }
      progress.step();
    }
  }
  return result;
}

async function run({ network, image, rows, columns, scale, flips }) {
  await load(network);
  const begin = performance.now(), small = scaled(image, rows, columns, scale);
  const values = normalised(small.values, small.rows, small.columns, network);
  const ways = flips ? [[0, 0], [1, 0], [0, 1], [1, 1]] : [[0, 0]];
  const total = new Float32Array(values.length);
  let done = 0, of = 0;
  const progress = {
    tiles: (count) => { of = count * ways.length; if (!done) postMessage({ kind: "tile", done, of }); },
    step: () => postMessage({ kind: "tile", done: ++done, of, seconds: (performance.now() - begin) / 1000 }),
  };
  for (const way of ways) {
    const one = await predicted(flipped(values, small.rows, small.columns, ...way), small.rows, small.columns, network, progress);
    const back = flipped(one, small.rows, small.columns, ...way);
    for (let k = 0; k < total.length; k++) total[k] += back[k] / ways.length;
  }
  const same = small.rows === rows && small.columns === columns;
  const probability = same ? total : resized(total, small.rows, small.columns, rows, columns);
  postMessage({ kind: "done", probability, seconds: (performance.now() - begin) / 1000 }, [probability.buffer]);
}

onmessage = (event) => run(event.data).catch((error) => postMessage({ kind: "error", text: error.message ?? String(error) }));
postMessage({ kind: "ready" });
