// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a stack makes q~ of each call's queries and the output of its z, and calls that are stacked
// get the bits that they get alone; only calls of few rows are.
#include <headroom/detail/absorbed_stack.hpp>
#include <headroom/parallel.hpp>

#include <cmath>
#include <span>
#include <vector>

#include "support/catch.hpp"
#include "support/executors.hpp"
#include "support/matrix.hpp"
#include "support/problem.hpp"
#include "support/product.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

constexpr Index heads = 2, rank = 19, nope = 9, rope = 3, value = 7;

template <class Scalar>
using call_of = hr::detail::attention_call<Scalar, Scalar, hr::none>;
template <class Scalar>
using stack_of = hr::detail::absorbed_stack<call_of<Scalar>>;

using number_of_weights = hr::detail::product_number<float, Eigen::bfloat16>;

// Stands in for attention over latents: a number of z that depends on both parts of a row of q~.
template <class Scalar>
Scalar some_latent(const Scalar* absorbed, Index d) {
  return absorbed[d] + absorbed[rank + d % rope];
}

template <class Scalar>
std::vector<tensor<Scalar>> random_queries(const std::vector<Index>& lengths,
                                           random_source& random) {
  std::vector<tensor<Scalar>> queries;
  for (const Index q_len : lengths) {
    queries.emplace_back(q_len, heads, nope + rope, layout::padded);
    random.fill(queries.back().view());
  }
  return queries;
}

template <class Scalar>
void round_all(tensor<Scalar>& numbers) {
  for (Index t = 0; t < numbers.tokens(); ++t)
    for (Index h = 0; h < numbers.heads(); ++h)
      for (Index d = 0; d < numbers.dim(); ++d) numbers(t, h, d) = std::round(2 * numbers(t, h, d));
}

// The outputs of calls with these queries, in stacks, or each in a stack of its own.
template <class Scalar>
std::vector<tensor<Scalar>> outputs(const std::vector<tensor<Scalar>>& queries,
                                    const tensor<Scalar>& w_uk, const tensor<Scalar>& w_uv,
                                    bool stacked) {
  const hr::none mask;
  std::vector<tensor<Scalar>> out;
  std::vector<call_of<Scalar>> calls;
  for (const auto& q : queries) out.emplace_back(q.tokens(), heads, value, layout::padded);
  for (std::size_t i = 0; i < queries.size(); ++i)
    calls.push_back(
        {queries[i].view(), out[i].view(), mask, 5, 1, 0, Scalar(1), Scalar(0), {}, {}});
  std::size_t i = 0;
  for (std::span<const call_of<Scalar>> left(calls); !left.empty();) {
    const std::size_t count = stacked ? stack_of<Scalar>::next(left) : 1;
    hr::detail::scratch memory;
    const stack_of<Scalar> stack(left.first(count), nope, rank, memory);
    for (Index h = 0; h < heads; ++h) stack.absorb(h, as_tile(w_uk));
    stack.for_each_latent_call([&](const auto& call) {
      REQUIRE((call.q.tokens() == queries[i++].tokens() && call.q.dim() == rank + rope));
      REQUIRE((call.groups() == 1 && call.kv_len == 5));
      for (Index t = 0; t < call.q.tokens(); ++t)
        for (Index h = 0; h < heads; ++h)
          for (Index d = 0; d < rank; ++d) call.out(t, h, d) = some_latent(call.q.row(t, h), d);
    });
    for (Index h = 0; h < heads; ++h) stack.project(h, as_tile(w_uv));
    left = left.subspan(count);
  }
  for (const auto& written : out) REQUIRE(written.gaps_untouched());
  return out;
}

const std::vector<std::vector<Index>> all_lengths = {
    {1}, {1, 1}, {1, 2, 1}, {3, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {40}, {1, 40, 1}};

}  // namespace

TEMPLATE_TEST_CASE("a stack absorbs each call's queries and projects its latents", "", float,
                   double) {
  random_source random(31);
  for (const auto& lengths : all_lengths) {
    // Small integers, whose products and sums are exact.
    auto queries = random_queries<TestType>(lengths, random);
    auto w_uk = random_matrix<TestType>(nope, rank, random);
    auto w_uv = random_matrix<TestType>(value, rank, random);
    for (auto& q : queries) round_all(q);
    round_all(w_uk);
    round_all(w_uv);
    const auto got = outputs(queries, w_uk, w_uv, true);
    for (std::size_t i = 0; i < queries.size(); ++i)
      for (Index t = 0; t < queries[i].tokens(); ++t)
        for (Index h = 0; h < heads; ++h) {
          std::vector<TestType> absorbed(rank + rope, 0);
          for (Index d = 0; d < rank; ++d)
            for (Index n = 0; n < nope; ++n)
              absorbed[std::size_t(d)] += queries[i](t, h, n) * w_uk(n, 0, d);
          for (Index d = 0; d < rope; ++d)
            absorbed[std::size_t(rank + d)] = queries[i](t, h, nope + d);
          for (Index v = 0; v < value; ++v) {
            TestType sum = 0;
            for (Index d = 0; d < rank; ++d) sum += some_latent(absorbed.data(), d) * w_uv(v, 0, d);
            REQUIRE(got[i](t, h, v) == sum);
          }
        }
  }
}

