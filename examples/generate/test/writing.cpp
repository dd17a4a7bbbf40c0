// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: what is written follows from model, prompt, temperature and seed alone; bytes and pieces
// turn into tokens and back without loss.
#include <algorithm>

#include "generation.hpp"
#include "model_files.hpp"
#include "support/catch.hpp"
#include "tokenizer.hpp"

#ifdef GENERATE_SENTENCEPIECE_TRAIN
#include <sentencepiece_trainer.h>
#endif

using generate::Index;
using headroom_tests::contains;
using namespace generate_tests;

namespace {

std::vector<Index> write_with(double temperature, std::uint64_t seed, Index count,
                              std::vector<Index> ends = {}) {
  generate::model_config config = generate::read_config(tinylm / "llama3");
  config.end_tokens = std::move(ends);
  generate::language_model model(config, generate::checkpoint(tinylm / "llama3"), {.capacity = 64});
  generate::sampler pick(temperature, seed);
  const std::vector<Index> prompt = {1, 2, 3};
  std::vector<Index> seen;
  const auto written = generate::continue_prompt(
      model, prompt, count, pick, [&](auto ids) { seen.assign(ids.begin(), ids.end()); });
  REQUIRE(seen == written.ids);
  return written.ids;
}

}  // namespace

TEST_CASE("The same seed writes the same, another one something else") {
  REQUIRE(write_with(1, 7, 40) == write_with(1, 7, 40));
  REQUIRE(write_with(1, 7, 40) != write_with(1, 8, 40));
  REQUIRE(write_with(0, 7, 40) == write_with(0, 8, 40));
}

TEST_CASE("Writing stops before an end token and at the count") {
  const std::vector<Index> all = write_with(0, 0, 20);
  REQUIRE(all.size() == 20);
  const std::vector<Index> start = write_with(0, 0, 5);
  REQUIRE(std::equal(start.begin(), start.end(), all.begin()));
  const auto stop = std::find(all.begin(), all.end(), all[10]);
  REQUIRE(write_with(0, 0, 20, {99, all[10]}) == std::vector<Index>(all.begin(), stop));
}

TEST_CASE("A sampler draws tokens as often as their probabilities say") {
  generate::sampler pick(2.0, 1);
  Eigen::RowVectorXf logits(3);
  logits << 0, 2 * std::log(3.f), -200;  // at temperature 2: probabilities 1/4, 3/4, 0
  int counts[3] = {};
  const int draws = 20000;
  for (int i = 0; i < draws; ++i) ++counts[pick(logits)];
  // Five standard deviations of a binomial count.
  const double allowed = 5 * std::sqrt(draws * 0.25 * 0.75);
  REQUIRE(std::abs(counts[0] - draws * 0.25) <= allowed);
  REQUIRE(counts[2] == 0);
}

TEST_CASE("Bytes are the tokens of a vocabulary of 256") {
  const generate::model_config config = generate::read_config(tinylm / "mha");
  const auto text = generate::open_tokenizer(tinylm / "mha", config);
  REQUIRE(text);
  const std::string words = "a\xc3\xa9\n";
  REQUIRE(text->encode(words) == std::vector<Index>{0x61, 0xc3, 0xa9, 0x0a});
  REQUIRE(text->decode(text->encode(words)) == words);
}

TEST_CASE("A directory without a tokenizer has none, unless its tokens are bytes") {
  const generate::model_config config = generate::read_config(tinylm / "llama3");
  REQUIRE_FALSE(generate::open_tokenizer(tinylm / "llama3", config));
}

#ifdef GENERATE_SENTENCEPIECE_TRAIN
TEST_CASE("SentencePiece reads tokenizer.model, and a prompt starts with the start token") {
  const scratch_directory directory;
  const auto trained = sentencepiece::SentencePieceTrainer::Train(
      "--input=" + (tinylm / "heldout.txt").string() +
      " --model_prefix=" + (directory / "tokenizer").string() +
      " --vocab_size=400 --byte_fallback=true --minloglevel=2");
  REQUIRE(trained.ok());
  generate::model_config config{};
  config.vocabulary = 400;
  const std::string words = "And the king said \xe2\x82\xac";
  const auto text = generate::open_tokenizer(directory.path(), config);
  const std::vector<Index> ids = text->encode(words);
  REQUIRE(ids.front() == 1);  // <s>
  REQUIRE(ids.size() < words.size());
  REQUIRE(text->decode(ids) == words);

  write(directory / "tokenizer_config.json", R"({"add_bos_token": false})");
  const auto bare = generate::open_tokenizer(directory.path(), config);
  REQUIRE(bare->encode(words) == std::vector<Index>(ids.begin() + 1, ids.end()));

  config.vocabulary = 399;
  REQUIRE_THROWS_WITH(generate::open_tokenizer(directory.path(), config),
                      contains("400 pieces, expected at most vocab_size = 399"));
  write(directory / "tokenizer.model", "not a model");
  REQUIRE_THROWS_WITH(generate::open_tokenizer(directory.path(), config),
                      contains("tokenizer.model: "));
}
#endif
