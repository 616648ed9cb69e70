// Makes the status page live: swaps the parts that the server sends, and draws the charts.
// Without it the page is whole, but for the charts, and loads itself anew.
"use strict";
(() => {
  const live = "live" in document.body.dataset;
  const news = document.getElementById("news");
  let source = null;
  let heard = 0; // when the last news came, by our own clock
  const shown = {}; // what was put into each part last

  // --- parts ------------------------------------------------------------------------------

  const put = (id, html) => {
    const place = document.getElementById(id);
    if (!place || shown[id] === html) return;
    if (id === "decisions" && place.querySelector("details[open]")) return;
    const held = place.contains(document.activeElement) ? document.activeElement : null;
    place.innerHTML = shown[id] = html;
    // What had the focus is found again by where it leads, and what is chosen with it.
    const same = (link) => link.href === held.href && link.dataset.choice === held.dataset.choice;
    if (held?.href) [...place.querySelectorAll("a")].find(same)?.focus({ preventScroll: true });
  };

  const say = (text) => { if (news.textContent !== text) news.textContent = text; };

  const follow = () => {
    source?.close();
    source = new EventSource(`live${location.search}`);
    source.addEventListener("page", (event) => {
      const { title, parts } = JSON.parse(event.data);
      heard = Date.now();
      document.title = title;
      for (const [id, html] of Object.entries(parts)) put(id, html);
      say("Live.");
      extend();
    });
    source.onerror = () => {
      // A refusal closes it for good, and is asked about again; all else it mends itself.
      if (source.readyState !== EventSource.CLOSED) return say("Connection lost. Trying again.");
      say("Not live: the process is away or has no place left. Trying again.");
      setTimeout(() => { if (!document.hidden) follow(); }, 5000);
    };
  };

  const choose = (address) => {
    history.pushState(null, "", address);
    follow();
  };

  // --- keyboard and pointer ---------------------------------------------------------------

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-choice]");
    if (!link || !live || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    choose(link.getAttribute("href"));
  });

  const STEPS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
  document.addEventListener("keydown", (event) => {
    const link = event.target.closest?.("a[data-choice]");
    const step = STEPS[event.key];
    if (!link || !step || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = [...link.closest("nav, table").querySelectorAll("a[data-choice]")];
    event.preventDefault();
    all[(all.indexOf(link) + step + all.length) % all.length].focus();
  });

  // --- charts -----------------------------------------------------------------------------

  const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3], [4, 4]];
  const BORDERS = ["solid", "dashed", "dotted", "double", "dashed"];
  const COLOURS = ["--accent", "--good", "--warn", "--bad", "--ref"];
  const percent = (value) => (value == null ? "–" : `${(100 * value).toFixed(1)} %`);
  const number = (value) => (value == null ? "–" : value.toLocaleString("en", { maximumFractionDigits: 3 }));
  const sources = ["model", "upstream", "rule", "cache", "default"];
  const CHARTS = {
    throughput: [sources, number, (h) => sources.map((name) => h.decisions_per_second[name])],
    lag: [["records"], number, (h) => [h.lag_records]],
    shares: [["fallback", "reject"], percent, (h) => [h.fallback_ratio, h.reject_ratio]],
    age: [["median", "99th percentile"], number, (h) => [h.event_age_p50_seconds, h.event_age_p99_seconds]],
    loop: [["at most"], number, (h) => [h.loop_lag_seconds]],
  };
  const plots = new Map();
  let past = null; // the history, column by column

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 16);

  // The newest values, while the pointer is at no others.
  const legend = (plot) => {
    if (plot.cursor.idx == null) plot.setLegend({ idx: plot.data[0].length - 1 });
  };

  const draw = () => {
    for (const place of document.querySelectorAll("[data-chart]")) {
      const [names, words, columns] = CHARTS[place.dataset.chart];
      const data = [past.time_ms.map((ms) => ms / 1000), ...columns(past)];
      const plot = plots.get(place);
      if (plot) {
        plot.setData(data);
        continue;
      }
      const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
      const series = names.map((label, at) => ({
        label, stroke: colour(COLOURS[at]), width: 2, dash: DASHES[at], points: { show: false }, value: (_, v) => words(v),
      }));
      plots.set(place, new uPlot({
        width: place.clientWidth, height: 170,
        cursor: { drag: { setScale: false } },
        hooks: { draw: [(plot) => requestAnimationFrame(() => legend(plot))] },
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        legend: { markers: { width: 3, dash: (_, at) => BORDERS[at - 1] } },
        scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.05 : 1] } },
        axes: [{ ...axis, values: (_, ticks) => ticks.map(clock) }, { ...axis, size: 62, values: (_, ticks) => ticks.map(words) }],
        series: [{ value: "{YYYY}-{MM}-{DD} {HH}:{mm}:{ss}" }, ...series],
      }, data, place));
    }
  };

  const redraw = () => {
    for (const plot of plots.values()) plot.destroy();
    plots.clear();
    if (past) draw();
  };

  const append = (old, fresh, most = fresh.length_seconds / fresh.step_seconds) => {
    for (const [name, column] of Object.entries(fresh)) {
      if (Array.isArray(column)) old[name] = old[name].concat(column).slice(-most);
      else if (typeof column === "object") append(old[name], column, most);
    }
  };

  let asked = 0;
  const extend = async () => {
    if (past && Date.now() - asked < past.step_seconds * 1000) return;
    asked = Date.now();
    try {
      const answer = await fetch(`api/v1/history?since=${past?.time_ms.at(-1) ?? 0}`);
      if (!answer.ok) return;
      const fresh = await answer.json();
      if (past) append(past, fresh);
      else past = fresh;
      draw();
    } catch {
      // The stream says that the connection is lost.
    }
  };

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("resize", () => { for (const [place, plot] of plots) plot.setSize({ width: place.clientWidth, height: 170 }); });
  extend();
  if (!live) return;

  // --- life -------------------------------------------------------------------------------

  addEventListener("popstate", follow);
  document.addEventListener("visibilitychange", () => {
    // Nobody looks at a hidden page: its place is for others.
    if (document.hidden) source?.close();
    else follow();
  });
  setInterval(() => {
    const age = Math.round((Date.now() - heard) / 1000);
    if (heard && !document.hidden && age > 10) say(`No news for ${age} s.`);
  }, 1000);
  if (!document.hidden) follow();
})();
