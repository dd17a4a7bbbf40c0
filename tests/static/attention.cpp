// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Attention objects are sizes and nothing else; the names of its kinds are names of one template.
#include <headroom/attention.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/mla.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/rotated_cache.hpp>

#include <concepts>
#include <type_traits>

namespace {

namespace hr = headroom;
constexpr int dynamic = Eigen::Dynamic;

static_assert(std::same_as<hr::mha<8>, hr::attention<8, 8>>);
static_assert(std::same_as<hr::mha<8>, hr::gqa<8, 8>>);
static_assert(std::same_as<hr::mqa<8>, hr::gqa<8, 1>>);
static_assert(std::same_as<hr::mha<1, 64>, hr::mqa<1, 64>>);
static_assert(std::same_as<hr::gqa<32, 8, 128>, hr::attention<32, 8, 128, 128>>);
static_assert(std::same_as<hr::mqa<71, 64, 32>, hr::attention<71, 1, 64, 32>>);

// What the template fixes takes no room: no number is kept beside the type.
static_assert(std::is_empty_v<hr::attention<32, 8, 128>>);
static_assert(std::is_empty_v<hr::attention<32, 8, 128, 64>>);
static_assert(std::is_empty_v<hr::mla<16, 512, 128, 64, 128>>);
static_assert(sizeof(hr::attention<32, 8, dynamic, 128>) <= 2 * sizeof(hr::Index));
static_assert(sizeof(hr::attention<dynamic, dynamic>) == 4 * sizeof(hr::Index));

// Cheap to copy and to share between threads.
static_assert(std::is_trivially_copyable_v<hr::attention<32, 8, 128>>);
static_assert(std::is_trivially_copyable_v<hr::attention<dynamic, dynamic>>);
static_assert(std::is_trivially_copyable_v<hr::mla<16, 512, 128, 64, 128>>);
static_assert(std::is_trivially_copyable_v<hr::attention_options<float>>);

// Sizes are given where the template leaves them open, and only there.
static_assert(std::is_default_constructible_v<hr::attention<32, 8, 128>>);
static_assert(!std::is_default_constructible_v<hr::attention<32, 8>>);
static_assert(std::is_constructible_v<hr::attention<32, 8>, hr::Index>);
static_assert(!std::is_constructible_v<hr::attention<dynamic, 8>, hr::Index>);
static_assert(std::is_constructible_v<hr::attention<dynamic, dynamic>, int, int, int, int>);
static_assert(!std::is_convertible_v<int, hr::attention<32, 8>>);

// What a call takes, and in which order.
using heads = hr::attention<32, 8>;
using numbers = hr::view<const float>;
using result = hr::view<float>;
using cache = hr::kv_cache<Eigen::half, 8>;
static_assert(std::invocable<const heads&, numbers, numbers, numbers, result>);
static_assert(std::invocable<const heads&, numbers, numbers, numbers, result, hr::causal>);
static_assert(std::invocable<const heads&, numbers, numbers, numbers, result, hr::causal,
                             hr::attention_options<float>, hr::serial>);
static_assert(std::invocable<const heads&, numbers, const cache&, result, hr::causal>);
static_assert(!std::invocable<const heads&, numbers, numbers, numbers>);
static_assert(!std::invocable<const heads&, numbers, numbers, numbers, result, hr::serial>);
static_assert(!std::invocable<const heads&, numbers, numbers, numbers, result, hr::causal,
                              hr::attention_options<double>>);
static_assert(!std::invocable<const heads&, const float*, numbers, numbers, result>);

// The same as an answer.
static_assert(heads::supports<numbers, cache, result>);
static_assert(heads::supports<hr::view<const Eigen::half>, hr::view_source<float, float>, result>);
static_assert(!heads::supports<hr::view<const int>, cache, result>);
static_assert(!heads::supports<numbers, cache, hr::view<Eigen::half>>);
static_assert(!heads::supports<numbers, numbers, result>);
static_assert(!heads::supports<const float*, cache, result>);
static_assert(!heads::supports<numbers, cache, numbers>);  // an out that cannot be written
using rows = Eigen::Matrix<float, dynamic, dynamic, Eigen::RowMajor>;
static_assert(heads::supports<const rows, cache, rows>);
static_assert(!heads::supports<const rows, cache, const rows>);
static_assert(!heads::supports<Eigen::MatrixXf, cache, rows>);
static_assert(!heads::supports<rows, cache, Eigen::MatrixXf>);
static_assert(!heads::supports<rows, hr::kv_cache<float, 4>, rows>);
static_assert(!hr::gqa<32, 8, 64>::supports<rows, hr::kv_cache<float, 8, 128>, rows>);
static_assert(hr::gqa<32, 8, 64>::supports<rows, hr::kv_cache<float, 8>, rows>);
static_assert(
    !hr::gqa<32, 8, 64>::supports<rows, hr::rotated_cache<hr::kv_cache<float, 8, 128>>, rows>);
using core = hr::mla<4, 32, 16, 8, 16>;
using latents = hr::latent_cache<Eigen::half, 32, 8>;
static_assert(core::supports<numbers, latents, result>);
static_assert(core::supports<numbers, hr::ring_cache<latents>, result>);
static_assert(!core::supports<hr::view<const Eigen::half>, latents, result>);
static_assert(!core::supports<numbers, latents, hr::view<double>>);
static_assert(!core::supports<numbers, numbers, result>);
static_assert(!core::supports<numbers, hr::rotated_cache<hr::kv_cache<float, 1, 40, 40>>, result>);
static_assert(!core::supports<const float*, latents, result>);
static_assert(!core::supports<numbers, hr::latent_cache<Eigen::half, 32, 4>, result>);
static_assert(!core::supports<numbers, hr::ring_cache<hr::latent_cache<float, 16, 8>>, result>);
static_assert(!core::supports<numbers, latents, numbers>);

}  // namespace
