// The moving molecule: frames of a path, a slider, playing, the contour level, and the place in the landscape.
hypermol.motion = (function () {
  "use strict";
  const PLAIN = [0.44, 0.6, 0.72], STILL = [0.56, 0.64, 0.71], MOVING = [0.88, 0.42, 0.13], SHADOW = [0.25, 0.3, 0.36];
  // seen along z (y up), y and x (z up)
  const TURNS = [[1, 0, 0, 0, 1, 0, 0, 0, 1], [1, 0, 0, 0, 0, 1, 0, -1, 0], [0, 1, 0, 0, 0, 1, 1, 0, 0]];
  const SECONDS_PER_STEP = 0.32;

  function start(root, scenes) {
    const find = (name) => root.querySelector(`[data-${name}]`);
    const slider = find("frame"), levelSlider = find("level"), play = find("play"), ghost = find("ghost");
    const colours = { still: STILL, moving: MOVING, shadow: SHADOW, paper: [0.965, 0.972, 0.98], turn: TURNS[scenes[0].axis] };
    const stage = hypermol.graphics && hypermol.stage.create(find("stage"), { ...colours, drawn: (scale) => drawScale(root, scale) });
    if (!stage) return withoutGraphics(root);
    const now = { scene: null, position: 0, playing: false, direction: 1, level: 0, byChange: true, mesh: null, frames: [] };

    function open(name) {
      const scene = scenes.find((item) => item.name === name) || scenes[0];
      now.scene = scene;
      now.frames = scene.frames.map((frame) => Float32Array.from(hypermol.unpack(frame)));
      now.blend = new Float32Array(now.frames[0].length);
      now.field = hypermol.surface.sampler(Float32Array.from(hypermol.unpack(scene.change)), scene.size);
      now.level = scene.level;
      levelSlider.value = Math.round(scene.level);
      now.position = 0;
      if (slider) { slider.max = now.frames.length - 1; slider.value = 0; }
      const span = scene.size.map((count) => (count - 1) * scene.voxel);
      stage.frame(span.map((length) => length / 2), scene.radius);
      for (const strip of document.querySelectorAll("[data-strip]")) strip.hidden = strip.dataset.strip !== scene.name;
      if (ghost) shadow();
      hypermol.inset.path(root, scene);
      show();
    }

    // the density at the present position: a map of the path, or a linear blend of two
    function density() {
      const low = Math.min(Math.floor(now.position), now.frames.length - 1);
      const share = now.position - low;
      if (share < 1e-6) return now.frames[low];
      const a = now.frames[low], b = now.frames[low + 1];
      for (let i = 0; i < a.length; i++) now.blend[i] = a[i] + share * (b[i] - a[i]);
      return now.blend;
    }

    function inAngstrom(mesh) {
      for (let i = 0; i < mesh.positions.length; i++) mesh.positions[i] *= now.scene.voxel;
      return mesh;
    }

    function tints(mesh) {
      const out = new Float32Array(mesh.positions.length / 3);
      if (!now.byChange || now.frames.length < 2) return out;
      for (let vertex = 0; vertex < out.length; vertex++) {
        const [x, y, z] = mesh.positions.subarray(3 * vertex, 3 * vertex + 3);
        out[vertex] = Math.min(now.field.value(x, y, z) / (1.1 * now.scene.level), 1);
      }
      return out;
    }

    function show() {
      const mesh = hypermol.surface.mesh(density(), now.scene.size, now.level);
      const tint = tints(mesh);
      now.mesh = inAngstrom(mesh);
      stage.solid(mesh, tint);
      words();
      hypermol.inset.place(root, now.scene, now.position);
    }

    function words() {
      const near = Math.round(now.position);
      const output = find("frame-words");
      if (output) output.textContent = now.scene.captions[near];
      const density_ = now.level * now.scene.step;
      find("level-words").textContent = `${density_.toPrecision(3)} (${(density_ / now.scene.sigma).toFixed(1)} σ)`;
    }

    function shadow() {
      if (!ghost.checked) return stage.shadow(null);
      stage.shadow(inAngstrom(hypermol.surface.mesh(now.frames[0], now.scene.size, now.level)));
    }

    function setPlaying(on) {
      now.playing = on;
      play.classList.toggle("playing", on);
      play.setAttribute("aria-label", on ? "Pause" : "Play");
      if (on) { now.last = performance.now(); requestAnimationFrame(tick); }
      else { moveTo(Math.round(now.position)); }
    }

    // to and fro, a little slower at the ends
    function tick(time) {
      if (!now.playing) return;
      const last = now.frames.length - 1;
      now.position += (now.direction * Math.min(time - now.last, 200)) / 1000 / SECONDS_PER_STEP;
      now.last = time;
      if (now.position >= last) { now.position = last; now.direction = -1; }
      if (now.position <= 0) { now.position = 0; now.direction = 1; }
      slider.value = Math.round(now.position);
      show();
      requestAnimationFrame(tick);
    }

    function moveTo(position) {
      now.position = Math.min(Math.max(position, 0), now.frames.length - 1);
      slider.value = now.position;
      show();
    }

    if (slider) {
      slider.addEventListener("input", () => { if (now.playing) setPlaying(false); moveTo(Number(slider.value)); });
      play.addEventListener("click", () => setPlaying(!now.playing));
      ghost.addEventListener("change", shadow);
      hypermol.choice(root, "colour", (value) => {
        now.byChange = value === "change";
        find("ramp").hidden = !now.byChange;
        show();
      });
    }
    levelSlider.addEventListener("input", () => { now.level = Number(levelSlider.value); if (ghost) shadow(); show(); });
    find("stage").addEventListener("keydown", (event) => { if (event.key === " " && play) { event.preventDefault(); setPlaying(!now.playing); } });
    for (const button of root.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => stage.zoom(Number(button.dataset.zoom)));
    find("reset").addEventListener("click", () => stage.reset());
    const press = hypermol.choice(root, "path", (name) => { if (now.playing) setPlaying(false); open(name); });
    open(scenes[0].name);
    // what a test, or a curious reader, may ask of the surface shown
    return { moveTo, select: press, signature: () => signature(now) };
  }

  function signature(now) {
    let sum = 0;
    for (let i = 0; i < now.mesh.positions.length; i++) sum += now.mesh.positions[i] * ((i % 7) + 1);
    return { path: now.scene.name, position: now.position, triangles: now.mesh.indices.length / 3, sum };
  }

  function drawScale(root, perAngstrom) {
    const length = hypermol.lengthWords(110 / perAngstrom);
    root.querySelector(".stage-scale span").style.width = `${length * perAngstrom}px`;
    root.querySelector(".stage-scale em").textContent = `${length} Å`;
  }

  function withoutGraphics(root) {
    root.hidden = true;
    document.querySelector("[data-viewer-note]").textContent =
      "This browser shows no 3-D graphics (WebGL), so the maps are shown as projections and slices only.";
    return null;
  }

  return { start };
})();

