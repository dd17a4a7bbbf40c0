// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: element (t, h, d) of a view lies at data + t * token_stride + h * head_stride + d, however
// the view came about: from a buffer of either order, from an Eigen row-major object, by slicing.
#include <headroom/view.hpp>

#include <utility>

#include "support/catch.hpp"

namespace hr = headroom;
using Eigen::Index;
using headroom_tests::contains;

namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

std::vector<float> counted(Index size) {
  std::vector<float> numbers(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i);
  return numbers;
}

RowMajor counted_matrix(Index rows, Index cols) {
  RowMajor matrix(rows, cols);
  for (Index i = 0; i < matrix.size(); ++i) matrix.data()[i] = static_cast<float>(i);
  return matrix;
}

// Calls f(t, h, d) for every element.
template <class View, class F>
void for_each_element(const View& view, F f) {
  for (Index t = 0; t < view.tokens(); ++t)
    for (Index h = 0; h < view.heads(); ++h)
      for (Index d = 0; d < view.dim(); ++d) f(t, h, d);
}

}  // namespace

TEST_CASE("buffers of either order are read in place") {
  const Index tokens = 3, heads = 4, dim = 5;
  auto buffer = counted(tokens * heads * dim);
  const auto by_token = hr::tokens_major(buffer.data(), tokens, heads, dim);
  const auto by_head = hr::heads_major(buffer.data(), tokens, heads, dim);
  for_each_element(by_token, [&](Index t, Index h, Index d) {
    CHECK(&by_token(t, h, d) == buffer.data() + (t * heads + h) * dim + d);
    CHECK(&by_head(t, h, d) == buffer.data() + (h * tokens + t) * dim + d);
  });
}

TEST_CASE("strides are free: reversed tokens, repeated heads, rows with gaps") {
  auto buffer = counted(4 * 7);
  const hr::view<float> reversed(buffer.data() + 3 * 7, 4, 2, 3, -7, 3);
  CHECK(reversed(0, 0, 0) == 21);
  CHECK(reversed(3, 1, 2) == 5);
  const hr::view<float> repeated(buffer.data(), 4, 8, 3, 7, 0);
  CHECK(&repeated(2, 7, 1) == &repeated(2, 0, 1));
}

TEST_CASE("a slice shows the same elements under shifted indices") {
  auto buffer = counted(6 * 5 * 4);
  const auto whole = hr::heads_major(buffer.data(), 6, 5, 4);
  const auto tokens = whole.slice_tokens(2, 5);
  const auto heads = whole.slice_heads(1, 4);
  const auto dims = whole.slice_dim(1, 3);
  CHECK((tokens.tokens() == 3 && tokens.heads() == 5 && tokens.dim() == 4));
  CHECK((heads.tokens() == 6 && heads.heads() == 3 && heads.dim() == 4));
  CHECK((dims.tokens() == 6 && dims.heads() == 5 && dims.dim() == 2));
  for_each_element(
      tokens, [&](Index t, Index h, Index d) { CHECK(&tokens(t, h, d) == &whole(t + 2, h, d)); });
  for_each_element(
      heads, [&](Index t, Index h, Index d) { CHECK(&heads(t, h, d) == &whole(t, h + 1, d)); });
  for_each_element(
      dims, [&](Index t, Index h, Index d) { CHECK(&dims(t, h, d) == &whole(t, h, d + 1)); });
  CHECK(whole.slice_tokens(6, 6).tokens() == 0);
}

TEST_CASE("head h of a row-major matrix is its columns [h * dim, (h + 1) * dim)") {
  RowMajor matrix = counted_matrix(3, 8);
  const auto view = hr::as_view(matrix, 4);
  CHECK((view.tokens() == 3 && view.heads() == 4 && view.dim() == 2));
  for_each_element(
      view, [&](Index t, Index h, Index d) { CHECK(&view(t, h, d) == &matrix(t, h * 2 + d)); });
}

