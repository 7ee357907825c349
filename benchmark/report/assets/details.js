// The table of every value: built from the packed data of the page, filtered, some rows at a time.
"use strict";
(function () {
  var PAGE = 200;
  var packed = JSON.parse(document.getElementById("details-data").textContent);
  var table = document.getElementById("details-table"), more = document.getElementById("details-more");
  var count = document.getElementById("details-count");
  var texts = packed.texts.length, rows = packed.rows, shown = PAGE, order = null, wanted = {};
  var columns = packed.texts.concat(packed.values), method = packed.texts.indexOf("method");

  function word(row, column) { return packed.words[column][row[column]]; }

  function passing() {
    var tests = packed.texts.map(function (name, column) {
      return wanted[name] ? packed.words[column].indexOf(wanted[name]) : -1;
    });
    return rows.filter(function (row) {
      return tests.every(function (place, column) { return place < 0 || row[column] === place; });
    });
  }

  function sorted(chosen) {
    if (!order) return chosen;
    return chosen.slice().sort(function (a, b) {
      var column = order.column;
      if (column < texts) return order.sign * word(a, column).localeCompare(word(b, column), "en", { numeric: true });
      if (a[column] === null || b[column] === null) return (a[column] === null) - (b[column] === null);
      return order.sign * (a[column] - b[column]);
    });
  }

  function cell(tag, content, number) {
    var element = document.createElement(tag);
    element.textContent = content;
    if (number) element.className = "n";
    return element;
  }

  // As in numbers.py: a dash for a missing value, a real minus sign, and no sign before zero.
  function text(value) {
    if (value === null) return "\u2013";
    var digits = value.toFixed(1);
    return (Number(digits) === 0 ? digits.replace("-", "") : digits).replace("-", "\u2212");
  }

  function draw() {
    var chosen = sorted(passing()), body = document.createElement("tbody");
    chosen.slice(0, shown).forEach(function (row) {
      var line = document.createElement("tr");
      line.setAttribute("data-method", word(row, method));
      columns.forEach(function (_, column) {
        var value = row[column];
        if (column < texts) line.appendChild(cell("td", word(row, column)));
        else line.appendChild(cell("td", text(value), true));
      });
      body.appendChild(line);
    });
    table.replaceChild(body, table.tBodies[0]);
    more.hidden = chosen.length <= shown;
    count.textContent = "Showing " + Math.min(shown, chosen.length) + " of " + chosen.length + " rows.";
  }

  var head = document.createElement("tr");
  columns.forEach(function (name, column) {
    var header = cell("th", "", column >= texts), button = cell("button", name);
    header.scope = "col";
    button.type = "button";
    button.addEventListener("click", function () {
      var sign = order && order.column === column ? -order.sign : column < texts ? 1 : -1;
      order = { column: column, sign: sign };
      head.querySelectorAll("[aria-sort]").forEach(function (other) { other.removeAttribute("aria-sort"); });
      header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      draw();
    });
    header.appendChild(button);
    head.appendChild(header);
  });
  table.tHead.appendChild(head);
  more.addEventListener("click", function () { shown += 5 * PAGE; draw(); });
  document.addEventListener("filter", function (event) { wanted = event.detail; shown = PAGE; draw(); });
  draw();
})();
