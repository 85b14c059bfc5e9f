"""The page's libraries, taken from npm once and kept with the source. Nothing here is needed to install or run."""
