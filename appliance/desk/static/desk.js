"use strict";
// The page has no state of its own: it draws what the server tells and sends what hands do.
const $ = (id) => document.getElementById(id);
const canvas = $("screen");
const pen = canvas.getContext("2d", { alpha: false });

// Requests go one after the other, so that "up" never overtakes "down".
let queue = Promise.resolve();
function post(path, body) {
  queue = queue.then(async () => {
    try {
      const r = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
      say(r.ok ? (await r.json()).error : await r.text());
    } catch (err) {
      say("the desk does not answer: " + err.message);
    }
  });
  return queue;
}
function say(text) { $("toast").textContent = text || ""; }

// The kiosk's pixels. Pictures that come faster than they can be drawn are skipped; the last is always drawn.
let wanted = 0, drawn = 0, drawing = false;
async function draw() {
  if (drawing) return;
  drawing = true;
  try {
    while (drawn < wanted) {
      const r = await fetch("frame.png?seq=" + wanted);
      if (!r.ok) break;
      const seq = Number(r.headers.get("X-Frame"));
      const bitmap = await createImageBitmap(await r.blob(), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
      if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
        canvas.width = bitmap.width;
        canvas.height = bitmap.height;
      }
      pen.drawImage(bitmap, 0, 0);
      bitmap.close();
      drawn = seq;
      canvas.dataset.screen = r.headers.get("X-Screen");
      canvas.dataset.seq = seq;
    }
  } catch (err) {
    say("the picture did not come: " + err.message);
  } finally {
    drawing = false;
  }
}

function showGlass(g) {
  document.body.classList.toggle("dark", !g.lit);
  $("screen-id").textContent = g.lit ? g.id : "dark";
  if (!g.lit) {
    canvas.dataset.screen = "";
    $("spoken").textContent = "";
    return;
  }
  const spoken = $("spoken");
  if (spoken.textContent !== g.text) {
    spoken.lang = g.lang;
    spoken.dir = g.lang === "fa" ? "rtl" : "ltr";
    spoken.textContent = g.text;
    canvas.setAttribute("aria-label", "Screen of the kiosk: " + g.title);
  }
  wanted = g.seq;
  if (wanted < drawn) drawn = 0; // another run of the desk
  draw();
}

