// A small WebGL stage: one solid surface, one shadow; turned by dragging, seen without perspective so that the scale holds.
hypermol.stage = (function () {
  "use strict";

  const VERTEX = `
    attribute vec3 position; attribute vec3 normal; attribute float shade; attribute float tint;
    uniform mat3 turn; uniform vec3 centre; uniform vec3 fit; uniform float behind;
    varying vec3 n; varying float dim; varying float mix_; varying float depth;
    void main() {
      vec3 p = turn * (position - centre);
      n = turn * normal; dim = shade; mix_ = tint; depth = p.z * fit.z;
      gl_Position = vec4(p.x * fit.x, p.y * fit.y, behind - p.z * fit.z, 1.0);
    }`;

  // soft light from above left, a weak one from below right, darker rims and clefts, fading with depth
  const FRAGMENT = `
    precision mediump float;
    uniform vec3 still; uniform vec3 moving; uniform vec3 paper; uniform float alpha;
    varying vec3 n; varying float dim; varying float mix_; varying float depth;
    void main() {
      vec3 m = normalize(n);
      if (!gl_FrontFacing) m = -m;
      // through sand, so that the way from blue to orange is not mud
      vec3 sand = mix(vec3(0.93, 0.84, 0.70), still, step(mix_, 0.0));
      float t = smoothstep(0.15, 0.95, mix_);
      vec3 base = mix(mix(still, sand, min(2.0 * t, 1.0)), moving, max(2.0 * t - 1.0, 0.0));
      float key = max(dot(m, normalize(vec3(-0.45, 0.65, 0.75))), 0.0);
      float fill = max(dot(m, normalize(vec3(0.7, -0.35, 0.5))), 0.0);
      float sky = 0.5 + 0.5 * m.y;
      float shine = pow(max(dot(m, normalize(vec3(-0.26, 0.38, 0.95))), 0.0), 28.0);
      float light = 0.34 + 0.14 * sky + 0.56 * key + 0.12 * fill;
      light *= 1.0 - 0.5 * smoothstep(0.1, 1.0, dim);
      light *= 0.72 + 0.28 * smoothstep(0.0, 0.45, m.z);
      vec3 colour = base * light + 0.13 * shine;
      colour = mix(colour, paper, 0.38 * smoothstep(0.15, -0.9, depth));
      // colours come multiplied by alpha, as the canvas expects them
      gl_FragColor = alpha < 0.999 ? vec4(still * alpha, alpha) : vec4(colour, 1.0);
    }`;

  function compile(gl) {
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    return program;
  }

  function rotation(axis, angle) {
    const [x, y, z] = axis, c = Math.cos(angle), s = Math.sin(angle), d = 1 - c;
    return [c + x * x * d, x * y * d - z * s, x * z * d + y * s, y * x * d + z * s, c + y * y * d, y * z * d - x * s,
      z * x * d - y * s, z * y * d + x * s, c + z * z * d];
  }
  function multiply(a, b) {
    const out = new Array(9).fill(0);
    for (let i = 0; i < 3; i++) for (let j = 0; j < 3; j++) for (let k = 0; k < 3; k++) out[3 * i + j] += a[3 * i + k] * b[3 * k + j];
    return out;
  }
  // keeps many small turns a rotation
  function orthonormal(m) {
    const norm = (v) => { const l = Math.hypot(...v); return v.map((c) => c / l); };
    const x = norm(m.slice(0, 3));
    const dot = x[0] * m[3] + x[1] * m[4] + x[2] * m[5];
    const y = norm([m[3] - dot * x[0], m[4] - dot * x[1], m[5] - dot * x[2]]);
    return [...x, ...y, x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]];
  }

  function create(canvas, options) {
    const gl = canvas.getContext("webgl", { antialias: true, alpha: true, preserveDrawingBuffer: true });
    if (!gl || !(gl.getExtension("OES_element_index_uint"))) return null;
    const program = compile(gl);
    gl.useProgram(program);
    const place = (name) => gl.getUniformLocation(program, name);
    const uniform = Object.fromEntries(["turn", "centre", "fit", "still", "moving", "paper", "alpha", "behind"].map((n) => [n, place(n)]));
    const slots = [["position", 3], ["normal", 3], ["shade", 1], ["tint", 1]]
      .map(([name, width]) => [name, width, gl.getAttribLocation(program, name)]);
    const state = { turn: options.turn, zoom: 1, radius: 1, centre: [0, 0, 0], solid: null, shadow: null };
    let asked = false;

    function upload(old, mesh, tint) {
      if (old) { Object.values(old.buffers).forEach((b) => gl.deleteBuffer(b)); gl.deleteBuffer(old.elements); }
      if (!mesh) return null;
      const arrays = { position: mesh.positions, normal: mesh.normals, shade: mesh.shade, tint };
      const buffers = {};
      for (const name in arrays) {
        buffers[name] = gl.createBuffer();
        gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
        gl.bufferData(gl.ARRAY_BUFFER, arrays[name], gl.DYNAMIC_DRAW);
      }
      const elements = gl.createBuffer();
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, elements);
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, mesh.indices, gl.DYNAMIC_DRAW);
      return { buffers, elements, count: mesh.indices.length };
    }

    function drawMesh(part, still, moving, alpha) {
      if (!part || !part.count) return;
      for (const [name, width, slot] of slots) {
        if (slot < 0) continue;
        gl.bindBuffer(gl.ARRAY_BUFFER, part.buffers[name]);
        gl.enableVertexAttribArray(slot);
        gl.vertexAttribPointer(slot, width, gl.FLOAT, false, 0, 0);
      }
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, part.elements);
      gl.uniform3fv(uniform.still, still);
      gl.uniform3fv(uniform.moving, moving);
      gl.uniform1f(uniform.alpha, alpha);
      // a shadow that coincides with the solid surface stays hidden behind it
      gl.uniform1f(uniform.behind, alpha < 0.999 ? 0.03 : 0);
      gl.drawElements(gl.TRIANGLES, part.count, gl.UNSIGNED_INT, 0);
    }

    // pixels of the page per Å
    function scale() {
      return (0.44 * Math.min(canvas.clientWidth, canvas.clientHeight) * state.zoom) / state.radius;
    }

    function draw() {
      asked = false;
      const dpr = Math.min(window.devicePixelRatio || 1, 2);
      const width = Math.round(canvas.clientWidth * dpr), height = Math.round(canvas.clientHeight * dpr);
      if (!width || !height) return;
      if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
      gl.viewport(0, 0, width, height);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      gl.enable(gl.DEPTH_TEST);
      const perUnit = scale();
      const t = state.turn;
      gl.uniformMatrix3fv(uniform.turn, false, [t[0], t[3], t[6], t[1], t[4], t[7], t[2], t[5], t[8]]);
      gl.uniform3fv(uniform.centre, state.centre);
      gl.uniform3f(uniform.fit, (2 * perUnit) / canvas.clientWidth, (2 * perUnit) / canvas.clientHeight, 1 / (2 * state.radius));
      gl.uniform3fv(uniform.paper, options.paper);
      gl.disable(gl.BLEND);
      gl.depthMask(true);
      drawMesh(state.solid, options.still, options.moving, 1);
      if (state.shadow) {
        gl.enable(gl.BLEND);
        gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
        gl.enable(gl.CULL_FACE);
        gl.depthMask(false);
        drawMesh(state.shadow, options.shadow, options.shadow, 0.22);
        gl.depthMask(true);
        gl.disable(gl.CULL_FACE);
      }
      options.drawn(scale());
    }
    function ask() { if (!asked) { asked = true; requestAnimationFrame(draw); } }

    listen(canvas, state, ask, options);
    new ResizeObserver(ask).observe(canvas);
    return {
      solid(mesh, tint) { state.solid = upload(state.solid, mesh, tint); ask(); },
      shadow(mesh) { state.shadow = upload(state.shadow, mesh, mesh && new Float32Array(mesh.positions.length / 3)); ask(); },
      frame(centre, radius) { state.centre = centre; state.radius = radius; ask(); },
      zoom(factor) { state.zoom = Math.min(Math.max(state.zoom * factor, 0.3), 8); ask(); },
      reset() { state.turn = options.turn; state.zoom = 1; ask(); },
    };
  }

  // drag to turn, two fingers to zoom, arrow keys, double click; the wheel is left to the page unless ctrl is held
  function listen(canvas, state, ask, options) {
    const fingers = new Map();
    let apart = 0;
    const spin = (dx, dy) => {
      const length = Math.hypot(dx, dy);
      if (!length) return;
      state.turn = orthonormal(multiply(rotation([dy / length, dx / length, 0], length * 0.009), state.turn));
      ask();
    };
    canvas.addEventListener("pointerdown", (event) => { fingers.set(event.pointerId, event); canvas.setPointerCapture(event.pointerId); });
    const lift = (event) => { fingers.delete(event.pointerId); apart = 0; };
    canvas.addEventListener("pointerup", lift);
    canvas.addEventListener("pointercancel", lift);
    canvas.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      fingers.set(event.pointerId, event);
      if (fingers.size === 1) spin(event.clientX - before.clientX, event.clientY - before.clientY);
      if (fingers.size === 2) {
        const [a, b] = [...fingers.values()];
        const now = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
        if (apart) { state.zoom = Math.min(Math.max((state.zoom * now) / apart, 0.3), 8); ask(); }
        apart = now;
      }
    });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      state.zoom = Math.min(Math.max(state.zoom * Math.exp(-event.deltaY * 0.004), 0.3), 8);
      ask();
    }, { passive: false });
    canvas.addEventListener("dblclick", () => { state.turn = options.turn; state.zoom = 1; ask(); });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-20, 0], ArrowRight: [20, 0], ArrowUp: [0, -20], ArrowDown: [0, 20] }[event.key];
      if (step) { event.preventDefault(); spin(...step); }
    });
  }

  return { create };
})();
