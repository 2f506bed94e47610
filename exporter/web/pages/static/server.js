// The page of one server: fetches the page again and replaces the parts that changed, and shows the
// result of a probe on demand without leaving the page.
"use strict";

(() => {
  const page = document.getElementById("server");
  const form = document.getElementById("probe");
  const button = form.querySelector("button");
  const resultBox = document.getElementById("answer");
  let seen = page.dataset.seen;

  function parsed(text) {
    return new DOMParser().parseFromString(text, "text/html");
  }

  function replaceParts(newPage) {
    const before = document.getElementById("state").className;
    for (const part of page.querySelectorAll("[data-live]")) {
      const other = newPage.getElementById(part.id);
      if (!other) continue;
      for (const details of other.querySelectorAll("details")) {
        details.open = document.getElementById(details.id)?.open || false;
      }
      // Keep the focus on the elements of these parts that can have it.
      const focused = ["summary", ".wide"].find((one) => part.querySelector(one)?.matches(":focus"));
      part.replaceWith(other);
      if (focused) other.querySelector(focused)?.focus({ preventScroll: true });
    }
    document.querySelector("h1").textContent = newPage.querySelector("h1").textContent;
    const now = document.getElementById("state");
    if (now.className !== before) say(now.querySelector(".verdict").textContent);
  }

  const poll = keepCurrent(async (signal) => {
    const headers = { "If-None-Match": seen };
    const response = await fetch(location.pathname, { signal, headers, cache: "no-store" });
    if (response.status === 404) throw new Rejected("This server is no longer probed.");
    if (response.status !== 304) {
      if (!response.ok) throwStatus(response);
      replaceParts(parsed(await response.text()));
      seen = response.headers.get("etag");
    }
    return { now: Number(response.headers.get("console-exporter-time")), more: false };
  }, Number(page.dataset.now));

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    resultBox.textContent = "Probing…";
    try {
      const response = await fetch(location.pathname, { method: "POST" });
      const result = parsed(await response.text()).getElementById("answer");
      if (result) resultBox.replaceChildren(...result.childNodes);
      else resultBox.textContent = `Not probed: the exporter responds with status ${response.status}.`;
    } catch {
      resultBox.textContent = "Not probed: the exporter does not respond.";
    }
    button.ariaDisabled = "false";
    poll();
  });
})();