// The bench.
function element(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes || {})) e.setAttribute(k, v);
  e.append(...children);
  return e;
}
function chip(id, text, ok) {
  const li = $(id);
  li.querySelector("span").textContent = text;
  li.classList.toggle("on", ok === true);
  li.classList.toggle("off", ok === false);
}
function showTokens(tokens) {
  listTokens($("tokens"), tokens.filter((t) => !t.odd));
  listTokens($("odd-tokens"), tokens.filter((t) => t.odd));
  $("odd").hidden = !tokens.some((t) => t.odd);
  for (const role of ["citizen", "officer"]) {
    const inside = tokens.filter((t) => t.in && (t.role === role || (t.role === "other" && role === "citizen")));
    chip("state-" + role, inside.map((t) => t.title).join(" + ") || "empty", inside.length ? true : undefined);
  }
}
function listTokens(list, tokens) {
  const keys = tokens.map((t) => t.key).join();
  if (list.dataset.keys !== keys) {
    list.dataset.keys = keys;
    list.replaceChildren(...tokens.map((t) => {
      const name = element("b", {}, t.title + " ", element("span", { lang: "fa", dir: "rtl" }, t.titleFa));
      const li = element("li", { class: t.role, "data-token": t.key },
        element("span", { class: "stick", "aria-hidden": "true" }),
        element("div", {}, name, element("small", {}, t.note)),
        element("button", { type: "button", id: "token-" + t.key }));
      li.querySelector("button").addEventListener("click", (e) => {
        const inside = li.classList.contains("in");
        back(e, post("bench", { do: inside ? "remove" : "insert", what: t.key, on: false, days: 0 }));
      });
      return li;
    }));
  }
  for (const t of tokens) {
    const li = list.querySelector(`[data-token="${t.key}"]`), button = li.querySelector("button");
    li.classList.toggle("in", t.in);
    button.textContent = t.in ? "Remove" : "Insert";
    button.setAttribute("aria-pressed", t.in);
    button.setAttribute("aria-label", (t.in ? "Remove: " : "Insert: ") + t.title);
  }
}
function showAnswers(choices, now) {
  const box = $("answers");
  const keys = choices.map((c) => c.key).join();
  if (box.dataset.keys !== keys) {
    box.dataset.keys = keys;
    box.replaceChildren(...choices.map((c) => {
      const b = element("button", { type: "button", role: "radio", id: "answer-" + c.key }, c.title);
      b.addEventListener("click", (e) => back(e, post("bench", { do: "answers", what: c.key, on: false, days: 0 })));
      return b;
    }));
  }
  choices.forEach((c, i) => {
    box.children[i].setAttribute("aria-checked", c.key === now);
    box.children[i].tabIndex = c.key === now ? 0 : -1;
  });
}
$("answers").addEventListener("keydown", (e) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
  const all = [...$("answers").children], at = all.indexOf(document.activeElement);
  if (!step || at < 0) return;
  e.preventDefault();
  const next = all[(at + step + all.length) % all.length];
  next.focus();
  next.click();
});
let days = 0;
function showBench(s) {
  showTokens(s.tokens || []);
  const network = $("network");
  network.setAttribute("aria-checked", s.network);
  network.querySelector("b").textContent = s.network ? "on" : "off";
  chip("state-network", s.network ? "on" : "off", s.network);
  showAnswers(s.choices || [], s.answers);
  const answer = (s.choices || []).find((c) => c.key === s.answers);
  chip("state-ca", answer ? answer.title : s.answers, s.choices && s.choices.length ? s.answers === s.choices[0].key : undefined);
  days = s.days;
  chip("state-date", s.date + (s.days ? ` (${s.days > 0 ? "+" : "−"}${Math.abs(s.days)} days)` : " (today)"), s.days ? false : undefined);
  const programs = s.programs || [], dead = programs.filter((p) => !p.running);
  const restarts = programs.reduce((n, p) => n + p.restarts, 0);
  chip("state-programs", (dead.length ? dead.map((p) => p.name).join(", ") + " down" : "running") + (restarts ? `, ${restarts} restarts` : ""), !dead.length);
}
// After a click by mouse the keys belong to the kiosk again; who came by keyboard stays where they are.
function back(event, done) {
  if (event.detail > 0) canvas.focus({ preventScroll: true });
  return done;
}
$("network").addEventListener("click", (e) => back(e, post("bench", { do: "network", what: "", on: $("network").getAttribute("aria-checked") !== "true", days: 0 })));
$("date").addEventListener("click", (e) => {
  const b = e.target.closest("button");
  if (!b) return;
  const step = Number(b.dataset.days);
  back(e, post("bench", { do: "date", what: "", on: false, days: step ? days + step : 0 }));
});
$("power").addEventListener("click", async (e) => {
  $("power").disabled = true;
  await back(e, post("bench", { do: "power", what: "", on: false, days: 0 }));
  $("power").disabled = false;
});
$("receipt").addEventListener("click", async () => {
  try {
    const r = await (await fetch("receipt")).json();
    $("paper-error").textContent = r.error;
    $("paper-text").textContent = r.text;
    $("paper-result").textContent = r.result;
    $("paper").showModal();
  } catch (err) {
    say("the receipt did not come: " + err.message);
  }
});