TEMPLATE_TEST_CASE("stacked calls have the bits of each in a stack of its own", "", float, double) {
  random_source random(32);
  const auto w_uk = random_matrix<TestType>(nope, rank, random);
  const auto w_uv = random_matrix<TestType>(value, rank, random);
  for (const auto& lengths : all_lengths) {
    const auto queries = random_queries<TestType>(lengths, random);
    const auto got = outputs(queries, w_uk, w_uv, true);
    const auto alone = outputs(queries, w_uk, w_uv, false);
    for (std::size_t i = 0; i < queries.size(); ++i)
      REQUIRE(same_bits(got[i].view(), alone[i].view()));
  }
}

TEST_CASE("stacks pass through the weights of each head, which are stored in fewer bits") {
  random_source random(34);
  const auto queries = random_queries<float>({3, 30}, random);
  matrix<Eigen::bfloat16> weights =
      random_matrix<float>(random, heads * (nope + value), rank).cast<Eigen::bfloat16>();
  const hr::detail::up_projection<Eigen::bfloat16> up{hr::linear(weights), nope, value};
  const auto run = [&](bool together, const auto& executor) {
    const hr::none mask;
    std::vector<tensor<float>> out;
    std::vector<call_of<float>> calls;
    for (const auto& q : queries) out.emplace_back(q.tokens(), heads, value);
    for (std::size_t i = 0; i < queries.size(); ++i)
      calls.push_back({queries[i].view(), out[i].view(), mask, 5, 1, 0, 1, 0, {}, {}});
    hr::detail::scratch memory;
    const std::span<const call_of<float>> all(calls);
    const stack_of<float> stacks[] = {{all.first(1), nope, rank, memory},
                                      {all.last(1), nope, rank, memory}};
    const auto attend = [](const auto& call) {
      for (Index t = 0; t < call.q.tokens(); ++t)
        for (Index h = 0; h < heads; ++h)
          for (Index d = 0; d < rank; ++d) call.out(t, h, d) = some_latent(call.q.row(t, h), d);
    };
    if (together) {
      const std::span<const stack_of<float>> both(stacks);
      hr::detail::absorb(both, heads, up, executor);
      for (const auto& stack : both) stack.for_each_latent_call(attend);
      hr::detail::project(both, heads, up, executor);
    } else {
      for (const auto& stack : stacks) {
        hr::detail::scratch decoded;
        for (Index h = 0; h < heads; ++h) stack.absorb(h, up.w_uk<number_of_weights>(h, decoded));
        stack.for_each_latent_call(attend);
        for (Index h = 0; h < heads; ++h) stack.project(h, up.w_uv<number_of_weights>(h, decoded));
      }
    }
    return out;
  };
  int calls = 0;
  const auto got = run(true, backwards(calls));
  const auto expected = run(false, hr::serial{});
  CHECK(calls == 2);
  for (std::size_t i = 0; i < queries.size(); ++i)
    CHECK(same_bits(got[i].view(), expected[i].view()));
}

TEST_CASE("a stack has as many rows as a product may have, or is a call alone") {
  const Index most = hr::detail::most_stacked_rows<float>;
  random_source random(33);
  const auto next = [&](const std::vector<Index>& lengths) {
    const hr::none mask;
    const auto queries = random_queries<float>(lengths, random);
    std::vector<call_of<float>> calls;
    for (const auto& q : queries) calls.push_back({q.view(), {}, mask, 5, 1, 0, 1, 0, {}, {}});
    return stack_of<float>::next(calls);
  };
  CHECK(next({}) == 0);
  CHECK(next({1}) == 1);
  CHECK(next({most + 1, 1}) == 1);
  CHECK(next({1, most}) == 1);
  CHECK(next({most, 1}) == 1);
  CHECK(next(std::vector<Index>(20, 1)) == std::size_t(most));
}
