// The filters above the tables: rows and sections that name another upgrade, method, data set or protocol are hidden. With a
// method chosen, sentences about all methods (data-view="") give way to those about it, and figures dim the others. The
// choice is kept in the address, after the "?" of its fragment, so that a link shows what its sender saw.
"use strict";
(function () {
  var form = document.getElementById("filters");
  var packed = JSON.parse(document.getElementById("details-data").textContent);
  var names = ["pair", "method", "dataset", "protocol"];

  function known(name) {
    return packed.words[packed.texts.indexOf(name)].slice().sort(function (a, b) {
      return name === "pair" ? 0 : a.localeCompare(b, "en", { numeric: true });
    });
  }

  names.forEach(function (name) {
    var select = form.elements[name];
    select.add(new Option("all", ""));
    known(name).forEach(function (word) { select.add(new Option(word, word)); });
  });

  function chosen() {
    var values = {};
    names.forEach(function (name) { values[name] = form.elements[name].value; });
    return values;
  }

  // "few-shot" of a section includes "few-shot, 4 shots". A row about several methods has each in a line.
  function fits(name, own, wanted) {
    return !wanted || own.split("\n").indexOf(wanted) >= 0 || (name === "protocol" && wanted.indexOf(own + ",") === 0);
  }

  function apply() {
    var wanted = chosen();
    document.querySelectorAll("[data-pair], [data-method], [data-dataset], [data-protocol]").forEach(function (element) {
      element.hidden = !names.every(function (name) {
        return !element.hasAttribute("data-" + name) || fits(name, element.getAttribute("data-" + name), wanted[name]);
      });
    });
    document.querySelectorAll("[data-view]").forEach(function (element) {
      element.hidden = element.getAttribute("data-view") !== wanted.method;
    });
    document.querySelectorAll("svg [data-mark]").forEach(function (mark) {
      mark.classList.toggle("dim", wanted.method !== "" && mark.getAttribute("data-mark") !== wanted.method);
      mark.classList.toggle("chosen", mark.getAttribute("data-mark") === wanted.method);
    });
    document.dispatchEvent(new CustomEvent("filter", { detail: wanted }));
  }

  function remember() {
    var query = new URLSearchParams();
    var wanted = chosen();
    names.forEach(function (name) { if (wanted[name]) query.set(name, wanted[name]); });
    var anchor = location.hash.slice(1).split("?")[0], text = query.toString();
    history.replaceState(null, "", "#" + anchor + (text ? "?" + text : ""));
  }

  function recall() {
    var parts = location.hash.slice(1).split("?");
    if (parts.length > 1) {
      var query = new URLSearchParams(parts[1]);
      names.forEach(function (name) { form.elements[name].value = query.get(name) || ""; });
    }
    apply();
    var target = parts[0] && document.getElementById(parts[0]);
    if (target && target.tagName === "SECTION") target = target.querySelector("details.part") || target;
    for (var inside = target; inside; inside = inside.parentElement) if (inside.tagName === "DETAILS") inside.open = true;
    if (target) target.scrollIntoView();
  }

  form.addEventListener("change", function () { apply(); remember(); });
  form.addEventListener("reset", function () { setTimeout(function () { apply(); remember(); }); });
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  window.addEventListener("hashchange", recall);
  // On paper everything is open.
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details.part:not([open])").forEach(function (part) { part.open = true; });
  });
  form.hidden = false;
  document.addEventListener("DOMContentLoaded", recall);
})();
