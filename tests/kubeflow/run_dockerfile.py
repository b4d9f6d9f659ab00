"""Executes a Dockerfile without a container engine: RUN steps by chroot, layers by overlay mounts.

python tests/kubeflow/run_dockerfile.py DOCKERFILE BASE_ROOT [--arg NAME=VALUE] [--work DIR] [-- COMMAND...]

BASE_ROOT is a root file system that stands for the base image of the first stage, such as debootstrap makes;
it is not changed. COMMAND runs in the last stage as a cluster would run it: root file system read-only, an
arbitrary uid of group 0, only /tmp writable. Needs root. Knows the instructions that our Dockerfile uses and
refuses others.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

HANDED_IN = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt")
"""What a container engine, or an administrator, brings into a build."""
ARBITRARY_UID = 1000740000
"""Such as OpenShift gives: nobody's in /etc/passwd."""


@dataclass(frozen=True)
class Instruction:
    """One instruction, continuation lines joined."""

    name: str
    rest: str
    line: int


@dataclass
class Stage:
    """One FROM and what follows it."""

    name: str
    parent: str
    instructions: list[Instruction] = field(default_factory=list)


def parse_instructions(text: str) -> Iterator[Instruction]:
    """Yields the instructions of a Dockerfile; comments are left out, within continuations, too."""
    parts: list[str] = []
    start = 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not line.strip() and not parts):
            continue
        start = start if parts else number
        parts.append(line.strip().removesuffix("\\").strip())
        if not line.rstrip().endswith("\\"):
            name, _, rest = " ".join(parts).partition(" ")
            yield Instruction(name.upper(), rest.strip(), start)
            parts = []


def parse_stages(text: str, arguments: Mapping[str, str]) -> list[Stage]:
    """Returns the stages; ARGs before the first FROM are put into the FROMs.

    Raises:
        ValueError: if an instruction comes before any FROM.
    """
    stages: list[Stage] = []
    outer: dict[str, str] = {}
    for instruction in parse_instructions(text):
        if instruction.name == "FROM":
            parent, _, name = substitute(instruction.rest, outer).partition(" AS ")
            stages.append(Stage(name or str(len(stages)), parent))
        elif stages:
            stages[-1].instructions.append(instruction)
        elif instruction.name == "ARG":
            name, _, default = instruction.rest.partition("=")
            outer[name] = arguments.get(name, default)
        else:
            raise ValueError(f"line {instruction.line}: {instruction.name} before FROM")
    return stages


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """Replaces ``$NAME`` and ``${NAME}``; unknown names become empty, as in a Dockerfile."""
    return re.sub(r"\$\{?(\w+)\}?", lambda match: variables.get(match[1], ""), text)


def split_flags(rest: str) -> tuple[list[str], str]:
    """Splits ``--flag=value ... rest``."""
    flags = re.match(r"(?:--\S+\s+)*", rest)
    assert flags is not None
    return flags[0].split(), rest[flags.end() :]


def read_ignored(context: Path) -> list[str]:
    """Returns the patterns of the context's .dockerignore."""
    file = context / ".dockerignore"
    lines = file.read_text().splitlines() if file.exists() else []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def is_sent(path: str, patterns: Sequence[str]) -> bool:
    """Tells whether a file of the context reaches the builder; the last pattern that matches decides."""
    sent = True
    parents = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
    for pattern in patterns:
        plain = pattern.removeprefix("!").rstrip("/")
        plain_names = [plain, plain.removeprefix("**/")] if plain.startswith("**/") else [plain]
        hits = any(
            fnmatch.fnmatchcase(part if "/" in name or name == plain else Path(part).name, name)
            for part in parents
            for name in plain_names
        )
        if hits:
            sent = pattern.startswith("!")
    return sent


