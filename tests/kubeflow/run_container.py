"""Runs a container's command line as Kubernetes and the launcher would: who runs it, with what, and where."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NOBODY = 12345
"""Any id: the image names none, and the cluster chooses."""
IS_ROOT = os.geteuid() == 0 and shutil.which("setpriv") is not None
"""Whether containers are run as ``NOBODY``; as ourselves otherwise."""


def as_nobody() -> list[str]:
    """Returns what runs a command as another user, who may write nothing that is not given to him.

    He may read everything, unlike in a container: there Python is not below somebody's closed home.
    """
    if not IS_ROOT:
        return []
    capability = "dac_read_search"
    return [
        str(shutil.which("setpriv")), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
        f"--inh-caps=-all,+{capability}", f"--ambient-caps=+{capability}", "--no-new-privs",
    ]  # fmt: skip


@dataclass(frozen=True)
class Container:
    """A container, and the pod around it."""

    spec: Mapping[str, Any]
    platform: Mapping[str, Any]
    executor_input: Mapping[str, Any]
    pod: Path
    labels: Mapping[str, str]
    secrets: Mapping[str, Mapping[str, str]]

    def environment(self) -> dict[str, str]:
        """Returns what the two documents give the container, and nothing of this process."""
        variables = {one["name"]: one["value"] for one in self.spec.get("env", [])}
        for one in self.platform.get("fieldPathAsEnv", []):
            match = re.fullmatch(r"metadata\.labels\['([^']+)'\]", one["fieldPath"])
            assert match, f"this stand-in knows no field {one['fieldPath']}"
            variables[one["name"]] = self.labels[match[1]]
        for secret in self.platform.get("secretAsEnv", []):
            name = secret.get("secretName") or secret["secretNameParameter"]["runtimeValue"]["constant"]
            for pair in secret["keyToEnv"]:
                variables[pair["envVar"]] = self.secrets[name][pair["secretKey"]]
        return variables

    def command(self) -> list[str]:
        """Returns the command line: Kubernetes puts variables in, then the launcher values and URIs."""
        environment = self.environment()
        placeholders = self._placeholders()
        words = [*self.spec["command"], *self.spec["args"]]
        return [_replace(expand_variables(word, environment), placeholders) for word in words]

    def volumes(self) -> list[Path]:
        """Returns the folders that the pod mounts."""
        mounts = [*self.platform.get("pvcMount", []), *self.platform.get("emptyDirMounts", [])]
        return [Path(one["mountPath"]) for one in mounts]

    def _placeholders(self) -> dict[str, str]:
        inputs, outputs = self.executor_input["inputs"], self.executor_input["outputs"]
        found = {"{{$}}": json.dumps(self.executor_input)}
        for side, artifacts in (("inputs", inputs["artifacts"]), ("outputs", outputs.get("artifacts", {}))):
            for name, listed in artifacts.items():
                found[f"{{{{$.{side}.artifacts['{name}'].uri}}}}"] = listed["artifacts"][0]["uri"]
        for name, value in inputs["parameterValues"].items():
            found[f"{{{{$.inputs.parameters['{name}']}}}}"] = format_value(value)
        for name, parameter in outputs.get("parameters", {}).items():
            found[f"{{{{$.outputs.parameters['{name}'].output_file}}}}"] = parameter["outputFile"]
        return found


def format_value(value: Any) -> str:
    """Returns a parameter as the launcher writes it into a command line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    return value if isinstance(value, str) else json.dumps(value)


def expand_variables(text: str, environment: Mapping[str, str]) -> str:
    """Returns a word as Kubernetes expands it: ``$(NAME)``, where there is one; ``$$`` is a dollar."""

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return environment.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)", replace, text)


def _replace(word: str, placeholders: Mapping[str, str]) -> str:
    for placeholder, value in placeholders.items():
        if placeholder in word:
            word = word.replace(placeholder, value)
            if placeholder == "{{$}}":
                break  # What stands in the values is no placeholder.
    return word


@dataclass(frozen=True)
class Finished:
    """A container that ended."""

    status: int
    log: str
    seconds: float


@dataclass
class Runtime:
    """Runs containers as processes: as nobody where this process may, else as itself.

    Attributes:
        stand_ins: variables that the machine needs and an image would have, PATH and HOME apart.
        timeout_seconds: for one container.
    """

    stand_ins: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = 1200.0

    def run(self, container: Container) -> Finished:
        """Runs a container to its end."""
        for folder in container.volumes():
            assert folder.is_dir(), f"the pod cannot start: there is no volume {folder}"
        log_file = container.pod / "log"
        log_file.touch()
        _give(container.pod)
        started = time.monotonic()
        with log_file.open("ab") as log:
            status = self.start(container, log.fileno())
        seconds = time.monotonic() - started
        return Finished(status, log_file.read_text(encoding="utf-8", errors="replace"), seconds)

    def start(self, container: Container, log: int) -> int:
        """Runs the command line in a process of its own; returns its status."""
        return subprocess.run(
            [*as_nobody(), *container.command()], env=self.environment(container), cwd=container.pod,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=self.timeout_seconds, check=False,
        ).returncode  # fmt: skip

    def environment(self, container: Container) -> dict[str, str]:
        """Returns the process' whole environment."""
        scratch = str(container.pod / "tmp")
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": scratch,
            "TMPDIR": scratch,
            "DECONVFLOW_STAGING_ROOT": str(container.pod),
            **self.stand_ins,
            **container.environment(),
        }


class WarmRuntime(Runtime):
    """Runs containers as children of one process that has imported TFX (``warm_steps``)."""

    def __init__(self, stand_ins: Mapping[str, str] | None = None) -> None:
        super().__init__(stand_ins or {})
        program = Path(__file__).with_name("warm_steps.py")
        self._server = subprocess.Popen(
            [*as_nobody(), sys.executable, str(program)], cwd="/", text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self, container: Container, log: int) -> int:
        """Runs the command line in a child; returns its status."""
        job = {
            "command": container.command(),
            "environment": self.environment(container),
            "cwd": str(container.pod),
            "log": str(container.pod / "log"),
        }
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def close(self) -> None:
        """Ends the process."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()


def _give(folder: Path) -> None:
    """Makes a pod's own folder that of the user whom its container runs as."""
    if not IS_ROOT:
        return
    os.chown(folder, NOBODY, NOBODY)
    for path in folder.rglob("*"):
        os.chown(path, NOBODY, NOBODY)
