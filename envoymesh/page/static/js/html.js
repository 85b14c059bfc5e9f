// Where components are written: `html` makes Preact elements of templates, without a build step and without eval.
import { h } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export const html = htm.bind(h);
