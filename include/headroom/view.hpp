// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/owner.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace headroom::inline HEADROOM_ISA {

/// A non-owning window on numbers shaped [tokens, heads, dim]: element (t, h, d) lies at
/// data + t * token_stride + h * head_stride + d. The last dimension has unit stride; the other
/// strides are free (in elements, may overlap or be negative), so [T, H, D] and [H, T, D] buffers,
/// slices of a fused QKV projection and Eigen's row-major matrices are all views.
///
/// A view is as cheap to copy as a pointer, checks nothing on access, and must not outlive its
/// buffer. Any alignment is fine.
///
/// \tparam Scalar_  float, double, Eigen::half or Eigen::bfloat16; const where it is only read
template <class Scalar_>
class view {
 public:
  using Scalar = Scalar_;

  /// An empty view: no tokens, no heads, no width.
  view() = default;

  view(Scalar* data, Index tokens, Index heads, Index dim, Index token_stride, Index head_stride)
      : data_(data),
        tokens_(tokens),
        heads_(heads),
        dim_(dim),
        token_stride_(token_stride),
        head_stride_(head_stride) {}

  /// A view that may be written converts to one that may only be read.
  template <class Other>
  requires std::same_as<const Other, Scalar> view(const view<Other>& other)
      : view(other.data(), other.tokens(), other.heads(), other.dim(), other.token_stride(),
             other.head_stride()) {}

  Scalar* data() const { return data_; }
  Index tokens() const { return tokens_; }
  Index heads() const { return heads_; }
  Index dim() const { return dim_; }
  Index token_stride() const { return token_stride_; }
  Index head_stride() const { return head_stride_; }

  /// First of the dim() numbers of token t, head h.
  Scalar* row(Index t, Index h) const { return data_ + t * token_stride_ + h * head_stride_; }

  Scalar& operator()(Index t, Index h, Index d) const { return row(t, h)[d]; }

  /// Tokens [begin, end) of this view.
  view slice_tokens(Index begin, Index end) const {
    return {row(begin, 0), end - begin, heads_, dim_, token_stride_, head_stride_};
  }

  /// Heads [begin, end) of this view.
  view slice_heads(Index begin, Index end) const {
    return {row(0, begin), tokens_, end - begin, dim_, token_stride_, head_stride_};
  }

  /// Channels [begin, end) of every row, such as the rotary part of a query.
  view slice_dim(Index begin, Index end) const {
    return {data_ + begin, tokens_, heads_, end - begin, token_stride_, head_stride_};
  }

 private:
  Scalar* data_ = nullptr;
  Index tokens_ = 0;
  Index heads_ = 0;
  Index dim_ = 0;
  Index token_stride_ = 0;
  Index head_stride_ = 0;
};

/// Views a dense buffer laid out [tokens, heads, dim], the layout of a projection's output.
template <class Scalar>
view<Scalar> tokens_major(Scalar* data, Index tokens, Index heads, Index dim) {
  return {data, tokens, heads, dim, heads * dim, dim};
}

/// Views a dense buffer laid out [heads, tokens, dim], the layout of most caches.
template <class Scalar>
view<Scalar> heads_major(Scalar* data, Index tokens, Index heads, Index dim) {
  return {data, tokens, heads, dim, dim, tokens * dim};
}

namespace detail {

template <class T>
struct is_view : std::false_type {};
template <class Scalar>
struct is_view<view<Scalar>> : std::true_type {};

/// An Eigen object: a matrix, a map, a block or an expression, before its layout is checked.
template <class T>
concept eigen_object =
    std::derived_from<std::remove_cvref_t<T>, Eigen::EigenBase<std::remove_cvref_t<T>>>;

/// The element type of a view of T, const where T's elements cannot be written.
template <class T>
struct viewed_scalar;
template <class Scalar_>
struct viewed_scalar<view<Scalar_>> {
  using type = Scalar_;
};
template <class T>
requires eigen_object<T>
struct viewed_scalar<T> {
  using Scalar = typename std::remove_cvref_t<T>::Scalar;
  static constexpr bool writable =
      bool(std::remove_cvref_t<T>::Flags & Eigen::LvalueBit) && !std::is_const_v<T>;
  using type = std::conditional_t<writable, Scalar, const Scalar>;
};

}  // namespace detail

