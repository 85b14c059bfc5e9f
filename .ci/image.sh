# shellcheck shell=bash
# The images' base, from a registry or, where none answers, from Debian's packages. Sourced by .ci/run.

BASE_IMAGE=python:3.13-slim
BASE_SUITE=trixie # its Python is 3.13
RECIPE=3 # rises with what is in it
CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt

provide_base_image() {
  ! base_image_serves || return 0
  timeout 120 docker pull -q "$BASE_IMAGE" && return 0
  say "no registry answers; making $BASE_IMAGE from Debian packages"
  command -v mmdebstrap >/dev/null || apt_install mmdebstrap
  make_base_image
}

# A registry's image does, and one made here by this version of the recipe (its label), not by an older one.
base_image_serves() {
  local facts
  facts=$(docker image inspect --format '{{index .Config.Labels "envoymesh.recipe"}} {{len .RepoDigests}}' "$BASE_IMAGE" \
    2>/dev/null) || return 1
  [ "${facts%% *}" = "$RECIPE" ] || [ "${facts##* }" -gt 0 ]
}

# As small as the registry's slim one: no compiler (the stage that builds the wheel fetches it), no documents, no translations.
# The machine's own certificate authorities go in, so that pip reaches the package index from a build as it does out here.
make_base_image() {
  local each without=()
  for each in doc locale man info; do
    without+=(--dpkgopt="path-exclude=/usr/share/$each/*")
  done
  mmdebstrap --quiet --variant=minbase --include=python3,python3-pip,python3-venv,ca-certificates,curl \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' "${without[@]}" \
    --customize-hook="upload $CA_BUNDLE $CA_BUNDLE" \
    --customize-hook='ln -s ../../bin/python3 "$1/usr/local/bin/python"' \
    "$BASE_SUITE" - |
    docker import \
      --change "ENV PIP_CERT=$CA_BUNDLE" --change "ENV SSL_CERT_FILE=$CA_BUNDLE" \
      --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
      --change 'CMD ["python3"]' --change "LABEL envoymesh.recipe=$RECIPE" \
      - "$BASE_IMAGE"
}
