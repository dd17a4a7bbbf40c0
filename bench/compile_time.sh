#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
#
#   bench/compile_time.sh [RUNS]    what one attention costs to compile, beside one product of Eigen
#
# Prints the median seconds of the product, of attention whose heads the compiler knows and of attention
# whose heads it does not, and the ratios of these to the product. They take turns, so that all meet the
# same other users of the machine, and processor time is what counts. CXX names the compiler, CXXFLAGS what
# it is to be given, EIGEN the folder that holds Eigen/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

runs=${1:-5}
read -ra compile <<<"${CXX:-g++} -std=c++20 ${CXXFLAGS:--O2 -march=native} -isystem ${EIGEN:-/usr/include/eigen3} -Iinclude"
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

cat >"$folder/product.cpp" <<'CPP'
#include <Eigen/Dense>
void product(const Eigen::MatrixXf& a, const Eigen::MatrixXf& b, Eigen::MatrixXf& c) { c = a * b; }
CPP
cat >"$folder/attention.cpp" <<'CPP'
#include <headroom/attention.hpp>
using headroom::view;
void attend(view<const float> q, view<const float> k, view<const float> v, view<float> out) {
  headroom::gqa<32, 8, 128>()(q, k, v, out, headroom::causal{});
}
CPP
cat >"$folder/dynamic.cpp" <<'CPP'
#include <headroom/attention.hpp>
using headroom::view;
void attend(view<const float> q, view<const float> k, view<const float> v, view<float> out) {
  constexpr int dynamic = Eigen::Dynamic;
  headroom::attention<dynamic, dynamic, 128>(q.heads(), k.heads(), 128)(q, k, v, out,
                                                                        headroom::causal{});
}
CPP

# seconds FILE: processor time, user and system, of compiling it.
seconds() {
  local TIMEFORMAT='%U %S'
  { time "${compile[@]}" -c "$folder/$1.cpp" -o "$folder/$1.o" 2>"$folder/messages"; } 2>&1 |
    awk '{ print $1 + $2 }' || { cat "$folder/messages" >&2; return 1; }
}
median() { sort -n "$1" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

for ((run = 0; run < runs; ++run)); do
  for file in product attention dynamic; do seconds "$file" >>"$folder/$file.seconds"; done
done
product=$(median "$folder/product.seconds")
echo "Eigen product $product s"
# report FILE NAME: its median, and the ratio to the product.
report() {
  awk -v name="$2" -v t="$(median "$folder/$1.seconds")" -v p="$product" \
    'BEGIN { printf "%s %s s, ratio %.2f\n", name, t, t / p }'
}
report attention "attention"
report dynamic "attention of Dynamic heads"
