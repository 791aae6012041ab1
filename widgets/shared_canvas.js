// Canvas helpers: sharp drawing, one redraw per frame, images of cells, text that fits.

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** Prepare a canvas for the screen's resolution. Returns its context in CSS pixels, or null while the canvas has no size. */
function context2d(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas, scale = window.devicePixelRatio || 1;
  if (!width || !height) return null;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  return context;
}

/** Return a function that calls `callback` at most once per frame. */
function eachFrame(callback) {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => { due = false; callback(); });
  };
}

/** Make an image with one pixel per cell; `color(row, column)` returns [r, g, b]. */
function picture(columns, rows, color) {
  const canvas = h("canvas", { width: Math.max(1, columns), height: Math.max(1, rows) });
  const image = new ImageData(canvas.width, canvas.height);
  for (let row = 0, at = 0; row < rows; row++)
    for (let column = 0; column < columns; column++, at += 4) {
      const [r, g, b] = color(row, column);
      image.data.set([r, g, b, 255], at);
    }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Shorten a text with an ellipsis to fit a width in pixels. */
function clipped(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > width) end--;
  return `${text.slice(0, end)}…`;
}
