"""What a test run shares: the fakes' thread, the template of proxies, the authority. It must not know pytest."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from envoymesh.native.loader import VARIABLE
from envoymesh.testing.certificates import Authority
from envoymesh.testing.fake import Fake, LoopThread
from envoymesh.testing.processes import Handle, Outputs, Template
from envoymesh.testing.proxy import Proxy
from envoymesh.testing.rewriting import Configuration


class Workshop:
    """Makes proxies. Nothing is started before it is needed.

    Args:
        envoy: the real Envoy's program, to run that; None runs ours.
        folder: the working directory of proxies, from which the relative names in a configuration start.
    """

    def __init__(self, envoy: Path | None, folder: Path) -> None:
        self._envoy = envoy
        self._folder = folder
        self._authority = Authority()
        self._thread: LoopThread | None = None
        self._templates: dict[str, Template] = {}

    def proxy(
        self, path: Path, upstreams: Mapping[str, Any], folder: Path, flags: Sequence[str], seconds: float
    ) -> Proxy:
        """A running proxy of a file. Errors: TestingError, ConfigError. What was begun is stopped then."""
        configuration = Configuration(path)
        counts = configuration.clusters()
        fakes: dict[str, Fake] = {}
        proxy: Proxy | None = None
        try:
            for name, behaviour in configuration.choose(upstreams).items():
                fakes[name] = Fake(self._running_thread(), name, behaviour, max(1, counts[name]))
            addresses = {name: [host.address for host in fake.hosts] for name, fake in fakes.items()}
            rewritten = configuration.rewritten(addresses, folder, self._authority)
            proxy = Proxy(self._start, folder, configuration, rewritten, fakes, self._envoy is None)
            proxy.start(flags, seconds)
        except BaseException:
            if proxy is not None:
                proxy.stop()
            else:
                for fake in fakes.values():
                    fake.close()
            raise
        return proxy

    def close(self) -> None:
        """Stop what is shared."""
        for template in self._templates.values():
            template.close()
        if self._thread is not None:
            self._thread.close()

    def _running_thread(self) -> LoopThread:
        if self._thread is None:
            self._thread = LoopThread()
        return self._thread

    def _start(self, words: Sequence[str], outputs: Outputs) -> Handle:
        if self._envoy is not None:
            template = self._template("", None)
            return template.start([*words, "--use-dynamic-base-id"], self._folder, outputs, self._envoy)
        # Whether compiled modules run is decided when they are imported.
        template = self._template(os.environ.get(VARIABLE, ""), Path(words[words.index("-c") + 1]))
        return template.start(words, self._folder, outputs)

    def _template(self, kind: str, configuration: Path | None) -> Template:
        if kind not in self._templates:
            self._templates[kind] = Template(configuration)
        return self._templates[kind]
