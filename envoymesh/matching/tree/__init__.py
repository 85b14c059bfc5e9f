"""Generic matcher trees (xds.type.matcher.v3.Matcher): from facts of a request to an action, compiled at load."""
