// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: what is written for a request is the same whatever else is served, and is what the model
// writes that has neither pages nor batches.
#include <cmath>
#include <filesystem>

#include "alone.hpp"
#include "server.hpp"
#include "support/catch.hpp"

using headroom_tests::contains;
using namespace serve;

namespace {

const std::filesystem::path tinylm = HEADROOM_TINYLM_DIR;

constexpr Index chunk = 7;

paged_model open(const std::string& name, const std::string& dtype, Index block_rows,
                 Index pool_bytes = 1 << 20) {
  return {generate::read_config(tinylm / name),
          generate::checkpoint(tinylm / name),
          {.dtype = dtype, .pool_bytes = pool_bytes, .page_tokens = 4, .block_rows = block_rows}};
}

generate::language_model open_plain(const std::string& name, const std::string& dtype) {
  return {generate::read_config(tinylm / name),
          generate::checkpoint(tinylm / name),
          {.kv_dtype = dtype, .capacity = 200}};
}

std::vector<Index> ids(Index first, Index count) {
  std::vector<Index> result;
  for (Index i = 0; i < count; ++i) result.push_back((first + 17 * i + i * i) % 64);
  return result;
}

workload some_requests(Index count) {
  workload load{ids(3, 18), 0.8, {}};
  for (Index i = 0; i < count; ++i)
    load.requests.push_back({i / 3, ids(i, 1 + 5 * i % 23), 3 + 7 * i % 31, std::uint64_t(i)});
  return load;
}

}  // namespace

TEST_CASE("Logits of a sequence do not depend on what is computed with it") {
  const std::string name = GENERATE(std::string("llama3"), std::string("moe"));
  paged_model model = open(name, "F32", 16);
  packed_rows alone, together;
  alone.add(0, {0, 5, false}, ids(1, 5));
  together.add(1, {0, 20, false}, ids(9, 20));
  together.add(0, {0, 5, false}, ids(1, 5));
  together.add(2, {0, 1, true}, ids(4, 1));
  model.open(0);
  const Matrix expected = model.logits(alone);
  model.close(0);
  for (const Index id : {0, 1, 2}) model.open(id);
  REQUIRE(model.logits(together).row(1) == expected.row(0));
}

TEST_CASE("Tokens apart are what they are one at a time, all at once what a prompt is") {
  const std::string name = GENERATE(std::string("llama3"), std::string("moe"));
  paged_model model = open(name, "F16", 16);
  const std::vector<Index> known = ids(1, 30);
  for (const Index id : {0, 1}) {
    model.open(id);
    packed_rows prompt;
    prompt.add(id, {0, 9, false}, known);
    model.logits(prompt);
  }
  Matrix last;
  for (Index t = 9; t < 30; ++t) {
    packed_rows one;
    one.add(0, {t, t + 1, true}, known);
    last = model.logits(one);
  }
  packed_rows all;
  all.add(1, {9, 30, true}, known);
  REQUIRE(model.logits(all) == last);
}

TEST_CASE("All rows at once are the bits of a model without pages, blocks of rows are near") {
  const std::string name =
      GENERATE(std::string("llama3"), std::string("moe"), std::string("gqa"), std::string("mla"));
  const std::vector<Index> known = ids(2, 40);
  generate::language_model plain = open_plain(name, "F32");
  paged_model same = open(name, "F32", 0), near = open(name, "F32", 16);
  same.open(0);
  near.open(0);
  for (const piece& p : {piece{0, 31, false}, piece{31, 38, false}, piece{38, 39, true}}) {
    CAPTURE(name, p.begin);
    packed_rows rows;
    rows.add(0, p, known);
    const Eigen::RowVectorXf expected = plain.next_logits(std::span(known).subspan(
        static_cast<std::size_t>(p.begin), static_cast<std::size_t>(p.tokens())));
    REQUIRE(same.logits(rows).row(0) == expected);
    const Eigen::RowVectorXf rounded = near.logits(rows).row(0);
    REQUIRE((rounded - expected).cwiseAbs().maxCoeff() <= 1e-4f * expected.cwiseAbs().maxCoeff());
  }
}

