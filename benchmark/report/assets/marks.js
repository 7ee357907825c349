// Pointing at a method: a mark of it in any figure or its row in any table, by mouse or keyboard, shows the method in all
// figures and tables, and a note next to the mark names it with its value. Each figure and each table of methods is one stop
// of the tab key; the arrow keys go on from there. Escape, and leaving, end it.
"use strict";
(function () {
  var main = document.querySelector("main"), lit = [], shown = null, keys = false;
  var note = document.createElement("div");
  note.id = "note-of-mark";
  note.setAttribute("role", "status");
  main.appendChild(note);

  function label(target) { return target.getAttribute("data-mark") || target.getAttribute("data-method"); }

  // The line of a figure that a mark is in: the number at the end of its class, if that figure has several lines.
  function line(mark) { return mark.getAttribute("class").split(" ")[0].replace(/^\D+/, ""); }

  // The value of a method is written with one of its marks in the same line.
  function words(mark) {
    return (Array.from(mark.ownerSVGElement.querySelectorAll("[data-stop]")).find(function (stop) {
      return label(stop) === label(mark) && line(stop) === line(mark);
    }) || mark).words;
  }

  function place() {
    var box = shown.getBoundingClientRect(), room = document.documentElement;
    var left = Math.min(Math.max(4, box.left + box.width / 2 - note.offsetWidth / 2), room.clientWidth - note.offsetWidth - 4);
    var top = box.bottom + 8 + note.offsetHeight > room.clientHeight ? box.top - note.offsetHeight - 8 : box.bottom + 8;
    note.style.left = left + "px";
    note.style.top = top + "px";
  }

  function end() {
    lit.forEach(function (element) { element.classList.remove("lit"); });
    lit = [];
    shown = null;
    main.classList.remove("pointing");
    note.className = note.textContent = "";
  }

  function point(target) {
    var name = CSS.escape(label(target)), drawn = "svg [data-mark=" + name + "]";
    end();
    lit = Array.from(main.querySelectorAll(drawn + ", tr[data-mark=" + name + "], tr[data-method=" + name + "]"));
    lit.forEach(function (element) { element.classList.add("lit"); });
    main.classList.toggle("pointing", main.querySelector(drawn) !== null);
    if (!target.ownerSVGElement) return;
    shown = target;
    note.textContent = words(target);
    note.className = "shown";
    place();
  }

  // What the arrow keys go through: the marks of a figure from the top, the rows of a table.
  function stops(frame) {
    if (frame.tagName !== "svg") {
      return Array.from(frame.querySelectorAll("tr[data-method] > th[scope=row]")).filter(function (cell) {
        return !cell.parentElement.hidden;
      });
    }
    return Array.from(frame.querySelectorAll("[data-stop]")).map(function (stop) {
      var box = stop.getBoundingClientRect();
      return { stop: stop, x: box.left, y: line(stop) === "" ? box.top + box.height / 2 : Number(line(stop)) };
    }).sort(function (a, b) { return a.y - b.y || a.x - b.x; }).map(function (item) { return item.stop; });
  }

  function enter(frame, stop) {
    frame.querySelectorAll("[data-stop][tabindex='0'], th[tabindex='0']").forEach(function (other) { other.tabIndex = -1; });
    if (stop) stop.setAttribute("tabindex", "0");
  }

  function step(key, now, last) {
    if (key === "ArrowRight" || key === "ArrowDown") return Math.min(now + 1, last);
    if (key === "ArrowLeft" || key === "ArrowUp") return Math.max(now - 1, 0);
    return { Home: 0, End: last }[key];
  }

  main.addEventListener("keydown", function (event) {
    var frame = event.target.closest("svg, table");
    if (!frame || !event.target.matches("[data-stop], th[scope=row]") || event.altKey || event.ctrlKey || event.metaKey) return;
    var all = stops(frame), next = all[step(event.key, all.indexOf(event.target), all.length - 1)];
    if (!next) return;
    event.preventDefault();
    enter(frame, next);
    next.focus();
  });

  // What the mouse is over goes before what has the focus, unless a key moved the page under a mouse that rests.
  function look(event) {
    if (keys && event.type === "mouseover") return;
    var named = "svg [data-mark], tr[data-mark], tr[data-method]";
    var target = event.target.closest(named) || document.activeElement.closest(named);
    if (target) point(target); else end();
  }
  document.addEventListener("keydown", function () { keys = true; });
  ["pointermove", "pointerdown"].forEach(function (name) {
    document.addEventListener(name, function () { keys = false; });
  });
  document.addEventListener("mouseover", look);
  document.documentElement.addEventListener("mouseleave", look);
  main.addEventListener("focusin", look);
  main.addEventListener("focusout", end);
  document.addEventListener("keydown", function (event) { if (event.key === "Escape") end(); });
  window.addEventListener("scroll", function () { if (shown) place(); }, { passive: true, capture: true });

  // Without this script the browser shows the title of a mark; with it the note does.
  function prepare() {
    main.querySelectorAll("svg [data-mark]").forEach(function (mark) {
      var title = mark.querySelector("title");
      if (title) mark.words = title.textContent;
      if (title) title.remove();
      if (mark.hasAttribute("data-stop")) mark.setAttribute("role", "img");
      if (mark.hasAttribute("data-stop")) mark.setAttribute("aria-label", mark.words);
    });
    main.querySelectorAll("svg, table").forEach(function (frame) {
      var first = stops(frame)[0];
      if (first && frame.tagName === "svg") frame.setAttribute("role", "group");
      enter(frame, first);
    });
  }
  document.addEventListener("filter", function () {
    main.querySelectorAll("table").forEach(function (table) { enter(table, stops(table)[0]); });
  });
  prepare();
})();