/// What the library takes wherever it says [tokens, heads, dim]: a view, or an Eigen matrix, map
/// or block [tokens, heads * dim] whose rows are contiguous.
template <class T>
concept viewable = detail::is_view<std::remove_cvref_t<T>>::value || detail::eigen_object<T>;

/// The element type behind a viewable, without const.
template <viewable T>
using scalar_of = std::remove_const_t<typename detail::viewed_scalar<
    std::conditional_t<detail::is_view<std::remove_cvref_t<T>>::value, std::remove_cvref_t<T>,
                       std::remove_reference_t<T>>>::type>;

namespace detail {

// as_view for an argument called `name` of the function called `who`.
template <class T>
requires viewable<T>
auto view_argument(const char* who, const char* name, T&& source, Index heads) {
  using Source = std::remove_cvref_t<T>;
  if constexpr (is_view<Source>::value) {
    require(source.tokens() >= 0, who, ": ", name, " has ", source.tokens(),
            " tokens, expected at least 0");
    return source;
  } else {
    constexpr bool has_storage = bool(Source::Flags & Eigen::DirectAccessBit);
    constexpr bool is_row_major = bool(Source::IsRowMajor);
    static_assert(has_storage,
                  "headroom: an Eigen expression without storage cannot be viewed; evaluate it "
                  "into a row-major matrix first and pass that");
    static_assert(is_row_major || !has_storage,
                  "headroom: a column-major Eigen matrix cannot be viewed as [tokens, heads, dim]; "
                  "pass a matrix or map with Eigen::RowMajor, or a headroom::view of your buffer");
    if constexpr (has_storage && is_row_major) {
      static_assert(Source::InnerStrideAtCompileTime == 1,
                    "headroom: the last dimension of a view must be contiguous; pass a matrix "
                    "whose inner stride is 1");
      using Element = typename viewed_scalar<std::remove_reference_t<T>>::type;
      require(heads >= 1, who, ": ", name, " in ", heads, " heads, expected at least 1");
      require(source.cols() % heads == 0, who, ": ", name, " has ", source.cols(),
              " columns, expected a multiple of heads = ", heads);
      const Index dim = source.cols() / heads;
      return view<Element>(const_cast<Element*>(source.data()), source.rows(), heads, dim,
                           source.outerStride(), dim);
    } else {
      return view<typename viewed_scalar<std::remove_reference_t<T>>::type>();
    }
  }
}

// Whether view_argument takes it, and whether it is then written to.
template <class T>
inline constexpr bool has_rows = is_view<std::remove_cvref_t<T>>::value;
template <eigen_object T>
inline constexpr bool has_rows<T> = [] {
  using Matrix = std::remove_cvref_t<T>;
  return bool(Matrix::Flags & Eigen::DirectAccessBit) && bool(Matrix::IsRowMajor) &&
         Matrix::InnerStrideAtCompileTime == 1;
}();
template <class T>
concept writable_rows = has_rows<T> && requires(T& target) {
  { view_argument("", "", target, Index(1)) } -> std::same_as<view<scalar_of<T>>>;
};

// The same for an argument that is read as Scalar. The caller has said so in a static_assert of its
// own words; where that fails, no second error follows.
template <class Scalar, viewable T>
view<const Scalar> input_argument(const char* who, const char* name, const T& source, Index heads) {
  if constexpr (std::same_as<scalar_of<T>, Scalar>)
    return view_argument(who, name, source, heads);
  else
    return {};
}

// The same for an argument that is written as Scalar.
template <class Scalar, viewable T>
view<Scalar> output_argument(const char* who, const char* name, T& target, Index heads) {
  const auto result = view_argument(who, name, target, heads);
  constexpr bool writable = std::same_as<decltype(result), const view<scalar_of<T>>>;
  static_assert(writable,
                "headroom: the output is read-only; pass a matrix, map or view whose elements can "
                "be written");
  if constexpr (writable && std::same_as<scalar_of<T>, Scalar>)
    return result;
  else
    return {};
}

}  // namespace detail

