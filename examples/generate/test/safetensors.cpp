// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a safetensors file is either read in place, number for number, or refused with a message
// that names the file and the rule that it breaks. No header can make the reader leave the file.
#include "safetensors.hpp"

#include <cstdint>

#include "model_files.hpp"
#include "support/catch.hpp"

using headroom_tests::contains;
using namespace generate_tests;

namespace {

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

// Opens a file of these bytes; what it says if it throws must contain `message`.
void require_refused(const std::string& bytes, const std::string& message) {
  const scratch_directory directory;
  const fs::path path = directory / "x.safetensors";
  write(path, bytes);
  CAPTURE(bytes);
  REQUIRE_THROWS_AS(generate::safetensors_file(path), generate::model_error);
  REQUIRE_THROWS_WITH(generate::safetensors_file(path), contains(message));
  REQUIRE_THROWS_WITH(generate::safetensors_file(path), contains(path.string()));
}

}  // namespace

TEST_CASE("Tensors are views of the file with the numbers that were written") {
  const scratch_directory directory;
  const float numbers[] = {1.5f, -2, 3, 4.25f, 5, 6};
  const Eigen::half halves[] = {Eigen::half(0.5f), Eigen::half(-7)};
  std::string data(reinterpret_cast<const char*>(numbers), sizeof numbers);
  data.append(reinterpret_cast<const char*>(halves), sizeof halves);
  write(directory / "x.safetensors",
        safetensors(R"({"__metadata__":{"format":"pt"},"b":)" + entry("F16", "[2]", "[24,28]") +
                        R"(,"a":)" + entry("F32", "[2,3]", "[0,24]") + R"(,"none":)" +
                        entry("F32", "[0,5]", "[28,28]") + R"(,"one":)" +
                        entry("I64", "[]", "[28,36]") + "}",
                    data + std::string("\x2a\0\0\0\0\0\0\0", 8)));
  const generate::safetensors_file file(directory / "x.safetensors");
  REQUIRE(file.tensors().size() == 4);
  const generate::tensor& a = file.tensors().at("a");
  REQUIRE(a.dtype == "F32");
  REQUIRE(a.shape == std::vector<Eigen::Index>{2, 3});
  REQUIRE(std::equal(numbers, numbers + 6, a.as<float>()));
  REQUIRE(generate::to_float(file.tensors().at("b"), 1, 1)[0] == -7);
  REQUIRE(file.tensors().at("none").numbers() == 0);
  REQUIRE(*file.tensors().at("one").as<std::int64_t>() == 42);
}

TEST_CASE("Tensors at an address that does not suit their scalar are still right") {
  const scratch_directory directory;
  const float number = 1234.5f;
  // Whatever the header's length modulo 4 is, one of the four starts where a float may not.
  for (int padding = 0; padding < 4; ++padding) {
    const std::string header = R"({"f":)" + entry("F32", "[1]", "[0,4]") + "}";
    write(directory / "x.safetensors",
          safetensors(header + std::string(static_cast<std::size_t>(padding), ' '),
                      std::string(reinterpret_cast<const char*>(&number), 4)));
    const generate::safetensors_file file(directory / "x.safetensors");
    const generate::tensor& f = file.tensors().at("f");
    REQUIRE(reinterpret_cast<std::uintptr_t>(f.data) % alignof(float) == 0);
    REQUIRE(*f.as<float>() == number);
  }
}

TEST_CASE("Files that are not whole are refused") {
  const std::string good = safetensors(R"({"f":)" + entry("F32", "[2]", "[0,8]") + "}", "12345678");
  require_refused("", "0 bytes are too few");
  require_refused("1234567", "7 bytes are too few");
  require_refused(good.substr(0, 20), "it is truncated or no safetensors file");
  require_refused(good.substr(0, good.size() - 1), "it is truncated or damaged");
  require_refused(good + "x", "1 bytes at the end belong to no tensor");
  require_refused("version https://git-lfs.github.com/spec/v1\n", "header length is");
  require_refused(std::string(8, '\xff') + "{}", "expected at most 100000000");
}

