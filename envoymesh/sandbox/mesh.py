"""The services of a description, and beside them its pages, which nothing waits for; another example, without an end.

It must not know how it is asked, nor print.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from envoymesh.sandbox.compose import Project, Service, load
from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.examples import FOLDER, find
from envoymesh.sandbox.supervisor import Row, Supervisor

Make = Callable[[Project, Mapping[str, int]], Supervisor]
"""Makes the supervisor of some services, with the numbers of their replicas where they are not the description's."""


class Mesh:
    """A mesh and its pages.

    Args:
        scale: replicas by service, where it is not the description's number.
        token: gives what a page's address carries behind the #.
        say: takes a line for people about what happened.
    """

    def __init__(
        self,
        project: Project,
        scale: Mapping[str, int],
        make: Make,
        token: Callable[[], str],
        say: Callable[[str], None],
    ) -> None:
        mesh, pages = project.parted()
        self._make = make
        self._token = token
        self._say = say
        page_scale = {name: count for name, count in scale.items() if name in pages.services}
        self._scale = {name: count for name, count in scale.items() if name not in pages.services}
        self.services = make(mesh, self._scale)
        self.pages = make(pages, page_scale)
        self._changing = False

    async def open_pages(self) -> None:
        """Start the pages, and tell where they are. What hinders one is told too, and costs the mesh nothing."""
        try:
            await self.pages.up()
        except SandboxError as error:
            self._say(f"The mesh runs without its page: {error}")
            return
        for line in self.page_lines():
            self._say(line)

    def page_lines(self) -> list[str]:
        """Where each page is, with the token."""
        services = [self.pages.project.services[row["Service"]] for row in self.pages.rows()]
        return [f"Page: {each.page}#token={self._token()}" for each in services]

    async def down(self) -> None:
        """Stop everything."""
        await self.pages.down()
        await self.services.down()

    def send_kill(self) -> None:
        """End every process at once, and wait for nothing."""
        self.pages.send_kill()
        self.services.send_kill()

    # Commands

    async def rows(self) -> list[Row]:
        """The replicas, in the description's order."""
        return [*self.services.rows(), *self.pages.rows()]

    async def about(self) -> dict[str, Any]:
        """What the page must know of the description."""
        project = self.services.project
        return {
            "folder": str(project.folder),
            "file": str(project.file),
            "example": self.example,
            "services": {name: _about(each) for name, each in project.services.items()},
        }

    @property
    def example(self) -> str | None:
        """The name of the example that is laid over the description."""
        folder = self.services.project.folder / FOLDER
        names = [each.parent.name for each in self.services.project.overlays if each.parent.parent == folder]
        return names[-1] if names else None

    async def change(self, example: str | None) -> None:
        """Run an example in the place of what runs now, or none; the pages stay.

        Errors: SandboxError when it does not come up; then what ran before is started again.
        """
        if self._changing:
            raise SandboxError("another example is being started")
        before = self.services.project
        wanted = self._with_example(before, example)
        self._changing = True
        try:
            await self._run(wanted)
        except SandboxError:
            await self._run(before)
            raise
        finally:
            self._changing = False

    async def _run(self, project: Project) -> None:
        await self.services.down()
        known = {name: count for name, count in self._scale.items() if name in project.services}
        self.services = self._make(project, known)
        await self.services.up()

    def _with_example(self, project: Project, example: str | None) -> Project:
        folder = project.folder / FOLDER
        overlays = [each for each in project.overlays if each.parent.parent != folder]
        if example is not None:
            overlays.append(find(project.folder, example))
        made, _ = load(project.file, os.environ, overlays).parted()
        return replace(made, network=project.network)

    async def scale(self, name: str, count: int) -> None:
        """Run so many replicas of a service."""
        await (self.pages if name in self.pages.project.services else self.services).scale(name, count)
        self._scale[name] = count

    async def start(self, name: str) -> None:
        """Start a replica that was stopped or killed."""
        await self._of(name).start(name)

    async def stop(self, name: str) -> None:
        """Stop a replica."""
        await self._of(name).stop(name)

    async def kill(self, name: str) -> None:
        """End a replica at once."""
        await self._of(name).kill(name)

    async def pause(self, name: str) -> None:
        """Let a replica stand still."""
        await self._of(name).pause(name)

    async def resume(self, name: str) -> None:
        """Let it go on."""
        await self._of(name).resume(name)

    def _of(self, replica: str) -> Supervisor:
        return self.pages if any(row["Name"] == replica for row in self.pages.rows()) else self.services


def _about(service: Service) -> dict[str, Any]:
    words = service.healthcheck.test
    return {
        "published": sorted(service.ports),
        "configs": dict(service.configs),
        "checks": ["/" + word.split("/", 3)[3] for word in words if word.count("/") >= 3 and "://" in word],
    }