// The small picture of the landscape beside the molecule: all particles, the path, and a dot.
hypermol.inset = (function () {
  "use strict";
  const parts = new WeakMap();

  function points() {
    const landscape = hypermol.data.landscape;
    if (!landscape) return null;
    const rows = hypermol.rows(landscape.coordinates);
    return rows.length > 1 ? rows : null;
  }

  function path(root, scene) {
    const box = root.querySelector("[data-inset]");
    const cloud = points();
    if (!box || !cloud || !scene.coordinates) { if (box) box.hidden = true; return; }
    box.hidden = false;
    const canvas = box.querySelector("canvas");
    const limits = [0, 1].map((axis) => range(cloud[axis], scene.coordinates.map((point) => point[axis])));
    parts.set(box, { canvas, cloud, limits });
  }

  // the central 99 % of the particles, and the whole path
  function range(values, path) {
    const sorted = Float32Array.from(values).sort();
    const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
    const low = Math.min(at(0.005), ...path), high = Math.max(at(0.995), ...path);
    const margin = 0.07 * (high - low || 1);
    return [low - margin, high + margin];
  }

  function place(root, scene, position) {
    const box = root.querySelector("[data-inset]");
    const part = box && !box.hidden && parts.get(box);
    if (!part) return;
    const { canvas, cloud, limits } = part;
    const dpr = Math.min(window.devicePixelRatio || 1, 2);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return;
    canvas.width = width * dpr;
    canvas.height = height * dpr;
    const context = canvas.getContext("2d");
    context.scale(dpr, dpr);
    const x = (value) => ((value - limits[0][0]) / (limits[0][1] - limits[0][0])) * width;
    const y = (value) => height - ((value - limits[1][0]) / (limits[1][1] - limits[1][0])) * height;
    const every = Math.max(1, Math.floor(cloud[0].length / 4000));
    context.fillStyle = "rgba(70, 92, 112, 0.28)";
    for (let i = 0; i < cloud[0].length; i += every) context.fillRect(x(cloud[0][i]) - 0.8, y(cloud[1][i]) - 0.8, 1.6, 1.6);
    const way = scene.coordinates;
    context.strokeStyle = "#d1751f";
    context.lineWidth = 2;
    context.beginPath();
    way.forEach((point, index) => (index ? context.lineTo(x(point[0]), y(point[1])) : context.moveTo(x(point[0]), y(point[1]))));
    context.stroke();
    const low = Math.min(Math.floor(position), way.length - 1), high = Math.min(low + 1, way.length - 1);
    const at = [0, 1].map((axis) => way[low][axis] + (position - low) * (way[high][axis] - way[low][axis]));
    context.beginPath();
    context.arc(x(at[0]), y(at[1]), 6, 0, 2 * Math.PI);
    context.fillStyle = "#d1751f";
    context.fill();
    context.strokeStyle = "#fff";
    context.lineWidth = 2;
    context.stroke();
  }

  return { path, place };
})();
