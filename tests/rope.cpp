// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: with R(p) the rotation of each channel pair by p theta_k, R(m)^T R(n) = R(n - m), R(0) is
// the identity, and |R(p) x| = |x|; an amplitude multiplies the rotated channels and no others.
// NumPy computed the golden rotations (golden/rope.py).
#include <headroom/rope.hpp>

#include "golden/rope.hpp"
#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/random.hpp"

namespace hr = headroom;
using Eigen::Index;
using headroom_tests::contains;

namespace {

using hr::rope_pairing;

constexpr double quiet_nan = std::numeric_limits<double>::quiet_NaN();

template <class Scalar>
std::vector<Scalar> random_numbers(Index count, unsigned seed) {
  return headroom_tests::random_source(seed).numbers<Scalar>(count);
}

template <class Scalar, class Range>
std::vector<Scalar> to(const Range& numbers) {
  std::vector<Scalar> out;
  for (const auto& n : numbers) out.push_back(static_cast<Scalar>(n));
  return out;
}

/// Greatest difference of got from expected.
template <class Got, class Expected>
double error(const Got& got, const Expected& expected) {
  double worst = std::size(got) == std::size(expected) ? 0 : quiet_nan;
  auto e = std::begin(expected);
  for (const auto& g : got) {
    const double difference = std::abs(static_cast<double>(g) - static_cast<double>(*e++));
    if (!(difference <= worst)) worst = difference;
  }
  return worst;
}

/// A rotated channel is x1 c - x2 s with both angles' numbers, both products and the difference
/// rounded: at most 4 u (|x1| + |x2|), times the amplitude, where u is half the scalar's epsilon.
template <class Scalar>
double bound(double largest, double amplitude = 1) {
  return 4 * std::numeric_limits<Scalar>::epsilon() * largest * std::max(amplitude, 1.0);
}

}  // namespace

TEST_CASE("rotations of both pairings, whole and partial, are those of NumPy") {
  const std::vector<Index> positions = {0, 7, 100003};
  const hr::rope_scaling yarn = hr::yarn_scaling{40, 4096};
  const auto check = [&](const hr::rope& rope, std::span<const double> expected) {
    // A golden angle of 1e5 radians is itself rounded: 1e5 * 2^-53 of a radian.
    const double angle = 1e5 * 0x1p-53;
    std::vector<double> x = to<double>(golden::rope::x);
    rope(hr::tokens_major(x.data(), 3, 2, 12), positions);
    CHECK(error(x, expected) <= bound<double>(4, rope.amplitude()) + 8 * angle);
    std::vector<float> xf = to<float>(golden::rope::x);
    rope(hr::tokens_major(xf.data(), 3, 2, 12), positions);
    CHECK(error(xf, expected) <= bound<float>(4, rope.amplitude()));
  };
  check(hr::rope(12), golden::rope::half_full);
  check(hr::rope(12, {.pairing = rope_pairing::interleaved}), golden::rope::interleaved_full);
  check(hr::rope(8, {.scaling = yarn, .amplitude = 1.25}), golden::rope::half_yarn_partial);
  check(hr::rope(8, {.pairing = rope_pairing::interleaved, .scaling = yarn, .amplitude = 1.25}),
        golden::rope::interleaved_yarn_partial);
}

TEST_CASE("position 0 is the identity") {
  const auto pairing = GENERATE(rope_pairing::half, rope_pairing::interleaved);
  const auto x = random_numbers<float>(5 * 16, 1);
  auto y = x;
  const hr::rope rope(16, {.pairing = pairing});
  rope(hr::tokens_major(y.data(), 1, 5, 16), 0);
  CHECK(y == x);
}

TEST_CASE("scores depend on the distance alone: R(m)^T R(n) = R(n - m)") {
  const auto pairing = GENERATE(rope_pairing::half, rope_pairing::interleaved);
  const Index dim = GENERATE(2, 12, 64);
  const hr::rope rope(dim, {.pairing = pairing});
  const auto q = random_numbers<double>(dim, 2), k = random_numbers<double>(dim, 3);
  const auto rotated = [&](std::vector<double> x, Index position) {
    rope(hr::tokens_major(x.data(), 1, 1, dim), position);
    return Eigen::Map<Eigen::VectorXd>(x.data(), dim).eval();
  };
  const Eigen::Map<const Eigen::VectorXd> q0(q.data(), dim);
  const double size = q0.norm() * rotated(k, 0).norm();
  for (const Index m : {0, 1, 5, 1999})
    for (const Index n : {0, 3, 19, 4096}) {
      const double score = rotated(q, m).dot(rotated(k, n));
      CHECK(std::abs(score - q0.dot(rotated(k, n - m))) <= 1e-12 * size);
    }
}

