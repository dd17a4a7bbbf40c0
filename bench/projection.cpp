// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// One projection of a layer, y = x W^T, from 4096 features to 4096, on one thread.
//
//   projection/WEIGHT/ROWS   headroom::linear with weights stored as WEIGHT; x and y are of float
//   projection/eigen/ROWS    Eigen's own product, in float
//
// One row is a token of decode and reads the weights, many rows are a prompt and compute. Weights
// are on huge pages, as caches are.

#include "support/counters.hpp"
#include "support/inputs.hpp"
#include "support/weights.hpp"

#include <cmath>
#include <headroom/linear.hpp>
#include <stdexcept>
#include <string>

namespace headroom_bench {
namespace {

template <class Weight>
using weights_of = Eigen::Map<const row_major<Weight>>;

struct library {
  template <class Weight>
  void operator()(const matrix& x, const weights_of<Weight>& w, matrix& y) const {
    const headroom::linear<Weight> layer(w);
    layer(x, y);
  }
};

struct eigen {
  void operator()(const matrix& x, const weights_of<float>& w, matrix& y) const {
    y.noalias() = x * w.transpose();
  }
};

template <class Weight>
void check(const matrix& x, const weights_of<Weight>& w, const matrix& y) {
  for (Index t : spots(y.rows()))
    for (Index i : spots(y.cols())) {
      const double expected =
          x.row(t).template cast<double>().dot(w.row(i).template cast<double>());
      // Some 1e-6 of sqrt(4096) / 3, the size of a result.
      if (!(std::abs(y(t, i) - expected) <= 1e-3))
        throw std::runtime_error("wrong answer: row " + std::to_string(t) + ", feature " +
                                 std::to_string(i));
    }
}

// One case: `product(x, w, y)` is the library or Eigen.
template <class Weight, class Product>
void project(benchmark::State& state, Index rows, Index features, Product product) {
  numbers random;
  const matrix x = random(rows, features);
  const drawn_weights<Weight> weights(random(features, features));
  const weights_of<Weight>& w = weights();
  matrix y(rows, features);
  const auto call = [&] { product(x, w, y); };

  call();
  check(x, w, y);
  const auto numbers_of = [](const auto& m) { return static_cast<double>(m.size()); };
  measure(state,
          {2.0 * static_cast<double>(rows) * numbers_of(w),
           numbers_of(w) * sizeof(Weight) + (numbers_of(x) + numbers_of(y)) * sizeof(float)},
          call);
}

template <class Weight, class Product>
void add(const std::string& name, Index rows, Index features) {
  add_case(name + '/' + std::to_string(rows), [rows, features](benchmark::State& state) {
    project<Weight>(state, rows, features, Product());
  });
}

void add_all(const std::string& prefix, Index rows, Index features) {
  add<float, library>(prefix + "projection/float", rows, features);
  add<Eigen::half, library>(prefix + "projection/half", rows, features);
  add<Eigen::bfloat16, library>(prefix + "projection/bfloat16", rows, features);
  add<float, eigen>(prefix + "projection/eigen", rows, features);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  for (int rows : {1, 8, 64, 512}) headroom_bench::add_all("", rows, 4096);
  headroom_bench::add_all("smoke/", 5, 270);
  return headroom_bench::run_cases(argc, argv);
}
