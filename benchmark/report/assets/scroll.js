// A frame around something wide is a stop of the tab key only while it really scrolls. Without this script it always is.
"use strict";
(function () {
  function update(frame) {
    var scrolls = frame.scrollWidth > frame.clientWidth + 1 || frame.scrollHeight > frame.clientHeight + 1;
    if (scrolls) frame.setAttribute("tabindex", "0"); else frame.removeAttribute("tabindex");
  }

  // The observer reports every frame once at the start, and again when it or its content changes size or appears.
  var observer = new ResizeObserver(function (entries) {
    entries.forEach(function (entry) { update(entry.target.closest(".scroll")); });
  });
  document.querySelectorAll(".scroll").forEach(function (frame) {
    observer.observe(frame);
    if (frame.firstElementChild) observer.observe(frame.firstElementChild);
  });
})();
