// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/memory.hpp>

#include <benchmark/benchmark.h>
#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <cstddef>
#include <ctime>
#include <memory>
#include <utility>

namespace headroom_bench {

/// Seconds of processor time that `run` takes: on a machine shared with others, wall time would
/// count their turns too. Right for work of one thread, which is all that is measured here.
template <class Run>
double seconds_of(const Run& run) {
  const std::clock_t begin = std::clock();
  run();
  benchmark::ClobberMemory();
  return static_cast<double>(std::max<std::clock_t>(std::clock() - begin, 1)) / CLOCKS_PER_SEC;
}

// A SIMD register of floats. The compiler's own vectors, because both compilers contract
// `a * b + c` on them to one instruction where the CPU has it.
using lanes = float __attribute__((vector_size(EIGEN_MAX_ALIGN_BYTES)));
inline constexpr Eigen::Index lane_count = sizeof(lanes) / sizeof(float);

// Independent sums: as many as there are registers, less one for each operand and two to spare.
// An addition must wait 4 cycles for the one before it, and CPUs start 2 to 4 in each cycle.
inline constexpr std::size_t chains = EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS - 4;
using sums = std::array<lanes, chains>;

template <std::size_t... I>
void multiply_add(sums& acc, lanes factor, lanes addend, std::index_sequence<I...>) {
  ((acc[I] = acc[I] * factor + addend), ...);
}

/// Multiply-adds in registers, about 2 ms of them. Returns their flops.
inline double multiply_adds() {
  constexpr Eigen::Index rounds = 1 << 20;
  sums acc;  // with different numbers in each, or a compiler could make them one
  for (std::size_t i = 0; i < chains; ++i) acc[i] = lanes{} + static_cast<float>(i);
  lanes factor = lanes{} + 0.5f, addend = lanes{} + 1.0f;
  benchmark::DoNotOptimize(factor);
  benchmark::DoNotOptimize(addend);
  sums local = acc;  // a copy whose address nobody takes stays in registers
  for (Eigen::Index round = 0; round < rounds; ++round)
    multiply_add(local, factor, addend, std::make_index_sequence<chains>());
  acc = local;
  benchmark::DoNotOptimize(acc);
  return 2.0 * static_cast<double>(rounds * lane_count) * chains;
}

/// Flops per second of multiply-adds in registers, one core.
inline double fma_peak() {
  double flops = 0;
  const double seconds = seconds_of([&] { flops = multiply_adds(); });
  return flops / seconds;
}

/// Bytes of memory that no cache holds, not even in part: a cache does not drop what is oldest, and
/// of memory twice its size it still has a tenth where it is read again.
inline std::size_t beyond_caches() {
  std::size_t bytes = std::size_t(16) << 20;  // where the system does not tell
  for (const auto& cache : benchmark::CPUInfo::Get().caches)
    bytes = std::max(bytes, static_cast<std::size_t>(cache.size));
  return 3 * bytes;
}

/// Memory larger than any cache, to read from; on huge pages, as the library's caches are.
class read_stream {
 public:
  explicit read_stream(std::size_t bytes = beyond_caches())
      : rows_(bytes / sizeof(lanes)),
        memory_(headroom::detail::uninitialised<std::byte>(static_cast<Eigen::Index>(bytes))),
        data_(reinterpret_cast<lanes*>(memory_.get())) {
    // Until written, it has no pages of its own.
    std::uninitialized_fill_n(data_, rows_, lanes{} + 1.0f);
  }

  /// Reads it all once. Returns the bytes. Afterwards the caches hold nothing of the caller's.
  double read() const {
    const std::size_t part = rows_ / streams;
    std::array<lanes, streams> sum{};
    for (std::size_t i = 0; i < part; ++i)
      add_row(sum, i, part, std::make_index_sequence<streams>());
    for (lanes& partial : sum) benchmark::DoNotOptimize(partial);
    return static_cast<double>(part * streams * sizeof(lanes));
  }

  /// Bytes per second of reading it, one core.
  double bytes_per_second() const {
    double bytes = 0;
    const double seconds = seconds_of([&] { bytes = read(); });
    return bytes / seconds;
  }

 private:
  // Read at several places at once, since a core prefetches each separately: on a Zen 3 one stream
  // gives 20 GB/s, two 24, four 30, eight 30.
  static constexpr std::size_t streams = 4;

  template <std::size_t... I>
  void add_row(std::array<lanes, streams>& sum, std::size_t i, std::size_t part,
               std::index_sequence<I...>) const {
    ((sum[I] += data_[I * part + i]), ...);
  }

  std::size_t rows_;
  headroom::detail::aligned_array<std::byte> memory_;
  lanes* data_;
};

/// Such memory, the same for all cases of a program.
inline const read_stream& far_memory() {
  static const read_stream memory;
  return memory;
}

/// Leaves nothing of the caller's in the caches: what the other layers of a model do between two
/// calls of one.
inline void empty_caches() {
  far_memory().read();
}

}  // namespace headroom_bench
