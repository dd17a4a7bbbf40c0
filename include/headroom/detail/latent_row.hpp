// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/cache_checks.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/joined_codec.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <concepts>
#include <type_traits>

// A token of latent attention, [c, k_pe]: how it is stored, in one piece or on pages, and what a
// cache of such tokens takes and refuses.

namespace headroom::inline HEADROOM_ISA::detail {

// What rotary keys are stored as unless given: as latents, or in 16 bits where those have a codec.
template <class Stored>
using rope_key_storage =
    std::conditional_t<storage_scalar<Stored> || !codec<Stored>, Stored, Eigen::bfloat16>;

// Whether both parts of a row [c, k_pe] are of one scalar.
template <class Stored, class StoredRope>
inline constexpr bool one_latent_scalar = storage_scalar<Stored>&& std::same_as<Stored, StoredRope>;

// The codec of a row: one where both parts are of one scalar, so that it is read as it lies; else
// two, of which the first ends where the compiler knows.
template <class Stored, class StoredRope, int latent_rank>
struct latent_row_codec
    : std::type_identity<joined_codec<typename codec_of<Stored>::type, std::max(latent_rank, 1),
                                      typename codec_of<StoredRope>::type>> {};
template <storage_scalar Stored, int latent_rank>
struct latent_row_codec<Stored, Stored, latent_rank> : codec_of<Stored> {};

// How a token's row [c, k_pe] is stored, wherever it lies.
template <class Stored, class StoredRope, int latent_rank>
struct latent_row {
  using KeyCodec = typename latent_row_codec<Stored, StoredRope, latent_rank>::type;
  using ValueCodec = typename codec_of<Stored>::type;
  using RopeCodec = typename codec_of<StoredRope>::type;
  using Storage = typename ValueCodec::Storage;

  // Where a row's rotary key lies.
  static auto* rope_key(Storage* row, [[maybe_unused]] Index rank) {
    if constexpr (one_latent_scalar<Stored, StoredRope>)
      return row + rank;
    else
      return KeyCodec::second(row);
  }

  template <class C, class KPe>
  static void encode(const C* c, Index rank, const KPe* k_pe, Index rope, Storage* row) {
    ValueCodec::encode(c, row, rank);
    RopeCodec::encode(k_pe, rope_key(row, rank), rope);
  }
};

// Whether the compiler knows where the first part of such a row ends, as it must for two codecs.
template <class Stored, class StoredRope, int latent_rank>
inline constexpr bool splits_latent_row =
    latent_rank != Eigen::Dynamic || !is_storable<Stored> || one_latent_scalar<Stored, StoredRope>;

// Rotary keys for a cache of this width, called `who`.
template <viewable RopeKeys>
view<const scalar_of<RopeKeys>> new_rope_keys(const char* who, const RopeKeys& rope_keys,
                                              Index rope_width) {
  const view<const scalar_of<RopeKeys>> k_pe = given_rows(who, "rope_keys", rope_keys, 1);
  require(k_pe.heads() == 1 && k_pe.dim() == rope_width, who, ": rope_keys are [", k_pe.tokens(),
          ", ", k_pe.heads(), ", ", k_pe.dim(), "], expected [tokens, 1, rope = ", rope_width, "]");
  return k_pe;
}

// Them, and the latents of the same tokens.
template <viewable Latents, viewable RopeKeys>
struct new_latents {
  view<const scalar_of<Latents>> c;
  view<const scalar_of<RopeKeys>> k_pe;

  new_latents(const char* who, const Latents& latents, const RopeKeys& rope_keys,
              Index latent_width, Index rope_width)
      : c(given_rows(who, "latents", latents, 1)), k_pe(new_rope_keys(who, rope_keys, rope_width)) {
    require(c.heads() == 1 && c.dim() == latent_width, who, ": latents are [", c.tokens(), ", ",
            c.heads(), ", ", c.dim(), "], expected [tokens, 1, latent_rank = ", latent_width, "]");
    require(k_pe.tokens() == c.tokens(), who, ": rope_keys have ", k_pe.tokens(),
            " tokens, expected ", c.tokens(), " as latents");
  }
};

}  // namespace headroom::inline HEADROOM_ISA::detail
