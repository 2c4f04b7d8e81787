// The console's own script: says whether the page is live, and draws charts.
// Replacing what has changed is htmx's part.
"use strict";
(() => {
  const byId = id => document.getElementById(id);
  const stream = byId("stream");

  // --- live or not ---------------------------------------------------------
  // A monitor that has stopped must not look like a quiet ward. The server
  // sends a beat every 5 seconds; a connection that dies without a word is
  // noticed here.
  const silence = 20000, retry = 5000;
  let connection = null, heard = Date.now() - silence + retry, skew = null;

  function state(s, text) {
    const live = byId("live");
    if (live.dataset.state === s) return;
    live.dataset.state = s;
    byId("live-text").textContent = text;
  }

  // The server's clock, not the tablet's.
  function tell() { if (skew !== null) byId("clock").textContent = new Date(Date.now() + skew).toISOString().slice(11, 16) + " UTC"; }

  if (stream) {
    stream.addEventListener("htmx:sse:after:connection", e => { connection = e.detail.connection; heard = Date.now(); });
    stream.addEventListener("htmx:sse:close", () => { connection = null; });
    stream.addEventListener("htmx:sse:error", () => state("off", "Not live"));
    stream.addEventListener("beat", e => {
      heard = Date.now();
      skew = Date.parse(e.detail.data) - heard;
      state("on", "Live");
      tell();
    });
    stream.addEventListener("htmx:sse:before:message", () => { heard = Date.now(); });
    setInterval(() => {
      tell();
      if (document.hidden || Date.now() - heard < silence) return;
      state("off", "Not live");
      // A stream that has gone silent is ended, and htmx connects again; one
      // that never began (a refusal) is begun again.
      if (connection && connection.reader) connection.reader.cancel();
      else {
        connection = null; // one that never got so far as to read
        heard = Date.now() - silence + retry;
        stream.dispatchEvent(new CustomEvent("again"));
      }
    }, 1000);
  }

  // The title counts open Flags, for those who look at another tab.
  const title = document.title;
  function retitle() {
    const s = byId("summary");
    if (s) document.title = (s.dataset.open !== "0" ? "(" + s.dataset.open + ") " : "") + title;
  }

  // --- charts --------------------------------------------------------------
  const main = byId("main"), series = main && main.dataset.series;
  const charts = new Map(); // element -> uPlot
  let drawing = null, wanted = false, fetching = false;

  const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const pad = n => String(n).padStart(2, "0");
  const utc = t => uPlot.tzDate(new Date(t * 1e3), "Etc/UTC");

  function axes() {
    const stroke = color("--quiet"), grid = { stroke: color("--line"), width: 1 }, font = "13px " + getComputedStyle(document.body).fontFamily;
    return [
      { stroke, font, grid, ticks: { show: false }, space: 64, values: (u, at) => at.map((t, i) => {
        const d = utc(t), seconds = at.length > 1 && at[1] - at[0] < 60, day = i === 0 || utc(at[i - 1]).getDate() !== d.getDate();
        return pad(d.getHours()) + ":" + pad(d.getMinutes()) + (seconds ? ":" + pad(d.getSeconds()) : "") + (day ? "\n" + d.toLocaleDateString("en-GB", { day: "numeric", month: "short" }) : "");
      }) },
      { stroke, font, grid, ticks: { show: false }, size: 48, space: 28 },
    ];
  }

  // Flags lie behind every chart as bands; a technical one is hatched.
  function drawFlags(u) {
    const c = u.ctx, b = u.bbox;
    for (const f of drawing.flags) {
      const x0 = Math.max(b.left, u.valToPos(f.from, "x", true)), x1 = Math.min(b.left + b.width, u.valToPos(f.to, "x", true));
      if (x1 <= x0) continue;
      c.save();
      c.beginPath(); c.rect(x0, b.top, x1 - x0, b.height); c.clip();
      if (f.kind === "clinical") { c.fillStyle = color("--flag-band"); c.fillRect(x0, b.top, x1 - x0, b.height); }
      else {
        c.strokeStyle = color("--line-strong"); c.lineWidth = devicePixelRatio;
        for (let x = x0 - b.height; x < x1; x += 9 * devicePixelRatio) { c.beginPath(); c.moveTo(x, b.top + b.height); c.lineTo(x + b.height, b.top); c.stroke(); }
      }
      c.restore();
    }
  }

  const width = el => Math.max(260, el.clientWidth);
  const rangeX = () => [drawing.from, drawing.to > drawing.from ? drawing.to : drawing.from + 60];

  function common(el, height, hooks) {
    return {
      width: width(el), height, axes: axes(), legend: { show: false },
      cursor: { sync: { key: "course" }, drag: { x: false, y: false }, points: { size: 7 } },
      tzDate: utc, hooks,
    };
  }

  function vital(el, v) {
    const line = color("--line-vital"), band = color("--band-vital");
    // A gap of several panes is a gap in the line: no data is not a flat line.
    const x = [], low = [], high = [], last = [];
    const steps = v.x.slice(1).map((t, i) => t - v.x[i]).sort((a, b) => a - b);
    const gap = 5 * (steps[steps.length >> 1] || 60);
    v.x.forEach((t, i) => {
      if (i && t - v.x[i - 1] > gap) { x.push((t + v.x[i - 1]) / 2); low.push(null); high.push(null); last.push(null); }
      x.push(t); low.push(v.low[i]); high.push(v.high[i]); last.push(v.last[i]);
    });
    const o = Object.assign(common(el, 190, { drawClear: [drawFlags] }), {
      scales: { x: { time: true, range: rangeX }, y: { range: (u, lo, hi) => { const m = Math.max((hi - lo) * 0.12, Math.abs(hi) * 0.01, 0.2); return [lo - m, hi + m]; } } },
      series: [{}, { stroke: "transparent", points: { show: false } }, { stroke: "transparent", points: { show: false } },
        { stroke: line, width: 2, points: { show: x.length < 120, size: 5, fill: line } }],
      bands: [{ series: [1, 2], fill: band }],
    });
    return new uPlot(o, [x, high, low, last], el);
  }

  // Windows are bars as wide as what each adds to the one before; bounds are a
  // hollow bar from the lowest to the highest score that is possible.
  function drawWindows(m) {
    return u => {
      const c = u.ctx, b = u.bbox, px = devicePixelRatio, y = s => u.valToPos(s, "y", true), x = t => u.valToPos(t, "x", true);
      c.save();
      c.beginPath(); c.rect(b.left, b.top, b.width, b.height); c.clip();
      c.textAlign = "center"; c.font = "600 " + 13 * px + "px " + getComputedStyle(document.body).fontFamily;
      m.end.forEach((end, i) => {
        const x0 = x(Math.max(m.start[i], i ? m.end[i - 1] : m.start[i])), x1 = x(end), w = Math.max(x1 - x0 - px, px);
        const top = y(m.high[i]), fill = color("--" + m.level[i]), bounds = m.low[i] !== m.high[i];
        if (bounds) {
          c.strokeStyle = color("--line-strong"); c.lineWidth = 1.5 * px; c.setLineDash([4 * px, 3 * px]);
          c.strokeRect(x0 + px, top, Math.max(w - 2 * px, px), y(m.low[i]) - top); c.setLineDash([]);
        } else {
          const edge = Math.min(top, y(0) - 4 * px);
          c.fillStyle = fill; c.globalAlpha = .45; c.fillRect(x0, edge, w, y(0) - edge);
          c.globalAlpha = 1; c.fillRect(x0, edge, w, 4 * px);
        }
        if (w > 22 * px && (!bounds || w > 42 * px)) {
          c.fillStyle = color("--ink");
          c.fillText(bounds ? m.low[i] + "\u2013" + m.high[i] : m.low[i], (x0 + x1) / 2, top - 5 * px);
        }
      });
      for (const [at, word] of [[m.open, "Flag opens"], [m.close, "closes"]]) {
        if (at == null) continue;
        c.strokeStyle = color("--line-strong"); c.setLineDash([6 * px, 4 * px]); c.lineWidth = px;
        c.beginPath(); c.moveTo(b.left, y(at)); c.lineTo(b.left + b.width, y(at)); c.stroke(); c.setLineDash([]);
        c.textAlign = "left"; c.fillStyle = color("--quiet"); c.font = 12 * px + "px " + getComputedStyle(document.body).fontFamily;
        c.fillText(word + " " + at, b.left + 6 * px, y(at) - 4 * px);
      }
      c.restore();
    };
  }

  function model(el, m) {
    const top = Math.max(...m.high, m.open || 0, 4) * 1.18 + 0.5;
    const o = Object.assign(common(el, 250, { drawClear: [drawFlags], draw: [drawWindows(m)] }), {
      scales: { x: { time: true, range: rangeX }, y: { range: () => [0, top] } },
      series: [{}, { stroke: "transparent", points: { show: false } }],
    });
    return new uPlot(o, [m.end, m.high], el);
  }

  function draw() {
    if (!drawing) return;
    for (const [el, u] of charts) { u.destroy(); charts.delete(el); }
    for (const el of document.querySelectorAll(".chart")) {
      const v = drawing.vitals.find(v => v.key === el.dataset.vital), m = drawing.models.find(m => m.key === el.dataset.model);
      el.replaceChildren();
      if (v) charts.set(el, vital(el, v));
      else if (m) charts.set(el, model(el, m));
    }
    main.dataset.drawn = "yes";
  }

  // One request at a time; a change that comes meanwhile is fetched after it.
  async function load() {
    wanted = true;
    if (fetching) return;
    fetching = true;
    while (wanted) {
      wanted = false;
      try {
        const r = await fetch(series, { headers: { Accept: "application/json" } });
        if (r.ok) { drawing = await r.json(); draw(); }
      } catch { /* the next series event, or the next connection, asks again */ }
    }
    fetching = false;
  }

  if (series) {
    load();
    stream.addEventListener("series", load);
    let wide = innerWidth, resized = 0;
    addEventListener("resize", () => { if (innerWidth !== wide) { wide = innerWidth; clearTimeout(resized); resized = setTimeout(draw, 150); } });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  }
  document.addEventListener("htmx:after:swap", () => {
    retitle();
    // A chart for a new vital sign has no drawing yet.
    if (series && drawing && [...document.querySelectorAll(".chart")].some(el => !charts.has(el))) draw();
  });
  retitle();
})();