TEST_CASE("blocks, maps, refs and transposed column-major matrices are viewed in place") {
  RowMajor matrix = counted_matrix(5, 12);
  SECTION("the keys of a fused query-key-value projection") {
    const auto keys = hr::as_view(matrix.middleCols(4, 4), 2);
    for_each_element(keys, [&](Index t, Index h, Index d) {
      CHECK(&keys(t, h, d) == &matrix(t, 4 + h * 2 + d));
    });
  }
  SECTION("a map with an outer stride") {
    const Eigen::Map<RowMajor, 0, Eigen::OuterStride<>> map(matrix.data(), 4, 6,
                                                            Eigen::OuterStride<>(12));
    CHECK(hr::as_view(map, 3)(3, 2, 1) == matrix(3, 5));
  }
  SECTION("a ref") {
    Eigen::Ref<RowMajor> ref(matrix);
    CHECK(&hr::as_view(ref, 3)(4, 1, 0) == &matrix(4, 4));
  }
  SECTION("a transposed column-major matrix") {
    Eigen::MatrixXf column_major = Eigen::MatrixXf::Random(6, 3);
    const auto view = hr::as_view(column_major.transpose(), 2);
    CHECK(view.tokens() == 3);
    CHECK(&view(2, 1, 1) == &column_major(4, 2));
  }
  SECTION("a single row") {
    Eigen::RowVectorXf row = Eigen::RowVectorXf::Random(6);
    CHECK(&hr::as_view(row, 3)(0, 2, 1) == &row(5));
  }
}

TEST_CASE("a view passes through as_view unchanged") {
  auto buffer = counted(24);
  const hr::view<float> view(buffer.data(), 2, 3, 4, 12, 4);
  const auto same = hr::as_view(view, 1);
  CHECK(same.data() == view.data());
  CHECK(same.heads() == 3);
}

TEST_CASE("heads that do not divide the columns are refused") {
  const RowMajor matrix = counted_matrix(2, 10);
  CHECK_THROWS_AS(hr::as_view(matrix, 3), std::invalid_argument);
  CHECK_THROWS_WITH(
      hr::as_view(matrix, 3),
      contains("as_view: the matrix has 10 columns, expected a multiple of heads = 3"));
  CHECK_THROWS_AS(hr::as_view(matrix, 0), std::invalid_argument);
  CHECK_THROWS_AS(hr::as_view(matrix, -2), std::invalid_argument);
  for (const Index heads : {0, -2})
    CHECK_THROWS_WITH(hr::as_view(matrix, heads),
                      contains("as_view: the matrix in " + std::to_string(heads) +
                               " heads, expected at least 1"));
}

TEST_CASE("an empty matrix is an empty view") {
  const RowMajor matrix(0, 6);
  const auto view = hr::as_view(matrix, 2);
  CHECK((view.tokens() == 0 && view.heads() == 2 && view.dim() == 3));
}

TEST_CASE("numbers per token and head are read from matrices of either order") {
  RowMajor row_major = counted_matrix(4, 3);
  Eigen::MatrixXf column_major = row_major;
  const hr::token_head_view<float> rows = row_major, columns = column_major;
  for (Index t = 0; t < 4; ++t)
    for (Index h = 0; h < 3; ++h) {
      CHECK(&rows(t, h) == &row_major(t, h));
      CHECK(&columns(t, h) == &column_major(t, h));
    }
  const Eigen::Map<Eigen::MatrixXf> map(column_major.data(), 4, 3);
  const hr::token_head_view<float> mapped = map;
  CHECK(&mapped(3, 2) == &column_major(3, 2));
  const hr::token_head_view<float> dense(row_major.data(), 4, 3);
  CHECK(&dense(2, 1) == &row_major(2, 1));
}

TEST_CASE("a token_head_view is absent unless it has memory") {
  float number = 0;
  CHECK_FALSE(hr::token_head_view<float>());
  CHECK_FALSE(hr::token_head_view<float>().slice_tokens(0, 0));
  CHECK(hr::token_head_view<float>(&number, 1, 1));
  CHECK_FALSE(hr::token_head_view<float>(nullptr, 1, 1));
}

TEST_CASE("a matrix without numbers is a token_head_view of the wrong size, not an absent one") {
  Eigen::MatrixXf empty;
  const hr::token_head_view<float> numbers(empty);
  CHECK(numbers);
  CHECK(numbers.tokens() == 0);
  CHECK(hr::token_head_view<const float>(numbers));
  CHECK(hr::token_head_view<float>(Eigen::Map<Eigen::MatrixXf>(nullptr, 0, 3)));
  CHECK(hr::token_head_view<const float>(std::as_const(empty)));
}

TEST_CASE("tokens of a token_head_view are sliced where they lie") {
  const float numbers[] = {0, 1, 2, 3, 4, 5, 6, 7};
  const hr::token_head_view<const float> columns(numbers, 4, 2, 1, 4);
  const auto slice = columns.slice_tokens(1, 3);
  CHECK(slice.tokens() == 2);
  CHECK(slice.heads() == 2);
  CHECK(slice(0, 0) == 1);
  CHECK(slice(1, 1) == 6);
  CHECK_THROWS_AS(columns.slice_tokens(2, 5), headroom_tests::eigen_assertion);
}
