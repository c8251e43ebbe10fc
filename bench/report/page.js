"use strict";
// The page is whole without this: it adds sorting, filters, larger pictures and a switch of colours.
const made = (name, about, ...inner) => {
  const node = Object.assign(document.createElement(name), about);
  node.append(...inner);
  return node;
};

// ---------------------------------------------------------------- light and dark
{
  const root = document.documentElement;
  const kept = { get: () => null, set: () => {} };
  try {
    kept.get = () => localStorage.getItem("bench-theme");
    kept.set = (value) => localStorage.setItem("bench-theme", value);
    kept.get();
  } catch { kept.get = () => null; kept.set = () => {}; }
  const dark = () => (root.dataset.theme
    ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const button = document.getElementById("theme");
  const name = () => { button.textContent = dark() ? "Light colours" : "Dark colours"; };
  const old = kept.get();
  if (old === "dark" || old === "light") root.dataset.theme = old;
  button.hidden = false;
  name();
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    kept.set(root.dataset.theme);
    name();
  });
}

// ---------------------------------------------------------------- tables
const number = (text) => {
  // Before a number only a sign or a bracket: "BM3D" and "differs (x1.34)" are words.
  const found = text.replace(/,/g, "").match(/^[\s(+x×~<>≤≥±]*(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)/i);
  return found ? Number(found[1]) : null;
};
const order = (a, b, sign) => {
  const [x, y] = [a.number, b.number];
  if (x !== null && y !== null) return sign * (x - y) || a.place - b.place;
  if (x !== null || y !== null) return x === null ? 1 : -1; // what is no number comes last
  return sign * a.text.localeCompare(b.text) || a.place - b.place;
};
for (const table of document.querySelectorAll("table.sortable")) {
  const head = table.tHead.rows[table.tHead.rows.length - 1];
  const body = table.tBodies[0];
  const rows = [...body.rows];
  let place = 0;
  for (const cell of head.cells) {
    const column = place;
    place += cell.colSpan;
    if (cell.colSpan > 1 || !cell.textContent.trim() || rows.length < 2) continue;
    const button = made("button", { type: "button" }, ...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      const sign = cell.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of head.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const keyed = rows.map((row, i) => {
        const text = row.cells[column] ? row.cells[column].textContent.trim() : "";
        return { row, text, number: number(text), place: i };
      });
      keyed.sort((a, b) => order(a, b, sign));
      body.append(...keyed.map((one) => one.row));
      for (const row of rows) row.classList.remove("first");
    });
  }
  if (rows.length < 7) continue; // such a table is seen at a glance
  const count = made("span", { role: "status" });
  const field = made("input", { type: "search", autocomplete: "off" });
  const label = made("label", {}, "Filter ", field);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
  });
  table.parentElement.before(made("div", { className: "filter" }, label, count));
}

// ---------------------------------------------------------------- pictures
{
  const dialog = made("dialog", { id: "large" });
  const image = made("img", { alt: "" });
  const stage = made("div", { className: "stage", tabIndex: 0 }, image);
  stage.setAttribute("aria-label", "Picture; scroll with the arrow keys");
  stage.setAttribute("role", "region");
  let scale = 1;
  const show = (next) => {
    scale = Math.min(8, Math.max(0.1, next));
    image.style.width = `${image.naturalWidth * scale}px`;
  };
  const fit = () => show(Math.min(stage.clientWidth / image.naturalWidth,
    stage.clientHeight / image.naturalHeight));
  const tool = (text, label, act) => {
    const button = made("button", { type: "button", className: "button", onclick: act }, text);
    button.setAttribute("aria-label", label);
    return button;
  };
  dialog.append(made("div", { className: "tools" },
    tool("Close", "Close", () => dialog.close()), tool("+", "Larger", () => show(scale * 1.4)),
    tool("\u2212", "Smaller", () => show(scale / 1.4)), tool("Fit", "Fit to the window", fit)),
  stage);
  dialog.addEventListener("keydown", (event) => {
    const act = { "+": () => show(scale * 1.4), "-": () => show(scale / 1.4), 0: fit }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  document.body.append(dialog);
  for (const picture of document.querySelectorAll("figure img")) {
    const button = made("button", { type: "button", className: "zoom" });
    button.setAttribute("aria-label", `Enlarge: ${picture.alt}`);
    picture.replaceWith(button);
    button.append(picture);
    button.addEventListener("click", () => {
      image.src = picture.src;
      image.alt = picture.alt;
      dialog.setAttribute("aria-label", picture.alt);
      dialog.showModal();
      fit();
    });
  }
}

// ---------------------------------------------------------------- records, paper
const opened = () => {
  const place = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!place) return;
  for (let node = place; node; node = node.parentElement) {
    if (node.tagName === "DETAILS") node.open = true;
  }
  place.scrollIntoView();
  const summary = place.querySelector(":scope > summary");
  if (summary) summary.focus({ preventScroll: true });
};
for (const link of document.querySelectorAll('.numbers a[href^="#record-"]')) {
  const place = document.getElementById(link.hash.slice(1));
  if (place) link.title = place.querySelector("summary").textContent.trim();
}
addEventListener("hashchange", opened);
opened();
addEventListener("beforeprint", () => {
  for (const node of document.querySelectorAll("details:not(.record)")) node.open = true;
});