TEST_CASE("int8 takes half the memory of float at most, and logits are near") {
  const std::string name =
      GENERATE(std::string("llama3"), std::string("moe"), std::string("gqa"), std::string("mla"));
  CAPTURE(name);
  paged_model exact = open(name, "F32", 16), coded = open(name, "I8", 16);
  REQUIRE(2 * coded.page_bytes() <= exact.page_bytes());
  packed_rows rows;
  rows.add(0, {0, 40, false}, ids(2, 40));
  exact.open(0);
  coded.open(0);
  const Eigen::RowVectorXf expected = exact.logits(rows).row(0), got = coded.logits(rows).row(0);
  const float error = (got - expected).cwiseAbs().maxCoeff();
  REQUIRE(error > 0);
  REQUIRE(error <= 0.02f * expected.cwiseAbs().maxCoeff());
}

TEST_CASE("Served texts are those that are written alone, in a pool that is too small") {
  const std::string name = GENERATE(std::string("llama3"), std::string("moe"));
  const bool share = GENERATE(true, false), batch = GENERATE(true, false);
  const std::string dtype = GENERATE(std::string("F16"), std::string("I8"));
  CAPTURE(name, share, batch, dtype);
  const workload load = some_requests(25);
  const Index page = open(name, dtype, 16).page_bytes();
  paged_model model = open(name, dtype, batch ? 16 : 0, 40 * page);
  REQUIRE(model.pages() == 40);
  const serve_options options{
      .rows = 20, .chunk = chunk, .running = 8, .share = share, .batch = batch};
  const service served = server(model, load, options).run();
  REQUIRE(served.preemptions > 0);
  REQUIRE(model.pages_in_use() == 0);
  for (std::size_t i = 0; i < load.requests.size(); ++i) {
    CAPTURE(i);
    REQUIRE(served.answers[i].written == write_alone(model, load, load.requests[i], chunk));
    if (batch || dtype == "I8") continue;
    generate::language_model plain = open_plain(name, dtype);
    REQUIRE(served.answers[i].written == write_alone(plain, load, load.requests[i], chunk));
  }
}

TEST_CASE("Texts of other logits are not equal, even if no token differs") {
  Eigen::RowVectorXf logits = Eigen::RowVectorXf::LinSpaced(5, -1, 1), other = logits;
  other[3] = std::nextafter(other[3], 2.f);
  text one, same, near;
  one.add_logits(logits);
  same.add_logits(logits);
  near.add_logits(other);
  REQUIRE(one == same);
  REQUIRE_FALSE(one == near);
}

TEST_CASE("The same workload takes the same steps in every run") {
  const workload load = some_requests(12);
  const auto steps = [&] {
    paged_model model = open("llama3", "F16", 16);
    std::vector<Index> all;
    for (const moment& m :
         server(model, load, {.rows = 20, .chunk = chunk, .running = 8}).run().moments)
      all.insert(all.end(), {m.step, m.pages_in_use, m.pages_unshared, m.running, m.waiting});
    return all;
  };
  REQUIRE(steps() == steps());
}

TEST_CASE("Writing stops before an end token") {
  workload load = some_requests(1);
  load.requests[0].tokens = 20;
  generate::model_config config = generate::read_config(tinylm / "llama3");
  const auto write = [&] {
    paged_model model(config, generate::checkpoint(tinylm / "llama3"), {.pool_bytes = 1 << 20});
    const service served = server(model, load, {}).run();
    REQUIRE(served.answers[0].written == write_alone(model, load, load.requests[0], 32));
    return served.answers[0].written.ids;
  };
  const std::vector<Index> all = write();
  REQUIRE(all.size() == 20);
  config.end_tokens = {all[10]};
  REQUIRE(write() == std::vector<Index>(all.begin(), std::find(all.begin(), all.end(), all[10])));
}

TEST_CASE("What cannot be stored or does not fit is refused") {
  generate::model_config other = generate::read_config(tinylm / "moe");
  REQUIRE(stores_int8(other));
  other.latent->rank = 17;
  REQUIRE_FALSE(stores_int8(other));
  REQUIRE_THROWS_WITH(paged_model(other, generate::checkpoint(tinylm / "moe"),
                                  {.dtype = "I8", .pool_bytes = 1 << 20}),
                      contains("latents of 17 cannot be kept in int8"));
  REQUIRE_THROWS_WITH(open("llama3", "I4", 16), contains("dtype I4"));
  REQUIRE_THROWS_WITH(open("llama3", "F32", 16, 100), contains("no room for a page"));
}
