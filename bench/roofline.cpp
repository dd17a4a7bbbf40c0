// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// The two limits of the machine, with 1, 2, 4... and all threads at the same time:
//
//   fma/float      multiply-adds in registers, GFLOP/s
//   dot/bfloat16   dot products in registers, GFLOP/s, where compiled for a CPU that has them
//   read           reading memory that no cache holds, GB/s
//   pieces/KIB     the same in pieces of so many KiB in random order, as a group's keys lie on
//                  pages: four at a time, each asked for as far ahead as the library asks
//
// Here by wall time, all threads together; measure() takes the same limits for one thread by
// processor time.

#include "support/counters.hpp"
#include "support/dot_peak.hpp"
#include "support/machine_limits.hpp"

#include <algorithm>
#include <headroom/detail/memory.hpp>
#include <headroom/detail/prefetch.hpp>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace headroom_bench {
namespace {

benchmark::Counter giga_per_second(double amount) {
  return {amount * 1e-9, benchmark::Counter::kIsRate};
}

template <double (*compute)()>
void flops(benchmark::State& state) {
  double done = 0;
  for (auto _ : state) done += compute();
  state.counters["GFLOP/s"] = giga_per_second(done);
}

void read(benchmark::State& state) {
  // Each thread writes its own first, so that it lies in the memory next to that thread's core.
  const read_stream memory;
  memory.read();
  double done = 0;
  for (auto _ : state) done += memory.read();
  state.counters["GB/s"] = giga_per_second(done);
}

// Memory beyond the caches, to read in pieces.
class pieces {
 public:
  explicit pieces(std::size_t bytes)
      : bytes_(bytes),
        order_(beyond_caches() / bytes / streams * streams),
        memory_(headroom::detail::uninitialised<std::byte>(
            static_cast<Eigen::Index>(order_.size() * bytes))) {
    std::uninitialized_fill_n(memory_.get(), order_.size() * bytes, std::byte(0));
    std::iota(order_.begin(), order_.end(), std::size_t(0));
    std::shuffle(order_.begin(), order_.end(), std::mt19937_64(1));
  }

  /// Reads each once. Returns the bytes.
  double read() const {
    const std::size_t of_stream = order_.size() / streams * bytes_;
    std::array<lanes, streams> sum{};
    for (std::size_t at = 0; at < of_stream; at += row)
      for (std::size_t s = 0; s < streams; ++s) {
        const std::byte* const from = place(s, at);
        const auto ahead = [&](std::size_t bytes) {
          return place(s, std::min(at + bytes, of_stream - row));
        };
        const std::byte* const far = ahead(headroom::detail::bytes_far_ahead);
        const std::byte* const near = ahead(headroom::detail::bytes_ahead);
        for (std::size_t b = 0; b < row; b += 64) {
          headroom::detail::prefetch_far(far + b);
          headroom::detail::prefetch(near + b);
        }
        for (std::size_t b = 0; b < row; b += sizeof(lanes))
          sum[s] += *reinterpret_cast<const lanes*>(from + b);
      }
    for (lanes& partial : sum) benchmark::DoNotOptimize(partial);
    return static_cast<double>(of_stream * streams);
  }

 private:
  static constexpr std::size_t streams = 4, row = 256;

  const std::byte* place(std::size_t stream, std::size_t at) const {
    const std::size_t piece = order_[stream * (order_.size() / streams) + at / bytes_];
    return memory_.get() + piece * bytes_ + at % bytes_;
  }

  std::size_t bytes_;
  std::vector<std::size_t> order_;  // pieces, one stream after another
  headroom::detail::aligned_array<std::byte> memory_;
};

void read_pieces(benchmark::State& state, std::size_t kib) {
  const pieces memory(kib << 10);
  double done = 0;
  for (auto _ : state) done += memory.read();
  state.counters["GB/s"] = giga_per_second(done);
}

void add(const std::string& prefix, int threads, int calls) {
  const auto add_limit = [&](const std::string& name, void (*run)(benchmark::State&)) {
    benchmark::RegisterBenchmark((prefix + name).c_str(), run)
        ->Iterations(calls)
        ->ThreadRange(1, threads)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  };
  add_limit("fma/float", flops<multiply_adds>);
#ifdef __AVX512BF16__
  add_limit("dot/bfloat16", flops<bfloat16_dots>);
#endif
  add_limit("read", read);
  for (const std::size_t kib : {2, 4, 8, 16, 32})
    benchmark::RegisterBenchmark((prefix + "pieces/" + std::to_string(kib)).c_str(), read_pieces,
                                 kib)
        ->Iterations(calls)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  const int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  headroom_bench::add("", threads, 50);
  headroom_bench::add("smoke/", 1, 2);
  return headroom_bench::run_cases(argc, argv);
}
