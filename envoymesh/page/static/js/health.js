// What a node or an edge is like, in one word, with a shape of its own: nobody must tell states apart by colour.

const SHAPES = {
  healthy: "M0-5A5 5 0 1 1 0 5A5 5 0 1 1 0-5Z", // a disc
  idle: "M0-5A5 5 0 1 1 0 5A5 5 0 1 1 0-5Z",
  faulty: "M-5-5H5V5H-5Z", // a square
  ejected: "M0-6.5L6.5 0L0 6.5L-6.5 0Z", // a diamond
  unhealthy: "M0-6L6.5 5H-6.5Z", // a triangle
  degraded: "M0 6L6.5-5H-6.5Z",
  starting: "M-6-1.5H6V1.5H-6Z", // a bar
  stopped: "M-5-5L5 5M5-5L-5 5", // a cross
  unreachable: "M-5-5L5 5M5-5L-5 5",
};

export const shapeOf = (word) => SHAPES[word] ?? SHAPES.degraded;

const FLAGS = {
  failed_outlier_check: "ejected",
  failed_active_hc: "unhealthy",
  failed_eds_health: "unhealthy",
  degraded_active_hc: "degraded",
};

export function edgeWord(edge) {
  const flag = edge.flags.find((each) => FLAGS[each]);
  if (flag) return FLAGS[flag];
  return edge.health;
}

// What is wrong with a node comes first: its own state, then what those say who call it, then faults that were switched on.
export function nodeWord(node, edges, faults) {
  if (node.state !== "healthy") return node.state;
  const called = edges.filter((edge) => edge.to === node.id).map(edgeWord);
  for (const word of ["ejected", "unhealthy", "degraded"]) if (called.includes(word)) return word;
  return faults ? "faulty" : "healthy";
}
