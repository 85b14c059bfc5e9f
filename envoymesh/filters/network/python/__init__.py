"""`envoymesh.network.PythonFilter`: a network filter that stands in a user's Python file (`envoymesh.api`)."""
