"""What makes, tries and describes the wheels. It uses the package's own build, and must not be in any wheel."""
