// The grid: filter while typing, keyboard navigation, and live updates of cells.
//
// `lists` holds all cells, one list per project and health state, sorted by name. Cells that match
// the filter are laid out in blocks; the browser renders only the visible blocks.
"use strict";

(() => {
  const BLOCK = 240; // divisible by every number of columns in status.css
  const AT_ONCE = 4 * BLOCK; // cells laid out before the browser may repaint
  const SAY_EVERY = 5000; // ms between two announcements to screen readers
  const fleet = document.getElementById("fleet");
  const form = document.getElementById("filter");
  const found = document.getElementById("found");
  const order = new Intl.Collator(undefined, { numeric: true }).compare;

  // With a filter in the query string the page holds only the matching cells: load all of them, and
  // move the filter into the fragment.
  const query = new URLSearchParams(location.search);
  if (query.get("q") || query.get("state")) {
    location.replace(`./#${new URLSearchParams([...query].filter(([, text]) => text))}`);
    return;
  }

  const lists = new Map(); // project + health state -> list
  const cells = new Map(); // href -> cell
  for (const section of fleet.querySelectorAll(".project")) {
    for (const box of section.querySelectorAll(".list")) {
      const list = {
        box,
        project: section.dataset.project,
        healthState: box.dataset.healthState,
        count: box.querySelector("[data-count]"),
        grid: box.querySelector(".cells"),
        cells: [],
        tabStop: null,
        filling: 0,
      };
      lists.set(key(list.project, list.healthState), list);
      for (const link of box.querySelectorAll("a")) {
        const cell = { link, list, name: link.firstChild.data, text: "" };
        list.cells.push(cell);
        cells.set(link.getAttribute("href"), cell);
        link.tabIndex = -1;
      }
    }
  }

  function key(project, healthState) {
    return `${project}\n${healthState}`;
  }

  // ---- Filter

  let terms = [];
  let state = "";

  function matches(cell) {
    const { link, list } = cell;
    if (state === "inconclusive" ? !link.classList.contains("doubt") : state && state !== list.healthState) return false;
    if (!terms.length) return true;
    cell.text ||= `${list.project} ${link.textContent} ${link.getAttribute("href")} ${link.dataset.labels || ""}`.toLowerCase();
    return terms.every((term) => cell.text.includes(term));
  }

  function layOut(list) {
    const shown = terms.length || state ? list.cells.filter(matches) : list.cells;
    const blocks = list.grid.children;
    while (blocks.length > Math.ceil(shown.length / BLOCK)) blocks[blocks.length - 1].remove();
    clearTimeout(list.filling);
    fill(list, shown, 0);
    list.box.hidden = !shown.length;
    list.count.textContent = shown.length === list.cells.length ? shown.length : `${shown.length} of ${list.cells.length}`;
    if (!shown.includes(list.tabStop)) setTabStop(list, shown[0]);
    return shown.length;
  }

  // Lays out the first cells at once and the rest in later tasks, so that typing stays responsive
  // with ten thousand cells.
  function fill(list, shown, from) {
    const blocks = list.grid.children;
    const until = Math.min(shown.length, from + AT_ONCE);
    for (let start = from; start < until; start += BLOCK) {
      const links = shown.slice(start, start + BLOCK).map((cell) => cell.link);
      const block = blocks[start / BLOCK] || list.grid.appendChild(document.createElement("div"));
      block.className = links.length === BLOCK ? "block full" : "block";
      if (!same(block.children, links)) block.replaceChildren(...links);
    }
    if (until < shown.length) list.filling = setTimeout(() => fill(list, shown, until));
  }

  function same(children, links) {
    if (children.length !== links.length) return false;
    let child = children[0];
    for (const link of links) {
      if (child !== link) return false;
      child = child.nextElementSibling;
    }
    return true;
  }

  function filter() {
    const text = form.q.value.trim();
    terms = text.toLowerCase().split(/\s+/).filter(Boolean);
    state = form.state.value;
    let shown = 0;
    for (const list of lists.values()) shown += layOut(list);
    const filtering = terms.length || state;
    found.textContent = filtering ? `${shown} of ${cells.size} servers` : "";
    document.getElementById("nothing").hidden = !(filtering && cells.size && !shown);
    for (const section of fleet.querySelectorAll(".project")) {
      section.hidden = Boolean(filtering) && !section.querySelector(".list:not([hidden])");
    }
  }

  function saveFilter() {
    const parts = new URLSearchParams();
    if (form.q.value.trim()) parts.set("q", form.q.value.trim());
    if (form.state.value) parts.set("state", form.state.value);
    const hash = parts.toString();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname);
  }

  function setFilter(text, wanted) {
    form.q.value = text;
    for (const radio of form.state) radio.checked = radio.value === wanted;
  }

  function restoreFilter() {
    const parts = new URLSearchParams(location.hash.slice(1));
    if (location.hash && !parts.has("q") && !parts.has("state")) return;
    setFilter(parts.get("q") || "", parts.get("state") || "");
    filter();
  }

  form.addEventListener("input", () => {
    filter();
    saveFilter();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", restoreFilter);
  document.querySelector("#nothing a").addEventListener("click", (event) => {
    event.preventDefault();
    setFilter("", "");
    filter();
    saveFilter();
    form.q.focus();
  });

  // ---- Keyboard: Tab moves between lists, arrow keys within one

  function setTabStop(list, cell) {
    if (list.tabStop) list.tabStop.link.tabIndex = -1;
    list.tabStop = cell || null;
    if (cell) cell.link.tabIndex = 0;
  }

  fleet.addEventListener("focusin", (event) => {
    const cell = event.target.closest(".block a") && cells.get(event.target.getAttribute("href"));
    if (cell) setTabStop(cell.list, cell);
  });

  fleet.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const block = event.target.closest(".block");
    if (!block) return;
    const columns = getComputedStyle(block).gridTemplateColumns.split(" ").length;
    const shown = [...block.parentElement.querySelectorAll("a")];
    const at = shown.indexOf(event.target);
    const to = {
      ArrowLeft: at - 1,
      ArrowRight: at + 1,
      ArrowUp: at - columns,
      ArrowDown: at + columns,
      Home: 0,
      End: shown.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    shown[to]?.focus();
  });

  // ---- Live updates

  let revision = fleet.dataset.revision;
  let words = "";
  let spokenAt = 0;
  const loadedAt = Date.now();

  function update(values, changed, news) {
    const list = lists.get(key(values.project, values.health_state));
    if (!list) return;
    let cell = cells.get(values.href);
    if (!cell) {
      const link = document.createElement("a");
      link.setAttribute("href", values.href);
      link.tabIndex = -1;
      cell = { link, list: null, name: "", text: "" };
      cells.set(values.href, cell);
    }
    if (cell.list !== list || cell.name !== values.name) {
      removeFromList(cell, changed);
      cell.name = values.name;
      list.cells.splice(indexFor(list, cell), 0, cell);
      if (values.health_state === "failing") news.push(`${values.name} is failing: ${values.note}`);
      cell.list = list;
      flash(cell.link);
    }
    render(cell.link, values);
    cell.text = "";
    changed.add(list);
  }

  function removeFromList(cell, changed) {
    if (!cell.list) return;
    const { list } = cell;
    list.cells.splice(list.cells.indexOf(cell), 1);
    changed.add(list);
    if (list.tabStop === cell) setTabStop(list, null);
  }

  function indexFor(list, cell) {
    let low = 0;
    let high = list.cells.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (order(list.cells[middle].name, cell.name) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function render(link, values) {
    link.replaceChildren(values.name);
    if (values.note) {
      const note = document.createElement("small");
      note.textContent = values.note;
      link.append(note);
    }
    link.classList.toggle("doubt", values.doubt !== "");
    const hints = values.name.length > 18 ? [values.name] : [];
    if (values.doubt) hints.push(`the last probe was inconclusive: ${values.doubt}`);
    if (hints.length) link.title = hints.join("; ");
    else link.removeAttribute("title");
    if (values.labels) link.dataset.labels = values.labels;
  }

  function flash(link) {
    link.classList.add("changed");
    setTimeout(() => link.classList.remove("changed"), 3000);
  }

  function count() {
    const totals = {};
    for (const list of lists.values()) totals[list.healthState] = (totals[list.healthState] || 0) + list.cells.length;
    let inconclusive = 0;
    for (const { link } of cells.values()) inconclusive += link.classList.contains("doubt");
    for (const [healthState, total] of Object.entries(totals)) {
      document.getElementById(`count-${healthState}`).textContent = total;
    }
    document.getElementById("count-inconclusive").textContent = inconclusive;
    document.getElementById("count-all").textContent = cells.size;
  }

  function applyChanges(changes) {
    const focused = document.activeElement;
    const changed = new Set();
    const news = [];
    for (const href of changes.gone) {
      const cell = cells.get(href);
      if (!cell) continue;
      removeFromList(cell, changed);
      cell.link.remove();
      cells.delete(href);
    }
    for (const values of changes.cells) update(values, changed, news);
    if (changed.size) {
      if (terms.length || state) filter();
      else changed.forEach(layOut);
      count();
      // Moving a cell in the document removes the focus from it.
      if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
    }
    for (const project of changes.projects) {
      const section = lists.get(key(project.project, "working"))?.box.parentElement;
      for (const [what, amiss] of [["throttle", "slowed"], ["login", "refused"], ["api", "unreachable"]]) {
        const place = section?.querySelector(`[data-words="${what}"]`);
        if (!place) continue;
        place.textContent = project[what];
        place.className = project[amiss] ? (what === "throttle" ? "amiss" : "refused") : "";
      }
    }
    if (news.length && Date.now() - spokenAt > SAY_EVERY) {
      spokenAt = Date.now();
      say(news.length > 3 ? `${news.length} more servers are failing` : news.join(". "));
    }
  }

  restoreFilter();
  for (const list of lists.values()) if (!list.tabStop) setTabStop(list, list.cells[0]);

  keepCurrent(async (signal) => {
    const response = await fetch(`fleet/changes?since=${revision}&words=${words}`, { signal, cache: "no-store" });
    if (!response.ok) throwStatus(response);
    const changes = await response.json();
    if (changes.reset) {
      // The exporter was restarted, or too much has changed. Do not reload in a tight loop.
      if (Date.now() - loadedAt > 3000) location.reload();
      return { now: changes.now, more: false };
    }
    applyChanges(changes);
    revision = changes.revision;
    words = changes.words;
    return changes;
  }, Number(fleet.dataset.now));
})();
