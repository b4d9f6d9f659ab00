#!/usr/bin/env bash
# Says what the project is made of: audit.sh LANE VENV TOOLS_VENV
#
# Writes build/sbom.json (CycloneDX, what the image of the lane holds, with hashes), build/licences.md (every
# package of VENV) and build/vulnerabilities.json. Fails where a licence is not among those below.
# Vulnerabilities are told, not failed on: some wait for TFX's next release.
set -euo pipefail
lane_of_image=${1:?usage: audit.sh LANE VENV TOOLS_VENV}
audited=${2:?usage: audit.sh LANE VENV TOOLS_VENV}
tools_of_audit=${3:?usage: audit.sh LANE VENV TOOLS_VENV}
source "$(dirname "${BASH_SOURCE[0]}")/bootstrap.sh" audit "$tools_of_audit"

# Permissive ones, and those that bind their own files alone.
licences="Apache;BSD;MIT;ISC;PSF;Python Software Foundation;MPL;Mozilla"
# Their packages do not say it: MPL-2.0 and Apache-2.0 in their repositories.
unstated=(axe-playwright-python namex)
image=requirements/$lane_of_image-image.txt

install_tools() {
    [ ! -e "$venv/.ready" ] || ! cmp -s "$lock" "$venv/.ready" || return 0
    find_or_install_uv
    hand_on_pip_settings
    make_venv
    say "installing the packages of $lock into $venv"
    install_locks "$lock"
    cp "$lock" "$venv/.ready"
}

write_sbom() {
    "$venv/bin/cyclonedx-py" requirements --output-reproducible --of JSON -o build/sbom.json "$image"
    say "build/sbom.json: $(grep -c == "$image") packages of the image"
}

check_licences() {
    "$venv/bin/pip-licenses" --python "$audited/bin/python" --from mixed --format markdown \
        --partial-match --allow-only "$licences" --ignore-packages "${unstated[@]}" >build/licences.tmp ||
        fail "A package has a licence that requirements/audit.sh does not know; its name is above."
    mv build/licences.tmp build/licences.md
    say "build/licences.md: $(($(wc -l <build/licences.md) - 2)) packages, no licence that is not known"
}

check_vulnerabilities() {
    rm -f build/vulnerabilities.json
    "$venv/bin/pip-audit" --disable-pip --no-deps --progress-spinner off --format json \
        -r "$image" -o build/vulnerabilities.json >"$log" 2>&1 || true
    "$venv/bin/python" - build/vulnerabilities.json <<'PYTHON'
import json
import pathlib
import sys

file = pathlib.Path(sys.argv[1])
packages = json.loads(file.read_text())["dependencies"] if file.exists() else []
looked_up = [package for package in packages if "vulns" in package]
for package in looked_up:
    for found in package["vulns"]:
        fixed = ", ".join(found["fix_versions"]) or "no version"
        print(f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}")
told = f"{len(looked_up)} of {len(packages)} packages looked up"
if not looked_up:
    told = "the data is not at hand here; nothing was looked up"
print(f"setup: {file}: {told}", file=sys.stderr)
PYTHON
}

mkdir -p build "$tools"
install_tools
write_sbom
check_licences
check_vulnerabilities
