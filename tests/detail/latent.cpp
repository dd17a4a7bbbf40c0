// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// detail/latent: weights are read in place where they are stored in the computed scalar and decoded
// elsewhere; a tile of latents is expanded once per head whatever number of query blocks meets it,
// and windows that begin and end inside tiles give the same as the absorbed form.

#include <headroom/detail/latent.hpp>
#include <headroom/mla.hpp>

#include "support/catch.hpp"
#include "support/random.hpp"

#include <limits>
#include <vector>

namespace {

namespace hr = headroom;
using hr::Index;
using matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// A source of latents that counts how often each token's row is asked for.
class counting_source {
 public:
  using KeyCodec = hr::scalar_codec<double>;
  using ValueCodec = hr::scalar_codec<double>;

  counting_source(const matrix& rows, Index rank)
      : rows_(rows), rank_(rank), reads(static_cast<std::size_t>(rows.rows()), 0) {}

  Index tokens() const { return rows_.rows(); }
  Index groups() const { return 1; }
  Index qk_dim() const { return rows_.cols(); }
  Index v_dim() const { return rank_; }
  hr::token_run<double> keys(Index, Index begin, Index end) const {
    for (Index j = begin; j < end; ++j) ++reads[static_cast<std::size_t>(j)];
    return {rows_.data() + begin * rows_.cols(), rows_.cols(), end - begin};
  }
  hr::token_run<double> values(Index, Index begin, Index end) const {
    return {rows_.data() + begin * rows_.cols(), rows_.cols(), end - begin};
  }

 private:
  const matrix& rows_;
  Index rank_;

 public:
  mutable std::vector<int> reads;
};

matrix random_matrix(headroom_tests::random_source& random, Index rows, Index cols) {
  matrix result(rows, cols);
  random.fill(hr::as_view(result, 1), 0.5);
  return result;
}

}  // namespace

TEST_CASE("rows of weights come in place or decoded, with the same numbers") {
  headroom_tests::random_source random(51);
  const Eigen::Matrix<Eigen::half, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> narrow =
      random_matrix(random, 9, 5).cast<Eigen::half>();
  const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> wide =
      narrow.cast<float>();
  hr::detail::scratch memory;
  const auto in_place = hr::detail::weight_rows<float>(hr::linear(wide), 3, 4, memory);
  const auto decoded = hr::detail::weight_rows<float>(hr::linear(narrow), 3, 4, memory);
  REQUIRE(in_place.data == wide.data() + 15);
  REQUIRE(decoded.data != in_place.data);
  for (Index i = 0; i < 4; ++i)
    for (Index d = 0; d < 5; ++d)
      REQUIRE(in_place.data[i * in_place.stride + d] == decoded.data[i * decoded.stride + d]);
}

TEST_CASE("the expanded form reads each latent once per head, however many queries there are") {
  headroom_tests::random_source random(52);
  const Index tokens = 3 * hr::detail::tile_keys + 17, q_len = 5 * hr::detail::block_rows + 3;
  const matrix rows = random_matrix(random, tokens, 10), up = random_matrix(random, 3 * 7, 6);
  const matrix q = random_matrix(random, q_len, 3 * 8);
  matrix out(q_len, 9);
  const hr::mla<3, 6, 4, 4, 3> core;
  const counting_source source(rows, 6);
  core.expanded(q, source, hr::linear<double>(up), out);
  for (const int count : source.reads) REQUIRE(count == 3);
}

TEST_CASE("windows that begin and end inside tiles agree with the absorbed form") {
  headroom_tests::random_source random(53);
  const Index tokens = 4 * hr::detail::tile_keys + 50;
  const matrix rows = random_matrix(random, tokens, 10), up = random_matrix(random, 2 * 7, 6);
  const hr::mla<2, 6, 4, 4, 3> core;
  const counting_source source(rows, 6);
  for (const Index window : {1, 5, 95, 96, 97, 200}) {
    for (const Index q_len : {1, 63, 193, 300}) {
      const matrix q = random_matrix(random, q_len, 2 * 8);
      matrix expanded(q_len, 6), absorbed(q_len, 6);
      const auto mask = hr::causal{} & hr::sliding_window(window);
      core.expanded(q, source, hr::linear<double>(up), expanded, mask);
      core.absorbed(q, source, hr::linear<double>(up), absorbed, mask);
      // Both round; values are sums of 6 products below 4, weights sum to 1.
      const double bound =
          static_cast<double>(2 * tokens + 64) * std::numeric_limits<double>::epsilon() * 24;
      REQUIRE((expanded - absorbed).cwiseAbs().maxCoeff() <= bound);
    }
  }
}
