"""/stats?format=html and active-html: a form over the stats, and the page that keeps itself up to date.

It must not write a stat itself (the stats room does), nor serve anything but these two pages.
"""

from html import escape
from itertools import chain

from envoymesh.admin.context import AdminParts
from envoymesh.admin.endpoint import Endpoint, Parameter, ParameterKind
from envoymesh.admin.html import page, parameter_row
from envoymesh.admin.messages import HTML, Request, Response
from envoymesh.stats.selection import Selection
from envoymesh.stats.text import write_text

_SUBMIT = "stats.submit()"
_NOT_ON_THE_ACTIVE_PAGE = ("format", "histogram_buckets")
_GRAY = "<tr class='gray'>"

_HEAD = """
<table class='home-table'>
  <thead>
    <tr>
      <th class='home-data'>Command</th>
      <th class='home-data'>Description</th>
    </tr>
  </thead>
  <tbody>
    <tr>
      <td><form action='stats' method='get' id='stats' class='home-form'></form></td>
      <td></td>
    </tr>
"""
_FOOT = "  </tbody>\n</table>\n"

_ACTIVE_INPUT = """{row}
  <td class='option'><input type='text' name='{name}' id='active-{name}' value='{value}' /></td>
  <td class='home-data'><label for='active-{name}'>{label}</label></td>
</tr>
"""
_ACTIVE_INPUTS = (
    ("max-display-count", 50, "Maximum number of stats to display"),
    ("update-interval", 5, "Number of seconds between each update"),
)

# The stats that changed most often come first; what the form says counts from the next update on.
_ACTIVE_SCRIPT = """
const field = (name) => document.getElementById(name);
const param = (name) => field('param-1-stats-' + name);
const changes = new Map(), values = new Map();

function address() {
  const query = new URLSearchParams({format: 'json', type: param('type').value});
  for (const name of ['usedonly', 'invert_filter']) if (param(name).checked) query.set(name, '');
  if (param('filter').value) query.set('filter', param('filter').value);
  return 'stats?' + query;
}

function lines(stats) {
  const rows = stats.filter((stat) => 'name' in stat).map((stat) => [stat.name, String(stat.value)]);
  for (const {histograms} of stats.filter((stat) => 'histograms' in stat)) {
    const percents = histograms.supported_quantiles;
    for (const {name, values} of histograms.computed_quantiles) {
      const parts = values.map((value, at) => `P${percents[at]}(${value.interval},${value.cumulative})`);
      rows.push([name, values.some((value) => value.cumulative !== null) ? parts.join(' ') : 'No recorded values']);
    }
  }
  return rows;
}

async function update() {
  try {
    const answer = await fetch(address());
    if (!answer.ok) throw new Error(await answer.text());
    const rows = lines((await answer.json()).stats);
    for (const [name, value] of rows) {
      if (values.has(name) && values.get(name) !== value) changes.set(name, (changes.get(name) || 0) + 1);
      values.set(name, value);
    }
    const often = (name) => changes.get(name) || 0;
    rows.sort((one, other) => often(other[0]) - often(one[0]) || (one[0] < other[0] ? -1 : 1));
    const shown = rows.slice(0, Number(field('active-max-display-count').value) || rows.length);
    field('active-content-pre').textContent =
        shown.map(([name, value]) => `${name}: ${value} (${often(name)})`).join('\\n');
    field('active-error-status').textContent = '';
  } catch (error) {
    field('active-error-status').textContent = `${new Date().toLocaleTimeString()}: ${error.message}`;
  }
  setTimeout(update, 1000 * Math.max(1, Number(field('active-update-interval').value) || 5));
}
update();
"""


def stats_page(context: AdminParts, request: Request, endpoint: Endpoint, selection: Selection) -> Response:
    """The stats as they are now; a change of the form asks anew."""
    rows = [_row(endpoint, each, request, _SUBMIT) for each in endpoint.parameters]
    readouts = "" if any(selection.text_readouts(context.store)) else "<br/><i>No text readouts found</i><br/>\n"
    before, after = page("\0").split("\0")
    head = f"{before}{_HEAD}{''.join(rows)}{_FOOT}{readouts}<pre>\n"
    text = map(escape, write_text(context.store, selection))
    return Response(chain([head], text, [f"</pre>\n{after}"]), content_type=HTML)


def active_page(request: Request, endpoint: Endpoint) -> Response:
    """A page that asks for the stats again and again, and shows first what changes most."""
    shown = [each for each in endpoint.parameters if each.name not in _NOT_ON_THE_ACTIVE_PAGE]
    rows = [_row(endpoint, each, request) for each in shown]
    rows += [
        _ACTIVE_INPUT.format(row=_GRAY, name=name, value=value, label=label) for name, value, label in _ACTIVE_INPUTS
    ]
    body = (
        f"{_HEAD}{''.join(rows)}{_FOOT}"
        "<div id='active-error-status' class='error-status-line'></div>\n<pre id='active-content-pre'></pre>\n"
        f"<script>{_ACTIVE_SCRIPT}</script>\n"
    )
    return Response(page(body), content_type=HTML)


def _row(endpoint: Endpoint, parameter: Parameter, request: Request, on_change: str = "") -> str:
    if parameter.kind is ParameterKind.BOOLEAN:
        chosen = "checked" if request.flag(parameter.name) else ""
    else:
        chosen = request.params.get(parameter.name, "")
    return parameter_row(endpoint, parameter, 1, _GRAY, chosen, on_change)
