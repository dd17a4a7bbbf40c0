// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a model directory gives PyTorch's logits, whatever its family, its scalars, its shards and
// the way its prompt is cut; a directory that is damaged or not supported is refused with a message
// that names the file, the key or tensor, and the value.
#include "model.hpp"

#include "evaluation.hpp"
#include "generation.hpp"
#include "model_files.hpp"
#include "support/catch.hpp"

using generate::Index;
using headroom_tests::contains;
using namespace generate_tests;

namespace {

generate::language_model open(const fs::path& directory, const std::string& kv_dtype = "F32") {
  return {generate::read_config(directory),
          generate::checkpoint(directory),
          {.kv_dtype = kv_dtype, .capacity = 160}};
}

// llama3 with a window; null: without.
generate::language_model open_windowed(const nlohmann::json& window, bool rings,
                                       const std::string& kv_dtype = "F32") {
  const scratch_directory directory;
  copy_model("llama3", directory);
  edit_json(directory / "config.json", [&](nlohmann::json& config) {
    config["model_type"] = "mistral";
    config["sliding_window"] = window;
  });
  return {generate::read_config(directory.path()),
          generate::checkpoint(directory.path()),
          {.kv_dtype = kv_dtype, .capacity = 160, .rings = rings}};
}

std::vector<Index> some_ids(Index count) {
  std::vector<Index> ids;
  for (Index i = 0; i < count; ++i) ids.push_back((3 + 17 * i + i * i / 3) % 64);
  return ids;
}

// Of the same sums in another order.
bool near(const generate::Matrix& a, const generate::Matrix& b) {
  return (a - b).cwiseAbs().maxCoeff() <= 1e-5f * b.cwiseAbs().maxCoeff();
}

// A copy of a model, changed, is refused with this message.
template <class Change>
void require_refused(const std::string& model, const Change& change, const std::string& message) {
  const scratch_directory directory;
  copy_model(model, directory);
  change(directory);
  REQUIRE_THROWS_AS(open(directory.path()), generate::model_error);
  REQUIRE_THROWS_WITH(open(directory.path()), contains(message));
}

// The same for a key of its config.json; null takes it away.
void require_config_refused(const std::string& model, const std::string& key,
                            const nlohmann::json& value, const std::string& message) {
  CAPTURE(key, value.dump());
  const auto change = [&](const scratch_directory& directory) {
    edit_json(directory / "config.json", [&](nlohmann::json& config) { config[key] = value; });
  };
  require_refused(model, change, message);
}

}  // namespace

TEST_CASE("Logits are PyTorch's for DeepSeek-V2 with experts, YaRN, a query rank and two shards") {
  generate::language_model model = open(tinylm / "moe");
  const auto difference = generate::compare_with_golden(model, tinylm / "moe", "F32");
  REQUIRE(difference.greatest <= difference.bound);
}

TEST_CASE("Logits are PyTorch's for Llama 3 with its RoPE scaling, biases and bfloat16") {
  generate::language_model model = open(tinylm / "llama3");
  const auto difference = generate::compare_with_golden(model, tinylm / "llama3", "F32");
  REQUIRE(difference.greatest <= difference.bound);
}

TEST_CASE("A codec is refused by models that it is not compiled for") {
  REQUIRE_THROWS_WITH(open(tinylm / "moe", "int8_rows"), contains("latents of 16 have no codec"));
  REQUIRE_THROWS_WITH(open(tinylm / "llama3", "int8_rows"), contains("has dtype BF16"));
  REQUIRE_THROWS_WITH(open(tinylm / "mla", "int4, rotated"),
                      contains("cannot store int4, rotated"));
}

TEST_CASE("Scales for whole numbers are those of the first text, and stay") {
  const std::vector<Index> first = some_ids(100), second(first.rbegin(), first.rend() - 50);
  generate::language_model model = open(tinylm / "gqa", "saturating_int8");
  model.logits(first);
  const auto again = [](generate::language_model& m, const std::vector<Index>& ids) {
    m.truncate(0);
    return m.logits(ids);
  };
  const generate::Matrix expected = again(model, second);
  REQUIRE(model.measured_attention() == model.predicted_attention());
  REQUIRE(again(model, second) == expected);
  generate::language_model other = open(tinylm / "gqa", "saturating_int8");
  REQUIRE(other.logits(second) != expected);
}

