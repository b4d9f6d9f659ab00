"use strict";
(() => {
  const count = new Intl.NumberFormat("en");

  // The confusion matrix: one tab stop, arrow keys from cell to cell, a sentence for each.
  for (const table of document.querySelectorAll("table.confusion")) {
    const rows = [...table.tBodies[0].rows];
    const columns = [...table.tHead.rows[0].cells].slice(1);
    const detail = table.closest(".matrix").previousElementSibling;
    const resting = "Point at a cell, or move from cell to cell with the arrow keys, to read its pixels.";
    let current = rows[0].cells[1];

    const describe = (cell) => {
      const row = cell.parentElement;
      const truth = row.cells[0].textContent.trim();
      const prediction = columns[cell.cellIndex - 1].textContent.trim();
      const total = Number(row.dataset.total);
      const pixels = Number(cell.dataset.n || 0);
      if (!total) return `Truth ${truth} \u2192 prediction ${prediction}: no pixel is ${truth} in truth.`;
      const share = (100 * pixels / total).toFixed(pixels && pixels / total < 0.01 ? 3 : 1);
      return `Truth ${truth} \u2192 prediction ${prediction}: ${count.format(pixels)} of ` +
        `${count.format(total)} pixels, ${share}\u202f%.`;
    };
    const unmark = () => table.querySelectorAll(".on").forEach((cell) => cell.classList.remove("on"));
    const show = (cell) => {
      unmark();
      cell.parentElement.cells[0].classList.add("on");
      columns[cell.cellIndex - 1].classList.add("on");
      cell.classList.add("on");
      detail.textContent = describe(cell);
      detail.classList.add("live");
    };
    const rest = () => {
      if (table.contains(document.activeElement)) return show(document.activeElement);
      unmark();
      detail.textContent = resting;
      detail.classList.remove("live");
    };

    table.setAttribute("role", "grid");
    for (const row of rows) for (const cell of [...row.cells].slice(1)) cell.tabIndex = -1;
    current.tabIndex = 0;
    detail.textContent = resting;
    const cellOf = (event) => event.target.closest("tbody td");
    table.addEventListener("mouseover", (event) => cellOf(event) && show(cellOf(event)));
    table.addEventListener("mouseleave", rest);
    table.addEventListener("focusout", () => setTimeout(rest));
    table.addEventListener("focusin", (event) => {
      const cell = cellOf(event);
      if (!cell) return;
      current.tabIndex = -1;
      current = cell;
      current.tabIndex = 0;
      current.setAttribute("aria-label", describe(cell));
      show(cell);
    });
    table.addEventListener("keydown", (event) => {
      const cell = cellOf(event);
      if (!cell || event.altKey || event.metaKey) return;
      let row = rows.indexOf(cell.parentElement), column = cell.cellIndex;
      const last = rows.length;
      switch (event.key) {
        case "ArrowRight": column += 1; break;
        case "ArrowLeft": column -= 1; break;
        case "ArrowDown": row += 1; break;
        case "ArrowUp": row -= 1; break;
        case "Home": column = 1; if (event.ctrlKey) row = 0; break;
        case "End": column = last; if (event.ctrlKey) row = last - 1; break;
        default: return;
      }
      event.preventDefault();
      const next = rows[Math.min(Math.max(row, 0), last - 1)];
      next.cells[Math.min(Math.max(column, 1), last)].focus();
    });
  }

  // Tables that can be sorted by a column; undefined numbers stay at the end.
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const body = table.tBodies[0];
    const original = [...body.rows];
    const headers = [...table.querySelectorAll("th[data-sort]")];
    headers.forEach((header) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => {
        const column = header.cellIndex;
        const descending = header.getAttribute("aria-sort") === "ascending";
        headers.forEach((other) => other.removeAttribute("aria-sort"));
        header.setAttribute("aria-sort", descending ? "descending" : "ascending");
        const value = (row) => parseFloat(row.cells[column].textContent.replace("\u2212", "-"));
        const sign = descending ? -1 : 1;
        const order = header.dataset.sort === "order"
          ? (a, b) => sign * (original.indexOf(a) - original.indexOf(b))
          : (a, b) => {
            const [x, y] = [value(a), value(b)];
            if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
            return sign * (x - y);
          };
        body.append(...[...original].sort(order));
      });
    });
  }

  // Pictures can be looked at in full width.
  const dialog = document.createElement("dialog");
  dialog.innerHTML = '<form method="dialog"><button type="submit">Close</button></form><div></div>';
  document.body.append(dialog);
  for (const card of document.querySelectorAll(".card")) {
    const title = card.querySelector("h4");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "enlarge";
    button.textContent = "Enlarge";
    button.setAttribute("aria-label", `Enlarge ${title.textContent}`);
    const open = () => {
      dialog.setAttribute("aria-label", title.textContent);
      dialog.lastElementChild.replaceChildren(title.cloneNode(true), card.querySelector(".pictures").cloneNode(true));
      dialog.showModal();
    };
    button.addEventListener("click", open);
    card.querySelector(".pictures").addEventListener("click", open);
    title.after(button);
  }
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

  // Paper shows everything.
  const closed = [];
  addEventListener("beforeprint", () => document.querySelectorAll("details:not([open])").forEach((one) => {
    one.open = true;
    closed.push(one);
  }));
  addEventListener("afterprint", () => closed.splice(0).forEach((one) => { one.open = false; }));
})();
