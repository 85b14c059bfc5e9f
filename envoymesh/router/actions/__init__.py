"""What a matched route does (envoy.config.route.v3.RouteAction and the like): settings and pure functions of a request.

Nothing here sends, waits or counts; the router filter does as it is told.
"""
