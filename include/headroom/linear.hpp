// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/matmul.hpp>
#include <headroom/detail/owner.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/parallel.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <concepts>

namespace headroom::inline HEADROOM_ISA {

/// A weight matrix in the layout of checkpoints, [out_features, in_features] row-major, with an
/// optional bias: y = x W^T + b. It owns nothing; weights are read where they lie, in the scalar
/// they are stored in, and must outlive it: a temporary matrix is refused. A default-constructed
/// one is absent.
///
/// \tparam Weight_  float, double, Eigen::half or Eigen::bfloat16
template <class Weight_>
class linear {
  static_assert(detail::storage_scalar<Weight_>,
                "linear<Weight>: Weight must be float, double, Eigen::half or Eigen::bfloat16");

 public:
  using Weight = Weight_;

  linear() = default;

  /// \param weight  [out_features, in_features], row-major, dense
  /// \param bias    [out_features], one after another, or null; a pointer does not say how many
  ///                there are, so this is not checked
  linear(const Weight* weight, Index out_features, Index in_features, const Weight* bias = nullptr)
      : weight_(weight), bias_(bias), out_(out_features), in_(in_features), stride_(in_features) {}

  /// Any Eigen matrix or map with contiguous rows, [out_features, in_features]; bias as above, so
  /// as many numbers as the matrix has rows.
  template <detail::eigen_object Matrix>
  explicit linear(const Matrix& weight, const Weight* bias = nullptr)
      : bias_(bias), out_(weight.rows()), in_(weight.cols()) {
    const view<const Weight> rows = as_view(weight, 1);
    weight_ = rows.data();
    stride_ = rows.token_stride();
  }
  template <detail::owning_matrix Matrix>
  explicit linear(const Matrix&&, const Weight* = nullptr) = delete;  // a temporary: name it first

  /// Whether there is a matrix at all.
  explicit operator bool() const { return weight_ != nullptr; }

  Index out_features() const { return out_; }
  Index in_features() const { return in_; }
  /// Weights of output i, [in_features].
  const Weight* row(Index i) const { return weight_ + i * stride_; }
  /// Numbers from one row to the next.
  Index row_stride() const { return stride_; }
  /// [out_features], or null where there is none.
  const Weight* bias() const { return bias_; }

  /// y = x W^T + b, computed in y's scalar.
  ///
  /// \param x         [tokens, in_features] of y's scalar, a row-major matrix or a view of one head
  /// \param y         [tokens, out_features] of float or double, written; overlaps no input
  /// \param executor  what runs parts of 256 outputs: parallel.hpp
  /// \throws std::invalid_argument if a shape disagrees, or if y begins where x does
  template <viewable In, viewable Out, executor Executor = serial>
  void operator()(const In& x, Out&& y, const Executor& executor = {}) const {
    using Scalar = scalar_of<Out>;
    static_assert(std::same_as<scalar_of<In>, Scalar> && detail::compute_scalar<Scalar>,
                  "linear: x and y must both be of float or both be of double");
    const view<const Scalar> input = detail::input_argument<Scalar>("linear", "x", x, 1);
    const view<Scalar> output = detail::output_argument<Scalar>("linear", "y", y, 1);
    detail::require(input.heads() == 1 && input.dim() == in_, "linear: x is [", input.tokens(),
                    ", ", input.heads() * input.dim(), "], expected [tokens, in_features = ", in_,
                    "]");
    detail::require(output.heads() == 1 && output.dim() == out_, "linear: y is [", output.tokens(),
                    ", ", output.heads() * output.dim(),
                    "], expected [tokens, out_features = ", out_, "]");
    detail::require(output.tokens() == input.tokens(), "linear: y has ", output.tokens(),
                    " tokens, expected ", input.tokens(), " as x");
    if (input.tokens() == 0) return;
    detail::require(input.data() != output.data(),
                    "linear: y begins where x does, expected memory that overlaps no input");
    const Index items = detail::parts(out_, features_per_item);
    executor(items, [&](Index item) {
      const Index first = item * features_per_item;
      multiply(input, output, first, std::min(first + features_per_item, out_));
    });
  }

 private:
  // A work item's weights, decoded a slice of inputs at a time: 256 x 256 floats are 256 KiB.
  static constexpr Index features_per_item = 256;
  static constexpr Index inputs_at_once = 256;

  template <class Scalar>
  void multiply(const view<const Scalar>& x, const view<Scalar>& y, Index begin, Index end) const {
    const Index count = end - begin;
    for (Index t = 0; t < x.tokens(); ++t) {
      if (bias_ != nullptr)
        scalar_codec<Weight>::decode(bias_ + begin, y.row(t, 0) + begin, count);
      else
        std::fill(y.row(t, 0) + begin, y.row(t, 0) + end, Scalar(0));
    }
    const auto accumulate = [&]<class Number>(detail::tile<Number> weights, Index d, Index depth) {
      detail::add_key_products<Scalar>({x.row(0, 0) + d, x.token_stride()}, x.tokens(), weights,
                                       count, depth, y.row(0, 0) + begin, y.token_stride());
    };
    if constexpr (std::same_as<detail::product_number<Scalar, Weight>, Weight>) {
      accumulate(detail::tile<Weight>{row(begin), stride_}, 0, in_);
    } else {
      detail::scratch memory;
      Scalar* const decoded = memory.take<Scalar>(count * inputs_at_once);
      for (Index d = 0; d < in_; d += inputs_at_once) {
        const Index depth = std::min(inputs_at_once, in_ - d);
        for (Index i = 0; i < count; ++i)
          scalar_codec<Weight>::decode(row(begin + i) + d, decoded + i * depth, depth);
        accumulate(detail::tile<Scalar>{decoded, depth}, d, depth);
      }
    }
  }

  const Weight* weight_ = nullptr;
  const Weight* bias_ = nullptr;
  Index out_ = 0;
  Index in_ = 0;
  Index stride_ = 0;
};

template <detail::eigen_object Matrix>
linear(const Matrix&) -> linear<typename Matrix::Scalar>;

}  // namespace headroom::inline HEADROOM_ISA
