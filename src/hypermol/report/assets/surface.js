// Isosurfaces of a density on a grid: surface nets (Gibson 1998), each vertex then moved onto the exact level.
hypermol.surface = (function () {
  "use strict";

  // trilinear value and gradient of f (x fastest, size [nx, ny, nz]) at a point in voxels
  function sampler(f, size) {
    const [nx, ny, nz] = size;
    const sy = nx, sz = nx * ny;
    const clamp = (value, limit) => Math.min(Math.max(value, 0), limit - 1.001);
    function corners(x, y, z) {
      const i = Math.floor(x), j = Math.floor(y), k = Math.floor(z);
      return [i + j * sy + k * sz, x - i, y - j, z - k];
    }
    function value(x, y, z) {
      const [at, u, v, w] = corners(clamp(x, nx), clamp(y, ny), clamp(z, nz));
      const a = f[at] + u * (f[at + 1] - f[at]);
      const b = f[at + sy] + u * (f[at + sy + 1] - f[at + sy]);
      const c = f[at + sz] + u * (f[at + sz + 1] - f[at + sz]);
      const d = f[at + sy + sz] + u * (f[at + sy + sz + 1] - f[at + sy + sz]);
      const low = a + v * (b - a);
      return low + w * (c + v * (d - c) - low);
    }
    // over half a voxel to each side: smooth across cells
    function gradient(x, y, z, out) {
      const h = 0.5;
      out[0] = value(x + h, y, z) - value(x - h, y, z);
      out[1] = value(x, y + h, z) - value(x, y - h, z);
      out[2] = value(x, y, z + h) - value(x, y, z - h);
      return out;
    }
    return { value, gradient };
  }

  // one vertex per cell that the level crosses, at the mean of the crossings of its edges
  function vertices(f, size, level, cellVertex) {
    const [nx, ny, nz] = size;
    const sy = nx, sz = nx * ny;
    const offset = [0, 1, sy, sy + 1, sz, sz + 1, sz + sy, sz + sy + 1];
    const edges = [[0, 1], [2, 3], [4, 5], [6, 7], [0, 2], [1, 3], [4, 6], [5, 7], [0, 4], [1, 5], [2, 6], [3, 7]];
    const positions = [];
    for (let k = 0; k < nz - 1; k++) for (let j = 0; j < ny - 1; j++) for (let i = 0; i < nx - 1; i++) {
      const at = i + j * sy + k * sz;
      let inside = 0;
      for (let corner = 0; corner < 8; corner++) if (f[at + offset[corner]] > level) inside++;
      if (inside === 0 || inside === 8) continue;
      let x = 0, y = 0, z = 0, count = 0;
      for (const [a, b] of edges) {
        const fa = f[at + offset[a]], fb = f[at + offset[b]];
        if ((fa > level) === (fb > level)) continue;
        const t = (level - fa) / (fb - fa);
        x += (a & 1) + t * ((b & 1) - (a & 1));
        y += ((a >> 1) & 1) + t * (((b >> 1) & 1) - ((a >> 1) & 1));
        z += (a >> 2) + t * ((b >> 2) - (a >> 2));
        count++;
      }
      cellVertex[at] = positions.length / 3;
      positions.push(i + x / count, j + y / count, k + z / count);
    }
    return Float32Array.from(positions);
  }

  // two triangles for each grid edge that the level crosses, between the four cells around it
  function faces(f, size, level, cellVertex) {
    const [nx, ny, nz] = size;
    const stride = [1, nx, nx * ny];
    const indices = [];
    for (let k = 1; k < nz - 1; k++) for (let j = 1; j < ny - 1; j++) for (let i = 1; i < nx - 1; i++) {
      const at = i + j * stride[1] + k * stride[2];
      const inside = f[at] > level;
      for (let axis = 0; axis < 3; axis++) {
        if (inside === f[at + stride[axis]] > level) continue;
        const u = stride[(axis + 1) % 3], v = stride[(axis + 2) % 3];
        const a = cellVertex[at - u - v], b = cellVertex[at - v], c = cellVertex[at], d = cellVertex[at - u];
        if (inside) indices.push(a, b, c, a, c, d);
        else indices.push(a, c, b, a, d, c);
      }
    }
    return Uint32Array.from(indices);
  }

  // outward normals; positions are first moved along the gradient onto the level (one Newton step, half a voxel at most)
  function settle(positions, field, level) {
    const normals = new Float32Array(positions.length);
    const g = [0, 0, 0];
    for (let at = 0; at < positions.length; at += 3) {
      for (let step = 0; step < 2; step++) {
        const [x, y, z] = [positions[at], positions[at + 1], positions[at + 2]];
        field.gradient(x, y, z, g);
        const square = g[0] * g[0] + g[1] * g[1] + g[2] * g[2];
        if (square < 1e-12) break;
        const gap = (level - field.value(x, y, z)) / square;
        const shift = Math.min(1, 0.5 / (Math.abs(gap) * Math.sqrt(square) + 1e-12));
        for (let axis = 0; axis < 3; axis++) positions[at + axis] += shift * gap * g[axis];
      }
      field.gradient(positions[at], positions[at + 1], positions[at + 2], g);
      const length = Math.hypot(g[0], g[1], g[2]) || 1;
      for (let axis = 0; axis < 3; axis++) normals[at + axis] = -g[axis] / length;
    }
    return normals;
  }

  // how much of what lies outward of each vertex is filled: 0 open, 1 deep in a cleft
  function occlusion(positions, normals, field, level) {
    const depths = [3, 5, 8];
    const shade = new Float32Array(positions.length / 3);
    for (let vertex = 0; vertex < shade.length; vertex++) {
      const at = 3 * vertex;
      let filled = 0;
      for (const depth of depths) {
        const density = field.value(
          positions[at] + depth * normals[at],
          positions[at + 1] + depth * normals[at + 1],
          positions[at + 2] + depth * normals[at + 2]
        );
        filled += Math.min(density / level, 1);
      }
      shade[vertex] = filled / depths.length;
    }
    return shade;
  }

  // the surface {positions (voxels), normals, shade, indices} of f at level
  function mesh(f, size, level) {
    const cellVertex = new Int32Array(f.length);
    const positions = vertices(f, size, level, cellVertex);
    const indices = faces(f, size, level, cellVertex);
    const field = sampler(f, size);
    const normals = settle(positions, field, level);
    return { positions, normals, indices, shade: occlusion(positions, normals, field, level) };
  }

  return { mesh, sampler };
})();
