// The grid: filter while typing, arrow keys, and cells that change as the exporter tells.
//
// All cells are kept in `lists`, one list for each project and health state, in the order of names;
// what the filter lets through is laid out in blocks, of which the browser renders those in sight.
"use strict";

(() => {
  const BLOCK = 240; // divisible by every number of columns in status.css
  const AT_ONCE = 4 * BLOCK;
  const SAY_EVERY = 5000;
  const fleet = document.getElementById("fleet");
  const form = document.getElementById("filter");
  const found = document.getElementById("found");
  const order = new Intl.Collator(undefined, { numeric: true }).compare;

  // A filter in the query was for the server, which then left out all else.
  const asked = new URLSearchParams(location.search);
  if (asked.get("q") || asked.get("state")) {
    location.replace(`./#${new URLSearchParams([...asked].filter(([, text]) => text))}`);
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
        stop: null,
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

  function lay(list) {
    const shown = terms.length || state ? list.cells.filter(matches) : list.cells;
    const blocks = list.grid.children;
    while (blocks.length > Math.ceil(shown.length / BLOCK)) blocks[blocks.length - 1].remove();
    clearTimeout(list.filling);
    fill(list, shown, 0);
    list.box.hidden = !shown.length;
    list.count.textContent = shown.length === list.cells.length ? shown.length : `${shown.length} of ${list.cells.length}`;
    if (!shown.includes(list.stop)) stopAt(list, shown[0]);
    return shown.length;
  }

  // What is in sight at once, all else behind it: who types must not wait for ten thousand cells.
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
    const query = form.q.value.trim();
    terms = query.toLowerCase().split(/\s+/).filter(Boolean);
    state = form.state.value;
    let shown = 0;
    for (const list of lists.values()) shown += lay(list);
    const filtering = terms.length || state;
    found.textContent = filtering ? `${shown} of ${cells.size} servers` : "";
    document.getElementById("nothing").hidden = !(filtering && cells.size && !shown);
    for (const section of fleet.querySelectorAll(".project")) {
      section.hidden = Boolean(filtering) && !section.querySelector(".list:not([hidden])");
    }
  }

  function remember() {
    const parts = new URLSearchParams();
    if (form.q.value.trim()) parts.set("q", form.q.value.trim());
    if (form.state.value) parts.set("state", form.state.value);
    const hash = parts.toString();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname);
  }

  function ask(text, wanted) {
    form.q.value = text;
    for (const radio of form.state) radio.checked = radio.value === wanted;
  }

  function recall() {
    const parts = new URLSearchParams(location.hash.slice(1));
    if (location.hash && !parts.has("q") && !parts.has("state")) return;
    ask(parts.get("q") || "", parts.get("state") || "");
    filter();
  }

  form.addEventListener("input", () => {
    filter();
    remember();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", recall);
  document.querySelector("#nothing a").addEventListener("click", (event) => {
    event.preventDefault();
    ask("", "");
    filter();
    remember();
    form.q.focus();
  });

  // ---- Keyboard: each list is one stop of the tab key, arrows move within it

  function stopAt(list, cell) {
    if (list.stop) list.stop.link.tabIndex = -1;
    list.stop = cell || null;
    if (cell) cell.link.tabIndex = 0;
  }

  fleet.addEventListener("focusin", (event) => {
    const cell = event.target.closest(".block a") && cells.get(event.target.getAttribute("href"));
    if (cell) stopAt(cell.list, cell);
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

  // ---- What changes

  let revision = fleet.dataset.revision;
  let words = "";
  let spokenAt = 0;
  const loadedAt = Date.now();

  function renew(told, changed, news) {
    const list = lists.get(key(told.project, told.health_state));
    if (!list) return;
    let cell = cells.get(told.href);
    if (!cell) {
      const link = document.createElement("a");
      link.setAttribute("href", told.href);
      link.tabIndex = -1;
      cell = { link, list: null, name: "", text: "" };
      cells.set(told.href, cell);
    }
    if (cell.list !== list || cell.name !== told.name) {
      leave(cell, changed);
      cell.name = told.name;
      list.cells.splice(placeOf(list, cell), 0, cell);
      if (told.health_state === "failing") news.push(`${told.name} is failing: ${told.note}`);
      cell.list = list;
      flash(cell.link);
    }
    dress(cell.link, told);
    cell.text = "";
    changed.add(list);
  }

  function leave(cell, changed) {
    if (!cell.list) return;
    const { list } = cell;
    list.cells.splice(list.cells.indexOf(cell), 1);
    changed.add(list);
    if (list.stop === cell) stopAt(list, null);
  }

  function placeOf(list, cell) {
    let low = 0;
    let high = list.cells.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (order(list.cells[middle].name, cell.name) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function dress(link, told) {
    link.replaceChildren(told.name);
    if (told.note) {
      const note = document.createElement("small");
      note.textContent = told.note;
      link.append(note);
    }
    link.classList.toggle("doubt", told.doubt !== "");
    const hints = told.name.length > 18 ? [told.name] : [];
    if (told.doubt) hints.push(`the last probe could not tell: ${told.doubt}`);
    if (hints.length) link.title = hints.join("; ");
    else link.removeAttribute("title");
    if (told.labels) link.dataset.labels = told.labels;
  }

  function flash(link) {
    link.classList.add("changed");
    setTimeout(() => link.classList.remove("changed"), 3000);
  }

  function count() {
    const totals = {};
    for (const list of lists.values()) totals[list.healthState] = (totals[list.healthState] || 0) + list.cells.length;
    let doubtful = 0;
    for (const { link } of cells.values()) doubtful += link.classList.contains("doubt");
    for (const [healthState, total] of Object.entries(totals)) {
      document.getElementById(`count-${healthState}`).textContent = total;
    }
    document.getElementById("count-inconclusive").textContent = doubtful;
    document.getElementById("count-all").textContent = cells.size;
  }

  function show(answer) {
    const focused = document.activeElement;
    const changed = new Set();
    const news = [];
    for (const href of answer.gone) {
      const cell = cells.get(href);
      if (!cell) continue;
      leave(cell, changed);
      cell.link.remove();
      cells.delete(href);
    }
    for (const told of answer.cells) renew(told, changed, news);
    if (changed.size) {
      if (terms.length || state) filter();
      else changed.forEach(lay);
      count();
      // A cell that moved has lost the focus.
      if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
    }
    for (const project of answer.projects) {
      const section = lists.get(key(project.project, "working"))?.box.parentElement;
      for (const [what, amiss] of [["throttle", "slowed"], ["login", "refused"]]) {
        const place = section?.querySelector(`[data-words="${what}"]`);
        if (!place) continue;
        place.textContent = project[what];
        place.className = project[amiss] ? (what === "login" ? "refused" : "amiss") : "";
      }
    }
    if (news.length && Date.now() - spokenAt > SAY_EVERY) {
      spokenAt = Date.now();
      say(news.length > 3 ? `${news.length} more servers are failing` : news.join(". "));
    }
  }

  recall();
  for (const list of lists.values()) if (!list.stop) stopAt(list, list.cells[0]);

  keepCurrent(async (signal) => {
    const answer = await fetch(`fleet/changes?since=${revision}&words=${words}`, { signal, cache: "no-store" });
    if (!answer.ok) refuse(answer);
    const told = await answer.json();
    if (told.reset) {
      // Another run of the exporter, or too much has changed. Never twice in a moment.
      if (Date.now() - loadedAt > 3000) location.reload();
      return { now: told.now, more: false };
    }
    show(told);
    revision = told.revision;
    words = told.words;
    return told;
  }, Number(fleet.dataset.now));
})();
