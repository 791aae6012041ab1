// Safe DOM: elements, cleaned SVG drawings, tables and labelled controls.

/** Make an element. Text stays text: nothing from the data is parsed as HTML. */
export function h(tag, props = {}, ...children) {
  const node = tag.includes(":") ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style" && typeof value === "object") Object.assign(node.style, value);
    else if (name in node && !tag.includes(":") && !["list", "form"].includes(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const SVG_ELEMENTS = new Set(["svg", "g", "path", "line", "ellipse", "circle", "polygon", "rect", "text", "tspan"]);

/** Parse an SVG text and keep only its shapes: no scripts, handlers, links or foreign content. */
export function svg(text) {
  const root = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  const clean = (node) => {
    for (const child of [...node.childNodes]) {
      if (child.nodeType === 3) continue;
      if (child.nodeType !== 1 || !SVG_ELEMENTS.has(child.localName)) child.remove();
      else clean(child);
    }
    for (const { name, value } of [...node.attributes])
      if (/^on|href|^id$/i.test(name) || /url\(|javascript:|expression/i.test(value)) node.removeAttribute(name);
  };
  if (root.localName !== "svg") return h("svg:svg");
  clean(root);
  root.setAttribute("aria-hidden", "true"); // the text beside it says the same
  return document.importNode(root, true);
}

/** Make a table of texts or elements. Numeric columns are aligned to the right. */
export function table(columns, rows, caption) {
  const right = columns.map((_, i) => rows.every((row) => row[i] === "" || row[i] === null || /^[−+\-\d.,%± e]+$/.test(String(row[i]))));
  return h("div", { className: "molfm-table", tabIndex: 0, role: "region", ariaLabel: caption },
    h("table", {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, columns.map((name, i) => h("th", { scope: "col", className: right[i] ? "right" : "" }, name)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, i) =>
        h("td", { className: right[i] ? "right" : "" }, cell instanceof Node ? cell : String(cell ?? ""))))))));
}

/** Put a label before a control. */
function field(label, control) {
  return h("label", { className: "molfm-field" }, h("span", {}, label), control);
}

/** Make the options of a select from [value, text] pairs. */
function options(pairs, chosen) {
  return pairs.map(([value, text]) => h("option", { value, selected: value === chosen }, text));
}
