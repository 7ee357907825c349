// Buttons that copy a table as CSV, Markdown or LaTeX. Rows that a filter hides are left out.
"use strict";
(function () {
  function text(cell) {
    var parts = [];
    cell.childNodes.forEach(function (node) {
      var lines = node.tagName === "DETAILS" ? Array.from(node.querySelectorAll("li")) : [node];
      parts.push(lines.map(function (line) { return line.textContent; }).join("; "));
    });
    return parts.join(" ").replace(/\s+/g, " ").trim();
  }

  // The names of the columns; with two rows of headers, both.
  function headers(table) {
    var rows = Array.from(table.tHead ? table.tHead.rows : []);
    var lines = rows.map(function (row) {
      var names = [];
      Array.from(row.cells).forEach(function (cell) {
        for (var i = 0; i < cell.colSpan; i++) names.push(text(cell));
      });
      return names;
    });
    var last = lines.length ? lines[lines.length - 1] : [];
    return last.map(function (name, i) {
      return lines.map(function (line) { return line[i]; }).filter(Boolean).join(": ");
    });
  }

  function body(table) {
    return Array.from(table.tBodies).reduce(function (rows, part) {
      return rows.concat(Array.from(part.rows).filter(function (row) { return !row.hidden; }).map(function (row) {
        return Array.from(row.cells).map(text);
      }));
    }, []);
  }

  var LATEX = { "\\": "\\textbackslash{}", "&": "\\&", "%": "\\%", "$": "\\$", "#": "\\#", "_": "\\_", "{": "\\{", "}": "\\}",
    "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "\u2212": "$-$", "\u00b1": "$\\pm$", "\u2192": "$\\rightarrow$",
    "\u2013": "--" };
  var forms = {
    CSV: function (names, rows) {
      return [names].concat(rows).map(function (line) {
        return line.map(function (cell) {
          var plain = cell === "\u2013" ? "" : cell.replace(/\u2212/g, "-").replace(/ \u2192 /g, "->");
          return /[",\n]/.test(plain) ? '"' + plain.replace(/"/g, '""') + '"' : plain;
        }).join(",");
      }).join("\n") + "\n";
    },
    Markdown: function (names, rows) {
      var lines = [names, names.map(function () { return "---"; })].concat(rows);
      return lines.map(function (line) {
        return "| " + line.map(function (cell) { return cell.replace(/\|/g, "\\|"); }).join(" | ") + " |";
      }).join("\n") + "\n";
    },
    LaTeX: function (names, rows) {
      function line(cells) {
        return cells.map(function (cell) {
          return cell.replace(/[\\&%$#_{}~^\u2212\u00b1\u2192\u2013]/g, function (sign) { return LATEX[sign]; });
        }).join(" & ") + " \\\\";
      }
      return ["\\begin{tabular}{l" + "r".repeat(Math.max(0, names.length - 1)) + "}", "\\toprule", line(names), "\\midrule"]
        .concat(rows.map(line), ["\\bottomrule", "\\end{tabular}"]).join("\n") + "\n";
    }
  };

  // Pages from disk may be refused the clipboard; a selected text area works there.
  function copy(content) {
    function old() {
      var area = document.createElement("textarea");
      area.value = content;
      document.body.appendChild(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    if (navigator.clipboard) navigator.clipboard.writeText(content).catch(old); else old();
  }

  document.querySelectorAll("table").forEach(function (table) {
    var bar = document.createElement("div");
    bar.className = "copy";
    bar.append("Copy as ");
    Object.keys(forms).forEach(function (name) {
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.addEventListener("click", function () {
        table.copied = forms[name](headers(table), body(table));
        copy(table.copied);
        button.textContent = "copied";
        setTimeout(function () { button.textContent = name; }, 1200);
      });
      bar.appendChild(button);
    });
    var frame = table.closest(".scroll") || table;
    frame.parentNode.insertBefore(bar, frame.nextSibling);
  });
})();
