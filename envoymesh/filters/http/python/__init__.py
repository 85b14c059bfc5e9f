"""`envoymesh.http.PythonFilter`: an HTTP filter that stands in a user's Python file (`envoymesh.api`)."""
