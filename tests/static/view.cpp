// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Views are pointers with sizes; what may not be written is not writable through them.
#include <headroom/view.hpp>

#include <concepts>
#include <type_traits>
#include <vector>

namespace {

namespace hr = headroom;

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class T>
using view_of = decltype(hr::as_view(std::declval<T>(), 1));

static_assert(std::is_trivially_copyable_v<hr::view<float>>);
static_assert(std::is_trivially_copyable_v<hr::token_head_view<float>>);
static_assert(sizeof(hr::view<float>) == 6 * sizeof(void*));

static_assert(std::is_convertible_v<hr::view<float>, hr::view<const float>>);
static_assert(!std::is_convertible_v<hr::view<const float>, hr::view<float>>);
static_assert(!std::is_convertible_v<hr::view<float>, hr::view<const double>>);

static_assert(std::same_as<view_of<RowMajor&>, hr::view<float>>);
static_assert(std::same_as<view_of<const RowMajor&>, hr::view<const float>>);
static_assert(std::same_as<view_of<Eigen::Map<RowMajor>>, hr::view<float>>);
static_assert(std::same_as<view_of<Eigen::Map<const RowMajor>>, hr::view<const float>>);
static_assert(std::same_as<view_of<Eigen::Ref<RowMajor>>, hr::view<float>>);
static_assert(std::same_as<view_of<Eigen::Ref<const RowMajor>>, hr::view<const float>>);
static_assert(std::same_as<view_of<Eigen::Block<RowMajor>>, hr::view<float>>);
static_assert(std::same_as<view_of<Eigen::Block<const RowMajor>>, hr::view<const float>>);
static_assert(std::same_as<view_of<hr::view<const float>>, hr::view<const float>>);

static_assert(std::same_as<hr::scalar_of<const RowMajor&>, float>);
static_assert(std::same_as<hr::scalar_of<hr::view<const Eigen::half>>, Eigen::half>);
static_assert(std::same_as<hr::scalar_of<const hr::view<double>&>, double>);

static_assert(hr::viewable<RowMajor&>);
static_assert(hr::viewable<const hr::view<float>&>);
static_assert(!hr::viewable<float*>);
static_assert(!hr::viewable<std::vector<float>>);
static_assert(!hr::viewable<hr::token_head_view<float>>);

// An lse is written, so a matrix that cannot be is none.
static_assert(std::is_convertible_v<Eigen::MatrixXf&, hr::token_head_view<float>>);
static_assert(std::is_convertible_v<RowMajor&, hr::token_head_view<float>>);
static_assert(!std::is_convertible_v<const RowMajor&, hr::token_head_view<float>>);

}  // namespace
