// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/memory.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/view.hpp>

#include <memory>

namespace headroom::inline HEADROOM_ISA {

/// What multi-head latent attention keeps of a token: its latent c (normalised) and its rotary key
/// k_pe (rotated), latent_rank + rope numbers that serve all heads. As a source it is one group
/// whose key is the row [c, k_pe] and whose value is the same row's prefix c.
///
/// Not to be written while it is read; reading from several threads is fine.
///
/// \tparam Scalar_      what is stored: float, double, Eigen::half or Eigen::bfloat16
/// \tparam latent_rank  width of a latent, or Eigen::Dynamic
/// \tparam rope         width of a rotary key, or Eigen::Dynamic
/// \source DeepSeek-V2, arXiv 2405.04434, section 2.1.2 and 2.1.3
template <class Scalar_, int latent_rank = Eigen::Dynamic, int rope = Eigen::Dynamic>
class latent_cache {
  static_assert(detail::storage_scalar<Scalar_>,
                "latent_cache<Scalar, ...>: Scalar must be float, double, Eigen::half or "
                "Eigen::bfloat16");
  static_assert(detail::is_size(latent_rank) && detail::is_size(rope, 0),
                "latent_cache<Scalar, latent_rank, rope>: latent_rank must be at least 1 and rope "
                "at least 0, or Eigen::Dynamic");

 public:
  using Scalar = Scalar_;
  using KeyCodec = scalar_codec<Scalar>;
  using ValueCodec = scalar_codec<Scalar>;

  /// Room for `capacity` tokens; nothing is allocated later.
  explicit latent_cache(Index capacity) requires(detail::all_fixed<latent_rank, rope>)
      : latent_cache(capacity, latent_rank, rope) {}

  /// \throws std::invalid_argument naming the size that is wrong
  latent_cache(Index capacity, Index rank, Index rope_width)
      : rank_(rank, "latent_cache", "latent_rank"),
        rope_(rope_width, "latent_cache", "rope", 0),
        capacity_(capacity) {
    detail::require(capacity >= 0, "latent_cache: capacity = ", capacity, ", expected at least 0");
    rows_ = detail::uninitialised<Scalar>(capacity * qk_dim());
  }

  Index tokens() const { return size_; }
  Index capacity() const { return capacity_; }
  Index rank() const { return rank_.value(); }
  Index rope_width() const { return rope_.value(); }

  // The sizes of the source: absorbed attention is multi-query attention over [c, k_pe].
  Index groups() const { return 1; }
  Index qk_dim() const { return rank() + rope_width(); }
  Index v_dim() const { return rank(); }

  /// Bytes that a token takes.
  Index bytes_per_token() const { return qk_dim() * static_cast<Index>(sizeof(Scalar)); }

  /// Adds tokens at the end, converting to the stored scalar.
  ///
  /// \param latents    [tokens, 1, latent_rank], after the norm; a view or a row-major matrix
  /// \param rope_keys  [tokens, 1, rope], after the rotation
  /// \throws std::invalid_argument if a shape disagrees, std::length_error if there is no room;
  ///         the cache is then unchanged
  template <viewable Latent, viewable RopeKey>
  void append(const Latent& latents, const RopeKey& rope_keys) {
    const view<const scalar_of<Latent>> c =
        detail::view_argument("latent_cache", "latents", latents, 1);
    const view<const scalar_of<RopeKey>> k_pe =
        detail::view_argument("latent_cache", "rope_keys", rope_keys, 1);
    detail::require(c.heads() == 1 && c.dim() == rank(), "latent_cache: latents are [", c.tokens(),
                    ", ", c.heads(), ", ", c.dim(),
                    "], expected [tokens, 1, latent_rank = ", rank(), "]");
    detail::require(k_pe.heads() == 1 && k_pe.dim() == rope_width(),
                    "latent_cache: rope_keys are [", k_pe.tokens(), ", ", k_pe.heads(), ", ",
                    k_pe.dim(), "], expected [tokens, 1, rope = ", rope_width(), "]");
    detail::require(k_pe.tokens() == c.tokens(), "latent_cache: rope_keys have ", k_pe.tokens(),
                    " tokens, expected ", c.tokens(), " as latents");
    detail::require_room("latent_cache", c.tokens(), size_, capacity_);
    for (Index t = 0; t < c.tokens(); ++t) {
      Scalar* const stored = row(size_ + t);
      KeyCodec::encode(c.row(t, 0), stored, rank());
      KeyCodec::encode(k_pe.row(t, 0), stored + rank(), rope_width());
    }
    size_ += c.tokens();
  }

  /// Keeps the first `tokens` tokens; exact, whatever came after them.
  ///
  /// \throws std::invalid_argument if there are fewer
  void truncate(Index tokens) {
    detail::require_truncation("latent_cache", tokens, size_);
    size_ = tokens;
  }

  /// Forgets every token.
  void clear() { size_ = 0; }

  /// The latents so far, [tokens, 1, latent_rank]; valid while the cache lives.
  view<const Scalar> latent_view() const { return {rows_.get(), size_, 1, rank(), qk_dim(), 0}; }
  /// The rotary keys so far, [tokens, 1, rope].
  view<const Scalar> rope_key_view() const {
    return {rows_.get() + rank(), size_, 1, rope_width(), qk_dim(), 0};
  }

  token_run<Scalar> keys(Index, Index begin, Index end) const {
    return {row(begin), qk_dim(), end - begin};
  }
  token_run<Scalar> values(Index, Index begin, Index end) const {
    return {row(begin), qk_dim(), end - begin};
  }

 private:
  Scalar* row(Index t) const { return rows_.get() + t * qk_dim(); }

  [[no_unique_address]] detail::extent<latent_rank> rank_;
  [[no_unique_address]] detail::extent<rope> rope_;
  Index capacity_;
  Index size_ = 0;
  detail::aligned_array<Scalar> rows_;  // [capacity, latent_rank + rope]
};

}  // namespace headroom::inline HEADROOM_ISA
