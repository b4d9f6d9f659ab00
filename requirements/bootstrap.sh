#!/usr/bin/env bash
# Sets the environment up: bootstrap.sh LANE VENV
#
# Needs bash and any python3; brings uv and, where it may, Debian's python3-venv along. Asks only the
# package index that this machine is configured with (uv's own settings first, then pip's). Safe to run
# again, also after it was interrupted. The Makefile runs it when .venv is not what the lock says.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

lane=${1:?usage: bootstrap.sh LANE VENV}
venv=${2:?usage: bootstrap.sh LANE VENV}
lock=requirements/$lane.txt
tools=.tools
uv_minimum=0.6.0
log=$tools/setup.log

say() { printf '%s\n' "setup: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

# Runs a command quietly; shows what it said only if it fails.
quietly() {
    mkdir -p "$tools"
    "$@" >"$log" 2>&1 || {
        tail -n 40 "$log" >&2
        return 1
    }
}

refuse_other_machines() {
    [ -f "$lock" ] ||
        fail "There is no lane '$lane'. Lanes: $(cd requirements && ls tfx-*.txt | sed -n 's/^\(tfx-[0-9-]*[0-9]\)\.txt$/\1/p' | xargs)."
    [ "$(uname -sm)" = "Linux x86_64" ] ||
        fail "TFX publishes no packages for $(uname -sm). Use Linux on x86_64, or a container of it."
    local glibc
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2) || true
    [ -n "$glibc" ] ||
        fail "TFX needs a Linux with glibc (Debian, Ubuntu, Fedora ...); this one has another C library."
    [ "$lane" = tfx-1-16 ] || printf '2.39\n%s\n' "$glibc" | sort -VC ||
        fail "Lane $lane needs glibc 2.39, and this machine has $glibc. Use LANE=tfx-1-16."
    command -v python3 >/dev/null || fail "There is no python3 here. Install Python 3.11 first."
}

# Installs Debian packages where that is allowed without asking anybody.
install_from_apt() {
    local as_root=()
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null || return 1
        as_root=(sudo -n)
    fi
    say "installing $* by apt-get"
    quietly "${as_root[@]}" apt-get update -q &&
        quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -q --no-install-recommends "$@"
}

# True for a uv that runs and is new enough.
is_usable_uv() {
    local version
    version=$("$1" --version 2>/dev/null | awk '{print $2}') || return 1
    [ -n "$version" ] && printf '%s\n' "$uv_minimum" "$version" | sort -VC
}

make_tools_venv() {
    rm -rf "$tools/uv"
    python3 -m venv "$tools/uv" >/dev/null 2>&1 && "$tools/uv/bin/python" -m pip --version >/dev/null 2>&1
}

# Leaves the path of a uv in $uv: the machine's own, or the locked one in .tools.
find_or_install_uv() {
    local candidate
    for candidate in uv "$tools/uv/bin/uv"; do
        if is_usable_uv "$candidate"; then
            uv=$candidate
            return
        fi
    done
    say "installing uv into $tools"
    uv=$tools/uv/bin/uv
    if make_tools_venv; then
        quietly "$tools/uv/bin/python" -m pip install --require-hashes -r requirements/uv.txt
    elif rm -rf "$tools/uv" && python3 -m pip --version >/dev/null 2>&1; then
        quietly python3 -m pip install --require-hashes --target "$tools/uv" -r requirements/uv.txt
    elif install_from_apt python3-venv && make_tools_venv; then
        quietly "$tools/uv/bin/python" -m pip install --require-hashes -r requirements/uv.txt
    else
        fail "This python3 has neither venv nor pip. Install one of them (on Debian: apt-get install python3-venv), or uv."
    fi || fail "uv could not be installed; what pip said is above."
    is_usable_uv "$uv" || fail "uv was installed into $tools but does not run."
}

# Prints pip's settings as NAME=VALUE lines, the strongest first: environment, [install], [global].
read_pip_settings() {
    local pip_python=python3 name variable
    for name in index-url extra-index-url find-links cert trusted-host proxy; do
        variable=PIP_$(tr 'a-z-' 'A-Z_' <<<"$name")
        [ -z "${!variable:-}" ] || printf '%s=%s\n' "$name" "${!variable}"
    done
    [ ! -x "$tools/uv/bin/python" ] || pip_python=$tools/uv/bin/python
    # Values come quoted as Python strings; several of them are split by spaces or newlines.
    "$pip_python" -m pip config list 2>/dev/null |
        sed -nE "s/^(install|global)\.([a-z-]+)=(['\"])(.*)\3\$/\1 \2=\4/p" |
        sed 's/\\n/ /g' | sort -rs -k1,1 | cut -d' ' -f2- || true
}

# Exports a variable that is not set yet, if there is a value for it.
hand_on() { # VARIABLE VALUE
    if [ -z "${!1:-}" ] && [ -n "$2" ]; then export "$1=$2"; fi
}

