"use strict";
// Nodes of the page. Text from elsewhere only ever becomes the text of a node or the value of an attribute: nothing in
// these scripts, which are one in the page, is parsed as HTML.

function make(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}
function draw(name, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}
function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  return add(node, children);
}
function add(node, ...children) {
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}
const isCell = (cell) => Array.isArray(cell);
const verse = (text) => (text ? text.split(" / ").join("\n") : "(nothing)");
const short = (value) =>
  value === null ? "n/a" : Math.abs(value) >= 1000 ? value.toLocaleString("en", { maximumFractionDigits: 0 }) : String(Number(value.toPrecision(5)));
