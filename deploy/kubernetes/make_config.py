"""Prints base/config.yaml: the ConfigMaps with the proxies' configurations, as docker-compose.yaml uses them.

python deploy/kubernetes/make_config.py > deploy/kubernetes/base/config.yaml
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = {"front-envoy": "front-envoy/envoy.yaml", "service-envoy": "service-envoy/service-envoy.yaml"}


def config_map(name: str, file: Path) -> str:
    """One ConfigMap with one file, as a block of text, so that it reads as the file does."""
    text = "".join(f"    {line}".rstrip() + "\n" for line in file.read_text().splitlines())
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  {file.name}: |\n{text}"


def document() -> str:
    """The whole file."""
    head = "# Made by deploy/kubernetes/make_config.py.\n"
    return head + "---\n".join(config_map(name, ROOT / file) for name, file in CONFIGS.items())


if __name__ == "__main__":
    print(document(), end="")
