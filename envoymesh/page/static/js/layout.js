// Where everything stands in the picture, worked out by dagre. It is done again only when who is there has changed, or the
// width: figures alone move nothing.
import { Graph, layout } from "../vendor/dagre.js";

export const SIZES = {
  wide: { node: [164, 50], label: [186, 22], gap: 10, between: 84 },
  narrow: { node: [104, 46], label: [2, 2], gap: 10, between: 22 },
};

let last = { key: "", value: null };

export function placed(nodes, edges, narrow) {
  const key = `${narrow}|${nodes.map((node) => node.id)}|${edges.map((edge) => edge.id)}`;
  if (last.key !== key) last = { key, value: place(nodes, edges, narrow ? SIZES.narrow : SIZES.wide) };
  return last.value;
}

function place(nodes, edges, sizes) {
  const graph = new Graph({ multigraph: true });
  graph.setGraph({ rankdir: "LR", nodesep: sizes.gap, edgesep: sizes.gap, ranksep: sizes.between, marginx: 2, marginy: 4 });
  graph.setDefaultEdgeLabel(() => ({}));
  const [width, height] = sizes.node;
  // The last first: dagre fills a rank from its end, and people read from the top.
  for (const node of [...nodes].reverse()) graph.setNode(node.id, { width, height });
  const [labelWidth, labelHeight] = sizes.label;
  for (const edge of [...edges].reverse()) {
    if (!graph.hasNode(edge.from) || !graph.hasNode(edge.to)) continue;
    graph.setEdge(edge.from, edge.to, { width: labelWidth, height: labelHeight, labelpos: "c" }, edge.id);
  }
  layout(graph);
  return {
    width: Math.ceil(graph.graph().width),
    height: Math.ceil(graph.graph().height),
    nodes: new Map(graph.nodes().map((id) => [id, graph.node(id)])),
    edges: new Map(graph.edges().map((each) => [each.name, edgePlace(graph, each, labelWidth)])),
  };
}

// From the source's right side to the label, straight below it, and on to the target's left side.
function edgePlace(graph, each, labelWidth) {
  const [from, to, label] = [graph.node(each.v), graph.node(each.w), graph.edge(each)];
  const [x1, x2] = [from.x + from.width / 2, to.x - to.width / 2];
  const [left, right] = [label.x - labelWidth / 2, label.x + labelWidth / 2];
  const bend = (a, ay, b, by) => `C${(a + b) / 2} ${ay} ${(a + b) / 2} ${by} ${b} ${by}`;
  const path = `M${x1} ${from.y}${bend(x1, from.y, left, label.y)}L${right} ${label.y}${bend(right, label.y, x2, to.y)}`;
  return { path, x: label.x, y: label.y };
}
