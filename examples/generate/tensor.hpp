// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "error.hpp"

namespace generate {

using Eigen::Index;

/// What flows between layers: one token a row.
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Numbers as a checkpoint keeps them: a view, row-major, aligned for its scalar.
struct tensor {
  std::string dtype;  ///< as safetensors spells it: "F32", "F16", "BF16", "I64", ...
  std::vector<Index> shape;
  const std::byte* data = nullptr;

  Index numbers() const {
    // Other extents of an empty tensor may be as large as they like.
    if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
    Index product = 1;
    for (const Index extent : shape) product *= extent;
    return product;
  }

  template <class Scalar>
  const Scalar* as() const {
    return reinterpret_cast<const Scalar*>(data);
  }
};

/// "[2, 3]".
inline std::string text(const std::vector<Index>& shape) {
  std::string list = "[";
  for (const Index extent : shape) list += (list.size() > 1 ? ", " : "") + std::to_string(extent);
  return list + "]";
}

/// How safetensors spells the scalars that weights may be stored in.
template <class Scalar>
inline constexpr std::string_view dtype_of = "";
template <>
inline constexpr std::string_view dtype_of<float> = "F32";
template <>
inline constexpr std::string_view dtype_of<Eigen::half> = "F16";
template <>
inline constexpr std::string_view dtype_of<Eigen::bfloat16> = "BF16";

/// Calls f with a null pointer to the scalar that `dtype` names: the one place where a file's word
/// becomes a type.
template <class F>
decltype(auto) with_scalar(std::string_view dtype, F&& f) {
  if (dtype == dtype_of<float>) return f(static_cast<const float*>(nullptr));
  if (dtype == dtype_of<Eigen::half>) return f(static_cast<const Eigen::half*>(nullptr));
  if (dtype == dtype_of<Eigen::bfloat16>) return f(static_cast<const Eigen::bfloat16*>(nullptr));
  fail("dtype ", dtype, " cannot be computed with, expected F32, F16 or BF16");
}

/// Numbers [begin, begin + count) of a tensor as floats.
inline Eigen::RowVectorXf to_float(const tensor& t, Index begin, Index count) {
  return with_scalar(t.dtype, [&]<class Scalar>(const Scalar*) -> Eigen::RowVectorXf {
    using Stored = Eigen::Matrix<Scalar, 1, Eigen::Dynamic>;
    return Eigen::Map<const Stored>(t.as<Scalar>() + begin, count).template cast<float>();
  });
}

}  // namespace generate
