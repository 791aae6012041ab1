// The histogram of a task's labels with two ends to drag: the range that a filter keeps.

const HISTOGRAM = { width: 300, height: 64, foot: 4 };

/**
 * found: the kernel's answer to "histogram". label: name of the task. bounds: [low, high], null for an open end.
 * text(value): a value in words. changed(bounds): called when an end is dropped or moved by a key.
 */
function rangeHistogram(ui, { found, label, bounds, text, changed }) {
  const { edges, counts } = found, { width, height, foot } = HISTOGRAM, bins = counts.length;
  const low = edges[0], high = edges[bins], top = Math.max(1, ...counts);
  const x = (value) => ((clamp(value, low, high) - low) / (high - low)) * width;
  let [from, to] = [bounds[0] ?? low, bounds[1] ?? high];
  const bars = counts.map((count, i) => {
    const tall = count ? Math.max(1.5, (count / top) * (height - foot - 2)) : 0;
    return h("svg:rect", { x: x(edges[i]) + 0.5, width: Math.max(0.5, width / bins - 1), y: height - foot - tall, height: tall });
  });
  const picture = h("svg:svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, bars,
    h("svg:line", { x1: 0, x2: width, y1: height - foot + 0.5, y2: height - foot + 0.5, class: "axis" }));
  const ends = ["least", "most"].map((which, end) => h("button", { type: "button", className: "molfm-end", role: "slider",
    ariaLabel: `${label}: ${which}`, onkeydown: ui.guarded((event) => key(event, end)), onpointerdown: (event) => press(event, end) }));
  const root = h("div", { className: "molfm-range" }, picture, ends);

  function draw() {
    bars.forEach((bar, i) => bar.setAttribute("class", edges[i + 1] > from && edges[i] < to || (from === to && edges[i] <= from && edges[i + 1] >= from) ? "in" : "out"));
    [from, to].forEach((value, end) => {
      ends[end].style.left = `${(x(value) / width) * 100}%`;
      for (const [name, one] of Object.entries({ valuemin: low, valuemax: high, valuenow: value, valuetext: text(value) })) ends[end].setAttribute(`aria-${name}`, one);
    });
  }
  function move(end, value) {
    if (end) to = clamp(value, from, high);
    else from = clamp(value, low, to);
    draw();
  }
  const rounded = (value) => Number(value.toPrecision(3));
  const tell = () => changed([from > low ? rounded(from) : null, to < high ? rounded(to) : null]);
  function key(event, end) {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -5, PageUp: 5, Home: -bins, End: bins }[event.key];
    if (!step) return;
    event.preventDefault();
    move(end, (end ? to : from) + (step * (high - low)) / bins);
    return tell();
  }
  function press(event, end) {
    event.preventDefault();
    const handle = ends[end];
    handle.focus();
    handle.setPointerCapture(event.pointerId);
    const at = ({ clientX }) => { const box = picture.getBoundingClientRect(); return low + ((clientX - box.left) / box.width) * (high - low); };
    const drag = (one) => move(end, at(one));
    const drop = ui.guarded(() => { handle.removeEventListener("pointermove", drag); return tell(); });
    handle.addEventListener("pointermove", drag);
    handle.addEventListener("pointerup", drop, { once: true });
  }
  draw();
  return root;
}
