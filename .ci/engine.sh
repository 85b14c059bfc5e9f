# shellcheck shell=bash
# A Docker Engine that answers, with Compose v2 and buildx. Sourced by .ci/run.

DOCKERD_PID=''
DOCKERD_LOG=''
PLUGINS_SUITE=trixie # the first Debian release that packages Compose v2

start_engine() {
  start_dockerd
  if ! docker compose version >/dev/null 2>&1 || ! docker buildx version >/dev/null 2>&1; then
    install_plugins
  fi
  docker compose version
}

start_dockerd() {
  ! docker info >/dev/null 2>&1 || return 0
  DOCKERD_LOG=$(mktemp -t dockerd.XXXXXX)
  [ "$(id -u)" -eq 0 ] || die 'no Docker engine answers, and only root can start one'
  setsid dockerd >"$DOCKERD_LOG" 2>&1 &
  DOCKERD_PID=$!
  for _ in $(seq 120); do
    ! docker info >/dev/null 2>&1 || return 0
    kill -0 "$DOCKERD_PID" 2>/dev/null || break
    sleep 0.5
  done
  tail -n 20 "$DOCKERD_LOG" >&2
  die 'dockerd did not start; its last lines stand above'
}

# Only what this run started, and quietly: the log ends with the tests' summary.
stop_engine() {
  [ -n "$DOCKERD_PID" ] || return 0
  kill "$DOCKERD_PID" 2>/dev/null || true
  wait "$DOCKERD_PID" 2>/dev/null || true
  rm -f "$DOCKERD_LOG"
}

# The mirror this machine's apt already uses for Debian.
debian_mirror() {
  apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | awk '$1 == "Debian" && !seen++ {print $2}'
}

# Compose v2 and buildx from a newer Debian release than the machine's: through a private apt directory, so that nothing
# else comes from there; the plugins are static programs and run on older releases too.
install_plugins() {
  local dir mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  apt-get -qq update # labels are known only once the lists are here
  mirror=$(debian_mirror)
  { [ -n "$mirror" ] && [ -r "$keyring" ]; } || die 'docker compose is missing, and this is no Debian that could provide it'
  dir=$(mktemp -d)
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/root" ~/.docker/cli-plugins
  printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$PLUGINS_SUITE" >"$dir/sources.list"
  cat >"$dir/apt.conf" <<CONF
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$dir/lists";
Dir::Cache "$dir/cache";
APT::Sandbox::User "root";
CONF
  (
    cd "$dir"
    export APT_CONFIG=$dir/apt.conf
    apt-get -qq update
    apt-get -qq download docker-compose docker-buildx
    for package in ./*.deb; do dpkg-deb -x "$package" root; done
  )
  cp "$dir"/root/usr/libexec/docker/cli-plugins/docker-{compose,buildx} ~/.docker/cli-plugins/
  rm -rf "$dir"
}