TEST_CASE("Caches in 16 bits stay within their wider bound, and need it") {
  const std::string name = GENERATE(std::string("moe"), std::string("llama3"));
  const std::string dtype = GENERATE(std::string("F16"), std::string("BF16"));
  generate::language_model model = open(tinylm / name, dtype);
  const auto narrow = generate::compare_with_golden(model, tinylm / name, dtype);
  REQUIRE(narrow.greatest <= narrow.bound);
  generate::language_model exact = open(tinylm / name);
  REQUIRE(narrow.greatest > generate::compare_with_golden(exact, tinylm / name, "F32").greatest);
}

TEST_CASE("Wrong rotary settings are seen in the logits") {
  const scratch_directory directory;
  copy_model("moe", directory);
  const auto difference = [&] {
    generate::language_model model = open(directory.path());
    return generate::compare_with_golden(model, directory.path(), "F32");
  };
  REQUIRE(difference().agrees());
  SECTION("softmax factor") {
    edit_json(directory / "config.json",
              [](nlohmann::json& config) { config["rope_scaling"]["mscale_all_dim"] = 0; });
  }
  SECTION("amplitude") {
    edit_json(directory / "config.json",
              [](nlohmann::json& config) { config["rope_scaling"]["mscale"] = 1.5; });
  }
  SECTION("factor") {
    edit_json(directory / "config.json",
              [](nlohmann::json& config) { config["rope_scaling"]["factor"] = 5; });
  }
  REQUIRE_FALSE(difference().agrees());
}

TEST_CASE("Forgetting tokens takes the model back to where it was") {
  const std::string name = GENERATE(std::string("moe"), std::string("llama3"));
  generate::language_model model = open(tinylm / name);
  const std::vector<Index> start = {3, 14, 15, 9, 2}, other = {6, 5}, rest = {35, 8, 9};
  model.next_logits(start);
  const Eigen::RowVectorXf expected = model.next_logits(rest);
  model.truncate(5);
  model.next_logits(other);
  model.truncate(5);
  REQUIRE(model.tokens() == 5);
  REQUIRE(model.next_logits(rest) == expected);
}

TEST_CASE("A sliding window as long as the sequence changes nothing, a shorter one does") {
  const std::vector<Index> ids = {3, 14, 15, 9, 2, 6, 5, 35};
  const auto logits = [&](const nlohmann::json& window) {
    return open_windowed(window, false).logits(ids);
  };
  const generate::Matrix all = logits(nullptr), eight = logits(8), three = logits(3);
  REQUIRE(eight == all);
  REQUIRE(three.topRows(3) == all.topRows(3));
  REQUIRE(three.row(3) != all.row(3));
}

TEST_CASE("A ring of the window writes what a cache of all tokens does") {
  const Index window = GENERATE(3, 16);
  CAPTURE(window);
  generate::language_model ring = open_windowed(window, true), all = open_windowed(window, false);
  const std::vector<Index> ids = some_ids(150);
  const std::span<const Index> span(ids);
  const auto first = static_cast<std::size_t>(window);
  REQUIRE(ring.logits(span.first(first)) == all.logits(span.first(first)));  // nothing was dropped

  // A prompt that the ring reads in pieces, then a token at a time.
  REQUIRE(near(ring.logits(span.subspan(first, 70)), all.logits(span.subspan(first, 70))));
  for (const Index id : span.subspan(first + 70))
    REQUIRE(near(ring.next_logits(std::span(&id, 1)), all.next_logits(std::span(&id, 1))));

  generate::language_model wider = open_windowed(window + 1, false);
  REQUIRE_FALSE(near(wider.logits(ids), open_windowed(window, false).logits(ids)));

  const auto text = [&](generate::language_model& model) {
    generate::sampler pick(0.5, 1);
    model.truncate(0);
    return generate::continue_prompt(model, span.first(50), 100, pick, [](auto) {}).ids;
  };
  REQUIRE(text(ring) == text(all));
}

TEST_CASE("A ring takes the memory of the window and a piece, where that is less than all") {
  const std::string dtype = GENERATE(std::string("F32"), std::string("F16"), std::string("BF16"));
  const auto tokens_of = [&](const nlohmann::json& window, bool rings) {
    generate::language_model model = open_windowed(window, rings, dtype);
    for (int i = 0; i < 4; ++i) model.next_logits(some_ids(20));
    const generate::footprint measured = model.measured_attention();
    REQUIRE(measured == model.predicted_attention());
    REQUIRE(measured.cache_bytes % measured.cache_bytes_per_token == 0);
    return measured.cache_bytes / measured.cache_bytes_per_token;
  };
  REQUIRE(tokens_of(16, true) == 16 + 16 - 1);
  REQUIRE(tokens_of(16, false) == 160);
  REQUIRE(tokens_of(80, true) == 80 + 80 - 1);
  REQUIRE(tokens_of(81, true) == 160);
  REQUIRE(tokens_of(nullptr, true) == 160);
}

