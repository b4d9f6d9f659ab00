#!/usr/bin/env bash
# Installs the project into /opt/venv and compiles it: install-code.sh LANE
set -euo pipefail
source requirements/bootstrap.sh "${1:?usage: install-code.sh LANE}-image" /opt/venv

find_or_install_uv
install_project
# Unchecked, so that the bytecode counts whatever becomes of the files' times, and nobody tries to write it.
/opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash data trainer components pipeline
/opt/venv/bin/deconvflow --help >/dev/null
# Readable for any user, writable for none but root.
chmod -R u+rwX,go+rX,go-w .
