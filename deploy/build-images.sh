#!/usr/bin/env bash
# Builds the targets of deploy/Dockerfile: `make image`. With Docker where its engine answers, else with buildah (as root, without an
# engine) on a Debian that mmdebstrap makes once: build/image/base.tar. Arguments: targets, by default jobs and api.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' lib/shoal/__init__.py)
targets=${*:-jobs api}

if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
  for target in $targets; do
    docker build --file deploy/Dockerfile --target "$target" --tag "shoal-$target:$version" .
  done
  exit 0
fi
for program in buildah mmdebstrap; do
  command -v $program >/dev/null || {
    echo "shoal: no Docker engine and no $program; on Debian: apt-get install buildah mmdebstrap" >&2
    exit 2
  }
done
mkdir -p build/image
if [ ! -f build/image/base.tar ]; then
  mmdebstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm build/image/base.part.tar
  mv build/image/base.part.tar build/image/base.tar
fi
base=localhost/shoal-base:bookworm
if [ -z "$(buildah images --quiet $base 2>/dev/null)" ]; then
  work=$(buildah from scratch)
  buildah add --quiet "$work" build/image/base.tar / >/dev/null
  buildah commit --quiet --rm "$work" $base >/dev/null
fi
# Behind a proxy with an authority of its own, packages are fetched with this machine's certificates; of them an empty /etc/pip.conf
# stays in the image.
certificates=()
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
  printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' > build/image/pip.conf
  certificates=(--volume /etc/ssl/certs:/etc/ssl/certs:ro --volume "$PWD/build/image/pip.conf:/etc/pip.conf:ro")
fi
for target in $targets; do
  # Docker's format: that of OCI has no health check.
  buildah build --isolation chroot --pull-never --format docker --layers "${certificates[@]}" --build-arg BASE=$base \
    --file deploy/Dockerfile --target "$target" --tag "shoal-$target:$version" .
done
