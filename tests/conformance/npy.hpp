// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <bit>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace conformance {

using Eigen::Index;

/// Numbers of a file and their shape; the last dimension is contiguous.
template <class T>
struct tensor {
  std::vector<Index> shape;
  std::vector<T> data;

  Index rank() const { return static_cast<Index>(shape.size()); }
  Index size() const { return static_cast<Index>(data.size()); }
  Index extent(Index dimension) const { return shape.at(static_cast<std::size_t>(dimension)); }
  T operator[](Index i) const { return data.at(static_cast<std::size_t>(i)); }

  /// First number of entry i of the first dimension.
  T* entry(Index i) { return data.data() + offset(i); }
  const T* entry(Index i) const { return data.data() + offset(i); }
  Index entry_size() const { return size() / extent(0); }

  template <class U>
  tensor<U> cast() const {
    return {shape, std::vector<U>(data.begin(), data.end())};
  }

 private:
  Index offset(Index i) const {
    if (i < 0 || i >= extent(0)) throw std::out_of_range("a tensor has no such entry");
    return i * entry_size();
  }
};

/// [a, b] along the last dimension.
template <class T>
tensor<T> join_last(const tensor<T>& a, const tensor<T>& b) {
  const Index left = a.shape.back(), right = b.shape.back();
  tensor<T> joined{a.shape, {}};
  joined.shape.back() = left + right;
  for (Index r = 0; r < a.size() / left; ++r) {
    joined.data.insert(joined.data.end(), a.data.data() + r * left, a.data.data() + (r + 1) * left);
    joined.data.insert(joined.data.end(), b.data.data() + r * right,
                       b.data.data() + (r + 1) * right);
  }
  return joined;
}

namespace detail {

static_assert(std::endian::native == std::endian::little, "the files are little endian");
template <class T>
constexpr std::string_view npy_type = "";
template <>
inline constexpr std::string_view npy_type<float> = "<f4";
template <>
inline constexpr std::string_view npy_type<double> = "<f8";
template <>
inline constexpr std::string_view npy_type<std::int32_t> = "<i4";
template <>
inline constexpr std::string_view npy_type<std::uint8_t> = "|u1";

// What follows 'key': in the header, a Python dictionary of three entries.
inline std::string_view npy_entry(std::string_view header, std::string_view key) {
  const std::size_t at = header.find(key);
  if (at == header.npos) throw std::runtime_error("the header has no " + std::string(key));
  return header.substr(at + key.size());
}

inline std::vector<Index> npy_shape(std::string_view tuple) {
  std::vector<Index> shape;
  const char* at = tuple.data() + tuple.find('(') + 1;
  const char* const end = tuple.data() + tuple.find(')');
  while (at < end) {
    Index extent = 0;
    const auto [next, error] = std::from_chars(at, end, extent);
    if (error == std::errc()) shape.push_back(extent);
    at = error == std::errc() ? next : at + 1;
  }
  return shape;
}

}  // namespace detail

/// Reads a .npy file, version 1.0, in C order, whose numbers are of type T.
template <class T>
tensor<T> read_npy(const std::filesystem::path& path) {
  const auto require = [&](bool holds, const std::string& message) {
    if (!holds) throw std::runtime_error(path.filename().string() + ": " + message);
  };
  std::ifstream file(path, std::ios::binary);
  unsigned char lead[10] = {};
  file.read(reinterpret_cast<char*>(lead), sizeof lead);
  const std::string_view magic(reinterpret_cast<const char*>(lead), 8);
  require(file && magic == std::string_view("\x93NUMPY\x01\x00", 8),
          "not a .npy file of version 1.0");
  std::string header(static_cast<std::size_t>(lead[8] + 256 * lead[9]), ' ');
  file.read(header.data(), static_cast<std::streamsize>(header.size()));

  const std::string type = "'" + std::string(detail::npy_type<T>) + "'";
  require(detail::npy_entry(header, "'descr': ").starts_with(type),
          "numbers are not of type " + type);
  require(detail::npy_entry(header, "'fortran_order': ").starts_with("False"), "not in C order");
  tensor<T> result{detail::npy_shape(detail::npy_entry(header, "'shape': ")), {}};
  Index size = 1;
  for (const Index extent : result.shape) size *= extent;
  result.data.resize(static_cast<std::size_t>(size));
  const auto bytes = static_cast<std::streamsize>(result.data.size() * sizeof(T));
  file.read(reinterpret_cast<char*>(result.data.data()), bytes);
  require(file.gcount() == bytes && file.peek() == std::ifstream::traits_type::eof(),
          "wrong length");
  return result;
}

}  // namespace conformance
