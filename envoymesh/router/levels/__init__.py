"""What every level of a route configuration may have: header mutations and settings of HTTP filters."""