TEST_CASE("A ring goes back while the next window is there, and refuses where it is not") {
  generate::language_model ring = open_windowed(8, true), plain = open_windowed(8, true);
  const std::vector<Index> ids = some_ids(60), other = {6, 5};
  const std::span<const Index> span(ids);
  plain.logits(span.first(40));
  ring.logits(span.first(40));
  ring.logits(other);
  ring.truncate(40);
  REQUIRE(ring.next_logits(span.subspan(40, 3)) == plain.next_logits(span.subspan(40, 3)));
  REQUIRE_THROWS_AS(ring.truncate(20), std::invalid_argument);
  REQUIRE(ring.tokens() == 43);
  REQUIRE(ring.next_logits(span.subspan(43, 1)) == plain.next_logits(span.subspan(43, 1)));
  ring.truncate(0);
  REQUIRE(ring.logits(span) == open_windowed(8, true).logits(span));
}

TEST_CASE("Attention and its cache take what the cost model says") {
  const std::string name = GENERATE(std::string("moe"), std::string("llama3"));
  generate::language_model model = open(tinylm / name, "BF16");
  model.next_logits(std::vector<Index>{1, 2, 3});
  REQUIRE(model.measured_attention() == model.predicted_attention());
  // moe: a latent of 16 and a rotary key of 8. llama3: keys and values of 2 heads of 12. Two
  // layers, two bytes a number.
  REQUIRE(model.measured_attention().cache_bytes_per_token ==
          (name == "moe" ? 2 * 2 * (16 + 8) : 2 * 2 * 2 * 2 * 12));
  REQUIRE(model.measured_attention().cache_bytes ==
          160 * model.measured_attention().cache_bytes_per_token);
}

TEST_CASE("Tokens that do not exist or have no room are refused and change nothing") {
  generate::language_model model = open(tinylm / "llama3");
  const std::vector<Index> good = {1, 2, 3};
  const Eigen::RowVectorXf expected = model.next_logits(good);
  model.truncate(0);
  REQUIRE_THROWS_WITH(model.next_logits(std::vector<Index>{1, 64}),
                      contains("token id 64, expected [0, 64)"));
  REQUIRE_THROWS_WITH(model.logits(std::vector<Index>{-1}), contains("token id -1"));
  REQUIRE_THROWS_AS(model.logits(std::vector<Index>(161, 0)), std::length_error);
  REQUIRE_THROWS_AS(model.next_logits({}), std::invalid_argument);
  REQUIRE(model.tokens() == 0);
  REQUIRE(model.next_logits(good) == expected);
}

TEST_CASE("Missing files are named") {
  REQUIRE_THROWS_WITH(open(tinylm / "nowhere"), contains("nowhere: no such directory"));
  const auto without = [](const char* name) {
    return [name](const scratch_directory& directory) { fs::remove(directory / name); };
  };
  require_refused("llama3", without("config.json"), "config.json: cannot be opened");
  require_refused("llama3", without("model.safetensors"),
                  "neither model.safetensors nor model.safetensors.index.json is there");
  require_refused("moe", without("model-00002-of-00002.safetensors"),
                  "model-00002-of-00002.safetensors: No such file or directory");
}

