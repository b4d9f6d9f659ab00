#!/usr/bin/env bash
# Installs the locked packages of a lane into /opt/venv: install-stack.sh LANE cpu|cuda
set -euo pipefail
lane=${1:?usage: install-stack.sh LANE cpu|cuda}
device=${2:?usage: install-stack.sh LANE cpu|cuda}
source requirements/bootstrap.sh "$lane-image" /opt/venv
lane=$1

case $device in
cpu) locks=("$lock") ;;
cuda) locks=("$lock" "requirements/$lane-cuda.txt") ;;
*) fail "DEVICE is cpu or cuda, not '$device'." ;;
esac
[ -f "$lock" ] || fail "There is no lane '$lane'. Lanes: tfx-1-16 and tfx-1-21."
refuse_other_machines
find_or_install_uv
hand_on_pip_settings
make_venv
say "installing the packages of ${locks[*]}"
# Copies, for hard links do not reach from one layer into another; nothing of the cache is to stay in this one.
UV_LINK_MODE=copy UV_NO_CACHE=1 install_locks "${locks[@]}"
# XLA calls ptxas, which comes with the wheels and is on no path.
for program in /opt/venv/lib/python3*/site-packages/nvidia/cuda_nvcc/bin/*; do
    [ ! -f "$program" ] || ln -sf "$program" /opt/venv/bin/
done
