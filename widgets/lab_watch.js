// Watch it learn: predicted against measured, step by step, and the pinned molecules with their atoms and bonds.

/** Return where points of a scatter lie, 0 to 1 in both directions; classes are spread over a band so that they do not hide each other. */
export function placed(measured, preds, kind) {
  const n = measured.length;
  if (kind === "regression") {
    const all = [...measured, ...preds].filter(Number.isFinite).sort((a, b) => a - b);
    const at = (share) => all[Math.floor(share * (all.length - 1))] ?? 0;
    const [low, high] = [at(0.005), at(0.995)], span = high - low || 1;
    return { low, high, x: Float32Array.from(measured, (v) => (v - low) / span), y: Float32Array.from(preds, (v) => (v - low) / span) };
  }
  const most = Math.max(1, ...measured);
  return { low: 0, high: 1, x: Float32Array.from(measured, (v, i) => (v + 0.5 + 0.7 * (((i * 0.618034) % 1) - 0.5)) / (most + 1)), y: Float32Array.from(preds, (v) => v / most), classes: most + 1, n };
}

/** now(): { run, focus, step, snapshots, chosen: a checksum of the selection }. step(value) chooses another step. select(molecules) selects molecules. */
function watchPanel(ui, about, { now, step, select }) {
  const title = h("h4", {}, "Watch it learn"), hint = h("p", { className: "molfm-small molfm-read" }), card = h("div", { className: "molfm-point" });
  const canvas = h("canvas", { className: "molfm-scatter", tabIndex: 0, role: "img" });
  const pinned = h("div", { className: "molfm-pinned" }), legend = h("div", { className: "molfm-scales" }), replay = h("div", {});
  let found = null, points = null, here = -1, shown = "", asked = 0;
  const draw = eachFrame(paint), pad = { left: 40, right: 8, top: 8, bottom: 30 };
  const px = (x) => pad.left + clamp(x, 0, 1) * (canvas.clientWidth - pad.left - pad.right), py = (y) => canvas.clientHeight - pad.bottom - clamp(y, 0, 1) * (canvas.clientHeight - pad.top - pad.bottom);

  function paint() {
    const context = context2d(canvas);
    if (!context) return;
    const palette = ui.palette(), { clientWidth: width, clientHeight: height } = canvas;
    context.clearRect(0, 0, width, height);
    if (!points) return;
    context.strokeStyle = rgb(palette.line);
    context.strokeRect(pad.left + 0.5, pad.top + 0.5, width - pad.left - pad.right, height - pad.top - pad.bottom);
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = rgb(palette.quiet);
    const regression = found.kind === "regression", span = points.high - points.low;
    for (const value of ticks(points.low, points.high, 4)) {
      const text = rounded(value, 6), at = (value - points.low) / (span || 1);
      context.textAlign = "right";
      context.fillText(text, pad.left - 4, py(at) + 4);
      context.textAlign = "center";
      if (regression) context.fillText(text, px(at), height - pad.bottom + 13);
    }
    context.textAlign = "center";
    if (!regression) for (let c = 0; c < points.classes; c++) context.fillText(String(c), px((c + 0.5) / points.classes), height - pad.bottom + 13);
    context.fillText(`measured${found.unit ? ` (${found.unit})` : ""}`, (pad.left + width - pad.right) / 2, height - 3);
    context.save();
    context.translate(9, (pad.top + height - pad.bottom) / 2);
    context.rotate(-Math.PI / 2);
    context.fillText("predicted", 0, 0);
    context.restore();
    if (regression) {
      context.setLineDash([2, 3]);
      context.strokeStyle = rgb(palette.quiet);
      context.beginPath();
      context.moveTo(px(0), py(0));
      context.lineTo(px(1), py(1));
      context.stroke();
      context.setLineDash([]);
    }
    const size = points.x.length > 2000 ? 1.6 : 2.6;
    for (const val of [0, 1]) { // validation on top
      context.fillStyle = context.strokeStyle = rgb(val ? palette.text : palette.quiet);
      context.globalAlpha = val ? 0.7 : 0.35;
      for (let i = 0; i < points.x.length; i++) {
        if (found.val[i] !== val) continue;
        context.beginPath();
        context.arc(px(points.x[i]), py(points.y[i]), size, 0, 7);
        val ? context.fill() : context.stroke();
      }
    }
    context.globalAlpha = 1;
    context.fillStyle = context.strokeStyle = rgb(palette.focus);
    for (let i = 0; i < points.x.length; i++) {
      if (!found.selected[i]) continue;
      context.beginPath();
      context.arc(px(points.x[i]), py(points.y[i]), size + 1, 0, 7);
      context.fill();
    }
    if (here < 0) return;
    context.lineWidth = 2;
    context.beginPath();
    context.arc(px(points.x[here]), py(points.y[here]), 5, 0, 7);
    context.stroke();
    context.lineWidth = 1;
  }

  function nearest(x, y) {
    let best = -1, least = 144;
    for (let i = 0; points && i < points.x.length; i++) {
      const distance = (px(points.x[i]) - x) ** 2 + (py(points.y[i]) - y) ** 2;
      if (distance < least) [best, least] = [i, distance];
    }
    return best;
  }
  const values = (i) => `measured ${rounded(found.measured[i], 3, found.unit)}, predicted ${rounded(found.preds[i], 3, found.unit)}`;
  async function open(i) {
    here = i;
    draw();
    if (i < 0 || ui.recorded) return card.replaceChildren();
    const of = await ui.ask("molecule", { molecule: found.mol_id[i] });
    if (here !== i) return;
    card.replaceChildren(svg(of.svg), h("div", {}, h("strong", {}, of.name), h("p", { className: "molfm-small" }, `${values(i)} · ${found.val[i] ? "validation" : "training"}`),
      h("button", { type: "button", onclick: ui.guarded(() => select([of.molecule])) }, "Select")));
  }
  const place = (event) => { const box = canvas.getBoundingClientRect(); return nearest(event.clientX - box.left, event.clientY - box.top); };
  canvas.addEventListener("pointermove", (event) => { const i = place(event); hint.textContent = i < 0 ? summary() : values(i); });
  canvas.addEventListener("click", ui.guarded((event) => open(place(event))));
  canvas.addEventListener("keydown", ui.guarded((event) => {
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") return open(-1);
    if (!move || !points?.x.length) return;
    event.preventDefault();
    return open((here + move + points.x.length) % points.x.length);
  }));
  const summary = () => (found ? `${number(found.val.reduce((a, b) => a + b, 0))} validation labels (filled) and ${number(found.val.length - found.val.reduce((a, b) => a + b, 0))} training labels (open), a sample.` : "");

  function drawPinned() {
    const { node, edge } = found.scale;
    pinned.replaceChildren(...found.pinned.map(({ name, svg: text, value }) =>
      h("figure", {}, svg(text), h("figcaption", {}, name, value === null ? null : h("span", { className: "molfm-number" }, rounded(value, 2, found.unit))))));
    const palette = ui.palette(), end = (value) => rounded(value, 2);
    legend.replaceChildren(...[
      node && [h("span", {}, `${shortName(node.task)} ${end(-node.limit)}`), ramp((t) => diverging(2 * t - 1, { ...palette, zero: palette.paper })), h("span", {}, `${end(node.limit)} ${node.unit}`)],
      edge && [h("span", {}, `${shortName(edge.task)} ${end(edge.low)}`), ramp((t) => mix(palette.paper, palette.high, t)), h("span", {}, `${end(edge.high)} ${edge.unit}`)],
    ].filter(Boolean).map((parts) => h("div", { className: "molfm-legend" }, parts)));
    if (!node && !edge) legend.replaceChildren(h("p", { className: "molfm-small" }, "This run learns no values of atoms or bonds, so these are not coloured. Add xtb to see charges and bond orders."));
  }

  async function show() {
    const { run, focus, snapshots, chosen } = now(), last = snapshots.at(-1);
    const at = now().step && snapshots.includes(now().step) ? now().step : last;
    title.textContent = at === undefined ? "Watch it learn" : `Watch it learn · step ${number(at)}`;
    canvas.hidden = at === undefined;
    if (at === undefined) {
      hint.textContent = run ? "Predictions appear after the first validation." : "";
      for (const node of [pinned, legend, replay, card]) node.replaceChildren();
      [found, points, shown] = [null, null, ""];
      return null;
    }
    const key = JSON.stringify([run, focus, at, chosen]);
    if (key !== shown) {
      shown = key;
      const mine = ++asked, question = { run, step: at, focus };
      if (ui.recorded && !ui.recorded.has("watch", question)) return null;
      const answer = await ui.ask("watch", question).catch((error) => { shown = ""; throw error; });
      if (mine !== asked) return null;
      found = answer;
      points = found.preds.length ? placed(found.measured, found.preds, found.kind) : null;
      if (here >= found.preds.length) here = -1;
      canvas.setAttribute("aria-label", `Predicted against measured values of ${focus} after step ${at}. Move between points with the arrow keys.`);
      hint.textContent = points ? summary() : `This run does not learn ${focus}.`;
      draw();
      drawPinned();
    }
    const bar = snapshots.length > 1 ? slider(ui, "step", snapshots, at, { moved: (value) => step(value === snapshots.at(-1) ? null : value) }).root : "";
    if (replay.dataset.key !== `${snapshots.length}/${at}` && !replay.contains(document.activeElement)) replay.replaceChildren(bar);
    replay.dataset.key = `${snapshots.length}/${at}`;
    return found;
  }
  const resized = new ResizeObserver(draw);
  resized.observe(canvas);
  ui.signal.addEventListener("abort", () => resized.disconnect());
  ui.onTheme(() => { draw(); if (found) drawPinned(); });
  return { root: h("div", { className: "molfm-watch" }, title, replay, canvas, hint, card, pinned, legend), show, worst: () => found?.worst ?? [] };
}