TEST_CASE("rotating again moves along the sequence, backwards too") {
  const hr::rope rope(32);
  auto x = random_numbers<double>(7 * 2 * 32, 4), y = x;
  const auto xv = hr::tokens_major(x.data(), 7, 2, 32), yv = hr::tokens_major(y.data(), 7, 2, 32);
  rope(xv, 11);
  rope(yv, 100);
  const std::vector<Index> back(7, -89);
  rope(yv, back);
  CHECK(error(y, x) <= 2 * bound<double>(5) + 1e-12);
}

TEST_CASE("a rotation keeps the length of every pair, and an amplitude multiplies it") {
  const auto pairing = GENERATE(rope_pairing::half, rope_pairing::interleaved);
  const double amplitude = GENERATE(1.0, 1.3466);
  const Index dim = 20, r = 12;
  const hr::rope rope(r, {.pairing = pairing, .amplitude = amplitude});
  const auto x = random_numbers<double>(3 * dim, 5);
  auto y = x;
  rope(hr::tokens_major(y.data(), 3, 1, dim), 123);
  for (Index t = 0; t < 3; ++t) {
    const Eigen::Map<const Eigen::VectorXd> before(x.data() + t * dim, dim),
        after(y.data() + t * dim, dim);
    CHECK(after.tail(dim - r) == before.tail(dim - r));
    for (Index k = 0; k < r / 2; ++k) {
      const bool half = pairing == rope_pairing::half;
      const Index a = half ? k : 2 * k, b = half ? k + r / 2 : 2 * k + 1;
      const double length = amplitude * std::hypot(before[a], before[b]);
      CHECK(std::abs(std::hypot(after[a], after[b]) - length) <= 1e-15 * 8 * length);
    }
  }
}

TEST_CASE("the two pairings are one map up to a permutation of the channels") {
  const Index tokens = 4, heads = 3, dim = 18, r = 14;
  const auto x = random_numbers<float>(tokens * heads * dim, 6);
  auto interleaved = x, half = x;
  const auto channel = [&](Index d) { return d < r ? (d % 2) * r / 2 + d / 2 : d; };
  for (Index row = 0; row < tokens * heads; ++row)
    for (Index d = 0; d < dim; ++d)
      half[std::size_t(row * dim + channel(d))] = x[std::size_t(row * dim + d)];
  hr::rope(r, {.pairing = rope_pairing::interleaved})(
      hr::tokens_major(interleaved.data(), tokens, heads, dim), 9);
  hr::rope(r, {.pairing = rope_pairing::half})(hr::tokens_major(half.data(), tokens, heads, dim),
                                               9);
  std::vector<float> back(x.size());
  for (Index row = 0; row < tokens * heads; ++row)
    for (Index d = 0; d < dim; ++d)
      back[std::size_t(row * dim + d)] = half[std::size_t(row * dim + channel(d))];
  CHECK(error(back, interleaved) <= bound<float>(5));
}

TEMPLATE_TEST_CASE("half and bfloat16 are rotated in float and rounded once", "", Eigen::half,
                   Eigen::bfloat16) {
  const hr::rope rope(16);
  const auto x = random_numbers<TestType>(2 * 3 * 16, 8);
  auto narrow = x;
  auto wide = to<float>(x);
  rope(hr::tokens_major(narrow.data(), 2, 3, 16), 31);
  rope(hr::tokens_major(wide.data(), 2, 3, 16), 31);
  CHECK(narrow == to<TestType>(wide));
}

