"""HTML for people who open the admin in a browser: the page's frame and the form rows of an endpoint.

It must not know any endpoint by name.
"""

from html import escape

from envoymesh.admin.endpoint import Endpoint, Parameter, ParameterKind

_STYLE = """
.home-table { font: medium sans-serif; border-collapse: collapse; }
.home-data { text-align: left; padding: 4px; }
.home-form { margin-bottom: 0; }
.button-as-link { font: medium sans-serif; color: #069; background: none; border: 0; padding: 0; cursor: pointer;
  text-decoration: underline; }
.gray { background-color: #ddd; }
.vert-space { height: 4px; }
.option { padding: 4px 4px 4px 20px; text-align: right; }
.error-status-line { font: medium sans-serif; color: #c00; }
"""

# Written into the page (three dots and two lines), so that a browser does not ask for /favicon.ico.
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' stroke='%23069' stroke-width='2'"
    "%3E%3Cpath d='M5 12L19 5M5 12l14 7'/%3E%3Cg fill='%23069'%3E%3Ccircle cx='5' cy='12' r='3'/%3E%3Ccircle cx='19' "
    "cy='5' r='3'/%3E%3Ccircle cx='19' cy='19' r='3'/%3E%3C/g%3E%3C/svg%3E"
)


def page(body: str) -> str:
    """A whole document around `body`."""
    return (
        "<!DOCTYPE html>\n<html lang='en'>\n<head>\n"
        f'  <title>Envoy Admin</title>\n  <link rel="icon" href="{_ICON}"/>\n<style>{_STYLE}</style>\n</head>\n'
        f"<body>\n{body}</body>\n</html>\n"
    )


def endpoint_rows(endpoint: Endpoint, index: int, *, gray: bool) -> str:
    """The table rows of an endpoint: a link or a button, and an input for each parameter.

    `index` tells apart the inputs of endpoints whose parameters share a name.
    """
    row = "<tr class='gray'>" if gray else "<tr>"
    lines = [
        "\n<tr class='vert-space'><td></td><td></td></tr>\n",
        f"{row}\n  <td class='home-data'>{_action(endpoint)}</td>\n",
        f"  <td class='home-data'>{_text(endpoint.help)}</td>\n</tr>\n",
    ]
    lines += (parameter_row(endpoint, parameter, index, row) for parameter in endpoint.parameters)
    return "".join(lines)


def parameter_row(
    endpoint: Endpoint, parameter: Parameter, index: int, row: str = "<tr>", chosen: str = "", on_change: str = ""
) -> str:
    """The table row of one parameter, with `chosen` as its present value; `on_change` is a line of script."""
    path = endpoint.path.removeprefix("/")
    identity = f"param-{index}-{path.replace('/', '-')}-{parameter.name}"
    handler = f" onchange='{on_change}'" if on_change else ""
    field = _input(parameter, f"name='{parameter.name}' id='{identity}' form='{path}'{handler}", chosen)
    return (
        f"{row}\n  <td class='option'>{field}</td>\n"
        f"  <td class='home-data'><label for='{identity}'>{_text(parameter.help)}</label></td>\n</tr>\n"
    )


def _text(text: str) -> str:
    return escape(text).replace("&#x27;", "&#39;")


def _action(endpoint: Endpoint) -> str:
    path = endpoint.path.removeprefix("/")
    if not endpoint.mutates and not endpoint.parameters:
        return f"<a href='{path}'>{path}</a>"
    method = "post" if endpoint.mutates else "get"
    button = "<button>" if endpoint.mutates else "<button class='button-as-link'>"
    form = f"<form action='{path}' method='{method}' id='{path}' class='home-form'>"
    return f"{form}\n    {button}{path}</button>\n  </form>"


def _input(parameter: Parameter, attributes: str, chosen: str) -> str:
    if parameter.kind is ParameterKind.BOOLEAN:
        return f"<input type='checkbox' {attributes}{' checked' if chosen else ''}>"
    if parameter.kind is ParameterKind.STRING:
        value = f" value='{_text(chosen)}'" if chosen else ""
        return f"<input type='text' {attributes}{value} />"
    options = "".join(
        f"      <option value='{choice}'{' selected' if choice == chosen else ''}>{choice}</option>\n"
        for choice in parameter.choices
    )
    return f"\n    <select {attributes}>\n{options}    </select>\n  "
