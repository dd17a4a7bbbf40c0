// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// One binary for many CPUs: the same kernel compiled for x86-64-v2 (SSE), -v3 (AVX2) and -v4
// (AVX-512), chosen when the program starts.
#include "kernel.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <random>
#include <vector>

struct version {
  const char* name;
  attend_function* attend;
  bool runs_here;
};

// The first runs on every CPU that this program is for, the last that runs here is the fastest.
std::vector<version> all_versions() {
  __builtin_cpu_init();
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi2");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  return {
      {"x86-64-v2", attend_v2, true}, {"x86-64-v3", attend_v3, v3}, {"x86-64-v4", attend_v4, v4}};
}

int main() {
  const std::vector<version> versions = all_versions();
  const version& chosen = *std::find_if(versions.rbegin(), versions.rend(),
                                        [](const version& v) { return v.runs_here; });

  constexpr long tokens = 256;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  const auto numbers = [&](long heads) {
    std::vector<float> result(static_cast<std::size_t>(tokens * heads * dim));
    for (float& number : result) number = normal(random);
    return result;
  };
  const std::vector<float> q = numbers(Q_heads), k = numbers(KV_groups), v = numbers(KV_groups);
  std::vector<float> out(q.size());
  chosen.attend(q.data(), tokens, k.data(), v.data(), tokens, out.data());
  std::printf("this CPU runs %s\n", chosen.name);

  // What the others would have come to.
  for (const version& other : versions) {
    if (!other.runs_here) {
      std::printf("%s   not on this CPU\n", other.name);
      continue;
    }
    std::vector<float> again(q.size());
    double fastest = 1e9;
    for (int i = 0; i < 5; ++i) {
      const auto start = std::chrono::steady_clock::now();
      other.attend(q.data(), tokens, k.data(), v.data(), tokens, again.data());
      fastest = std::min(
          fastest, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    float difference = 0;
    for (std::size_t i = 0; i < out.size(); ++i)
      difference = std::max(difference, std::abs(out[i] - again[i]));
    std::printf("%s   %.2f ms, differs by %.1e\n", other.name, fastest * 1e3,
                static_cast<double>(difference));
    if (difference > 1e-5f) return 1;
  }
}
