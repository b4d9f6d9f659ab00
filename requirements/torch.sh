#!/usr/bin/env bash
# Sets PyTorch up, which the benchmarks measure against: torch.sh VENV
set -euo pipefail
venv_of_torch=${1:?usage: torch.sh VENV}
source "$(dirname "${BASH_SOURCE[0]}")/bootstrap.sh" torch "$venv_of_torch"

find_or_install_uv
hand_on_pip_settings
make_venv
say "installing the packages of $lock into $venv"
install_locks "$lock"
say "ready: PyTorch in $venv, ${SECONDS} s"