TEST_CASE("Headers that are no JSON object of tensors are refused") {
  require_refused(safetensors("", ""), "the header is no JSON object");
  require_refused(safetensors("{\"f\":", ""), "the header is no JSON object");
  require_refused(safetensors("[1,2]", ""), "the header is no JSON object");
  require_refused(safetensors("{\"\xff\":{}}", ""), "the header is no JSON object");
  require_refused(safetensors(R"({"f":7})", ""), "tensor f: expected an object");
  require_refused(safetensors(R"({"f":{"dtype":1}})", ""), "tensor f: dtype is 1");
  require_refused(safetensors(R"({"f":{"dtype":"F32"}})", ""), "tensor f: shape is null");
  require_refused(safetensors("{\"f\":" + entry("F32", "[-1]", "[0,4]") + "}", "1234"),
                  "shape is [-1], expected sizes");
  require_refused(safetensors("{\"f\":" + entry("F32", "[1.0]", "[0,4]") + "}", "1234"),
                  "shape is [1.0], expected sizes");
  require_refused(safetensors("{\"f\":" + entry("F32", "[1]", "[0]") + "}", "1234"),
                  "data_offsets are [0], expected [begin, end]");
  require_refused(safetensors("{\"f\":" + entry("Q7", "[1]", "[0,4]") + "}", "1234"),
                  "dtype is Q7, which is not known");
}

TEST_CASE("Ranges that leave the data, overlap, or leave gaps are refused") {
  const auto one = [](const std::string& shape, const std::string& offsets) {
    return safetensors("{\"f\":" + entry("F32", shape, offsets) + "}", "12345678");
  };
  require_refused(one("[2]", "[4,12]"), "but the file has 8 bytes of data");
  require_refused(one("[1]", "[8,4]"), "but the file has 8 bytes of data");
  require_refused(one("[1]", "[0,18446744073709551615]"), "data_offsets are");
  require_refused(one("[1]", "[0,8]"), "which is not the size of F32 [1]");
  require_refused(one("[3]", "[0,8]"), "which is not the size of F32 [3]");
  // The product of these is 2 modulo 2^64.
  require_refused(one("[4611686018427387905,2]", "[0,8]"), "which is not the size of");
  require_refused(one("[9223372036854775807,9223372036854775807]", "[0,4]"), "not the size of");
  require_refused(one("[1]", "[4,8]"), "a gap of unused bytes comes before tensor f");
  const auto two = [](const std::string& first, const std::string& second) {
    return safetensors(
        "{\"f\":" + entry("F32", "[1]", first) + ",\"g\":" + entry("F32", "[1]", second) + "}",
        "12345678");
  };
  require_refused(two("[0,4]", "[2,6]"), "tensor g overlaps another one");
  require_refused(two("[0,4]", "[0,4]"), "overlaps another one");
}

TEST_CASE("An empty tensor may be as wide as it likes") {
  const scratch_directory directory;
  write(directory / "x.safetensors",
        safetensors("{\"f\":" + entry("F32", "[4294967296,4294967296,0]", "[0,0]") + "}", ""));
  const generate::safetensors_file file(directory / "x.safetensors");
  REQUIRE(file.tensors().at("f").numbers() == 0);
}

TEST_CASE("Lists within lists are refused before anything walks them") {
  const std::string deep = std::string(300'000, '[') + std::string(300'000, ']');
  require_refused(safetensors(R"({"f":{"dtype":"F32","shape":)" + deep + "}}", ""),
                  "JSON of more than 32 levels");
  require_refused(safetensors(deep, ""), "JSON of more than 32 levels");
}

TEST_CASE("A file whose tensors overlap is refused before any is copied") {
  // At odd addresses, so that each would be copied: a hundred times a file that is not even there.
  constexpr std::uint64_t bytes = std::uint64_t(1) << 30;
  const std::string shape = "[" + std::to_string(bytes / 2) + "]";
  const std::string offsets = "[1," + std::to_string(bytes + 1) + "]";
  std::string header = R"({"first":)" + entry("U8", "[1]", "[0,1]");
  for (int i = 0; i < 100; ++i)
    header += ",\"" + std::to_string(i) + "\":" + entry("I16", shape, offsets);
  header += header.size() % 2 == 0 ? " }" : "}";
  const scratch_directory directory;
  const fs::path path = directory / "x.safetensors";
  write(path, safetensors(header, ""));
  fs::resize_file(path, 8 + header.size() + 1 + bytes);
  REQUIRE_THROWS_WITH(generate::safetensors_file(path), contains("overlaps another one"));
}

TEST_CASE("A name that occurs twice is refused") {
  const std::string f = "\"f\":" + entry("F32", "[1]", "[0,4]");
  require_refused(safetensors("{" + f + "," + f + "}", "1234"), "tensor f occurs twice");
}

TEST_CASE("What is not a file is refused") {
  const scratch_directory directory;
  REQUIRE_THROWS_WITH(generate::safetensors_file(directory / "none"),
                      contains("No such file or directory"));
  REQUIRE_THROWS_WITH(generate::safetensors_file(directory.path()), contains("not a regular file"));
}
