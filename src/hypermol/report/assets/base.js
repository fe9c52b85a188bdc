// What all scripts of the page share: the data, unpacking of arrays, rows of buttons.
window.hypermol = (function () {
  "use strict";
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const kinds = { f4: Float32Array, i4: Int32Array, u1: Uint8Array };

  // {kind, shape, base64} to a typed array, with its shape
  function unpack(packed) {
    const text = atob(packed.base64);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    const values = new kinds[packed.kind](bytes.buffer);
    values.shape = packed.shape;
    return values;
  }

  // rows of a packed [r, n] array
  function rows(packed) {
    const values = unpack(packed);
    const [count, length] = packed.shape;
    return Array.from({ length: count }, (_, row) => values.subarray(row * length, (row + 1) * length));
  }

  // a row of buttons, one pressed: calls changed(value) on each new choice, returns press(value)
  function choice(root, name, changed) {
    const group = root.querySelector(`[data-choice="${name}"]`);
    if (!group) return () => {};
    const buttons = [...group.querySelectorAll("button")];
    function press(value, silent) {
      for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.value === value));
      if (!silent) changed(value);
    }
    for (const button of buttons) button.addEventListener("click", () => press(button.dataset.value));
    return press;
  }

  function lengthWords(width) {
    const power = 10 ** Math.floor(Math.log10(width));
    return [5, 2, 1].map((step) => step * power).find((step) => step <= width) || power;
  }

  // whether this browser draws 3-D graphics
  const graphics = Boolean(document.createElement("canvas").getContext("webgl"));

  return { data, unpack, rows, choice, lengthWords, graphics };
})();
