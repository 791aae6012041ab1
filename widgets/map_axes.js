// What is drawn around and over the points of a map: axes with numbers where numbers mean something, the lasso, the cursor.

/** Draw the frame and axes of a PointPlot. */
function paintAxes(context, palette, { points, plot, window: [left, bottom, right, top], transform: { ax, bx, ay, by }, canvas }) {
  const { x, y, width, height } = plot;
  context.strokeStyle = rgb(palette.line);
  context.lineWidth = 1;
  context.strokeRect(x - 0.5, y - 0.5, width + 1, height + 1);
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = rgb(palette.quiet);
  if (points.ticked) {
    const origin = points.toData([0, 0]), unit = points.toData([1, 1]).map((value, i) => value - origin[i]); // data = origin + unit * place
    const marks = (low, high, axis, count) => ticks(origin[axis] + unit[axis] * low, origin[axis] + unit[axis] * high, count);
    context.textAlign = "center";
    for (const value of marks(left, right, 0, Math.floor(width / 90)))
      context.fillText(number(value), clamp(ax * ((value - origin[0]) / unit[0]) + bx, x + 8, x + width - 8), y + height + 14);
    context.textAlign = "right";
    for (const value of marks(bottom, top, 1, Math.floor(height / 60)))
      context.fillText(number(value), x - 5, clamp(ay * ((value - origin[1]) / unit[1]) + by + 4, y + 9, y + height));
  }
  context.fillStyle = rgb(palette.text);
  context.textAlign = "center";
  context.fillText(clipped(context, points.axes[0], width), x + width / 2, canvas.clientHeight - 6);
  context.save();
  context.translate(11, y + height / 2);
  context.rotate(-Math.PI / 2);
  context.fillText(clipped(context, points.axes[1], height), 0, 0);
  context.restore();
  context.textAlign = "start";
}

function paintLasso(context, palette, corners) { // [x, y] in px
  context.beginPath();
  corners.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.closePath();
  context.fillStyle = `rgba(${palette.focus.join(",")},0.12)`;
  context.fill();
  context.setLineDash([4, 3]);
  context.lineWidth = 1.5;
  context.strokeStyle = rgb(palette.focus);
  context.stroke();
  context.setLineDash([]);
}

function paintCursor(context, palette, [x, y]) {
  for (const [color, width] of [[palette.paper, 4], [palette.text, 2]]) { // two strokes are visible on any colour
    context.beginPath();
    context.arc(x, y, 7, 0, 7);
    context.lineWidth = width;
    context.strokeStyle = rgb(color);
    context.stroke();
  }
}