// Touch: the place on the canvas in the kiosk's own pixels.
let finger = null;
function touch(e, down) {
  const r = canvas.getBoundingClientRect();
  post("touch", {
    down,
    x: Math.floor((e.clientX - r.left) * canvas.width / r.width),
    y: Math.floor((e.clientY - r.top) * canvas.height / r.height),
  });
}
canvas.addEventListener("pointerdown", (e) => {
  if (finger !== null || e.button !== 0) return;
  finger = e.pointerId;
  canvas.setPointerCapture(finger);
  touch(e, true);
});
for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) {
  canvas.addEventListener(kind, (e) => {
    if (e.pointerId !== finger) return;
    finger = null;
    touch(e, false);
  });
}
canvas.addEventListener("contextmenu", (e) => e.preventDefault());

// Keys, on the screen's keypad and on the keyboard.
const pad = [..."1234567890"].map((k) => [k, k, "", "Key " + k]).concat([
  ["C", "Cancel", "cancel", "Cancel"], ["\b", "⌫", "back", "Backspace"],
  ["L", "فا ⇄ EN", "language", "Language: Persian or English"], ["\n", "OK", "ok", "OK"],
]);
const pressed = new Set();
function press(key, down) {
  if (pressed.has(key) === down) return;
  down ? pressed.add(key) : pressed.delete(key);
  post("key", { key, down });
  for (const b of $("keypad").children) if (b.dataset.key === key) b.classList.toggle("pressed", down);
}
function release() { for (const key of [...pressed]) press(key, false); }
for (const [key, label, look, name] of pad) {
  const b = element("button", { type: "button", class: look, "data-key": key, "aria-label": name }, label);
  b.addEventListener("pointerdown", (e) => { b.setPointerCapture(e.pointerId); press(key, true); });
  for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) b.addEventListener(kind, () => press(key, false));
  b.addEventListener("click", (e) => { // by keyboard or a screen reader there is no pointer
    if (e.detail === 0) { press(key, true); press(key, false); } else canvas.focus({ preventScroll: true });
  });
  $("keypad").append(b);
}
function kioskKey(e) {
  if (e.ctrlKey || e.altKey || e.metaKey || $("paper").open) return null;
  const digit = "0123456789۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩".indexOf(e.key);
  if (e.key.length === 1 && digit >= 0) return String(digit % 10);
  if (e.code === "KeyL") return "L";
  if (e.key === "Backspace") return "\b";
  if (e.key === "Escape") return "C";
  if (e.key === "Enter" && !document.activeElement.closest("button, summary, a")) return "\n";
  return null;
}
document.addEventListener("keydown", (e) => {
  const key = kioskKey(e);
  if (key === null) return;
  e.preventDefault();
  if (!e.repeat) press(key, true);
});
document.addEventListener("keyup", (e) => {
  const key = kioskKey(e);
  if (key !== null) press(key, false);
});
window.addEventListener("blur", release);

// The log.
function showLog(lines) {
  const box = $("lines"), follow = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  for (const l of lines) {
    const text = l.text.replace(/^time=\S+T([0-9:.]+)\S* level=INFO msg=/, "$1 ");
    const bad = / level=(WARN|ERROR) /.test(text);
    box.append(element("b", { class: l.program }, l.program), " ", bad ? element("i", {}, text) : text, "\n");
  }
  while (box.childNodes.length > 4 * 400) box.firstChild.remove();
  if (follow) box.scrollTop = box.scrollHeight;
}

// News from the server. The browser connects again by itself; a new connection begins with everything.
const news = new EventSource("events");
news.addEventListener("open", () => { $("lines").replaceChildren(); wanted = drawn = 0; });
news.addEventListener("glass", (e) => showGlass(JSON.parse(e.data)));
news.addEventListener("bench", (e) => showBench(JSON.parse(e.data)));
news.addEventListener("log", (e) => showLog(JSON.parse(e.data)));
news.addEventListener("error", () => {
  showGlass({ lit: false });
  say("the desk is not running; the page goes on when it is back");
});
news.addEventListener("open", () => say(""));
canvas.focus({ preventScroll: true });
