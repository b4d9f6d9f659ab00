#!/usr/bin/env bash
# Writes the locks anew from pyproject.toml, keeping versions that still fit: lock.sh [--upgrade]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/bootstrap.sh" tfx-1-16 .venv

find_or_install_uv
hand_on_pip_settings
# From the main index alone: an extra one would leave out the hashes of files that it does not hold.
unset UV_INDEX UV_FIND_LINKS UV_INDEX_STRATEGY

# No index address and no header in the locks: they must not tell where they were made.
compile() { # SOURCE LOCK OPTION...
    "$uv" pip compile -q --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
        "$1" -o "requirements/$2.txt" "${@:3}"
}

# Of a lock, the packages whose names begin with a word.
keep() { # LOCK WORD
    awk -v word="$2" '!/^ / {kept = index($0, word) == 1} kept' "requirements/$1.txt" >"requirements/$1.tmp"
    mv "requirements/$1.tmp" "requirements/$1.txt"
}

for lane in tfx-1-16 tfx-1-21; do
    compile pyproject.toml "$lane" --extra "$lane" --extra dev "$@"
    # What goes into the image: the same versions without the tools of development, and CUDA's libraries.
    compile pyproject.toml "$lane-image" --extra "$lane" --constraint "requirements/$lane.txt" "$@"
    grep -o '^tensorflow==[0-9.]*' "requirements/$lane.txt" | sed 's/==/[and-cuda]==/' |
        compile - "$lane-cuda" --constraint "requirements/$lane.txt" "$@"
    keep "$lane-cuda" nvidia-
done
for group in torch audit; do
    "$uv" pip compile -q --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
        --group "pyproject.toml:$group" -o "requirements/$group.txt" "$@"
done
grep -o '^uv==[0-9.]*' requirements/uv.txt | sed "$([ "${1:-}" != --upgrade ] || echo 's/==.*//')" |
    compile - uv "$@"
git diff --stat -- requirements 2>/dev/null || true
