// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Caches are sources, anything with the same members is one, and codecs are what they say.
#include <headroom/codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/paged_latents.hpp>
#include <headroom/parallel.hpp>

#include <concepts>
#include <cstdint>
#include <type_traits>

namespace {

namespace hr = headroom;
using Eigen::Index;

static_assert(hr::kv_source<hr::view_source<float, Eigen::half>>);
static_assert(hr::kv_source<hr::kv_cache<Eigen::bfloat16, 8, 128>>);
static_assert(hr::kv_source<hr::kv_cache<float>>);
static_assert(hr::kv_source<hr::latent_cache<Eigen::half, 512, 64>>);
static_assert(hr::kv_source<hr::paged_cache<Eigen::bfloat16, 8, 128>>);
static_assert(hr::kv_source<hr::paged_latents<Eigen::half, 512, 64>>);
static_assert(hr::kv_source<hr::paged_view<float, Eigen::half>>);
static_assert(!hr::kv_source<hr::page_pool<float, 8, 128>>);  // of many sequences
static_assert(!hr::kv_source<hr::view<const float>>);
static_assert(!hr::kv_source<int>);

// A run of another storage than the codec's is a mistake that the concept sees.
struct mixed_up : hr::view_source<float, float> {
  using KeyCodec = hr::scalar_codec<Eigen::half>;
};
static_assert(!hr::kv_source<mixed_up>);

// A cache owns its memory: it moves, and no copy is made by accident.
static_assert(std::is_nothrow_move_constructible_v<hr::kv_cache<float>>);
static_assert(!std::is_copy_constructible_v<hr::kv_cache<float>>);
static_assert(!std::is_copy_constructible_v<hr::latent_cache<float>>);
static_assert(std::is_nothrow_move_constructible_v<hr::paged_cache<float>>);
static_assert(std::is_nothrow_move_assignable_v<hr::paged_cache<float>>);
static_assert(!std::is_copy_constructible_v<hr::paged_cache<float>>);
static_assert(!std::is_copy_assignable_v<hr::paged_cache<float>>);
static_assert(!std::is_copy_constructible_v<hr::paged_latents<float>>);
static_assert(!std::is_convertible_v<hr::page_pool<float>&, hr::paged_cache<float>>);
static_assert(std::same_as<hr::kv_cache<float, 8, 64>, hr::kv_cache<float, 8, 64, 64>>);
static_assert(std::is_constructible_v<hr::kv_cache<float, 8, 64>, Index>);
static_assert(!std::is_constructible_v<hr::kv_cache<float, 8>, Index>);
static_assert(!std::is_convertible_v<Index, hr::kv_cache<float, 8, 64>>);

static_assert(hr::codec<hr::scalar_codec<Eigen::half>>);
static_assert(hr::scalar_codec<float>::storage_size(7) == 7);
static_assert(!hr::codec<float>);

// A codec of the user's: numbers from 0 to 1 in steps of 1 / 255.
struct byte_codec {
  using Storage = std::uint8_t;
  static Index storage_size(Index dim) { return dim; }
  template <class In>
  static void encode(const In* row, Storage* stored, Index dim) {
    for (Index d = 0; d < dim; ++d) stored[d] = static_cast<Storage>(row[d] * In(255) + In(0.5));
  }
  template <class Out>
  static void decode(const Storage* stored, Out* row, Index dim) {
    for (Index d = 0; d < dim; ++d) row[d] = Out(stored[d]) / Out(255);
  }
};
static_assert(hr::codec<byte_codec>);

// An executor takes a count and work; a pool's own loop, a lambda, and nothing else.
static_assert(hr::executor<hr::serial>);
#ifdef _OPENMP
static_assert(hr::executor<hr::openmp>);
#endif
constexpr auto backwards = [](Index count, const auto& work) {
  while (count-- > 0) work(count);
};
static_assert(hr::executor<decltype(backwards)>);
constexpr auto mutable_only = [i = 0](Index, const auto&) mutable { ++i; };
static_assert(!hr::executor<decltype(mutable_only)>);  // called through a const reference
static_assert(!hr::executor<int>);
static_assert(std::is_empty_v<hr::serial>);

}  // namespace
