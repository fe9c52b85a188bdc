// The landscape: a point per particle, axes and colours by choice.
hypermol.scatter = (function () {
  "use strict";
  const CYCLIC = [[0, "#3b4d8f"], [0.17, "#3f93b5"], [0.33, "#7cc29a"], [0.5, "#f0d264"], [0.67, "#de7a4a"], [0.83, "#9d3d6f"], [1, "#3b4d8f"]];
  const NONE = "#b9c2cb";

  function start(root, landscape) {
    const place = root.querySelector("[data-scatter]");
    const coordinates = hypermol.rows(landscape.coordinates);
    const embedding = landscape.embedding && hypermol.rows(landscape.embedding);
    const colours = landscape.colours.map((colour) => ({ ...colour, values: hypermol.unpack(colour.values) }));
    const words = hoverWords(landscape, colours);
    const group = colours[0];
    const now = { view: landscape.views[0], colour: colours[0] };

    function axes(view) {
      if (view.columns === "umap") {
        return { x: embedding[0], y: embedding[1], marks: landscape.centre_embedding, paths: [] };
      }
      const [a, b] = view.columns;
      const spread = b < 0;
      const column = (rows) => rows.map((row) => [row[a], spread ? 0.5 : row[b]]);
      const y = spread ? Float32Array.from(coordinates[a], (_, i) => jitter(i)) : coordinates[b];
      const paths = spread ? [] : landscape.paths.map((path) => ({ ...path, way: column(path.coordinates) }));
      return { x: coordinates[a], y, marks: column(landscape.centres), paths };
    }

    function traces() {
      const { x, y, paths } = axes(now.view);
      const many = x.length > 3000;
      const points = {
        type: many && hypermol.graphics ? "scattergl" : "scatter", mode: "markers", x, y, text: words, hovertemplate: "%{text}<extra></extra>",
        marker: { size: many ? 4 : 5.5, opacity: many ? 0.65 : 0.75, ...paint(now.colour, landscape.palette) }, showlegend: false,
      };
      const dashes = ["solid", "dot", "dash", "dashdot"];
      const lines = paths.map((path, i) => ({
        type: points.type, mode: "lines", x: path.way.map((p) => p[0]), y: path.way.map((p) => p[1]), name: path.title,
        line: { color: "#1d2730", width: 1.8, dash: dashes[i % 4] }, hoverinfo: "skip", visible: i === 0 ? true : "legendonly",
      }));
      return [points, ...lines];
    }

    // as labels, for they stay above the points whatever those are drawn with
    function centres() {
      return axes(now.view).marks.map(([x, y], i) => ({
        x, y, text: `<b>${i + group.first}</b>`, showarrow: false, font: { size: 11.5, color: "#1d2730" }, bgcolor: "rgba(255,255,255,0.92)",
        bordercolor: "#1d2730", borderwidth: 1, borderpad: 2.5, width: 13, captureevents: true,
        hovertext: `centre of ${group.title.toLowerCase()} ${i + group.first}<br>particle ${landscape.centre_particles[i]}`,
      })).filter((mark) => mark.x !== null && mark.y !== null);
    }

    function layout() {
      const axis = (title, shown) => ({
        title: { text: title, font: { size: 13, color: "#5d6b78" }, standoff: 8 }, gridcolor: "#e9edf0", zeroline: false,
        linecolor: "#c5ccd3", tickfont: { size: 12, color: "#5d6b78" }, automargin: true, showticklabels: shown, showgrid: shown,
      });
      const [x, y] = now.view.labels;
      return {
        xaxis: axis(x, now.view.columns !== "umap"), yaxis: axis(y, now.view.columns !== "umap" && Boolean(y)),
        annotations: centres(), height: 520, margin: { l: 56, r: 16, t: 8, b: 48 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "#ffffff",
        font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: "#1d2730" }, hovermode: "closest", dragmode: "zoom",
        modebar: { bgcolor: "rgba(255,255,255,0.7)", color: "#a3aeb8", activecolor: "#1f5f7a" },
        legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } },
        hoverlabel: { bgcolor: "#ffffff", bordercolor: "#c5ccd3", font: { size: 12, color: "#1d2730" } },
      };
    }

    // the command that keeps the particles in a box that was drawn
    function selected(box) {
      const said = root.querySelector("[data-selected]");
      said.hidden = !(box && box.range);
      if (said.hidden) return;
      const { x, y } = axes(now.view);
      const conditions = now.view.within.map((name, i) => {
        const ends = [...(i === 0 ? box.range.x : box.range.y)].sort((a, b) => a - b).map((end) => Number(end.toPrecision(4)));
        return { name, ends, values: i === 0 ? x : y };
      });
      const inside = (i) => conditions.every(({ ends, values }) => values[i] >= ends[0] && values[i] <= ends[1]);
      let count = 0;
      for (let i = 0; i < x.length; i++) count += inside(i);
      const code = document.createElement("code");
      code.textContent = `hypermol select ${landscape.run} ${conditions.map(({ name, ends }) => `--within ${name}=${ends.join(":")}`).join(" ")} -o selected.star`;
      said.replaceChildren(`${count.toLocaleString("en")} of the ${x.length.toLocaleString("en")} points: `, code);
    }

    const config = { ...hypermol.charts.config, modeBarButtons: [["zoom2d", "pan2d", "select2d", "resetScale2d", "toImage"]] };
    const draw = () => { selected(null); Plotly.react(place, traces(), { ...layout(), selections: [] }, config); };
    Plotly.newPlot(place, traces(), layout(), config);
    place.on("plotly_selected", selected);
    place.on("plotly_deselect", () => selected(null));
    legend(root, now.colour, landscape.palette);
    hypermol.choice(root, "view", (name) => { now.view = landscape.views.find((view) => view.name === name); draw(); });
    hypermol.choice(root, "colour-by", (name) => {
      now.colour = colours.find((colour) => colour.name === name);
      draw();
      legend(root, now.colour, landscape.palette);
    });
  }

  // a fixed pseudo-random height in 0..1 for one-dimensional z
  function jitter(index) {
    const value = Math.sin(index * 12.9898 + 4.1414) * 43758.5453;
    return value - Math.floor(value);
  }

  function paint(colour, palette) {
    if (colour.kind === "category") {
      return { color: Array.from(colour.values, (label) => (label < 0 ? NONE : palette[label % palette.length])), showscale: false };
    }
    const [low, high] = colour.cyclic ? [-180, 180] : range(colour.values);
    return {
      color: colour.values, cmin: low, cmax: high, colorscale: colour.cyclic ? CYCLIC : "Viridis", showscale: true,
      colorbar: {
        title: { text: colour.unit, side: "top", font: { size: 12 } }, thickness: 12, len: 0.75, outlinewidth: 0, tickfont: { size: 11 },
        ...(colour.cyclic ? { tickvals: [-180, -90, 0, 90, 180] } : {}),
      },
    };
  }

  function range(values) {
    const sorted = Float32Array.from(values).filter(Number.isFinite).sort();
    const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
    return [at(0.01), at(0.99)];
  }

  function hoverWords(landscape, colours) {
    const particle = hypermol.unpack(landscape.particle);
    const micrograph = landscape.micrograph && hypermol.unpack(landscape.micrograph);
    const defocus = landscape.defocus && hypermol.unpack(landscape.defocus);
    const { values: cluster, title, first } = colours[0];
    const safe = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;");
    return Array.from(particle, (number, i) =>
      [
        `<b>particle ${number}</b>`, `${title.toLowerCase()} ${cluster[i] + first}`,
        micrograph && `micrograph ${safe(landscape.micrographs[micrograph[i]])}`,
        defocus && `defocus ${defocus[i].toFixed(2)} µm`,
      ].filter(Boolean).join("<br>")
    );
  }

  function legend(root, colour, palette) {
    const place = root.querySelector("[data-legend]");
    place.replaceChildren();
    if (colour.kind !== "category") return;
    const counts = new Map();
    for (const label of colour.values) counts.set(label, (counts.get(label) || 0) + 1);
    for (const label of [...counts.keys()].sort((a, b) => a - b)) {
      const item = document.createElement("span");
      const swatch = document.createElement("i");
      swatch.style.background = label < 0 ? NONE : palette[label % palette.length];
      item.append(swatch, label < 0 ? "between groups" : String(label + colour.first));
      place.append(item);
    }
  }

  return { start };
})();
