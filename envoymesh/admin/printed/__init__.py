"""Configuration messages as JSON that is made step by step."""
