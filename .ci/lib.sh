# shellcheck shell=bash
# What every part of .ci/run shares: words to the log, phases with their times, root rights. Sourced, not run.

export PATH=$PATH:/usr/sbin:/sbin
PHASES=()
AS_ROOT=()
[ "$(id -u)" -eq 0 ] || AS_ROOT=(sudo)

say() { printf '== %s\n' "$*"; }

die() {
  printf '.ci/run: %s\n' "$*" >&2
  exit 1
}

# phase NAME COMMAND...: run COMMAND, say and remember how long it took.
phase() {
  local name=$1 start=$SECONDS
  shift
  say "$name"
  "$@"
  PHASES+=("$(printf '%4d s  %s' $((SECONDS - start)) "$name")")
  say "$name: $((SECONDS - start)) s"
}

report_phases() {
  say 'times'
  printf '%s\n' "${PHASES[@]}"
}