has_uv_index() {
    [ -n "${UV_CONFIG_FILE:-}${UV_INDEX_URL:-}${UV_DEFAULT_INDEX:-}${UV_INDEX:-}${UV_EXTRA_INDEX_URL:-}" ] ||
        [ -f "${XDG_CONFIG_HOME:-$HOME/.config}/uv/uv.toml" ] || [ -f /etc/uv/uv.toml ]
}

# uv reads none of pip's settings: where uv has none of its own, hands pip's on.
hand_on_pip_settings() {
    local -A pip=()
    local name value
    while IFS='=' read -r name value; do
        read -r value <<<"$value" # Trims.
        [ -z "$name" ] || [ -n "${pip[$name]:-}" ] || pip[$name]=$value
    done < <(read_pip_settings)
    hand_on SSL_CERT_FILE "${pip[cert]:-}"
    # The trust of the machine, as pip and git have it, not only what uv has built in.
    [ ! -f /etc/ssl/certs/ca-certificates.crt ] || hand_on SSL_CERT_FILE /etc/ssl/certs/ca-certificates.crt
    hand_on ALL_PROXY "${pip[proxy]:-}"
    hand_on UV_HTTP_TIMEOUT 120
    if has_uv_index; then return; fi
    hand_on UV_DEFAULT_INDEX "${pip[index-url]:-}"
    hand_on UV_INDEX "${pip[extra-index-url]:-}"
    hand_on UV_FIND_LINKS "$(tr -s ' ' ',' <<<"${pip[find-links]:-}")"
    hand_on UV_INSECURE_HOST "${pip[trusted-host]:-}"
    # Like pip: every index counts the same. The hashes of the lock decide what is taken.
    hand_on UV_INDEX_STRATEGY unsafe-best-match
}

supports_lane() { # PYTHON
    local versions="(3, 11) <= v <= (3, 13)"
    [ "$lane" != tfx-1-16 ] || versions="v == (3, 11)"
    "$1" -c "import sys; v = sys.version_info[:2]; sys.exit(not ($versions))" 2>/dev/null
}

# Makes the virtual environment, unless there is a whole one of the right Python.
make_venv() {
    if [ -d "$venv" ] && [ ! -e "$venv/.unfinished" ] && supports_lane "$venv/bin/python"; then return; fi
    local wanted=3.11 spoken="Python 3.11"
    if [ "$lane" != tfx-1-16 ]; then wanted=">=3.11,<3.14" spoken="Python 3.11, 3.12 or 3.13"; fi
    rm -rf "$venv"
    if [ -n "${PYTHON:-}" ]; then
        supports_lane "$PYTHON" || fail "PYTHON=$PYTHON is not what lane $lane needs: $spoken."
        quietly "$uv" venv --python "$PYTHON" "$venv" || fail "No environment could be made of $PYTHON."
    elif ! quietly "$uv" venv --no-python-downloads --python "$wanted" "$venv" 2>/dev/null; then
        say "no $spoken found, letting uv download one"
        quietly "$uv" venv --python "$wanted" "$venv" 2>/dev/null ||
            fail "Lane $lane needs $spoken; here is $(python3 --version). Install it (on Debian 12: apt-get install python3.11), or name it: make setup PYTHON=/path/to/python3.11"
    fi
}

# Installs exactly the packages of the locks that are given.
install_locks() { # LOCK...
    local quiet=()
    [ -t 2 ] || quiet=(-q)
    # A slow disk needs more than uv's own minute for compiling a file.
    UV_COMPILE_BYTECODE_TIMEOUT=${UV_COMPILE_BYTECODE_TIMEOUT:-600} \
        "$uv" pip sync "${quiet[@]}" --python "$venv/bin/python" --require-hashes --build-constraints "$1" \
        --compile-bytecode "$@" ||
        fail "The packages of $* could not be installed; what uv said is above."
}

# The build backend comes from the lock, so nothing else is fetched.
install_project() {
    quietly "$uv" pip install --python "$venv/bin/python" --no-deps --no-build-isolation --editable . ||
        fail "The project itself could not be installed; what uv said is above."
}

install_packages() {
    touch "$venv/.unfinished"
    rm -f "$venv/.ready"
    say "installing the packages of $lock into $venv"
    install_locks "$lock"
    install_project
    rm -f "$venv/.unfinished"
}

main() {
    refuse_other_machines
    find_or_install_uv
    hand_on_pip_settings
    make_venv
    install_packages
    printf '%s\n' "$lane $PWD" >"$venv/.ready"
    say "ready: lane $lane, $("$venv/bin/python" --version), ${SECONDS} s"
}

# Tests source this file for its functions.
if [ "${BASH_SOURCE[0]}" = "$0" ]; then main; fi
