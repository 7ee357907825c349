// Makes the headers of tables with class "sortable" sort their body. Without this script the page shows the same.
"use strict";
(function () {
  function value(row, column) {
    var cell = row.cells[column];
    if (!cell) return "";
    var text = cell.hasAttribute("data-sort") ? cell.getAttribute("data-sort") : cell.textContent.trim();
    return text === "" || text === "\u2013" ? "" : text;
  }

  // Numbers by size, other text by alphabet, numbers before text; missing values come last in both directions.
  function compare(a, b, sign) {
    if (a === "" || b === "") return (a === "") - (b === "");
    var x = Number(a), y = Number(b), numericA = !isNaN(x), numericB = !isNaN(y);
    if (numericA && numericB) return sign * (x - y);
    if (numericA !== numericB) return sign * (numericA ? -1 : 1);
    return sign * a.localeCompare(b, "en", { numeric: true });
  }

  function sort(table, header, column) {
    var descending = header.getAttribute("aria-sort") === "ascending";
    var body = table.querySelector("tbody.sorted");
    var rows = Array.from(body.rows);
    rows.sort(function (a, b) { return compare(value(a, column), value(b, column), descending ? -1 : 1); });
    rows.forEach(function (row) { body.appendChild(row); });
    table.querySelectorAll("th[aria-sort]").forEach(function (other) { other.removeAttribute("aria-sort"); });
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  }

  document.querySelectorAll("table.sortable").forEach(function (table) {
    table.querySelectorAll("th[data-column]").forEach(function (header) {
      var button = document.createElement("button");
      button.type = "button";
      while (header.firstChild) button.appendChild(header.firstChild);
      header.appendChild(button);
      button.addEventListener("click", function () { sort(table, header, Number(header.getAttribute("data-column"))); });
    });
  });
})();
