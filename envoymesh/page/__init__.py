"""The page: the mesh as a live picture in a browser, put together from the proxies' own admins. docs/page.md."""
