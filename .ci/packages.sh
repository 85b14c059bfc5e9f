# shellcheck shell=bash
# Debian packages the tests and the engine need. Sourced by .ci/run.

# command:package pairs; the command tells whether the package is needed.
PACKAGES=(
  make:make
  gcc:gcc
  curl:curl
  nghttp:nghttp2-client
  h2load:nghttp2-client
  wrk:wrk
  nginx:nginx-light
  dockerd:docker.io
  iptables:iptables
  chromium:chromium
)

install_packages() {
  local pair missing=()
  for pair in "${PACKAGES[@]}"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  python3 -c 'import os, sysconfig as s; os.stat(s.get_path("include") + "/Python.h")' 2>/dev/null || missing+=(python3-dev)
  [ "${#missing[@]}" -gt 0 ] || return 0
  apt_install "${missing[@]}"
}

apt_install() {
  say "apt-get install $*"
  "${AS_ROOT[@]}" apt-get -qq update
  "${AS_ROOT[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
}
