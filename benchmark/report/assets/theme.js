// The button for light and dark; without a choice the page follows the system.
"use strict";
(function () {
  var button = document.getElementById("theme"), root = document.documentElement;
  var system = window.matchMedia("(prefers-color-scheme: dark)");

  function current() { return root.getAttribute("data-theme") || (system.matches ? "dark" : "light"); }
  function name() { button.textContent = current() === "dark" ? "Light" : "Dark"; }

  try {
    var kept = localStorage.getItem("theme");
    if (kept === "dark" || kept === "light") root.setAttribute("data-theme", kept);
  } catch (error) { /* a browser may forbid it */ }
  button.addEventListener("click", function () {
    root.setAttribute("data-theme", current() === "dark" ? "light" : "dark");
    try { localStorage.setItem("theme", current()); } catch (error) { /* as above */ }
    name();
  });
  system.addEventListener("change", name);
  name();
  button.hidden = false;
})();
