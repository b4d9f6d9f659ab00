#!/usr/bin/env bash
# Builds the image with what this machine has for it: build.sh IMAGE LANE cpu|cuda
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
image=${1:?usage: build.sh IMAGE LANE cpu|cuda}
lane=${2:?usage: build.sh IMAGE LANE cpu|cuda}
device=${3:?usage: build.sh IMAGE LANE cpu|cuda}

fail() {
    printf '%s\n' "image: $*" >&2
    exit 1
}

case $device in cpu | cuda) ;; *) fail "DEVICE is cpu or cuda, not '$device'." ;; esac
case $lane in
tfx-1-16) base=debian:bookworm-slim ;;
tfx-1-21) base=debian:trixie-slim ;;
*) fail "There is no lane '$lane'. Lanes: tfx-1-16 tfx-1-21." ;;
esac

# A client without its daemon builds nothing.
if command -v docker >/dev/null && docker version >/dev/null 2>&1; then
    builder=(docker build)
elif command -v podman >/dev/null; then
    builder=(podman build)
elif command -v buildah >/dev/null; then
    builder=(buildah build)
else
    fail "Neither a running docker nor podman or buildah is here; kubeflow/README.md shows how a cluster builds it."
fi

options=(--build-arg "BASE=${BASE:-$base}" --build-arg "LANE=$lane" --build-arg "DEVICE=$device")
# The settings of a private index go in as secrets, and stay in no layer.
[ ! -f "${UV_CONFIG_FILE:-$HOME/.config/uv/uv.toml}" ] ||
    options+=(--secret "id=uv.toml,src=${UV_CONFIG_FILE:-$HOME/.config/uv/uv.toml}")
[ ! -f "${PIP_CONFIG_FILE:-$HOME/.config/pip/pip.conf}" ] ||
    options+=(--secret "id=pip.conf,src=${PIP_CONFIG_FILE:-$HOME/.config/pip/pip.conf}")

printf '%s\n' "image: ${builder[*]} of $image, lane $lane, $device" >&2
DOCKER_BUILDKIT=1 "${builder[@]}" "${options[@]}" --file kubeflow/Dockerfile --tag "$image" .
