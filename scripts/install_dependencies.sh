#!/usr/bin/env bash
# install_dependencies.sh GROUP...: installs the missing packages of the groups `build`, `test`,
# `parquet`, `smollm2` and `conformance` on Debian and Ubuntu. Does nothing, and needs no rights, where nothing
# is missing. `parquet` puts the Python package pyarrow, whose C++ libraries read Parquet, into
# build-parquet/venv; `test` includes it.
set -euo pipefail

# What a group cannot do without.
required=()
pyarrow=no
# What only adds a check; passed over, and said, where the distribution has no such package.
wanted=()
for group in "$@"; do
  case $group in
    build)
      required+=(g++ cmake ninja-build python3
                 libfmt-dev nlohmann-json3-dev libcli11-dev libxxhash-dev
                 libpcre2-dev libutf8proc-dev libicu-dev libsentencepiece-dev
                 libopenblas-dev libgtest-dev zlib1g-dev libzstd-dev libzip-dev) ;;
    test) wanted+=(clang libclang-rt-dev libomp-dev clang-format-14 clang-tidy-14 python3-venv
                   libopenmpi-dev openmpi-bin ca-certificates)
          pyarrow=yes ;;
    parquet) required+=(python3-venv ca-certificates)
             pyarrow=yes ;;
    smollm2 | conformance) required+=(python3-venv ca-certificates) ;;
    *) echo "install_dependencies.sh: unknown group '$group'" >&2; exit 2 ;;
  esac
done

is_installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing_of() {
  local package
  for package in "$@"; do is_installed "$package" || printf '%s\n' "$package"; done
}

install_packages() {
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "install_dependencies.sh: no apt here; going on with what is installed. Needed (Debian's names):" >&2
    echo "  ${required[*]} ${wanted[*]}" >&2
    return 0
  fi

  local missing missing_wanted known available as_root apt package
  mapfile -t missing < <(missing_of "${required[@]}")
  mapfile -t missing_wanted < <(missing_of "${wanted[@]}")
  if [ ${#missing[@]} -eq 0 ]; then
    # What this distribution is known not to have needs no look every time.
    known=()
    for package in "${missing_wanted[@]}"; do
      if apt-cache show "$package" >/dev/null 2>&1 || ! apt-cache show bash >/dev/null 2>&1; then
        known+=("$package")
      fi
    done
    missing_wanted=("${known[@]}")
    [ ${#missing_wanted[@]} -eq 0 ] && return 0
  fi

  if [ "$(id -u)" -eq 0 ]; then
    as_root=(env)
  elif command -v sudo >/dev/null; then
    as_root=(sudo env)
  else
    echo "install_dependencies.sh: neither root nor sudo; going on without these packages:" >&2
    echo "  ${missing[*]} ${missing_wanted[*]}" >&2
    return 0
  fi
  apt=("${as_root[@]}" DEBIAN_FRONTEND=noninteractive TZ=Etc/UTC apt-get -qq -o Acquire::Retries=3
       -o Dpkg::Use-Pty=0)

  echo "Installing: ${missing[*]} ${missing_wanted[*]}"
  "${apt[@]}" update || echo "install_dependencies.sh: apt-get update failed; trying with the lists at hand" >&2

  available=()
  for package in "${missing[@]}" "${missing_wanted[@]}"; do
    if apt-cache show "$package" >/dev/null 2>&1; then
      available+=("$package")
    elif [[ " ${missing[*]} " == *" $package "* ]]; then
      echo "install_dependencies.sh: no package $package; whit supports Debian 12 and Ubuntu 24.04" \
           "(there with the component 'universe' enabled)" >&2
      exit 1
    else
      echo "install_dependencies.sh: no package $package here; the checks that use it are left out" >&2
    fi
  done
  [ ${#available[@]} -eq 0 ] || "${apt[@]}" install -y --no-install-recommends "${available[@]}" >/dev/null
}

# Debian's own Python takes no packages of pip's, so they get a folder of their own.
install_pyarrow() {
  local venv
  venv=$(dirname "$0")/../build-parquet/venv
  [ -e "$venv/ready" ] && return 0
  echo "Installing: pyarrow (Apache Arrow) into build-parquet/venv"
  if python3 -m venv --clear "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check \
       --only-binary :all: 'pyarrow>=21,<27'; then
    touch "$venv/ready"
  else
    echo "install_dependencies.sh: no pyarrow here; whit will be built without Parquet, and its" \
         "tests are left out" >&2
  fi
}

install_packages
[ $pyarrow = no ] || install_pyarrow
