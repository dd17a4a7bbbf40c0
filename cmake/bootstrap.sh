#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
#
#   cmake/bootstrap.sh demo|test|bench|asan|tsan    installs what is missing, then runs the preset of that name
#   cmake/bootstrap.sh report                       the same; the benchmarks behind the pictures, then these
#   cmake/bootstrap.sh fuzz                         the same; clang then searches for inputs that fail, for minutes
#   cmake/bootstrap.sh format                       the same; fails where clang-format 14 would write another source
#   cmake/bootstrap.sh deps                         only installs what all of them but fuzz and format need
#
# Installs with apt-get (Debian 12, Ubuntu 24.04 and later), through sudo unless root, and only what is
# missing. On other systems it names what to install.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { printf 'bootstrap: %s\n' "$@" >&2; exit 1; }

job=${1:-}
libraries=(libeigen3-dev nlohmann-json3-dev libcli11-dev)
tools=("${CXX:-g++}" cmake ninja)
case $job in
  demo) ;;
  bench) libraries=(libeigen3-dev libbenchmark-dev) ;;
  report) libraries=(libeigen3-dev libbenchmark-dev python3-matplotlib) ;;
  asan | tsan) libraries+=(catch2 libsentencepiece-dev) ;;
  fuzz) libraries+=(catch2 libclang-rt-dev) tools[0]=clang++ ;;
  format) libraries=() tools=(clang-format-14) ;;
  test | deps) libraries+=(catch2 libsentencepiece-dev libbenchmark-dev) ;;
  *) fail "usage: ${BASH_SOURCE[0]} demo|test|bench|report|asan|tsan|fuzz|format|deps" ;;
esac

package_of() {
  case $1 in
    clang++) echo clang ;;
    ninja) echo ninja-build ;;
    cmake | clang-format-14) echo "$1" ;;
    *) echo g++ ;;
  esac
}

# A tool counts as present wherever it comes from, a library only as a package.
missing=()
for tool in "${tools[@]}"; do
  command -v "$tool" >/dev/null || missing+=("$(package_of "$tool")")
done
if command -v apt-get >/dev/null; then
  for package in "${libraries[@]}"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  if ((${#missing[@]})); then
    sudo=()
    if ((EUID)); then
      command -v sudo >/dev/null || fail "neither root nor sudo; as root: apt-get install ${missing[*]}"
      sudo=(sudo)
    fi
    echo "bootstrap: installing ${missing[*]}"
    apt_get=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
    "${apt_get[@]}" update
    "${apt_get[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null
  fi
elif ((${#missing[@]})); then
  fail "there is no apt-get here; install these (names as in Debian): ${missing[*]}" \
    "these too, or CMake downloads their source: ${libraries[*]}"
fi

if [[ $job == format ]]; then
  git ls-files '*.hpp' '*.cpp' | xargs clang-format-14 --dry-run --Werror
  exit
fi

read -r _ _ version < <(cmake --version)
printf '3.25\n%s\n' "$version" | sort -V -C || fail "this is CMake $version, headroom needs 3.25 or later"

[[ $job == deps ]] && exit
export CTEST_PARALLEL_LEVEL=${CTEST_PARALLEL_LEVEL:-$(nproc)}
exec cmake --workflow --preset "$job"
