// Charts that need no script of their own: drawn from the dictionaries in the page.
hypermol.charts = (function () {
  "use strict";
  const config = { displaylogo: false, responsive: true, modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]] };

  function start() {
    for (const [anchor, part] of Object.entries(hypermol.data)) {
      for (const [name, chart] of Object.entries(part.charts || {})) {
        const place = document.querySelector(`#${anchor} [data-chart="${name}"]`);
        Plotly.newPlot(place, chart.data, chart.layout, { ...config, displayModeBar: false });
      }
    }
  }

  return { start, config };
})();
