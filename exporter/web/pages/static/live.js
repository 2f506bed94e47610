// Keeps a page current: polls the exporter while the page is visible, shows the age of the data, and
// shows a banner when the exporter does not respond.
"use strict";

const POLL_INTERVAL = 2000; // ms between two requests
const TIMEOUT = 8000; // ms for one request
const OLD = 10; // seconds until the data shown is marked as old

document.documentElement.classList.add("scripted");

// Formats an age in seconds, rounded.
function ago(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 120) return `${whole} s ago`;
  if (whole < 7200) return `${Math.floor(whole / 60)} min ago`;
  if (whole < 172800) return `${Math.floor(whole / 3600)} h ago`;
  return `${Math.floor(whole / 86400)} days ago`;
}

// Keeps a page current. `refresh(signal)` fetches and shows changes. It returns {now, more}: the
// exporter's time in seconds, and whether more changes are ready. It throws `Rejected` with the
// text for the banner.
function keepCurrent(refresh, shownAt) {
  const root = document.documentElement;
  const banner = document.getElementById("banner");
  let exporterTime = shownAt; // time of the last response by the exporter's clock, in seconds
  let respondedAt = null; // the same by the browser's clock, in ms
  let problem = "";
  let timer = 0;
  let polling = false;

  const age = () => (respondedAt === null ? 0 : (Date.now() - respondedAt) / 1000);

  function tick() {
    const old = problem !== "" && (respondedAt === null || age() > OLD);
    root.classList.toggle("live", respondedAt !== null && age() <= OLD);
    root.classList.toggle("old", old || age() > OLD);
    // Changed only when needed: screen readers announce every change.
    const text = old ? `${problem} The data shown is as of ${clock(exporterTime)}.` : "";
    if (banner.textContent !== text) banner.textContent = text;
    banner.hidden = !old;
    document.getElementById("as-of").textContent = clock(exporterTime);
    document.getElementById("age").textContent = respondedAt === null ? "" : `(${ago(age())})`;
    for (const one of document.querySelectorAll(".ago[data-at]")) {
      const text = `(${ago(exporterTime + age() - Number(one.dataset.at))})`;
      if (one.textContent !== text) one.textContent = text;
    }
  }

  async function poll() {
    clearTimeout(timer);
    if (polling || document.hidden) return;
    polling = true;
    let pause = POLL_INTERVAL;
    try {
      const { now, more } = await refresh(AbortSignal.timeout(TIMEOUT));
      exporterTime = now;
      respondedAt = Date.now();
      problem = "";
      if (more) pause = 50;
    } catch (error) {
      problem = error instanceof Rejected ? error.message : "The exporter does not respond.";
    }
    polling = false;
    tick();
    if (!document.hidden) timer = setTimeout(poll, pause);
  }

  document.addEventListener("visibilitychange", poll);
  addEventListener("pageshow", poll);
  setInterval(tick, 1000);
  poll();
  return poll;
}

// The exporter responded with an error; the message is shown in the banner.
class Rejected extends Error {}

function throwStatus(response) {
  throw new Rejected(`The exporter responds with status ${response.status}.`);
}

function clock(seconds) {
  return `${new Date(seconds * 1000).toISOString().slice(11, 19)} UTC`;
}

// Announces a text to screen readers.
function say(text) {
  document.getElementById("news").textContent = text;
}