TEST_CASE("consecutive positions are the list of them, and heads-major is tokens-major") {
  const Index tokens = 6, heads = 3, dim = 10;
  const hr::rope rope(dim);
  const auto x = random_numbers<float>(tokens * heads * dim, 9);
  auto a = x, b = x, c = x;
  const auto av = hr::tokens_major(a.data(), tokens, heads, dim);
  const auto cv = hr::heads_major(c.data(), tokens, heads, dim);
  for (Index t = 0; t < tokens; ++t)
    for (Index h = 0; h < heads; ++h) std::copy_n(av.row(t, h), dim, cv.row(t, h));
  rope(av, 5);
  rope(hr::tokens_major(b.data(), tokens, heads, dim), std::vector<Index>{5, 6, 7, 8, 9, 10});
  rope(cv, 5);
  CHECK(a == b);
  for (Index t = 0; t < tokens; ++t)
    for (Index h = 0; h < heads; ++h)
      CHECK(std::equal(av.row(t, h), av.row(t, h) + dim, cv.row(t, h)));
}

TEST_CASE("out of place equals in place, reads a const view, and writes any scalar") {
  const Index tokens = 2, heads = 2, dim = 12;
  const hr::rope rope(8, {.pairing = rope_pairing::interleaved});
  const auto x = random_numbers<float>(tokens * heads * dim, 10);
  auto in_place = x;
  std::vector<float> out(x.size(), float(quiet_nan));
  std::vector<Eigen::bfloat16> narrow(x.size());
  const auto xv = hr::tokens_major(x.data(), tokens, heads, dim);
  rope(hr::tokens_major(in_place.data(), tokens, heads, dim), 3);
  rope(xv, hr::tokens_major(out.data(), tokens, heads, dim), 3);
  rope(xv, hr::tokens_major(narrow.data(), tokens, heads, dim), 3);
  CHECK(out == in_place);
  CHECK(narrow == to<Eigen::bfloat16>(in_place));
}

TEST_CASE("a slice is rotated and its surroundings are left alone") {
  const Index nope = 6, r = 4, tokens = 3, heads = 2;
  auto q = random_numbers<float>(tokens * heads * (nope + r), 11);
  const auto before = q;
  const auto view = hr::tokens_major(q.data(), tokens, heads, nope + r);
  const hr::rope rope(r);
  rope(view.slice_dim(nope, nope + r).slice_tokens(1, 3).slice_heads(1, 2), 8);
  const auto old = hr::tokens_major(before.data(), tokens, heads, nope + r);
  for (Index t = 0; t < tokens; ++t)
    for (Index h = 0; h < heads; ++h)
      for (Index d = 0; d < nope + r; ++d) {
        const bool inside = t >= 1 && h == 1 && d >= nope;
        CHECK((view(t, h, d) != old(t, h, d)) == inside);
      }
}

TEST_CASE("rotating allocates nothing") {
  if (!headroom_tests::counts_allocations) return;
  const hr::rope rope(64, {.scaling = hr::yarn_scaling{40, 4096}});
  auto x = random_numbers<float>(4 * 80, 14);
  const auto view = hr::tokens_major(x.data(), 1, 4, 80);
  const std::vector<Index> positions = {7};
  CHECK(headroom_tests::allocations_of([&] {
          rope(view, 5);
          rope(view, positions);
        }) == 0);
}

TEST_CASE("no tokens and no heads are nothing to do") {
  const hr::rope rope(4);
  rope(hr::view<float>(nullptr, 0, 2, 4, 8, 4), 7);
  rope(hr::view<float>(nullptr, 2, 0, 4, 8, 4), std::vector<Index>{1, 2});
  SUCCEED();
}

TEST_CASE("an argument that does not fit is named, and nothing is written") {
  const hr::rope rope(8);
  const auto before = random_numbers<float>(4 * 2 * 8, 13);
  auto x = before, y = before;
  const auto xv = hr::tokens_major(x.data(), 4, 2, 8), yv = hr::tokens_major(y.data(), 4, 2, 8);
  REQUIRE_THROWS_WITH(rope(xv.slice_dim(0, 6), 0),
                      contains("rope: x has head width 6, expected at least rotary_dim = 8"));
  REQUIRE_THROWS_WITH(rope(xv, yv.slice_tokens(0, 3), 0),
                      contains("rope: out is [3, 2, 8], expected the shape of x, [4, 2, 8]"));
  REQUIRE_THROWS_WITH(rope(xv, std::vector<Index>{1, 2, 3}),
                      contains("rope: 3 positions, expected one per token = 4"));
  CHECK(x == before);
  CHECK(y == before);

  REQUIRE_THROWS_WITH(hr::rope(5), contains("rope: rotary_dim is 5, expected an even number"));
  REQUIRE_THROWS_WITH(hr::rope(8, {.amplitude = quiet_nan}), contains("rope: amplitude is"));
}
