// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a trace is read as it stands, and one that is damaged is refused with a message that names
// the request, the key and the value. Percentiles are values that occur.
#include "trace.hpp"

#include <fstream>

#include "config.hpp"
#include "figures.hpp"
#include "model_files.hpp"
#include "support/catch.hpp"

using headroom_tests::contains;
using namespace generate_tests;

namespace {

std::unique_ptr<const generate::tokenizer> bytes() {
  return generate::open_tokenizer(tinylm / "gqa", generate::read_config(tinylm / "gqa"));
}

void require_refused(const std::string& json, const std::string& message) {
  const scratch_directory directory;
  write(directory / "trace.json", json);
  CAPTURE(json);
  REQUIRE_THROWS_AS(serve::read_trace(directory / "trace.json", *bytes()), generate::model_error);
  REQUIRE_THROWS_WITH(serve::read_trace(directory / "trace.json", *bytes()), contains(message));
}

}  // namespace

TEST_CASE("A trace is read as it stands") {
  const scratch_directory directory;
  write(directory / "trace.json",
        R"({"system": "ab", "temperature": 0.5,
            "requests": [{"step": 3, "prompt": "c", "tokens": 4, "seed": 5}]})");
  const serve::workload load = serve::read_trace(directory / "trace.json", *bytes());
  REQUIRE(load.system == std::vector<serve::Index>{'a', 'b'});
  REQUIRE(load.temperature == 0.5);
  REQUIRE(load.requests.size() == 1);
  const serve::request& r = load.requests.front();
  REQUIRE(r.arrival == 3);
  REQUIRE(r.tokens == 4);
  REQUIRE(r.seed == 5);
  REQUIRE(load.beginning(r) == std::vector<serve::Index>{'a', 'b', 'c'});
}

TEST_CASE("The committed trace fits into the context of the models") {
  const serve::workload load = serve::read_trace(SERVE_TRACE, *bytes());
  REQUIRE(load.requests.size() == 300);
  const serve::Index context = generate::read_config(tinylm / "gqa").context;
  for (const serve::request& r : load.requests)
    REQUIRE(std::ssize(load.beginning(r)) + r.tokens <= context);
}

TEST_CASE("A damaged trace is refused") {
  const std::string good = R"({"step": 3, "prompt": "c", "tokens": 4, "seed": 5})";
  const auto with = [](const std::string& requests) {
    return R"({"system": "ab", "temperature": 0.5, "requests": [)" + requests + "]}";
  };
  require_refused("[", "not valid JSON");
  require_refused(R"({"system": "", "temperature": 1})", "system is \"\"");
  require_refused(R"({"system": "a", "temperature": -1})", "temperature is -1");
  require_refused(R"({"system": "a", "temperature": 1})", "requests: expected a list");
  require_refused(with(""), "requests: expected a list");
  require_refused(with("3"), "requests[0]: expected a JSON object");
  require_refused(with(good + R"(, {"step": 2, "prompt": "c", "tokens": 4, "seed": 5})"),
                  "requests[1]: step is 2, expected 3 or more");
  require_refused(with(R"({"step": 3, "prompt": "", "tokens": 4, "seed": 5})"), "prompt is \"\"");
  require_refused(with(R"({"step": 3, "prompt": "c", "tokens": 0, "seed": 5})"), "tokens is 0");
}

TEST_CASE("Percentiles are of the nearest rank") {
  std::vector<double> hundred;
  for (int i = 100; i > 0; --i) hundred.push_back(i);
  REQUIRE(serve::percentiles_of(hundred).values == std::array{50.0, 95.0, 99.0});
  REQUIRE(serve::percentiles_of({7}).values == std::array{7.0, 7.0, 7.0});
  REQUIRE(serve::percentiles_of({}).values == std::array{0.0, 0.0, 0.0});
}
