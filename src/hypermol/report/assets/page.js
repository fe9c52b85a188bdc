// Start everything once the page is there.
(function () {
  "use strict";

  // sheets of maps: projections or slices, along one axis
  function contact(root) {
    const shown = root.querySelector(".sheet:not([hidden])").dataset;
    const now = { kind: shown.kind, axis: shown.axis };
    const show = () => {
      for (const sheet of root.querySelectorAll(".sheet")) sheet.hidden = sheet.dataset.kind !== now.kind || sheet.dataset.axis !== now.axis;
    };
    hypermol.choice(root, "kind", (value) => { now.kind = value; show(); });
    hypermol.choice(root, "axis", (value) => { now.axis = value; show(); });
  }

  // the section in view is marked in the navigation
  function follow() {
    const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        links.forEach((link) => link.removeAttribute("aria-current"));
        const link = links.get(entry.target.id);
        link.setAttribute("aria-current", "true");
        link.parentElement.scrollTo({ left: link.offsetLeft - 40 });
      }
    }, { rootMargin: "-20% 0px -70% 0px" });
    document.querySelectorAll("main section").forEach((section) => seen.observe(section));
  }

  document.querySelectorAll("[data-contact]").forEach(contact);
  follow();
  if (window.Plotly) hypermol.charts.start();
  if (hypermol.data.landscape) hypermol.scatter.start(document.getElementById("landscape"), hypermol.data.landscape);
  if (hypermol.data.motion) hypermol.view = hypermol.motion.start(document.querySelector("[data-viewer]"), hypermol.data.motion.scenes);
  document.body.dataset.ready = "true";
})();
