// What keeps a page current, and says so when it is not: asks again and again while somebody can
// see it, shows how old the data is, and raises a banner when the exporter does not answer.
"use strict";

const EVERY = 2000; // ms between two questions
const PATIENCE = 8000; // ms that one may take
const OLD = 10; // seconds after which what is shown may no longer be true

document.documentElement.classList.add("scripted");

// Counts ages in words, as words.py does.
function ago(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 120) return `${whole} s ago`;
  if (whole < 7200) return `${Math.floor(whole / 60)} min ago`;
  if (whole < 172800) return `${Math.floor(whole / 3600)} h ago`;
  return `${Math.floor(whole / 86400)} days ago`;
}

// Keeps a page current. `ask(signal)` gets and shows what is new; it returns {now, more}: the
// exporter's time in seconds, and whether there is more to have at once. It throws what to say.
function keepCurrent(ask, shownAt) {
  const root = document.documentElement;
  const banner = document.getElementById("banner");
  let exporterTime = shownAt; // by the exporter's clock, when it last answered
  let answeredAt = null; // by ours
  let trouble = "";
  let timer = 0;
  let asking = false;

  const age = () => (answeredAt === null ? 0 : (Date.now() - answeredAt) / 1000);

  function tick() {
    const old = trouble !== "" && (answeredAt === null || age() > OLD);
    root.classList.toggle("live", answeredAt !== null && age() <= OLD);
    root.classList.toggle("old", old || age() > OLD);
    // Said once, not with every second.
    const words = old ? `${trouble} What is shown is as of ${clock(exporterTime)}.` : "";
    if (banner.textContent !== words) banner.textContent = words;
    banner.hidden = !old;
    document.getElementById("as-of").textContent = clock(exporterTime);
    document.getElementById("age").textContent = answeredAt === null ? "" : `(${ago(age())})`;
    for (const one of document.querySelectorAll(".ago[data-at]")) {
      const words = `(${ago(exporterTime + age() - Number(one.dataset.at))})`;
      if (one.textContent !== words) one.textContent = words;
    }
  }

  async function poll() {
    clearTimeout(timer);
    if (asking || document.hidden) return;
    asking = true;
    let pause = EVERY;
    try {
      const { now, more } = await ask(AbortSignal.timeout(PATIENCE));
      exporterTime = now;
      answeredAt = Date.now();
      trouble = "";
      if (more) pause = 50;
    } catch (error) {
      trouble = error instanceof Refused ? error.message : "The exporter does not answer.";
    }
    asking = false;
    tick();
    if (!document.hidden) timer = setTimeout(poll, pause);
  }

  document.addEventListener("visibilitychange", poll);
  addEventListener("pageshow", poll);
  setInterval(tick, 1000);
  poll();
  return poll;
}

// The exporter answered, but not with what was asked for.
class Refused extends Error {}

function refuse(answer) {
  throw new Refused(`The exporter answers ${answer.status}.`);
}

function clock(seconds) {
  return `${new Date(seconds * 1000).toISOString().slice(11, 19)} UTC`;
}

// Says something to those who listen rather than look.
function say(words) {
  document.getElementById("news").textContent = words;
}
