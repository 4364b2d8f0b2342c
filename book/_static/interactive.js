// Figures that answer: a slider or two choose a picture, buttons choose a layer, a divider compares two pictures.
// All pictures and numbers come with the page. Without this script a still picture remains.
"use strict";

(() => {
  const parse = (figure) => JSON.parse(figure.querySelector("script.viewer-data").textContent);

  // Place of a frame: layers hold one picture, or one for each combination of the axes, the last axis fastest.
  const place = (sizes, at) => at.reduce((sum, index, axis) => sum * sizes[axis] + index, 0);

  function viewer(figure) {
    const data = parse(figure);
    const [image, over] = figure.querySelectorAll(".viewer-stack img");
    const nothing = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";
    const values = figure.querySelector(".viewer-values");
    const sliders = [...figure.querySelectorAll("input[type=range]")];
    const buttons = [...figure.querySelectorAll("button")];
    const sizes = data.axes.map((axis) => axis.labels.length);
    let layer = 0;

    function draw() {
      const at = sliders.map((slider) => Number(slider.value));
      const frames = data.layers[layer].frames;
      const index = place(sizes, at);
      const [picture, marks] = frames[frames.length === 1 ? 0 : index];
      image.src = data.pictures[picture];
      over.src = marks === undefined ? nothing : data.pictures[marks];
      over.alt = marks === undefined ? "no marks" : "marks";
      const chosen = data.axes.map((axis, k) => `${axis.name} ${axis.labels[at[k]]}`).join(", ");
      image.alt = `${data.layers[layer].name}${chosen ? ", " + chosen : ""}. ${data.alt}`;
      sliders.forEach((slider, k) => {
        slider.setAttribute("aria-valuetext", data.axes[k].labels[at[k]]);
        slider.parentElement.querySelector("output").textContent = data.axes[k].labels[at[k]];
      });
      buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(k === layer)));
      values.replaceChildren(...Object.entries(data.values).flatMap(([name, row]) => {
        const item = document.createElement("span");
        item.textContent = `${name} ${row[row.length === 1 ? 0 : index]}`;
        return [item, " "];
      }));
    }

    sliders.forEach((slider) => slider.addEventListener("input", draw));
    buttons.forEach((button, k) => button.addEventListener("click", () => { layer = k; draw(); }));
    figure.classList.add("live");
    draw();
  }

  function divider(figure) {
    const slider = figure.querySelector("input[type=range]");
    const upper = figure.querySelector(".divider-upper");
    const frame = figure.querySelector(".divider-frame");
    const draw = () => frame.style.setProperty("--at", `${slider.value}%`);
    const follow = (event) => {
      const box = frame.getBoundingClientRect();
      slider.value = String(Math.round((100 * (event.clientX - box.left)) / box.width));
      draw();
    };
    frame.addEventListener("pointerdown", (event) => { frame.setPointerCapture(event.pointerId); follow(event); });
    frame.addEventListener("pointermove", (event) => { if (event.buttons) follow(event); });
    slider.addEventListener("input", draw);
    if (upper) figure.classList.add("live");
    draw();
  }

  // One output tile on a mirrored image: drag it, or move it by the sliders; its input window is shown beside it.
  function explorer(figure) {
    const { side, padding, output, halo } = parse(figure); // px
    const whole = side + 2 * padding;
    const frame = figure.querySelector(".explorer-frame");
    const part = figure.querySelector(".explorer-window");
    const values = figure.querySelector(".viewer-values");
    const [row, column] = figure.querySelectorAll("input[type=range]");
    const percent = (px) => `${(100 * px) / whole}%`;

    function set(name, top, left, extent) {
      const box = figure.querySelector(name);
      box.style.top = percent(padding + top);
      box.style.left = percent(padding + left);
      box.style.width = box.style.height = percent(extent);
    }

    function draw() {
      const [top, left] = [Number(row.value), Number(column.value)];
      const input = output + 2 * halo;
      set(".explorer-output", top, left, output);
      set(".explorer-input", top - halo, left - halo, input);
      part.style.backgroundSize = `${(100 * whole) / input}%`;
      const at = (start) => `${(100 * (padding + start - halo)) / (whole - input)}%`;
      part.style.backgroundPosition = `${at(left)} ${at(top)}`;
      const inside = (start) => Math.min(side, start + output + halo) - Math.max(0, start - halo);
      const mirrored = 1 - (inside(top) * inside(left)) / input ** 2;
      [row, column].forEach((slider) => {
        slider.parentElement.querySelector("output").textContent = `${slider.value} px`;
        slider.setAttribute("aria-valuetext", `${slider.value} px`);
      });
      values.textContent = `input window ${input} x ${input} px, of which ${Math.round(100 * mirrored)} % is mirror image`;
    }

    function follow(event) {
      const box = frame.getBoundingClientRect();
      const px = (place, start, extent) => (whole * (place - start)) / extent - padding - output / 2;
      row.value = String(px(event.clientY, box.top, box.height));
      column.value = String(px(event.clientX, box.left, box.width));
      draw();
    }

    frame.addEventListener("pointerdown", (event) => { frame.setPointerCapture(event.pointerId); follow(event); });
    frame.addEventListener("pointermove", (event) => { if (event.buttons) follow(event); });
    [row, column].forEach((slider) => slider.addEventListener("input", draw));
    part.style.backgroundImage = `url(${frame.querySelector("img").src})`;
    figure.classList.add("live");
    draw();
  }

  // Which rows of each feature map a row of the output depends on: by the slider, or by pointing at the bars.
  function reach(figure) {
    const data = parse(figure), slider = figure.querySelector("input"), bars = figure.querySelector(".reach-bars");
    const parts = [...figure.querySelectorAll(".reach-part")], values = figure.querySelector(".viewer-values");
    const percent = (px) => `${(100 * px) / data.tile}%`;
    function draw() {
      const row = Number(slider.value);
      data.maps.forEach((map, k) => {
        parts[k].style.left = percent(map.start + map.first[row] * map.unit);
        parts[k].style.width = percent((map.last[row] - map.first[row] + 1) * map.unit);
      });
      const [first, last] = [data.maps[0].first[row], data.maps[0].last[row]];
      slider.parentElement.querySelector("output").textContent = String(row);
      slider.setAttribute("aria-valuetext", `row ${row}`);
      values.textContent = `Row ${row} of the output depends on rows ${first} to ${last} of the tile: ${last - first + 1} px.`;
    }
    bars.addEventListener("pointermove", (event) => {
      const box = bars.querySelector(".reach-track").getBoundingClientRect(), end = data.maps[data.maps.length - 1];
      const px = (data.tile * (event.clientX - box.left)) / box.width - end.start;
      slider.value = String(Math.round(px));
      draw();
    });
    slider.addEventListener("input", draw);
    figure.classList.add("live");
    draw();
  }

  // The counts of verdicts above the claims: a click shows the claims of one verdict alone, a second one all again.
  function tally(line) {
    const groups = [...line.parentElement.querySelectorAll("table.claims tbody")];
    const buttons = [...line.querySelectorAll("[data-verdict]")].map((word) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = word.className;
      button.textContent = word.textContent;
      button.dataset.verdict = word.dataset.verdict;
      button.title = "show these alone";
      word.replaceWith(button);
      return button;
    });
    function show(verdict) {
      buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.verdict === verdict)));
      groups.forEach((group) => {
        const rows = [...group.querySelectorAll("tr[data-verdict]")];
        rows.forEach((row) => { row.hidden = verdict !== null && row.dataset.verdict !== verdict; });
        group.hidden = rows.every((row) => row.hidden);
      });
    }
    buttons.forEach((button) => button.addEventListener("click", () => {
      show(button.getAttribute("aria-pressed") === "true" ? null : button.dataset.verdict);
    }));
    show(null);
  }

  // What scrolls sideways within itself must be reachable by keys.
  function reachable() {
    document.querySelectorAll(".bd-article table, .bd-article .pst-scrollable-table-container, .bd-article div.math, .bd-article pre").forEach((element) => {
      if (element.scrollWidth > element.clientWidth + 1) {
        element.tabIndex = 0;
      }
    });
  }

  function start() {
    document.querySelectorAll("figure.viewer").forEach(viewer);
    document.querySelectorAll("figure.divider").forEach(divider);
    document.querySelectorAll("figure.explorer").forEach(explorer);
    document.querySelectorAll("figure.reach").forEach(reach);
    document.querySelectorAll("p.tally").forEach(tally);
    reachable();
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
  window.addEventListener("load", reachable);
  window.addEventListener("resize", reachable);
})();
