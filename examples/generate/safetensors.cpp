// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "safetensors.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <utility>

#include "json_file.hpp"

namespace generate {

static_assert(std::endian::native == std::endian::little,
              "safetensors are little endian and this program uses them in place");

namespace {

using nlohmann::json;

constexpr std::uint64_t prefix_bytes = 8;
constexpr std::uint64_t largest_header = 100'000'000;  // the format's own limit

/// Bytes [begin, end) of the data, which starts behind the header.
struct byte_range {
  std::uint64_t begin, end;
};

std::uint64_t scalar_bytes(const std::string& dtype) {
  static const std::map<std::string, std::uint64_t> widths = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1},
      {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},
      {"U32", 4},  {"F32", 4}, {"F64", 8}, {"I64", 8},     {"U64", 8}};
  const auto found = widths.find(dtype);
  return found == widths.end() ? 0 : found->second;
}

/// The bytes of the header; the file is then known to hold them.
std::span<const std::byte> header_bytes(std::span<const std::byte> file, const std::string& where) {
  if (file.size() < prefix_bytes)
    fail(where, ": ", file.size(), " bytes are too few for a safetensors file");
  std::uint64_t size;
  std::memcpy(&size, file.data(), sizeof size);
  if (size > largest_header)
    fail(where, ": header length is ", size, ", expected at most ", largest_header);
  if (size > file.size() - prefix_bytes)
    fail(where, ": header length is ", size, ", but the file has ", file.size(),
         " bytes: it is truncated or no safetensors file");
  return file.subspan(prefix_bytes, size);
}

/// JSON parsers keep the last of two equal names; a file with two is damaged or malicious.
json parse_header(std::span<const std::byte> bytes, const std::string& where) {
  std::set<std::string> names;
  const auto nesting = refuse_nesting(where);
  const auto refuse_repetition = [&](int depth, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::key && depth == 1 &&
        !names.insert(value.get<std::string>()).second)
      fail(where, ": tensor ", value.get<std::string>(), " occurs twice");
    return nesting(depth, event, value);
  };
  const char* const text = reinterpret_cast<const char*>(bytes.data());
  json header = json::parse(text, text + bytes.size(), refuse_repetition, false);
  if (header.is_discarded() || !header.is_object()) fail(where, ": the header is no JSON object");
  header.erase("__metadata__");
  return header;
}

/// a * b, or the largest number if that is too large to represent.
std::uint64_t saturating_product(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  return a != 0 && b > most / a ? most : a * b;
}

bool is_list_of_sizes(const json& list) {
  return list.is_array() && std::all_of(list.begin(), list.end(), [](const json& entry) {
           return entry.is_number_unsigned() &&
                  entry.get<std::uint64_t>() <=
                      static_cast<std::uint64_t>(std::numeric_limits<Index>::max());
         });
}

/// One entry of the header; its range is then known to lie in the data and to fit its shape.
std::pair<tensor, byte_range> parse_entry(const json& entry, std::uint64_t data_bytes,
                                          const std::string& where) {
  if (!entry.is_object()) fail(where, ": expected an object");
  const auto member = [&](const char* name) { return entry.value(name, json()); };
  const json dtype = member("dtype"), shape = member("shape"), offsets = member("data_offsets");
  if (!dtype.is_string()) fail(where, ": dtype is ", dtype.dump(), ", expected a string");
  if (!is_list_of_sizes(shape)) fail(where, ": shape is ", shape.dump(), ", expected sizes");
  if (!is_list_of_sizes(offsets) || offsets.size() != 2)
    fail(where, ": data_offsets are ", offsets.dump(), ", expected [begin, end]");

  tensor t{dtype.get<std::string>(), shape.get<std::vector<Index>>(), nullptr};
  const byte_range range{offsets[0].get<std::uint64_t>(), offsets[1].get<std::uint64_t>()};
  if (range.begin > range.end || range.end > data_bytes)
    fail(where, ": data_offsets are ", offsets.dump(), ", but the file has ", data_bytes,
         " bytes of data: it is truncated or damaged");
  std::uint64_t bytes = scalar_bytes(t.dtype);
  if (bytes == 0) fail(where, ": dtype is ", t.dtype, ", which is not known");
  for (const Index extent : t.shape)
    bytes = saturating_product(bytes, static_cast<std::uint64_t>(extent));
  if (bytes != range.end - range.begin)
    fail(where, ": data_offsets are ", offsets.dump(), ", which is not the size of ", t.dtype, " ",
         text(t.shape));
  return {std::move(t), range};
}

/// The format leaves no gap and shares no byte.
void check_layout(std::vector<std::pair<byte_range, std::string>> ranges, std::uint64_t data_bytes,
                  const std::string& where) {
  std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first.begin, a.first.end) < std::pair(b.first.begin, b.first.end);
  });
  std::uint64_t end = 0;
  for (const auto& [range, name] : ranges) {
    if (range.begin < end) fail(where, ": tensor ", name, " overlaps another one");
    if (range.begin > end) fail(where, ": a gap of unused bytes comes before tensor ", name);
    end = range.end;
  }
  if (end != data_bytes)
    fail(where, ": ", data_bytes - end, " bytes at the end belong to no tensor");
}

}  // namespace

safetensors_file::safetensors_file(const std::filesystem::path& path) : file_(path) {
  const std::string where = path.string();
  const std::span<const std::byte> text = header_bytes(file_.bytes(), where);
  const auto data = file_.bytes().subspan(prefix_bytes + text.size());
  const json header = parse_header(text, where);
  std::vector<std::pair<byte_range, std::string>> ranges;
  for (const auto& [name, entry] : header.items()) {
    auto [t, range] = parse_entry(entry, data.size(), where + ": tensor " + name);
    ranges.emplace_back(range, name);
    t.data = data.data() + range.begin;
    tensors_.emplace(name, std::move(t));
  }
  check_layout(ranges, data.size(), where);
  // Not before: of ranges that overlap there may be more copies than memory.
  for (const auto& [range, name] : ranges) {
    tensor& t = tensors_.at(name);
    if (reinterpret_cast<std::uintptr_t>(t.data) % scalar_bytes(t.dtype) == 0) continue;
    const std::uint64_t size = range.end - range.begin;
    realigned_.push_back(std::make_unique<std::byte[]>(size));
    std::copy_n(t.data, size, realigned_.back().get());
    t.data = realigned_.back().get();
  }
}

}  // namespace generate