class Builder:
    """Runs stages below a work folder; each has an overlay of its own."""

    def __init__(self, context: Path, base: Path, work: Path, arguments: Mapping[str, str]) -> None:
        self.context = context
        self.base = base
        self.work = work
        self.arguments = dict(arguments)
        self.layers: dict[str, list[Path]] = {}
        self.roots: dict[str, Path] = {}
        self.environments: dict[str, dict[str, str]] = {}
        self.folders: dict[str, str] = {}
        self.users: dict[str, str] = {}
        self.commands: dict[str, list[str]] = {}
        self.ignored = read_ignored(context)

    def run(self, stage: Stage) -> None:
        """Runs one stage."""
        self._mount(stage)
        variables: dict[str, str] = {}
        for instruction in stage.instructions:
            handler = getattr(self, f"_do_{instruction.name.lower()}", None)
            if handler is None:
                raise ValueError(f"line {instruction.line}: {instruction.name} is not known here")
            print(f"[{stage.name}] {instruction.name} {instruction.rest[:110]}", file=sys.stderr, flush=True)
            handler(stage, instruction.rest, variables)

    def _mount(self, stage: Stage) -> None:
        lower = self.layers.get(stage.parent, [self.base])
        place = self.work / stage.name
        upper, scratch, root = (place / part for part in ("up", "work", "root"))
        for folder in (upper, scratch, root):
            folder.mkdir(parents=True)
        options = f"lowerdir={':'.join(map(str, lower))},upperdir={upper},workdir={scratch}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(root)], check=True)
        for kind, target in (("proc", "proc"), ("sysfs", "sys")):
            (root / target).mkdir(exist_ok=True)
            subprocess.run(["mount", "-t", kind, kind, str(root / target)], check=True)
        subprocess.run(["mount", "--rbind", "/dev", str(root / "dev")], check=True)
        for path in HANDED_IN:
            if Path(path).exists() and (root / path[1:]).parent.is_dir():
                shutil.copy(path, root / path[1:])
        self.layers[stage.name] = [upper, *lower]
        self.roots[stage.name] = root
        self.environments[stage.name] = dict(self.environments.get(stage.parent, {}))
        self.folders[stage.name] = self.folders.get(stage.parent, "/")
        self.users[stage.name] = self.users.get(stage.parent, "0:0")

    def _known(self, stage: Stage, variables: Mapping[str, str]) -> dict[str, str]:
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {"PATH": path, "HOME": "/root"} | dict(variables) | self.environments[stage.name]

    def _do_arg(self, stage: Stage, rest: str, variables: dict[str, str]) -> None:
        name, _, default = rest.partition("=")
        variables[name] = self.arguments.get(name, default)

    def _do_env(self, stage: Stage, rest: str, variables: dict[str, str]) -> None:
        known = self._known(stage, variables)
        for pair in rest.split():
            name, _, value = pair.partition("=")
            self.environments[stage.name][name] = substitute(value, known)

    def _do_workdir(self, stage: Stage, rest: str, variables: dict[str, str]) -> None:
        self.folders[stage.name] = str(Path(self.folders[stage.name]) / rest)
        (self.roots[stage.name] / self.folders[stage.name][1:]).mkdir(parents=True, exist_ok=True)

    def _do_user(self, stage: Stage, rest: str, variables: dict[str, str]) -> None:
        self.users[stage.name] = rest

    def _do_cmd(self, stage: Stage, rest: str, variables: dict[str, str]) -> None:
        self.commands[stage.name] = json.loads(rest)

    def _do_run(self, stage: Stage, rest: str, variables: dict[str, str]) -> None:
        _, command = split_flags(rest)
        self.enter(stage.name, ["/bin/sh", "-c", command], self._known(stage, variables))

    def enter(
        self,
        stage: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        output: TextIO | None = None,
    ) -> None:
        """Runs a command in a stage, as its user; what building prints goes to stderr.

        Raises:
            subprocess.CalledProcessError: if it fails.
        """
        inside = ["sh", "-c", 'cd "$0" && exec "$@"', self.folders[stage], *command]
        settings = [f"{name}={value}" for name, value in environment.items()]
        # By its path: the PATH that is set is the stage's own.
        by_user = [
            shutil.which("chroot") or "/usr/sbin/chroot",
            f"--userspec={self.users[stage]}",
            "--groups=0",
            str(self.roots[stage]),
        ]
        subprocess.run(["env", "-i", *settings, *by_user, *inside], stdout=output or sys.stderr, check=True)

    def _do_copy(self, stage: Stage, rest: str, variables: dict[str, str]) -> None:
        flags, paths = split_flags(rest)
        *sources, target = paths.split()
        source_root = self.context
        for flag in flags:
            if not flag.startswith("--from="):
                raise ValueError(f"COPY {flag} is not known here")
            source_root = self.roots[flag.removeprefix("--from=")]
        from_context = source_root == self.context
        into = self.roots[stage.name] / str(Path(self.folders[stage.name]) / target)[1:]
        for source in sources:
            self._copy_one(source_root, source.lstrip("/"), into, target.endswith("/"), from_context)

    def _copy_one(self, root: Path, source: str, into: Path, is_folder: bool, filtered: bool) -> None:
        path = root / source
        if not path.is_dir():
            if filtered and not is_sent(source, self.ignored):
                raise ValueError(f"COPY {source}: .dockerignore keeps it from the builder")
            into = into / path.name if is_folder or into.is_dir() else into
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, into)
            return

        def leave_out(folder: str, names: list[str]) -> set[str]:
            places = {name: str((Path(folder) / name).relative_to(root)) for name in names}
            return {
                name
                for name, place in places.items()
                if filtered and not (root / place).is_dir() and not is_sent(place, self.ignored)
            }

        shutil.copytree(path, into, symlinks=True, ignore=leave_out, dirs_exist_ok=True)

    def enter_as_cluster(self, stage: str, command: Sequence[str]) -> None:
        """Runs a command in a stage as Kubernetes does under the restricted profile."""
        root = self.roots[stage]
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(root / "tmp")], check=True)
        subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
        self.users[stage] = f"{ARBITRARY_UID}:0"
        environment = self._known(Stage(stage, ""), {})
        self.enter(stage, command or self.commands[stage], environment, output=sys.stdout)


def main() -> int:
    """Builds, then runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("dockerfile", type=Path)
    parser.add_argument("base", type=Path)
    parser.add_argument("--arg", action="append", default=[])
    parser.add_argument("--work", type=Path, required=True)
    given, _, command = "\0".join(sys.argv[1:]).partition("\0--\0")
    options = parser.parse_args(given.split("\0"))
    if os.environ.get("DECONVFLOW_OWN_MOUNTS") != "1":
        # In a mount namespace of its own, so that no mount outlives this process.
        os.environ["DECONVFLOW_OWN_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])
    arguments = dict(pair.split("=", 1) for pair in options.arg)
    context = options.dockerfile.resolve().parents[1]
    builder = Builder(context, options.base.resolve(), options.work.resolve(), arguments)
    stages = parse_stages(options.dockerfile.read_text(), arguments)
    try:
        for stage in stages:
            builder.run(stage)
        builder.enter_as_cluster(stages[-1].name, command.split("\0") if command else [])
    except subprocess.CalledProcessError as error:
        print(f"failed with {error.returncode}: {error.cmd[-1]}", file=sys.stderr)
        return error.returncode or 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