TEST_CASE("Damaged files are named") {
  require_refused(
      "llama3", [](const auto& d) { write(d / "config.json", "{\"model_type\": "); },
      "config.json: not valid JSON");
  require_refused(
      "llama3", [](const auto& d) { write(d / "config.json", "[]"); },
      "config.json: expected a JSON object");
  const std::string deep = std::string(300'000, '[') + std::string(300'000, ']');
  require_refused(
      "llama3",
      [&](const auto& d) { write(d / "config.json", R"({"eos_token_id":)" + deep + "}"); },
      "config.json: JSON of more than 32 levels");
  require_refused(
      "llama3", [](const auto& d) { fs::resize_file(d / "model.safetensors", 9000); },
      "it is truncated or damaged");
  require_refused(
      "moe", [](const auto& d) { write(d / "model.safetensors.index.json", "{}"); },
      "weight_map is missing");
}

TEST_CASE("An index that does not describe its shards is refused") {
  const auto edit_map = [](const std::string& name, const nlohmann::json& shard) {
    return [=](const scratch_directory& directory) {
      edit_json(directory / "model.safetensors.index.json",
                [&](nlohmann::json& index) { index["weight_map"][name] = shard; });
    };
  };
  require_refused("moe", edit_map("lm_head.weight", "model-00001-of-00002.safetensors"),
                  "tensor lm_head.weight is missing, though model.safetensors.index.json says");
  require_refused("moe", edit_map("lm_head.weight", "../model-00002-of-00002.safetensors"),
                  "expected the name of a file in the same directory");
  require_refused("moe", edit_map("lm_head.weight", 2), "lm_head.weight is 2, expected a string");
}

TEST_CASE("Configurations that do not fit the tensors are refused") {
  require_config_refused("llama3", "vocab_size", 65,
                         "model.embed_tokens.weight has shape [64, 32], expected [65, 32]");
  require_config_refused("llama3", "num_key_value_heads", 4,
                         "k_proj.weight has shape [24, 32], expected [48, 32]");
  require_config_refused("llama3", "num_hidden_layers", 3,
                         "tensor model.layers.2.input_layernorm.weight is missing");
  require_config_refused("llama3", "num_hidden_layers", 1, "has no place in the model");
  require_config_refused("llama3", "attention_bias", false, "has no place in the model");
}

TEST_CASE("What this program cannot run is refused with key and value") {
  require_config_refused("llama3", "model_type", "gemma", "model_type is \"gemma\", which is not");
  require_config_refused("llama3", "hidden_act", "gelu", "hidden_act is \"gelu\", which is not");
  require_config_refused("llama3", "partial_rotary_factor", 0.5, "partial_rotary_factor is 0.5");
  require_config_refused("llama3", "use_sliding_window", true, "use_sliding_window is true");
  require_config_refused("llama3", "quantization_config", {{"bits", 4}},
                         "quantization_config is {\"bits\":4}, which is not supported");
  require_config_refused("llama3", "rope_scaling", {{"type", "dynamic"}, {"factor", 2}},
                         "rope_type is \"dynamic\", which is not supported");
  require_config_refused("moe", "scoring_func", "sigmoid", "scoring_func is \"sigmoid\"");
  require_config_refused("moe", "topk_method", "noaux_tc", "topk_method is \"noaux_tc\"");
  require_config_refused("moe", "attention_bias", true, "attention_bias is true");
}

TEST_CASE("Values that make no sense are refused with key and value") {
  require_config_refused("llama3", "hidden_size", nullptr, "hidden_size is missing");
  require_config_refused("llama3", "hidden_size", "32", "hidden_size is \"32\", expected a whole");
  require_config_refused("llama3", "hidden_size", 32.5, "hidden_size is 32.5, expected a whole");
  require_config_refused("llama3", "hidden_size", -32, "hidden_size is -32, expected 1 to");
  require_config_refused("llama3", "hidden_size", 18446744073709551615u, "expected 1 to");
  require_config_refused("llama3", "attention_bias", 1, "attention_bias is 1, expected true or");
  require_config_refused("llama3", "rope_theta", "big", "rope_theta is \"big\", expected a number");
  require_config_refused("llama3", "rope_theta", 0, "rope: base is 0");
  require_config_refused("llama3", "head_dim", 7, "expected an even number");
  require_config_refused("llama3", "head_dim", 1 << 28, "RoPE turns 268435456 numbers of a head");
  require_config_refused("llama3", "rms_norm_eps", -1e-6, "rms_norm_eps is -1e-06, expected 0 or");
  require_config_refused("llama3", "num_key_value_heads", 3, "does not divide num_attention_heads");
  require_config_refused("llama3", "eos_token_id", "end", "expected a token id or a list of them");
  require_config_refused("llama3", "rope_scaling", {{"type", "yarn"}}, "factor is missing");
  require_config_refused("moe", "num_experts_per_tok", 5, "more than there are experts");
}

TEST_CASE("Tensors of a scalar that cannot be computed with are refused by name") {
  const auto relabel = [](const scratch_directory& directory) {
    std::string bytes = read(directory / "model.safetensors");
    for (std::size_t at; (at = bytes.find("\"BF16\"")) != std::string::npos;)
      bytes.replace(at, 6, "\"I16\" ");
    write(directory / "model.safetensors", bytes);
  };
  require_refused("llama3", relabel,
                  "tensor model.embed_tokens.weight has dtype I16, expected F32, F16 or BF16");
}

TEST_CASE("Weights of one attention layer must share a scalar") {
  const auto relabel = [](const scratch_directory& directory) {
    std::string bytes = read(directory / "model.safetensors");
    const std::size_t tensor = bytes.find("model.layers.1.self_attn.k_proj.weight");
    bytes.replace(bytes.find("\"BF16\"", tensor), 6, "\"F16\" ");
    write(directory / "model.safetensors", bytes);
  };
  require_refused("llama3", relabel,
                  "model.layers.1.self_attn.k_proj.weight has dtype F16, expected BF16 as the "
                  "other weights of its layer");
}