/// Views an Eigen row-major matrix [tokens, heads * dim] as [tokens, heads, dim]: head h is
/// columns [h * dim, (h + 1) * dim). A view passes through unchanged.
///
/// \param heads  how many heads the columns hold; must divide their number
/// \throws std::invalid_argument if it does not
template <class T>
requires viewable<T>
auto as_view(T&& source, Index heads) {
  static_assert(!detail::owning_matrix<T>,
                "as_view: a temporary matrix is gone before its view is used; give it a name");
  return detail::view_argument("as_view", "the matrix", std::forward<T>(source), heads);
}

/// A non-owning window on a matrix of numbers, one per token and head, such as the log-sum-exp of
/// every query row: element (t, h) lies at data + t * token_stride + h * head_stride.
template <class Scalar_>
class token_head_view {
 public:
  using Scalar = Scalar_;

  /// Absent: the caller does not want these numbers.
  token_head_view() = default;

  /// A dense buffer [tokens, heads].
  token_head_view(Scalar* data, Index tokens, Index heads)
      : token_head_view(data, tokens, heads, heads, 1) {}

  token_head_view(Scalar* data, Index tokens, Index heads, Index token_stride, Index head_stride)
      : data_(data),
        tokens_(tokens),
        heads_(heads),
        token_stride_(token_stride),
        head_stride_(head_stride),
        given_(data != nullptr) {}

  /// A view that may be written converts to one that may only be read.
  template <class Other>
  requires std::same_as<const Other, Scalar> token_head_view(const token_head_view<Other>& other)
      : token_head_view(other.data(), other.tokens(), other.heads(), other.token_stride(),
                        other.head_stride()) {
    given_ = static_cast<bool>(other);
  }

  /// Any Eigen matrix or map [tokens, heads] with storage, of either order. One without numbers is
  /// not absent: it has the wrong size for all but calls without tokens.
  template <class Derived>
  token_head_view(Eigen::PlainObjectBase<Derived>& matrix) : token_head_view(of, matrix) {}
  template <class Derived>
  requires std::is_const_v<Scalar> token_head_view(const Eigen::PlainObjectBase<Derived>& matrix)
      : token_head_view(of, matrix) {}
  template <class Matrix, int Options, class Stride>
  token_head_view(Eigen::Map<Matrix, Options, Stride> matrix) : token_head_view(of, matrix) {}

  /// Whether it is not absent.
  explicit operator bool() const { return given_; }
  Scalar* data() const { return data_; }
  Index tokens() const { return tokens_; }
  Index heads() const { return heads_; }
  Index token_stride() const { return token_stride_; }
  Index head_stride() const { return head_stride_; }
  Scalar& operator()(Index t, Index h) const { return data_[t * token_stride_ + h * head_stride_]; }

  /// Tokens [begin, end); of an absent view, an absent one.
  token_head_view slice_tokens(Index begin, Index end) const {
    if (!given_) return {};
    eigen_assert(0 <= begin && begin <= end && end <= tokens_);
    return {data_ + begin * token_stride_, end - begin, heads_, token_stride_, head_stride_};
  }

 private:
  enum matrix_tag { of };
  template <class Matrix>
  token_head_view(matrix_tag, Matrix& matrix)
      : token_head_view(matrix.data(), matrix.rows(), matrix.cols(), matrix.rowStride(),
                        matrix.colStride()) {
    given_ = true;
  }

  Scalar* data_ = nullptr;
  Index tokens_ = 0;
  Index heads_ = 0;
  Index token_stride_ = 0;
  Index head_stride_ = 0;
  bool given_ = false;
};

}  // namespace headroom::inline HEADROOM_ISA
