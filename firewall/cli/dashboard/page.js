// Shows the parts of the page as they come. All text becomes text nodes: nothing is parsed as HTML.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

function build([tag, attributes, children], inside) {
  const svg = inside || tag === "svg";
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  for (const each of children) node.append(typeof each === "string" ? each : build(each, svg));
  return node;
}

function show(id, tree) {
  const old = document.getElementById(id);
  if (tree === null) {
    old?.remove();
    return;
  }
  const fresh = build(tree, false);
  if (old) {
    if (old.open) fresh.open = true;
    old.replaceWith(fresh);
  } else {
    document.getElementById("attempts").prepend(fresh);
  }
}

const state = document.getElementById("state");
const source = new EventSource("/events");
source.onopen = () => { state.textContent = "live"; state.className = "good"; };
source.onmessage = (event) => {
  for (const [id, tree] of Object.entries(JSON.parse(event.data))) show(id, tree);
};
source.onerror = () => {
  const ended = source.readyState === EventSource.CLOSED;
  state.textContent = ended ? "ended: open the address that firewall dashboard printed"
                            : "the connection is lost, trying again";
  state.className = "bad";
};
