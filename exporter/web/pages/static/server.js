// One server: its page is asked for again and, where something was heard, its parts are exchanged;
// a probe now is shown without leaving the page.
"use strict";

(() => {
  const page = document.getElementById("server");
  const form = document.getElementById("probe");
  const button = form.querySelector("button");
  const place = document.getElementById("answer");
  let seen = page.dataset.seen;

  function parsed(text) {
    return new DOMParser().parseFromString(text, "text/html");
  }

  function exchange(anew) {
    const before = document.getElementById("state").className;
    for (const part of page.querySelectorAll("[data-live]")) {
      const other = anew.getElementById(part.id);
      if (!other) continue;
      for (const details of other.querySelectorAll("details")) {
        details.open = document.getElementById(details.id)?.open || false;
      }
      // What can have the focus in these parts: who reads a table is not thrown out of it.
      const held = ["summary", ".wide"].find((one) => part.querySelector(one)?.matches(":focus"));
      part.replaceWith(other);
      if (held) other.querySelector(held)?.focus({ preventScroll: true });
    }
    document.querySelector("h1").textContent = anew.querySelector("h1").textContent;
    const now = document.getElementById("state");
    if (now.className !== before) say(now.querySelector(".verdict").textContent);
  }

  const poll = keepCurrent(async (signal) => {
    const headers = { "If-None-Match": seen };
    const answer = await fetch(location.pathname, { signal, headers, cache: "no-store" });
    if (answer.status === 404) throw new Refused("This server is no longer watched.");
    if (answer.status !== 304) {
      if (!answer.ok) refuse(answer);
      exchange(parsed(await answer.text()));
      seen = answer.headers.get("etag");
    }
    return { now: Number(answer.headers.get("console-exporter-time")), more: false };
  }, Number(page.dataset.now));

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    place.textContent = "Probing…";
    try {
      const answer = await fetch(location.pathname, { method: "POST" });
      const told = parsed(await answer.text()).getElementById("answer");
      if (told) place.replaceChildren(...told.childNodes);
      else place.textContent = `Not probed: the exporter answers ${answer.status}.`;
    } catch {
      place.textContent = "Not probed: the exporter does not answer.";
    }
    button.ariaDisabled = "false";
    poll();
  });
})();
